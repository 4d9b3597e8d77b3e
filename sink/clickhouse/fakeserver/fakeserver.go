// Package fakeserver is for tests: an HTTP server that answers like ClickHouse, or like the proxies in front
// of it, with errors that the real engine can't be brought to give.
//
// Requests come in and are remembered; answers go out as a test has asked for. Inserts are stored nowhere. Always: a driver that
// connects gets a true greeting, so that what a test scripts for inserts concerns inserts alone.
package fakeserver

import (
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
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// Answer is the answer to one request. The zero value acknowledges.
type Answer struct {
	// Status is HTTP's. 0: 200, or 500 where there is a code.
	Status int
	// Code is ClickHouse's error code. 0: none.
	Code int
	// Text is the body; where there is a code it comes after "Code: N. DB::Exception: ".
	Text string
	// NoHeader leaves out the header that has the code, as some proxies do. NoText leaves the body empty, as a server
	// does that has lost its client.
	NoHeader, NoText bool
	// Location is where a redirect leads.
	Location string
	// HangsUpEarly closes the connection before the body is read, HangsUp after it.
	HangsUpEarly, HangsUp bool
	// Hangs reads the body and does not answer until the client has left or the server is closed.
	Hangs bool
}

// Request is a request as it came.
type Request struct {
	// Statement is the SQL.
	Statement string
	// Parameters are those of the URL.
	Parameters url.Values
	// Header is HTTP's.
	Header http.Header
	// Body is the data of an insert.
	Body []byte
}

// Server is a fake ClickHouse. It is closed when the test ends.
type Server struct {
	http   *httptest.Server
	closed chan struct{}

	mu       sync.Mutex // guards what follows
	inserts  []Answer
	greeting []Answer
	answers  map[string]string
	scripts  map[string][]Answer
	requests []Request
}

// New starts a server. Where secure is true it speaks HTTPS.
func New(t testing.TB, secure bool) *Server {
	t.Helper()
	s := &Server{closed: make(chan struct{}), answers: map[string]string{}, scripts: map[string][]Answer{}}
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
func (s *Server) Close() {
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
func (s *Server) Address() string { return s.http.Listener.Addr().String() }

// Client returns a client that trusts the server's certificate.
func (s *Server) Client() *http.Client { return s.http.Client() }

// Inserts says how to answer the next inserts. When none is left they are acknowledged.
func (s *Server) Inserts(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inserts = append(s.inserts, answers...)
}

// AcknowledgeInserts forgets the answers that are left.
func (s *Server) AcknowledgeInserts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inserts = nil
}

// Greetings says how to answer the next greetings of the driver on new connections.
func (s *Server) Greetings(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.greeting = append(s.greeting, answers...)
}

// Statements says how to answer the next statements that contain the text, inserts aside.
func (s *Server) Statements(contains string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[contains] = append(s.scripts[contains], answers...)
}

// Query says what the statements that contain the text return: TabSeparated.
func (s *Server) Query(contains, returns string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[contains] = returns
}

// Requests returns the inserts and queries that came, in order, without greetings.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := Request{Parameters: r.URL.Query(), Header: r.Header, Statement: r.URL.Query().Get("query")}
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
	_, _ = io.WriteString(w, s.returns(request.Statement)+request.Parameters.Get("format_custom_result_after_delimiter"))
}

func (s *Server) scripted(statement string) (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for contains, answers := range s.scripts {
		if len(answers) > 0 && strings.Contains(statement, contains) {
			s.scripts[contains] = answers[1:]
			return answers[0], true
		}
	}
	return Answer{}, false
}

func (s *Server) note(request Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
}

// returns finds the rows for a statement: those of the test, or else those that a sink needs to go on.
func (s *Server) returns(statement string) string {
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
		return "26.7.2.1\tUTC\n"
	case strings.Contains(statement, "count()"):
		return "0\n"
	}
	return ""
}

func (s *Server) serveInsert(w http.ResponseWriter, r *http.Request, request Request) {
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

func (s *Server) next(queue *[]Answer) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(*queue) == 0 {
		return Answer{}
	}
	answer := (*queue)[0]
	*queue = (*queue)[1:]
	return answer
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, a Answer) {
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
func (s *Server) serveGreeting(w http.ResponseWriter, r *http.Request) {
	if answer := s.next(&s.greeting); answer != (Answer{}) {
		s.answer(w, r, answer)
		return
	}
	revision, _ := strconv.ParseUint(r.URL.Query().Get("client_protocol_version"), 10, 64)
	block := proto.NewBlock()
	block.ServerContext.Timezone = time.UTC
	for i, c := range []struct {
		name string
		kind column.Type
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
