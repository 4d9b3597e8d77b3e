package server

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// requestPosts is a protocol with IngestRequests as bodies, and statuses in protobuf if the path asks for it.
type requestPosts struct{ ingest *ingest }

func (p requestPosts) call(r *http.Request) (*call, error) {
	if r.URL.RawQuery == "panic" {
		panic("bug")
	}
	o, err := p.ingest.config.headerOpening(r.Header.Values, &pb.Open{})
	return &call{intake: p.ingest.intake, opening: o}, err
}

func (p requestPosts) respond(w http.ResponseWriter, r *http.Request, a *answer, err error) {
	if err != nil {
		writeStatus(w, err, r.URL.RawQuery == "protobuf")
		return
	}
	writeBody(w, http.StatusOK, contentJSON, fmt.Appendf(nil, "%d of %s, repeat: %t", a.entries, a.producer, a.repeat))
}

// httpFixture is a fixture whose HTTP port takes posts.
type httpFixture struct {
	*fixture
	http   *HTTP
	host   string
	client *http.Client
}

func newHTTPFixture(t *testing.T, adjust func(*Config), protocols func(*ingest) map[string]httpProtocol) *httpFixture {
	t.Helper()
	return newHTTPFixtureOn(t, newFixture(t, adjust), protocols)
}

// newHTTPFixtureOn gives a fixture an HTTP port.
func newHTTPFixtureOn(t *testing.T, on *fixture, protocols func(*ingest) map[string]httpProtocol) *httpFixture {
	t.Helper()
	f := &httpFixture{fixture: on}
	f.http = newHTTP(f.server, f.server.config.Registerer.(*prometheus.Registry), nil, protocols(f.server.ingest))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.host = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- f.http.Serve(listener) }()
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	f.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.http.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

func newPostFixture(t *testing.T, adjust func(*Config)) *httpFixture {
	return newHTTPFixture(t, adjust, func(in *ingest) map[string]httpProtocol {
		return map[string]httpProtocol{"/post": requestPosts{in}}
	})
}

// post posts a body and returns the response with its body. The headers are names and values.
func (f *httpFixture) post(path string, body io.Reader, headers ...string) (*http.Response, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, "http://"+f.host+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := f.client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return response, string(data)
}

func requestOf(t *testing.T, bodies ...string) []byte {
	t.Helper()
	data, err := (&pb.IngestRequest{Entries: entriesOf(bodies...)}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func zstdOf(data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(data, nil)
}

// statusIn returns the status in a response's body.
func statusIn(t *testing.T, r *http.Response, body string) error {
	t.Helper()
	var st spb.Status
	err := protojson.Unmarshal([]byte(body), &st)
	if r.Header.Get("Content-Type") == contentProtobuf {
		err = proto.Unmarshal([]byte(body), &st)
	}
	if err != nil {
		t.Fatalf("%q is no status: %v", body, err)
	}
	return status.ErrorProto(&st)
}

func TestPosts(t *testing.T) {
	f := newPostFixture(t, func(c *Config) { c.MaxRequestBytes, c.MaxEntryBytes = 1<<16, 1<<16 })
	request := requestOf(t, "a", "b")
	bomb := make([]byte, 1<<26)
	noise := make([]byte, 1<<17)
	_, _ = rand.Read(noise)
	reader := func(data []byte) io.Reader { return bytes.NewReader(data) }
	chunked := func(data []byte) io.Reader { return io.MultiReader(bytes.NewReader(data)) } // without a Content-Length
	for name, c := range map[string]struct {
		body    io.Reader
		headers []string
		code    int
		reason  string
	}{
		"plain":                         {reader(request), nil, 200, ""},
		"chunked":                       {chunked(request), nil, 200, ""},
		"identity":                      {reader(request), []string{"Content-Encoding", "identity"}, 200, ""},
		"gzip":                          {reader(zipped(request)), []string{"Content-Encoding", "gzip"}, 200, ""},
		"x-gzip":                        {reader(zipped(request)), []string{"Content-Encoding", "X-GZIP"}, 200, ""},
		"zstd":                          {chunked(zstdOf(request)), []string{"Content-Encoding", "zstd"}, 200, ""},
		"two members of gzip":           {reader(append(zipped(request), zipped(request)...)), []string{"Content-Encoding", "gzip"}, 200, ""},
		"empty":                         {nil, nil, 200, ""},
		"expecting to continue":         {reader(request), []string{"Expect", "100-continue"}, 200, ""},
		"brotli":                        {reader(request), []string{"Content-Encoding", "br"}, 415, "UNKNOWN_ENCODING"},
		"two encodings":                 {reader(request), []string{"Content-Encoding", "gzip", "Content-Encoding", "zstd"}, 415, "UNKNOWN_ENCODING"},
		"not gzip":                      {reader(request), []string{"Content-Encoding", "gzip"}, 400, "MALFORMED"},
		"not zstd":                      {reader(request), []string{"Content-Encoding", "zstd"}, 400, "MALFORMED"},
		"truncated gzip":                {reader(zipped(noise)[:1000]), []string{"Content-Encoding", "gzip"}, 400, "MALFORMED"},
		"empty gzip":                    {nil, []string{"Content-Encoding", "gzip"}, 400, "MALFORMED"},
		"not a request":                 {reader([]byte("nonsense")), nil, 400, "MALFORMED"},
		"too large":                     {reader(noise), nil, 413, "TOO_LARGE"},
		"too large, chunked":            {chunked(noise), nil, 413, "TOO_LARGE"},
		"too large, expecting":          {reader(noise), []string{"Expect", "100-continue"}, 413, "TOO_LARGE"},
		"too large, compressed":         {reader(zipped(noise)), []string{"Content-Encoding", "gzip"}, 413, "TOO_LARGE"},
		"a bomb of gzip":                {reader(zipped(bomb)), []string{"Content-Encoding", "gzip"}, 413, "TOO_LARGE"},
		"a bomb of zstd":                {reader(zstdOf(bomb)), []string{"Content-Encoding", "zstd"}, 413, "TOO_LARGE"},
		"a window of 512 MiB":           {reader(hugeWindow), []string{"Content-Encoding", "zstd"}, 413, "TOO_LARGE"},
		"a sequence without a producer": {reader(request), []string{"logbatcher-sequence", "1"}, 400, "INVALID_OPENING"},
		"logged":                        {reader(request), []string{"logbatcher-acknowledgement", "logged"}, 409, "NO_LOG"},
	} {
		for _, query := range []string{"", "?protobuf"} {
			if name != "plain" && query != "" && c.code == 200 {
				continue
			}
			if seeker, ok := c.body.(io.Seeker); ok {
				_, _ = seeker.Seek(0, io.SeekStart)
			} else if query != "" {
				continue
			}
			before := f.failed(c.reason)
			response, body := f.post("/post"+query, c.body, c.headers...)
			if response.StatusCode != c.code {
				t.Errorf("%s: %s %s", name, response.Status, body)
				continue
			}
			if c.reason == "" {
				continue
			}
			if contentType := response.Header.Get("Content-Type"); (contentType == contentProtobuf) != (query != "") {
				t.Errorf("%s: the status is %s", name, contentType)
			}
			wantStatus(t, statusIn(t, response, body), status.Code(statusIn(t, response, body)), c.reason)
			if f.failed(c.reason) != before+1 {
				t.Errorf("%s is not counted as %s", name, c.reason)
			}
			if c.code == 415 && response.Header.Get("Accept-Encoding") != "gzip, zstd" {
				t.Errorf("%s: the header is %v", name, response.Header)
			}
		}
	}
	if r, err := f.client.Get("http://" + f.host + "/post"); err != nil || r.Body.Close() != nil || r.StatusCode != 405 || r.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %v, %v", r, err)
	}
	eventually(t, "the calls to end", func() bool { return f.server.ingest.calls.Load() == 0 })
}

// A producer's request that is posted twice is stored once.
func TestPostedTwice(t *testing.T) {
	f := newPostFixture(t, nil)
	post := func(sequence, text string) (int, string) {
		r, body := f.post("/post", bytes.NewReader(requestOf(t, text)), "logbatcher-producer", "p", "logbatcher-sequence", sequence)
		return r.StatusCode, body
	}
	for i, want := range []string{"1 of p, repeat: false", "1 of p, repeat: true"} {
		if code, body := post("1", "a"); code != 200 || body != want {
			t.Errorf("%d: %d %s", i, code, body)
		}
	}
	if code, body := post("1", "b"); code != 409 || !strings.Contains(body, "SEQUENCE_ALTERED") {
		t.Errorf("altered: %d %s", code, body)
	}
	if n := len(f.router.routed()); n != 1 {
		t.Errorf("routed %d times", n)
	}
}

// What an instance can't take now is 503, and tells when to come again.
func TestPostsLater(t *testing.T) {
	f := newPostFixture(t, func(c *Config) { c.MaxStreams = 1 })
	later := func(what, reason string) {
		t.Helper()
		r, body := f.post("/post", bytes.NewReader(requestOf(t, "a")))
		if r.StatusCode != 503 || r.Header.Get("Retry-After") != "1" || !strings.Contains(body, reason) {
			t.Errorf("%s: %s %v %s", what, r.Status, r.Header, body)
		}
	}
	f.readiness.set("starting")
	later("before it is ready", "NOT_READY")
	f.readiness.set()
	s := f.open(&pb.Open{})
	later("beside a stream", "TOO_MANY_STREAMS")
	_ = s.stream.CloseSend()
	if err := s.end(); err != io.EOF {
		t.Fatal(err)
	}
	eventually(t, "the stream's place", func() bool { return f.server.ingest.calls.Load() == 0 })
}

// A call that is not committed in time tells what is known, and its repeat is answered.
func TestPostsThatAreLate(t *testing.T) {
	f := newPostFixture(t, func(c *Config) { c.UnaryTimeout = time.Second })
	f.router.set(func(r *fakeRouter) { r.hold = true })
	headers := []string{"logbatcher-producer", "p", "logbatcher-sequence", "1"}
	r, body := f.post("/post", bytes.NewReader(requestOf(t, "a")), headers...)
	known := wantStatus(t, statusIn(t, r, body), codes.DeadlineExceeded, "NOT_COMMITTED_YET")
	if r.StatusCode != 503 || r.Header.Get("Retry-After") != "1" || known["state"] != "accepted" || known["sequence"] != "1" {
		t.Errorf("late: %s %v %s", r.Status, r.Header, body)
	}
	f.router.settleHeld(false)
	eventually(t, "the repeat is answered", func() bool {
		r, _ := f.post("/post", bytes.NewReader(requestOf(t, "a")), headers...)
		return r.StatusCode == 200
	})
	if n := len(f.router.routed()); n != 1 {
		t.Errorf("routed %d times", n)
	}
}

// raw opens a connection and writes to it.
func (f *httpFixture) raw(text string) net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.host)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// responseOn reads a response.
func responseOn(t *testing.T, c net.Conn) (int, string) {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

// A client that sends a part of its body and no more loses its place, and so does one that sends slowly. Neither occupies the budget.
func TestPostsThatAreSlow(t *testing.T) {
	f := newPostFixture(t, func(c *Config) { c.OpenTimeout = 50 * time.Millisecond })
	f.budget.asked = func() { t.Error("the budget was asked for a body that is not there") }
	c := f.raw("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
	if code, body := responseOn(t, c); code != 503 || !strings.Contains(body, "BODY_TIMEOUT") {
		t.Errorf("silent: %d %s", code, body)
	}
	if err := closed(t, c); err != nil {
		t.Errorf("the connection stays open: %v", err)
	}
	f.budget.asked = nil

	f = newPostFixture(t, func(c *Config) { c.UnaryTimeout = 100 * time.Millisecond })
	f.budget.asked = func() { t.Error("the budget was asked for a body that is not there") }
	c = f.raw("POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_, _ = io.WriteString(c, "1\r\nx\r\n")
			}
		}
	}()
	if code, body := responseOn(t, c); code != 503 || !strings.Contains(body, "NOT_COMMITTED_YET") || !strings.Contains(body, "not accepted") {
		t.Errorf("slow: %d %s", code, body)
	}
	close(stop)
	<-stopped
	f.raw("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc").Close() // gone in the middle
	f.raw("POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	eventually(t, "the places of slow clients", func() bool { return f.server.ingest.calls.Load() == 0 })
	f.budget.asked = nil
}

// Five hundred posts of which one byte a time comes hold little memory and nothing of the budget, and keep nobody out.
func TestAbuseSlowPosts(t *testing.T) {
	const posts = 500
	f := newPostFixture(t, func(c *Config) { c.MaxStreams, c.OpenTimeout = posts+1, time.Minute })
	before := used()
	for range posts {
		f.raw("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\na")
	}
	eventually(t, "all posts to be there", func() bool { return f.metric("open_streams") == posts })
	held := (used() - before) / posts
	t.Logf("a slow post holds %d KiB", held>>10)
	if held > 96<<10 && !raceEnabled {
		t.Errorf("a slow post holds %d bytes", held)
	}
	if bytes, _ := f.budget.now(); bytes != 0 {
		t.Errorf("they hold %d bytes of the budget", bytes)
	}
	if r, body := f.post("/post", bytes.NewReader(requestOf(t, "a"))); r.StatusCode != 200 {
		t.Errorf("beside them: %s %s", r.Status, body)
	}
	f.server.ingest.life.hurry()
	eventually(t, "all posts to be ended", func() bool { return f.metric("open_streams") == 0 })
}

// Over TLS clients speak HTTP/2, whose streams have deadlines of their own.
func TestPostsOverHTTP2(t *testing.T) {
	secured := httptest.NewUnstartedServer(nil) // for its certificate
	secured.EnableHTTP2 = true
	secured.StartTLS()
	defer secured.Close()
	f := newFixture(t, func(c *Config) { c.OpenTimeout = 2 * time.Second })
	h := newHTTP(f.server, f.server.config.Registerer.(*prometheus.Registry), secured.TLS, map[string]httpProtocol{"/post": requestPosts{f.server.ingest}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(listener) }()
	client := secured.Client()
	post := func(body io.Reader) (*http.Response, string) {
		r, err := client.Post("https://"+listener.Addr().String()+"/post", "", body)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r, string(data)
	}
	silent, writer := io.Pipe()
	go func() { _, _ = writer.Write([]byte("abc")) }()
	if r, body := post(silent); r.StatusCode != 503 || !strings.Contains(body, "BODY_TIMEOUT") {
		t.Errorf("silent: %s %s", r.Status, body)
	}
	_ = writer.Close()
	if r, body := post(bytes.NewReader(requestOf(t, "a"))); r.StatusCode != 200 || r.ProtoMajor != 2 {
		t.Errorf("%s %s %s", r.Proto, r.Status, body)
	}
	client.CloseIdleConnections()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A request that the budget has no room for waits, and is told that it was not accepted.
func TestPostsWithoutRoom(t *testing.T) {
	f := newPostFixture(t, func(c *Config) { c.UnaryTimeout = 50 * time.Millisecond })
	f.budget.change(func() { f.budget.limit, f.budget.used = 1, 1 })
	r, body := f.post("/post", bytes.NewReader(requestOf(t, "a")))
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || !strings.Contains(body, `"state":"not accepted"`) {
		t.Errorf("%s %v %s", r.Status, r.Header, body)
	}
	f.budget.change(func() { f.budget.limit, f.budget.used = 0, 0 })
}

// The request of a client that goes while it waits is stored, and its repeat is acknowledged.
func TestPostOfAClientThatGoes(t *testing.T) {
	f := newPostFixture(t, nil)
	f.router.set(func(r *fakeRouter) { r.hold = true })
	request := requestOf(t, "a")
	c := f.raw(fmt.Sprintf("POST /post HTTP/1.1\r\nHost: x\r\nlogbatcher-producer: p\r\nlogbatcher-sequence: 1\r\nContent-Length: %d\r\n\r\n%s", len(request), request))
	eventually(t, "the request", func() bool { return len(f.router.routed()) == 1 })
	_ = c.Close()
	eventually(t, "the call to end", func() bool { return f.failed("CANCELED") == 1 })
	f.router.settleHeld(false)
	r, body := f.post("/post", bytes.NewReader(request), "logbatcher-producer", "p", "logbatcher-sequence", "1")
	if r.StatusCode != 200 || !strings.Contains(body, "repeat: true") {
		t.Errorf("the repeat: %s %s", r.Status, body)
	}
}

// A shutdown awaits what posts have brought, and takes no more.
func TestShutdownWithPosts(t *testing.T) {
	f := newPostFixture(t, nil)
	f.router.set(func(r *fakeRouter) { r.hold = true })
	accepted := make(chan string, 1)
	go func() {
		r, body := f.post("/post", bytes.NewReader(requestOf(t, "a")))
		accepted <- r.Status + " " + body
	}()
	eventually(t, "the request", func() bool { return len(f.router.routed()) == 1 })
	done := make(chan error, 1)
	go func() { done <- f.shutdown(time.Minute) }()
	eventually(t, "the shutdown", func() bool { return f.server.ingest.life.draining.Err() != nil })
	r, body := f.post("/post", bytes.NewReader(requestOf(t, "b")))
	if r.StatusCode != 503 || !r.Close || r.Header.Get("Retry-After") == "" || !strings.Contains(body, "SHUTTING_DOWN") {
		t.Errorf("a request while it shuts down: %s %v %s", r.Status, r.Header, body)
	}
	f.router.settleHeld(false)
	if got := <-accepted; !strings.HasPrefix(got, "200 OK 1 of anonymous") {
		t.Errorf("what was accepted: %s", got)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// At the end of a shutdown, bodies that do not come are cut off.
func TestShutdownWithASlowPost(t *testing.T) {
	f := newPostFixture(t, nil)
	slow := f.raw("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
	eventually(t, "the slow call", func() bool { return f.server.ingest.calls.Load() == 1 })
	f.server.ingest.life.hurry()
	if code, body := responseOn(t, slow); code != 503 || !strings.Contains(body, "SHUTTING_DOWN") {
		t.Errorf("the slow body: %d %s", code, body)
	}
}

func TestPostPanic(t *testing.T) {
	f := newPostFixture(t, nil)
	if r, body := f.post("/post?panic", nil); r.StatusCode != 500 || !strings.Contains(body, "internal error") {
		t.Errorf("%s %s", r.Status, body)
	}
}

// Each status has an HTTP code, and only 503 asks to come again.
func TestHTTPCodes(t *testing.T) {
	for name, c := range allStatuses {
		code := httpCodes[c.code]
		if code == 0 {
			t.Errorf("%s: %v has no HTTP code", name, c.code)
		}
		retry := c.code == codes.Unavailable || c.code == codes.DeadlineExceeded || c.code == codes.Canceled
		if retry != (code == http.StatusServiceUnavailable) {
			t.Errorf("%s: %v is HTTP %d", name, c.code, code)
		}
	}
}

// FuzzContentEncoding compares what a body is decompressed to with what its encoding's own reader makes of it.
func FuzzContentEncoding(f *testing.F) {
	for _, data := range [][]byte{{}, []byte("a"), zipped([]byte("abc")), zstdOf([]byte("abc")), hugeWindow, append(zipped(nil), zipped([]byte("x"))...),
		zipped(make([]byte, 1<<17))[:50], zstdOf(make([]byte, 1<<17))} {
		f.Add(data)
	}
	c := testConfig()
	c.MaxRequestBytes, c.MaxEntryBytes = 1<<16, 1<<16
	d := newDecompressor(&c)
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, reader := range map[string]func() (io.Reader, error){
			"gzip": func() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(data)) },
			"zstd": func() (io.Reader, error) {
				return zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(minZstdWindow))
			},
		} {
			var want []byte
			r, wantErr := reader()
			if wantErr == nil {
				want, wantErr = io.ReadAll(io.LimitReader(r, int64(d.limit)+1))
			}
			got, err := d.decompress(name, frameOf(data).BufferSlice)
			if (err != nil) != (wantErr != nil || len(want) > d.limit) {
				t.Fatalf("%s: %v, want %v with %d bytes", name, err, wantErr, len(want))
			}
			if err == nil && !bytes.Equal(got.Materialize(), want) {
				t.Fatalf("%s: other bytes", name)
			}
			got.Free()
		}
	})
}
