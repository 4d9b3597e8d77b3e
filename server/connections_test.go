package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// connect opens a connection and sends some bytes.
func (f *fixture) connect(say string) net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, say); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// closed reports whether the server closes the connection, however long it takes.
func closed(t *testing.T, c net.Conn) error {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset by peer") {
		return err
	}
	return nil
}

// Silent connections keep nobody out: those that speak are served, and the silent ones are closed and counted.
func TestSilentConnectionsLockNobodyOut(t *testing.T) {
	var log lines
	f := newFixture(t, func(c *Config) { c.MaxConnections, c.HandshakeTimeout, c.Log = 4, time.Hour, log.logger() })
	var silent []net.Conn
	for range 40 {
		silent = append(silent, f.connect(""))
	}
	if r, err := f.ingest(&pb.IngestRequest{Entries: entriesOf("a")}); err != nil || r.CommittedSequence != 1 {
		t.Fatalf("a client among silent connections: %v, %v", r, err)
	}
	for _, c := range silent[:36] {
		if err := closed(t, c); err != nil {
			t.Fatalf("a silent connection: %v", err)
		}
	}
	eventually(t, "the connections to be counted", func() bool { return f.metric("connections_refused_total") == 37 })
	if n := f.metric("open_connections"); n != 4 {
		t.Errorf("%v connections are open", n)
	}
	if degraded := f.server.Degraded(); len(degraded) != 1 || !strings.Contains(degraded[0], "max_connections is 4") {
		t.Errorf("degraded: %v", degraded)
	}
	if n := log.count("connections are refused"); n != 1 {
		t.Errorf("%d lines for 37 connections:\n%s", n, log.String())
	}
}

// When all connections are in use, one more is refused at once, and served when there is room again.
func TestConnectionsAreBounded(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxConnections = 2 })
	f.open(&pb.Open{Producer: "p"}) // the fixture's own connection
	second := f.dial()
	other := *f
	other.client = pb.NewIngestServiceClient(second)
	if _, err := other.ingest(&pb.IngestRequest{Entries: entriesOf("a")}); err != nil {
		t.Fatal(err)
	}
	third := f.dial()
	defer func() { _ = third.Close() }()
	other.client = pb.NewIngestServiceClient(third)
	if _, err := other.ingest(&pb.IngestRequest{Entries: entriesOf("a")}); status.Code(err) != codes.Unavailable {
		t.Fatalf("beyond the bound: %v", err)
	}
	if f.metric("connections_refused_total") == 0 {
		t.Error("the refusal is not counted")
	}
	_ = second.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := other.client.Ingest(ctx, &pb.IngestRequest{Entries: entriesOf("a")}, grpc.WaitForReady(true)); err != nil {
		t.Fatalf("when there is room again: %v", err)
	}
}

// A connection that never speaks HTTP/2, and one without a stream, are closed.
func TestConnectionsEnd(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for name, c := range map[string]struct {
		say    string
		adjust func(*Config)
	}{
		"silent":       {"", func(c *Config) { c.HandshakeTimeout = time.Millisecond }},
		"half preface": {preface[:10], func(c *Config) { c.HandshakeTimeout = time.Millisecond }},
		"no settings":  {preface, func(c *Config) { c.HandshakeTimeout = time.Millisecond }},
		"HTTP/1":       {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", func(c *Config) { c.HandshakeTimeout = time.Hour }},
		"garbage":      {strings.Repeat("\x16\x03\x01", 100), func(c *Config) { c.HandshakeTimeout = time.Hour }},
		"no stream":    {preface + settings, func(c *Config) { c.ConnectionIdle = time.Millisecond }},
	} {
		t.Run(name, func(t *testing.T) {
			var log lines
			f := newFixture(t, func(config *Config) {
				config.Log = log.logger()
				c.adjust(config)
			})
			if err := closed(t, f.connect(c.say)); err != nil {
				t.Error(err)
			}
			eventually(t, "the connection to be gone", func() bool { return f.metric("open_connections") == 0 })
			if log.String() != "" {
				t.Errorf("logged:\n%s", log.String())
			}
		})
	}
}

// failing is a listener whose Accept fails until it is closed.
type failing struct {
	net.Listener
	left   int
	closed chan struct{}
}

type exhausted struct{}

func (exhausted) Error() string   { return "too many open files" }
func (exhausted) Temporary() bool { return true }

func (l *failing) Accept() (net.Conn, error) {
	if l.left--; l.left >= 0 {
		return nil, exhausted{}
	}
	<-l.closed
	return nil, net.ErrClosed
}

// Failures to accept are logged once a minute, counted, and reported as degraded for as long as they last.
func TestAcceptErrorsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		m := newConnectionMetrics(nil, "grpc")
		l := &connections{
			Listener: &failing{left: 130, closed: make(chan struct{})}, limit: 4, log: log.logger(), metrics: m,
		}
		for range 130 {
			if _, err := l.Accept(); !errors.Is(err, exhausted{}) {
				t.Fatal(err)
			}
			if degraded := l.degraded(); len(degraded) != 1 || !strings.Contains(degraded[0], "too many open files") {
				t.Fatalf("degraded: %v", degraded)
			}
			time.Sleep(time.Second)
		}
		if n := log.count("can't be accepted"); n != 3 {
			t.Errorf("%d lines in 130 seconds:\n%s", n, log.String())
		}
		time.Sleep(time.Minute)
		if degraded := l.degraded(); len(degraded) != 0 {
			t.Errorf("degraded: %v", degraded)
		}
	})
}

// lines is a log for a test to read: what an operator sees, INFO and above.
type lines struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(b)
}

// String returns all of it.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

func (l *lines) count(part string) int { return strings.Count(l.String(), part) }
