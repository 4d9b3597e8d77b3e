package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxStatementBytes bounds statements, without the data of inserts.
const maxStatementBytes = 64 << 20

// statementHeadBytes is how much of a body is looked at to find out whether it
// is an insert whose data follows.
const statementHeadBytes = 1 << 20

// A server answers as ClickHouse's HTTP interface does, for whoever may reach
// its address: every user and password is good.
type server struct {
	engine   *engine
	timezone string

	mu      sync.Mutex
	running map[string]bool // ids of the statements being executed
}

func newServer(e *engine) *server {
	return &server{engine: e, timezone: "UTC", running: map[string]bool{}}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ping" || r.URL.Path == "/replicas_status":
		_, _ = io.WriteString(w, "Ok.\n")
	case r.URL.Path != "/" && r.URL.Path != "/query":
		http.Error(w, "There is no handle "+r.URL.Path, http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		http.Error(w, "Only GET and POST are understood", http.StatusMethodNotAllowed)
	default:
		s.serveStatement(w, r)
	}
}

func (s *server) serveStatement(w http.ResponseWriter, r *http.Request) {
	parsed := readRequest(r)
	header := w.Header()
	header.Set("X-ClickHouse-Query-Id", parsed.queryID)
	header.Set("X-ClickHouse-Timezone", s.timezone)
	header.Set("X-ClickHouse-Server-Display-Name", "logbatcher-engine")

	if !s.begin(parsed.queryID) {
		writeException(w, &parsed, exception(216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
			"Query with id = %s is already running", parsed.queryID))
		return
	}
	defer s.end(parsed.queryID)

	started := time.Now()
	output, format, did, err := s.execute(r, &parsed)
	if err == nil {
		output, err = parsed.encode(output, format)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return // the client has gone
	case errors.Is(err, errEmpty) && r.Method == http.MethodGet:
		_, _ = io.WriteString(w, "Ok.\n")
		return
	case err != nil:
		writeException(w, &parsed, err)
		return
	}
	header.Set("X-ClickHouse-Format", format)
	header.Set("X-ClickHouse-Summary", did.text(time.Since(started)))
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Length", strconv.Itoa(len(output)))
	_, _ = w.Write(output)
}

// execute reads a request's statement and runs it.
func (s *server) execute(r *http.Request, parsed *request) (output []byte, format string, did summary, err error) {
	if form := forms(r); form != nil {
		return s.executeForm(r.Context(), parsed, form)
	}
	body, err := requestBody(r, parsed.decompress)
	if err != nil {
		return nil, "", summary{}, err
	}
	text, data, err := readStatement(parsed.query, body)
	if err != nil {
		return nil, "", summary{}, err
	}
	if insert, isInsert := splitInsert(text); isInsert {
		data = io.MultiReader(strings.NewReader(text[insert.data:]), data)
		did, err = s.executeInsert(r.Context(), parsed, insert, data)
		return nil, insert.format, did, err
	}
	c, err := s.engine.connect(r.Context(), parsed.database, parsed.settings)
	if err != nil {
		return nil, "", summary{}, err
	}
	defer c.close()
	if format = outputFormat(text); format == "" {
		format = parsed.format
	}
	output, did, err = c.query(withQueryIDs(text), format, parsed.parameters)
	return output, format, did, err
}

// executeInsert runs an insert that brings data.
func (s *server) executeInsert(ctx context.Context, parsed *request, insert insertText, data io.Reader) (summary, error) {
	c, err := s.engine.connect(ctx, parsed.database, parsed.settings)
	if err != nil {
		return summary{}, err
	}
	defer c.close()
	return c.insert(insert.statement, insert.format, parsed.parameters, data)
}

// errEmpty is the error of a request without a statement.
var errEmpty = exception(62, "SYNTAX_ERROR", "Empty query")

// readStatement returns the statement of a request: the query of its URL, followed by the body. For an insert, data is the rest
// of the body after the returned text.
func readStatement(query string, body io.Reader) (text string, data io.Reader, err error) {
	if query != "" {
		if insert, isInsert := splitInsert(query); isInsert && !insert.undecided {
			return query, body, nil
		}
		query += "\n"
	}
	head, err := io.ReadAll(io.LimitReader(body, statementHeadBytes))
	if err != nil {
		return "", nil, err
	}
	text = query + string(head)
	if _, isInsert := splitInsert(text); isInsert {
		return text, body, nil
	}
	rest, err := io.ReadAll(io.LimitReader(body, maxStatementBytes+1))
	if err != nil {
		return "", nil, err
	}
	if len(rest) > maxStatementBytes {
		return "", nil, exception(229, "QUERY_IS_TOO_LARGE", "The statement is larger than %d bytes", maxStatementBytes)
	}
	text += string(rest)
	if strings.TrimSpace(text) == "" {
		return "", nil, errEmpty
	}
	return text, bytes.NewReader(nil), nil
}

// encode turns the library's output into what the client asked for.
func (p *request) encode(output []byte, format string) ([]byte, error) {
	var err error
	if p.protocolVersion > 0 && format == "Native" && len(output) > 0 {
		if output, err = reencodeNative(output, p.protocolVersion); err != nil {
			return nil, exception(48, "NOT_IMPLEMENTED", "Native at protocol version %d: %v", p.protocolVersion, err)
		}
	}
	if p.compress {
		return compressed(output, p.network)
	}
	return output, nil
}

// writeException answers with an exception as ClickHouse does.
func writeException(w http.ResponseWriter, p *request, err error) {
	code := codeOf(err)
	message := []byte(strings.TrimRight(err.Error(), "\n") + "\n")
	if p.compress {
		if frames, err := compressed(message, p.network); err == nil {
			message = frames
		}
	}
	w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(code))
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(statusOf(code))
	_, _ = w.Write(message)
}

// begin notes that a statement runs; false means that one of its id does.
func (s *server) begin(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[id] {
		return false
	}
	s.running[id] = true
	return true
}

func (s *server) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, id)
}

// text is the X-ClickHouse-Summary header.
func (d summary) text(elapsed time.Duration) string {
	return fmt.Sprintf(`{"read_rows":"%d","read_bytes":"%d","written_rows":"%d","written_bytes":"%d",`+
		`"total_rows_to_read":"0","result_rows":"%d","result_bytes":"0","elapsed_ns":"%d"}`,
		d.rowsRead, d.bytesRead, d.rowsWritten, d.bytesWritten, d.rows, elapsed.Nanoseconds())
}
