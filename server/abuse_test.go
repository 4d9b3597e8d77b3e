package server

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/server/access"
)

// The figures of these tests are in docs/security.md: go test -v -run TestAbuse ./server

// rawConn is a connection on which a test writes HTTP/2's frames itself, so that the client's side takes next to no memory.
type rawConn struct {
	t       *testing.T
	net     net.Conn
	framer  *http2.Framer
	headers bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
	encoded uint64 // what the process had allocated when the last headers were encoded
}

func (f *fixture) rawConn() *rawConn {
	f.t.Helper()
	c := &rawConn{t: f.t, net: f.connect(http2.ClientPreface), next: 1}
	c.framer, c.encoder = http2.NewFramer(c.net, c.net), hpack.NewEncoder(&c.headers)
	c.check(c.framer.WriteSettings())
	return c
}

func (c *rawConn) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// open begins a call with the headers beside gRPC's own, and sends data.
func (c *rawConn) open(method string, data []byte, headers ...string) {
	c.t.Helper()
	c.headers.Reset()
	headers = append([]string{":method", "POST", ":scheme", "http", ":path", method, ":authority", "a", "content-type", "application/grpc", "te", "trailers"}, headers...)
	for i := 0; i < len(headers); i += 2 {
		c.check(c.encoder.WriteField(hpack.HeaderField{Name: headers[i], Value: headers[i+1]}))
	}
	c.encoded = allocated()
	const frame = 16 << 10
	block := c.headers.Bytes()
	c.check(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: block[:min(frame, len(block))], EndHeaders: len(block) <= frame}))
	for at := frame; at < len(block); at += frame {
		if err := c.framer.WriteContinuation(c.next, at+frame >= len(block), block[at:min(at+frame, len(block))]); err != nil {
			return // refused already
		}
	}
	if data != nil {
		c.check(c.framer.WriteData(c.next, false, data))
	}
	c.next += 2
}

// discard reads whatever comes, until the connection ends.
func (c *rawConn) discard() { _, _ = io.Copy(io.Discard, c.net) }

// used returns what the process uses for objects and stacks.
func used() int64 {
	held := liveHeap()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return held + int64(m.StackInuse)
}

// A thousand streams that open and then say nothing.
func TestAbuseIdleStreams(t *testing.T) {
	const streams, connections = 1000, 8
	f := newFixture(t, func(c *Config) { c.MaxStreams = streams + 1 })
	opening, err := (&pb.IngestStreamRequest{Open: &pb.Open{}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	s := f.open(&pb.Open{Producer: "honest"})
	before := used()
	for range connections {
		c := f.rawConn()
		for range streams / connections {
			c.open(pb.IngestService_IngestStream_FullMethodName, framed(0, opening))
		}
		go c.discard()
	}
	eventually(t, "all streams to be open", func() bool { return f.metric("open_streams") == streams+1 })
	held := (used() - before) / streams
	t.Logf("an idle stream holds %d KiB", held>>10)
	if held > 64<<10 && !raceEnabled {
		t.Errorf("an idle stream holds %d bytes", held)
	}
	s.request(1, "a")
	s.until(func() bool { return s.committed == 1 })
	wantStatus(t, f.stream().end(), codes.Unavailable, "TOO_MANY_STREAMS")
}

// Streams and calls that begin and never get on are ended, and hold no more than what a stream may.
func TestAbuseSlowStreams(t *testing.T) {
	const streams = 100
	f := newFixture(t, func(c *Config) { c.MaxStreams, c.OpenTimeout, c.UnaryTimeout = streams, time.Second, time.Second })
	c := f.rawConn()
	for range streams / 2 {
		c.open(pb.IngestService_IngestStream_FullMethodName, framed(0, make([]byte, 100))[:50])
		c.open(pb.IngestService_Ingest_FullMethodName, framed(0, make([]byte, 1<<20))[:50])
	}
	go c.discard()
	eventually(t, "all streams to be open", func() bool { return f.metric("open_streams") > 0 })
	eventually(t, "all streams to be ended", func() bool { return f.metric("open_streams") == 0 })
	if r, err := f.ingest(&pb.IngestRequest{Entries: entriesOf("a")}); err != nil || r.CommittedSequence != 1 {
		t.Errorf("afterwards: %v, %v", r, err)
	}
}

// Strangers who watch the health, or ask for it and never end their request: there are only so many at a time.
func TestAbuseHealth(t *testing.T) {
	k := newKeys(t, access.Tenant{Name: "a"})
	f := newFixture(t, gated(k))
	var conns []*rawConn
	before := used()
	for range 10 {
		c := f.rawConn()
		for range 100 {
			c.open(grpc_health_v1.Health_Watch_FullMethodName, framed(0, nil))
			c.open(grpc_health_v1.Health_Check_FullMethodName, nil)
		}
		go c.discard()
		conns = append(conns, c)
	}
	eventually(t, "the others to be refused", func() bool { return f.metric("calls_failed_total") == 2000-maxOtherCalls })
	t.Logf("%d KiB are held for each of %d calls", (used()-before)>>10/maxOtherCalls, maxOtherCalls)
	if r, err := f.client.Ingest(k.as("a"), &pb.IngestRequest{Entries: entriesOf("a")}); err != nil || r.CommittedSequence != 1 {
		t.Errorf("meanwhile: %v, %v", r, err)
	}
	for _, c := range conns {
		_ = c.net.Close()
	}
	health := grpc_health_v1.NewHealthClient(f.conn)
	eventually(t, "the health to be told again", func() bool {
		_, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		return err == nil
	})
}

// Metadata that is too large ends the connection before it is kept.
func TestAbuseHeaders(t *testing.T) {
	f := newFixture(t, nil)
	c := f.rawConn()
	c.open(pb.IngestService_Ingest_FullMethodName, nil, "x", strings.Repeat("~", 8<<20))
	c.check(c.net.SetReadDeadline(time.Now().Add(time.Minute)))
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			break // the server has closed it
		}
		if _, reset := frame.(*http2.RSTStreamFrame); reset {
			break
		}
	}
	allocated := allocated() - c.encoded
	t.Logf("%d KiB are allocated for 8 MiB of metadata", allocated>>10)
	if allocated > 1<<20 {
		t.Errorf("%d bytes are allocated", allocated)
	}
	if f.metric("open_streams") != 0 {
		t.Error("the call was let in")
	}
}

// Calls with wrong tokens cost little, and the log has one line about all of them.
func TestAbuseWrongTokens(t *testing.T) {
	const calls = 2000
	var log lines
	k := newKeys(t, access.Tenant{Name: "a"})
	f := newFixture(t, func(c *Config) { gated(k)(c); c.Log = log.logger() })
	wrong := k.tokens["a"] + "x"
	client := newRawClient(f)
	began, before := time.Now(), used()
	for range calls {
		if _, code, reason := client.call(pb.IngestService_Ingest_FullMethodName, framed(0, nil), "Authorization", "Bearer "+wrong); code != codes.Unauthenticated || reason != "UNKNOWN_TOKEN" {
			t.Fatalf("%v %s", code, reason)
		}
	}
	t.Logf("%d µs a refused call, client included; %d KiB are held afterwards", time.Since(began).Microseconds()/calls, (used()-before)>>10)
	if lines := strings.Count(log.String(), "callers are refused"); lines != 1 {
		t.Errorf("the log has %d lines", lines)
	}
	if strings.Contains(log.String(), wrong) {
		t.Error("the log has the token")
	}
	if failed := f.metric(`calls_failed_total`); failed != calls {
		t.Errorf("%v calls are counted", failed)
	}
}

// Connections that begin a TLS handshake and don't end it keep others out for no longer than the handshake may take.
func TestAbuseHandshakes(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // only for its certificate
	defer certified.Close()
	f := newFixture(t, func(c *Config) {
		c.TLS = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
		c.MaxConnections, c.HandshakeTimeout = 4, time.Second
	})
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 100)
	for range 8 {
		f.connect(hello)
	}
	trusted := certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	conn := f.dial(grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: trusted, ServerName: "example.com", MinVersion: tls.VersionTLS12})))
	defer func() { _ = conn.Close() }()
	if r, err := pb.NewIngestServiceClient(conn).Ingest(t.Context(), &pb.IngestRequest{Entries: entriesOf("a")}, grpc.WaitForReady(true)); err != nil || r.CommittedSequence != 1 {
		t.Errorf("%v, %v", r, err)
	}
}
