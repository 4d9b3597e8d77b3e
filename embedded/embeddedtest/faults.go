package embeddedtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Faults are misbehaviours of a ClickHouse, as a Proxy shows them to clients. They concern inserts alone.
type Faults struct {
	// Refuse answers that many inserts with an exception and executes none of them.
	Refuse int
	// CorruptAnswer executes that many inserts and answers with an exception.
	CorruptAnswer int
	// DropAnswer executes that many inserts and closes the connection instead of answering.
	DropAnswer int
	// DelayAnswer executes inserts and holds each answer that long, or until the next Set.
	DelayAnswer time.Duration
	// Code is the exception of Refuse and CorruptAnswer; 0 means 252, too many parts.
	Code int
	// Match restricts the faults to inserts whose statement contains it, such as a table's name.
	Match string
}

// FaultCounts is how often faults have struck since the last Set.
type FaultCounts struct {
	Refused, Corrupted, Dropped int
	// Holding is the number of answers being held now: their inserts have been executed. Held includes those let go.
	Holding, Held int
}

// A Proxy stands before a ClickHouse, embedded or not, and injects faults. While the server is down it drops connections.
type Proxy struct {
	// Address is the proxy's URL.
	Address string

	mu     sync.Mutex // guards what follows
	faults Faults
	counts FaultCounts
	change chan struct{} // closed and replaced by Set
}

// errDropped ends the connection of an insert whose answer is dropped.
var errDropped = errors.New("the answer is dropped")

// insertKey is the context key of an insert's statement.
type insertKey struct{}

// InjectFaults puts a proxy before the server: from now on its Address is the proxy's.
func (s *Server) InjectFaults(t testing.TB) *Proxy {
	t.Helper()
	target, err := url.Parse(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{change: make(chan struct{})}
	reverse := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		ModifyResponse: p.spoil,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		statement, err := insertStatement(r)
		switch {
		case err != nil:
			panic(http.ErrAbortHandler)
		case statement == "":
			reverse.ServeHTTP(w, r)
		case p.refuse(statement):
			w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(p.code()))
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, "Code: %d. DB::Exception: This insert was refused because a test asked for it. (FAULT)\n", p.code())
		default:
			reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), insertKey{}, statement)))
		}
	}))
	t.Cleanup(func() {
		p.Set(Faults{}) // lets held answers go
		server.Close()
	})
	p.Address = server.URL
	s.Address = server.URL
	return p
}

// insertStatement returns the start of an insert's statement, or "" for another statement. It is in the URL or leads the body.
func insertStatement(r *http.Request) (string, error) {
	statement := r.URL.Query().Get("query")
	if statement == "" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return "", err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		statement = string(body[:min(len(body), 1<<10)])
	}
	if !strings.HasPrefix(strings.ToUpper(strings.TrimSpace(statement)), "INSERT") {
		return "", nil
	}
	return statement, nil
}

// Set replaces the faults and zeroes their counts; the zero value ends them.
func (p *Proxy) Set(faults Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.counts = faults, FaultCounts{Holding: p.counts.Holding}
	close(p.change)
	p.change = make(chan struct{})
}

// Counts returns how often faults have struck since the last Set.
func (p *Proxy) Counts() FaultCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

func (p *Proxy) code() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.faults.Code, 252)
}

// refuse reports whether to refuse the insert.
func (p *Proxy) refuse(statement string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults.Refuse == 0 || !strings.Contains(statement, p.faults.Match) {
		return false
	}
	p.faults.Refuse--
	p.counts.Refused++
	return true
}

// spoil holds, drops or corrupts the answer to an insert that was executed. What happens to an answer after it was held depends
// on the faults at that time.
func (p *Proxy) spoil(response *http.Response) error {
	ctx := response.Request.Context()
	statement, insert := ctx.Value(insertKey{}).(string)
	p.mu.Lock()
	defer p.mu.Unlock()
	concerned := func() bool {
		return insert && response.StatusCode == http.StatusOK && strings.Contains(statement, p.faults.Match)
	}
	if concerned() && p.faults.DelayAnswer > 0 {
		delay, change := p.faults.DelayAnswer, p.change
		p.counts.Holding++
		p.counts.Held++
		p.mu.Unlock()
		select {
		case <-time.After(delay):
		case <-change:
		case <-ctx.Done():
		}
		p.mu.Lock()
		p.counts.Holding--
	}
	switch {
	case !concerned():
	case p.faults.DropAnswer > 0:
		p.faults.DropAnswer--
		p.counts.Dropped++
		return errDropped
	case p.faults.CorruptAnswer > 0:
		p.faults.CorruptAnswer--
		p.counts.Corrupted++
		_ = response.Body.Close()
		code := cmp.Or(p.faults.Code, 252)
		text := fmt.Sprintf("Code: %d. DB::Exception: This insert was executed, and a test asked for this answer. (FAULT)\n", code)
		response.StatusCode, response.Status = http.StatusInternalServerError, ""
		response.Header = http.Header{"X-Clickhouse-Exception-Code": {strconv.Itoa(code)}}
		response.Body, response.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
	return nil
}
