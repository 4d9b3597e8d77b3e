package clickhouse_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// fakeAnswer is the answer to one request. The zero value acknowledges.
type fakeAnswer struct {
	// Status is the HTTP status; 0 is 200, or 500 with a code.
	Status int
	// Code is ClickHouse's error code; 0 is none.
	Code int
	// Text is the body; with a code it follows "Code: N. DB::Exception: ".
	Text string
	// NoHeader leaves out the header with the code, like some proxies. NoText leaves the body empty, like a server that has lost its
	// client.
	NoHeader, NoText bool
	// Location is the target of a redirect.
	Location string
	// HangsUpEarly closes the connection before the body is read, HangsUp after it.
	HangsUpEarly, HangsUp bool
	// Hangs reads the body and does not answer until the client is gone or the server is closed.
	Hangs bool
}

// fakeRequest is a received request.
type fakeRequest struct {
	// Statement is the SQL.
	Statement string
	// Parameters are the URL's.
	Parameters url.Values
	// Header is HTTP's.
	Header http.Header
	// Body is the data of an insert.
	Body []byte
}

// fakeServer is a fake ClickHouse. It is closed when the test ends.
type fakeServer struct {
	http   *httptest.Server
	closed chan struct{}

	mu       sync.Mutex // guards what follows
	inserts  []fakeAnswer
	greeting []fakeAnswer
	answers  map[string]string
	scripts  map[string][]fakeAnswer
	requests []fakeRequest
}

// newFakeServer starts a server, which speaks HTTPS if secure is true.
func newFakeServer(t testing.TB, secure bool) *fakeServer {
	t.Helper()
	s := &fakeServer{closed: make(chan struct{}), answers: map[string]string{}, scripts: map[string][]fakeAnswer{}}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are meant to fail
	if secure {
		s.http.StartTLS()
	} else {
		s.http.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// Close stops the server: connections to it are refused from now on. It is safe to call it twice.
func (s *fakeServer) Close() {
	s.mu.Lock()
	select {
	case <-s.closed:
		s.mu.Unlock()
		return
	default:
		close(s.closed)
	}
	s.mu.Unlock()
	s.http.CloseClientConnections()
	s.http.Close()
}

// Address returns host:port.
func (s *fakeServer) Address() string { return s.http.Listener.Addr().String() }

// Client returns a client that trusts the server's certificate.
func (s *fakeServer) Client() *http.Client { return s.http.Client() }

// Inserts sets the answers to the next inserts. Later ones are acknowledged.
func (s *fakeServer) Inserts(answers ...fakeAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inserts = append(s.inserts, answers...)
}

// AcknowledgeInserts drops the remaining answers.
func (s *fakeServer) AcknowledgeInserts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inserts = nil
}

// Greetings sets the answers to the driver's next greetings on new connections.
func (s *fakeServer) Greetings(answers ...fakeAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.greeting = append(s.greeting, answers...)
}

// Statements sets the answers to the next statements, except inserts, that contain the text.
func (s *fakeServer) Statements(contains string, answers ...fakeAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[contains] = append(s.scripts[contains], answers...)
}

// Query sets the rows that statements with the text return: one a line, with tabs between the values.
func (s *fakeServer) Query(contains, returns string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[contains] = returns
}

// Requests returns the inserts and queries received, in order, without greetings.
func (s *fakeServer) Requests() []fakeRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]fakeRequest(nil), s.requests...)
}

// ServeHTTP answers a request.
func (s *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := fakeRequest{Parameters: r.URL.Query(), Header: r.Header, Statement: r.URL.Query().Get("query")}
	if request.Statement != "" {
		s.serveInsert(w, r, request)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	request.Statement = string(body)
	if strings.Contains(request.Statement, "displayName()") {
		s.serveGreeting(w, r)
		return
	}
	s.note(request)
	if answer, ok := s.scripted(request.Statement); ok {
		s.answer(w, r, answer)
		return
	}
	data := [][]string{}
	for line := range strings.Lines(s.returns(request.Statement)) {
		data = append(data, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func (s *fakeServer) scripted(statement string) (fakeAnswer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for contains, answers := range s.scripts {
		if len(answers) > 0 && strings.Contains(statement, contains) {
			s.scripts[contains] = answers[1:]
			return answers[0], true
		}
	}
	return fakeAnswer{}, false
}

func (s *fakeServer) note(request fakeRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
}

// returns finds the rows for a statement: the test's, or else those that a sink needs.
func (s *fakeServer) returns(statement string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for contains, returns := range s.answers {
		if strings.Contains(statement, contains) {
			return returns
		}
	}
	switch {
	case strings.Contains(statement, "system.settings"):
		_, list, _ := strings.Cut(statement, " IN (")
		list, _, _ = strings.Cut(list, ")")
		return strings.NewReplacer("'", "", ", ", "\n").Replace(list) + "\n"
	case strings.Contains(statement, "version()"):
		return "26.7.2.1\tUTC\t1\n"
	case strings.Contains(statement, "count()"):
		return "0\n"
	}
	return ""
}

func (s *fakeServer) serveInsert(w http.ResponseWriter, r *http.Request, request fakeRequest) {
	answer := s.next(&s.inserts)
	if answer.HangsUpEarly {
		s.note(request)
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	request.Body = body
	s.note(request)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	s.answer(w, r, answer)
}

func (s *fakeServer) next(queue *[]fakeAnswer) fakeAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(*queue) == 0 {
		return fakeAnswer{}
	}
	answer := (*queue)[0]
	*queue = (*queue)[1:]
	return answer
}

func (s *fakeServer) answer(w http.ResponseWriter, r *http.Request, a fakeAnswer) {
	switch {
	case a.HangsUp:
		panic(http.ErrAbortHandler)
	case a.Hangs:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	}
	text, status := a.Text, a.Status
	if a.Code != 0 {
		text = fmt.Sprintf("Code: %d. DB::Exception: %s", a.Code, a.Text)
		if !a.NoHeader {
			w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(a.Code))
		}
		if status == 0 {
			status = http.StatusInternalServerError
		}
	}
	if status == 0 {
		status = http.StatusOK
	}
	if a.Location != "" {
		w.Header().Set("Location", a.Location)
	}
	if a.NoText {
		text = ""
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// serveGreeting answers the driver's first query on a connection.
func (s *fakeServer) serveGreeting(w http.ResponseWriter, r *http.Request) {
	if answer := s.next(&s.greeting); answer != (fakeAnswer{}) {
		s.answer(w, r, answer)
		return
	}
	revision, _ := strconv.ParseUint(r.URL.Query().Get("client_protocol_version"), 10, 64)
	block := proto.NewBlock()
	block.ServerContext.Timezone = time.UTC
	for i, c := range []struct {
		name string
		kind chcolumn.Type
	}{{"displayName()", "String"}, {"version()", "String"}, {"revision()", "UInt32"}, {"timezone()", "String"}} {
		if err := block.AddColumn(c.name, c.kind); err != nil {
			panic(fmt.Sprintf("fakeserver: column %d: %v", i, err))
		}
	}
	if err := block.Append("fake", "26.7.2.1", uint32(54488), "UTC"); err != nil {
		panic(fmt.Sprintf("fakeserver: %v", err))
	}
	var buffer chproto.Buffer
	if err := block.Encode(&buffer, revision); err != nil {
		panic(fmt.Sprintf("fakeserver: %v", err))
	}
	_, _ = w.Write(buffer.Buf)
}
