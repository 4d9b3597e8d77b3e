package client

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	vtcodec "github.com/planetscale/vtprotobuf/codec/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

type serverStream = grpc.BidiStreamingServer[logbatcherv1.IngestStreamRequest, logbatcherv1.IngestStreamResponse]

// script is an IngestService that calls the test for the nth stream, from 0.
type script struct {
	logbatcherv1.UnimplementedIngestServiceServer
	stream func(n int, open *logbatcherv1.Open, s serverStream) error

	mu      sync.Mutex
	streams int
}

// IngestStream receives the opening and hands the stream to the script.
func (s *script) IngestStream(stream serverStream) error {
	s.mu.Lock()
	n := s.streams
	s.streams++
	s.mu.Unlock()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	return s.stream(n, first.GetOpen(), stream)
}

// serve runs the script behind gRPC and returns a connection to it. Both end with the test.
func serve(t testing.TB, stream func(n int, open *logbatcherv1.Open, s serverStream) error, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	return serveWith(t, vtcodec.Codec{}, stream, options...)
}

func serveWith(t testing.TB, codec encoding.Codec, stream func(n int, open *logbatcherv1.Open, s serverStream) error, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(64 << 10)
	server := grpc.NewServer(grpc.ForceServerCodec(codec))
	logbatcherv1.RegisterIngestServiceServer(server, &script{stream: stream})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return connect(t, listener.DialContext, options...)
}

func connect(t testing.TB, dial func(context.Context) (net.Conn, error), options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:test", append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// welcome answers an opening.
func welcome(s serverStream, w *logbatcherv1.Welcome) error {
	return s.Send(&logbatcherv1.IngestStreamResponse{Welcome: w})
}

// store passes requests to keep and commits them, until the client half-closes.
func store(s serverStream, keep func(*logbatcherv1.IngestStreamRequest) error) error {
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := keep(r); err != nil {
			return err
		}
		if err := s.Send(&logbatcherv1.IngestStreamResponse{CommittedSequence: r.GetSequence()}); err != nil {
			return err
		}
	}
}

// ledger keeps what a producer reports. Its fields may be read once Close has returned.
type ledger struct {
	committed Progress // sums, and the latest watermarks
	refused   []*logbatcherv1.Entry
	tokens    []any
	refusals  []*logbatcherv1.Refusal
	letters   int
	errors    []error
}

func (l *ledger) config(producer string, conns ...grpc.ClientConnInterface) Config {
	c := DefaultConfig(producer)
	c.Conns = conns
	c.MinBackoff, c.MaxBackoff = time.Millisecond, 5*time.Millisecond
	c.Log = nil
	c.OnProgress = func(more Progress) {
		l.committed.Logged, l.committed.Committed = more.Logged, more.Committed
		l.committed.Entries += more.Entries
		l.committed.Refused += more.Refused
	}
	c.OnRefusal = func(r Refused) {
		l.refused, l.refusals, l.tokens = append(l.refused, r.Entry), append(l.refusals, r.Refusal), append(l.tokens, r.Token)
	}
	c.OnDeadLettered = func(d *logbatcherv1.DeadLettered) { l.letters += int(d.GetRows()) }
	c.OnError = func(err error) { l.errors = append(l.errors, err) }
	return c
}

// open starts a producer, which the test must close.
func open(t *testing.T, c Config) *Producer {
	t.Helper()
	p, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// give sends each slice as a request of its own.
func give(t *testing.T, p *Producer, requests ...[]*logbatcherv1.Entry) {
	t.Helper()
	for _, entries := range requests {
		if err := p.Send(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		p.sealLocked(nil)
		p.mu.Unlock()
	}
}

// run sends the requests, closes, and returns how the producer ended.
func run(t *testing.T, conn grpc.ClientConnInterface, c Config, requests ...[]*logbatcherv1.Entry) error {
	t.Helper()
	return runFor(t, patience, conn, c, requests...)
}

// runFor is run with another patience, for bubbles of synctest.
func runFor(t *testing.T, limit time.Duration, conn grpc.ClientConnInterface, c Config, requests ...[]*logbatcherv1.Entry) error {
	t.Helper()
	c.Conns, c.FlushTimeout = []grpc.ClientConnInterface{conn}, limit
	p := open(t, c)
	for _, entries := range requests {
		if err := p.Send(t.Context(), entries...); err != nil {
			break // the producer has failed: Close says why
		}
		p.mu.Lock()
		p.sealLocked(nil)
		p.mu.Unlock()
	}
	return p.Close(t.Context())
}

func unavailable(message string) error { return status.Error(codes.Unavailable, message) }
