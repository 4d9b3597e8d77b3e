package server

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// framed returns the bytes as a message with those flags.
func framed(flags byte, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(data))), data...)
}

func zipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// hugeWindow is a zstd frame of one byte that asks for a window of 512 MiB.
var hugeWindow = []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 19 << 3, 1 | 1<<3, 0, 0, 'a'}

// rawClient speaks HTTP/2 directly, because gRPC's own client sends only valid frames.
type rawClient struct {
	t         *testing.T
	address   string
	transport *http.Transport
}

func newRawClient(f *fixture) *rawClient {
	c := &rawClient{t: f.t, address: f.address, transport: &http.Transport{Protocols: new(http.Protocols)}}
	c.transport.Protocols.SetUnencryptedHTTP2(true)
	f.t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// call makes a call with that body and returns its HTTP code, gRPC's status code, and the reason in the ErrorInfo.
func (c *rawClient) call(method string, body []byte, headers ...string) (int, codes.Code, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, "http://"+c.address+method, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		c.t.Fatal(err)
	}
	trailer := response.Trailer
	if response.Header.Get("Grpc-Status") != "" { // there was no response, so all is in one frame
		trailer = response.Header
	}
	code, err := strconv.Atoi(trailer.Get("Grpc-Status"))
	if err != nil {
		return response.StatusCode, codes.Unknown, ""
	}
	return response.StatusCode, codes.Code(code), reasonIn(trailer.Get("Grpc-Status-Details-Bin"))
}

func reasonIn(details string) string {
	data, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(details, "="))
	var st spb.Status
	_ = proto.Unmarshal(data, &st)
	for _, d := range st.Details {
		var info errdetails.ErrorInfo
		if d.UnmarshalTo(&info) == nil {
			return info.Reason
		}
	}
	return ""
}

// Bad frames are the client's error as well: they get a status that says so and are counted, and the log has no line about them.
func TestFramesThatAreWrong(t *testing.T) {
	var log lines
	f := newFixture(t, func(c *Config) { c.MaxRequestBytes, c.MaxEntryBytes, c.Log = 1<<16, 1<<16, log.logger() })
	client := newRawClient(f)
	empty := framed(0, nil)
	for name, c := range map[string]struct {
		body    []byte
		headers []string
		code    codes.Code
		reason  string
	}{
		"compressed without an encoding": {framed(1, nil), nil, codes.InvalidArgument, "MALFORMED"},
		"compressed with identity":       {framed(1, []byte("x")), []string{"Grpc-Encoding", "identity"}, codes.InvalidArgument, "MALFORMED"},
		"unknown flags":                  {framed(2, nil), nil, codes.InvalidArgument, "MALFORMED"},
		"no gzip":                        {framed(1, []byte("nonsense")), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument, "MALFORMED"},
		"no zstd":                        {framed(1, []byte("nonsense")), []string{"Grpc-Encoding", "zstd"}, codes.InvalidArgument, "MALFORMED"},
		"a window of 512 MiB":            {framed(1, hugeWindow), []string{"Grpc-Encoding", "zstd"}, codes.ResourceExhausted, "TOO_LARGE"},
		"truncated gzip":                 {framed(1, zipped(make([]byte, 1000))[:20]), []string{"Grpc-Encoding", "gzip"}, codes.InvalidArgument, "MALFORMED"},
		"bomb":                           {framed(1, zipped(make([]byte, 1<<24))), []string{"Grpc-Encoding", "gzip"}, codes.ResourceExhausted, "TOO_LARGE"},
		"half a header":                  {empty[:3], nil, codes.InvalidArgument, "MALFORMED"},
		"half a message":                 {framed(0, make([]byte, 100))[:50], nil, codes.InvalidArgument, "MALFORMED"},
		"promised 4 GiB":                 {[]byte{0, 0xff, 0xff, 0xff, 0xff, 0}, nil, codes.ResourceExhausted, "TOO_LARGE"},
		"no message":                     {framed(0, []byte{0x12, 0xff}), nil, codes.InvalidArgument, "MALFORMED"},
		"unknown encoding":               {empty, []string{"Grpc-Encoding", "snappy"}, codes.Unimplemented, ""},
	} {
		for _, method := range []string{
			pb.IngestService_Ingest_FullMethodName, pb.IngestService_IngestStream_FullMethodName, pb.AdminService_Flush_FullMethodName,
			grpc_health_v1.Health_Check_FullMethodName, grpc_health_v1.Health_Watch_FullMethodName,
		} {
			reason := c.reason
			if reason == "" {
				reason = "UNKNOWN_ENCODING"
			}
			before := f.failed(reason)
			if _, code, reason := client.call(method, c.body, c.headers...); code != c.code || reason != c.reason {
				t.Errorf("%s to %s: %v %s, want %v %s", name, method, code, reason, c.code, c.reason)
			}
			if f.failed(reason) != before+1 {
				t.Errorf("%s to %s is not counted as %s", name, method, reason)
			}
		}
	}
	for name, c := range map[string]struct {
		method string
		body   []byte
	}{
		"two requests in a unary call": {pb.IngestService_Ingest_FullMethodName, append(empty, empty...)},
		"none":                         {pb.IngestService_Ingest_FullMethodName, nil},
		"two for an administrator":     {pb.AdminService_Flush_FullMethodName, append(empty, empty...)},
	} {
		if _, code, reason := client.call(c.method, c.body); code != codes.InvalidArgument || reason != "MALFORMED" {
			t.Errorf("%s: %v %s", name, code, reason)
		}
	}
	if code, _, _ := client.call(pb.IngestService_Ingest_FullMethodName, empty, "Content-Type", "application/json"); code != http.StatusUnsupportedMediaType {
		t.Errorf("another content type: HTTP %d", code)
	}
	if _, code, _ := client.call("/logbatcher.v1.IngestService/Nonsense", empty); code != codes.Unimplemented {
		t.Errorf("an unknown method: %v", code)
	}
	for _, name := range []string{"gzip", "zstd"} { // valid frames are accepted
		compressed := zipped(nil)
		if name == "zstd" {
			var b bytes.Buffer
			w, err := encoding.GetCompressor(name).Compress(&b)
			if err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			compressed = b.Bytes()
		}
		if _, code, reason := client.call(pb.IngestService_Ingest_FullMethodName, framed(1, compressed), "Grpc-Encoding", name); code != codes.OK {
			t.Errorf("%s: %v %s", name, code, reason)
		}
	}
	if log.String() != "" {
		t.Errorf("logged:\n%s", log.String())
	}
}

// failed returns how many calls have failed for the reason.
func (f *fixture) failed(reason string) float64 {
	return counterValue(f.t, f.server.ingest.metrics.failedCalls.WithLabelValues(reason))
}

// The server reads messages from gRPC's own stream, which a new version of gRPC may not allow.
func TestTransportIsThere(t *testing.T) {
	f := newFixture(t, nil)
	r, err := f.ingest(&pb.IngestRequest{})
	if err != nil || r.CommittedSequence != 1 {
		t.Fatal(err)
	}
	found := make(chan bool, 1)
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		_, ok := grpc.ServerTransportStreamFromContext(stream.Context()).(transport)
		found <- ok
		return nil
	}))
	defer s.Stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(listener) }()
	newRawClient(&fixture{t: t, address: listener.Addr().String()}).call("/a/b", framed(0, nil))
	if !<-found {
		t.Error("gRPC's stream can't be read from: malformed frames are INTERNAL")
	}
}

// Streams and calls that clients break off are not logged.
func TestBrokenCallsAreNotLogged(t *testing.T) {
	var log lines
	f := newFixture(t, func(c *Config) { c.Log = log.logger() })
	for range 20 {
		older := f.open(&pb.Open{Producer: "p"})
		older.request(1, "a")
		f.open(&pb.Open{Producer: "p"}) // supersedes it
		f.stream().cancel()
		s := f.open(&pb.Open{Producer: "q"})
		s.request(1, "a")
		s.cancel()
		s = f.open(&pb.Open{Producer: "r"})
		s.request(9, "a")
		_ = s.end()
	}
	eventually(t, "the streams to end", func() bool { return f.metric("open_streams") <= 1 })
	if log.String() != "" {
		t.Errorf("logged:\n%s", log.String())
	}
}

// What a compressed request may make the server allocate is bounded, whatever it claims.
func TestDecompressionIsBounded(t *testing.T) {
	c := testConfig()
	d := newDecompressor(&c)
	for name, data := range map[string][]byte{"zstd": hugeWindow, "gzip": zipped(make([]byte, 1<<28))} {
		before := allocated()
		_, err := d.decompress(name, frameOf(data).BufferSlice)
		wantStatus(t, err, codes.ResourceExhausted, "TOO_LARGE")
		bytes := allocated() - before
		t.Logf("%s: %d KiB are allocated until a bomb is refused", name, bytes>>10)
		if bytes > uint64(c.MaxRequestBytes)+1<<20 {
			t.Errorf("%s: allocated %d bytes", name, bytes)
		}
	}
}

// allocated returns the bytes that the process has allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
