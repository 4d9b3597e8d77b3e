//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// insertFault is what a proxy before ClickHouse does to one insert.
type insertFault uint8

const (
	refuseInsert     insertFault = iota + 1 // answers with an exception, and executes nothing
	failInsert                              // executes, and answers with an exception
	dropAnswer                              // executes, and closes the connection
	lateAnswer                              // executes, and answers after the sender has given up
	emptyAnswer                             // executes nothing, and answers 200 with the header of an exception
	emptyAnswerAfter                        // executes, and answers so
	replayInsert                            // executes twice, and answers
	lateInsert                              // closes the connection, and executes later
)

// An insertProxy is an HTTP proxy before ClickHouse that misbehaves with inserts.
type insertProxy struct {
	address string

	target  func() string // ClickHouse's URL
	server  *http.Server
	client  *http.Client
	reverse *httputil.ReverseProxy
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	fault  insertFault
	left   int // how many inserts are still to be struck
	struck int
	delay  time.Duration
	code   int
	done   chan struct{} // closed when left becomes 0
}

// errDropped ends the connection of an insert whose answer is dropped.
var errDropped = errors.New("the answer is dropped")

// faultKey is the context key of the fault of a request.
type faultKey struct{}

func newInsertProxy(target func() string) (*insertProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	p := &insertProxy{address: listener.Addr().String(), target: target, client: &http.Client{Transport: transport}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.reverse = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			target, err := url.Parse(p.target())
			if err == nil {
				r.SetURL(target)
			}
		},
		Transport:      transport,
		ModifyResponse: p.spoil,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	p.running.Go(func() { _ = p.server.Serve(listener) })
	return p, nil
}

func (p *insertProxy) close() {
	p.cancel()
	_ = p.server.Close()
	p.running.Wait()
}

// strike has the next inserts fail, and returns how many were struck when patience is over.
func (p *insertProxy) strike(ctx context.Context, fault insertFault, count, code int, delay, patience time.Duration) int {
	done := make(chan struct{})
	p.mu.Lock()
	p.fault, p.left, p.struck, p.code, p.delay, p.done = fault, count, 0, code, delay, done
	p.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.left = 0, 0
	return p.struck
}

// take returns the fault of an insert.
func (p *insertProxy) take() (fault insertFault, code int, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 {
		return 0, 0, 0
	}
	p.left--
	p.struck++
	if p.left == 0 {
		close(p.done)
	}
	return p.fault, p.code, p.delay
}

// ServeHTTP passes a request on, or does what the fault says.
func (p *insertProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	insert, err := isInsert(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if !insert {
		p.reverse.ServeHTTP(w, r)
		return
	}
	fault, code, delay := p.take()
	switch fault {
	case refuseInsert:
		drain(r)
		writeException(w, http.StatusInternalServerError, code, "this insert was refused by chaos")
	case emptyAnswer:
		drain(r)
		w.Header().Set("X-ClickHouse-Exception-Code", "209")
		w.WriteHeader(http.StatusOK)
	case replayInsert:
		again, err := p.copyOf(r)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		p.reverse.ServeHTTP(w, r)
		p.execute(again)
	case lateInsert:
		again, err := p.copyOf(r)
		if err == nil {
			p.running.Go(func() {
				rest(p.ctx, delay)
				p.execute(again)
			})
		}
		panic(http.ErrAbortHandler)
	default:
		p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, spoiling{fault, code, delay})))
	}
}

// spoiling is what is to be done to an answer.
type spoiling struct {
	fault insertFault
	code  int
	delay time.Duration
}

// spoil changes the answer to an insert that was executed.
func (p *insertProxy) spoil(response *http.Response) error {
	s, _ := response.Request.Context().Value(faultKey{}).(spoiling)
	switch s.fault {
	case failInsert, emptyAnswerAfter:
		_ = response.Body.Close()
		text := fmt.Sprintf("Code: %d. DB::Exception: chaos asked for this answer. (CHAOS)\n", s.code)
		response.StatusCode, response.Status = http.StatusInternalServerError, ""
		if s.fault == emptyAnswerAfter {
			s.code, text = 209, ""
			response.StatusCode = http.StatusOK
		}
		response.Header = http.Header{"X-Clickhouse-Exception-Code": {strconv.Itoa(s.code)}}
		response.Body, response.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	case dropAnswer:
		return errDropped
	case lateAnswer:
		rest(p.ctx, s.delay)
	}
	return nil
}

// copyOf keeps a request, to be executed once more.
func (p *insertProxy) copyOf(r *http.Request) (*http.Request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	again, err := http.NewRequestWithContext(p.ctx, r.Method, p.target()+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	again.Header = r.Header.Clone()
	return again, nil
}

// execute has ClickHouse execute a request whose answer nobody waits for.
func (p *insertProxy) execute(r *http.Request) {
	response, err := p.client.Do(r)
	if err != nil {
		return // ClickHouse is away
	}
	drain(&http.Request{Body: response.Body})
}

// isInsert reports whether a request is an insert. Its statement is in the URL or leads the body.
func isInsert(r *http.Request) (bool, error) {
	statement := r.URL.Query().Get("query")
	if statement == "" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		statement = string(body[:min(len(body), 1<<10)])
	}
	return strings.HasPrefix(strings.ToUpper(strings.TrimSpace(statement)), "INSERT"), nil
}

func drain(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
}

func writeException(w http.ResponseWriter, status, code int, text string) {
	w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(code))
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "Code: %d. DB::Exception: %s. (CHAOS)\n", code, text)
}
