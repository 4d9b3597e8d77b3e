//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

const (
	// connections is how many connections the streams share at most.
	connections = 16
	// flushPause is the time between two Flushes once all is sent: the rest of the last batch need not linger.
	flushPause = 100 * time.Millisecond
)

// A load is the generator: open streams, and the messages that they send.
type load struct {
	run      *gatewayRun
	messages []*message
	rows     int // that are sent: whole requests on each stream
	conns    []*grpc.ClientConn
	streams  []*loadStream
	cancel   context.CancelFunc

	mu        sync.Mutex
	latencies []time.Duration
}

// A loadStream is one producer.
type loadStream struct {
	stream    grpc.ClientStream
	requests  int
	sent      []atomic.Int64 // when each request was sent, in nanoseconds since the start of the run
	committed uint64
}

// openLoad opens the streams and awaits their welcome.
func openLoad(ctx context.Context, address string, run *gatewayRun, messages []*message) (*load, error) {
	l := &load{run: run, messages: messages}
	ctx, l.cancel = context.WithCancel(ctx)
	for range min(run.streams, connections) {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{})))
		if err != nil {
			l.close()
			return nil, err
		}
		l.conns = append(l.conns, conn)
	}
	requests := max(1, run.rows/run.entries/run.streams)
	if requests*run.streams*run.entries < run.rows {
		requests++ // the last ones make it a few more rows than asked for
	}
	l.rows = requests * run.streams * run.entries
	for i := range run.streams {
		stream, err := openStream(ctx, l.conns[i%len(l.conns)], i)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("open stream %d: %w", i, err)
		}
		l.streams = append(l.streams, &loadStream{stream: stream, requests: requests, sent: make([]atomic.Int64, requests+1)})
	}
	return l, nil
}

func openStream(ctx context.Context, conn *grpc.ClientConn, n int) (grpc.ClientStream, error) {
	description := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := conn.NewStream(ctx, description, logbatcherv1.IngestService_IngestStream_FullMethodName)
	if err != nil {
		return nil, err
	}
	open := &logbatcherv1.Open{Producer: fmt.Sprintf("bench/%d", n), Client: "bench"}
	for key, value := range resource(n % 4) {
		a := attribute{key: key, text: value}
		open.ResourceAttributes = append(open.ResourceAttributes, a.message())
	}
	if err := stream.SendMsg(&logbatcherv1.IngestStreamRequest{Open: open}); err != nil {
		return nil, streamError(stream, err)
	}
	var response logbatcherv1.IngestStreamResponse
	if err := stream.RecvMsg(&response); err != nil {
		return nil, err
	}
	if response.GetWelcome() == nil {
		return nil, errors.New("the first response is no welcome")
	}
	return stream, nil
}

// streamError returns the status behind the end of a stream that SendMsg met.
func streamError(stream grpc.ClientStream, err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	var response logbatcherv1.IngestStreamResponse
	for {
		if err := stream.RecvMsg(&response); err != nil {
			return err
		}
	}
}

// send sends everything and returns when all of it is committed.
func (l *load) send(ctx context.Context) error {
	began := time.Now()
	tasks, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), context.Canceled) { // Wait cancels too, without a cause of its own
			l.cancel() // SendMsg and RecvMsg end with the streams
		}
	})
	var sending, receiving sync.WaitGroup
	for n, s := range l.streams {
		sending.Add(1)
		receiving.Add(1)
		tasks.Go(func() error {
			defer sending.Done()
			return l.sendStream(s, n, began)
		})
		tasks.Go(func() error {
			defer receiving.Done()
			return l.receiveStream(s, began)
		})
	}
	received := make(chan struct{})
	go func() {
		receiving.Wait()
		close(received)
	}()
	tasks.Go(func() error {
		sending.Wait()
		return l.flush(ctx, received)
	})
	return tasks.Wait()
}

// sendStream sends the requests of one stream: those whose number it is, counted over all streams.
func (l *load) sendStream(s *loadStream, n int, began time.Time) error {
	for i := range s.requests {
		request := i*len(l.streams) + n
		m := &numbered{
			message: l.messages[request%len(l.messages)], sequence: uint64(i + 1), first: firstNumber + uint64(request*l.run.entries),
		}
		s.sent[i+1].Store(int64(time.Since(began)))
		if err := s.stream.SendMsg(m); err != nil {
			return fmt.Errorf("stream %d: send: %w", n, err)
		}
	}
	return nil
}

// receiveStream reads watermarks until the last request is covered. What the gateway did not take is an error.
func (l *load) receiveStream(s *loadStream, began time.Time) error {
	latencies := make([]time.Duration, 0, s.requests)
	var response logbatcherv1.IngestStreamResponse
	for s.committed < uint64(s.requests) {
		if err := s.stream.RecvMsg(&response); err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if len(response.Refusals) > 0 || len(response.DeadLettered) > 0 || response.Drain != nil {
			return fmt.Errorf("the gateway did not take everything: %v", &response)
		}
		now := int64(time.Since(began))
		for s.committed < response.CommittedSequence {
			s.committed++
			latencies = append(latencies, time.Duration(now-s.sent[s.committed].Load()))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latencies = append(l.latencies, latencies...)
	return nil
}

// flush seals what is left until everything is committed.
func (l *load) flush(ctx context.Context, received <-chan struct{}) error {
	admin := logbatcherv1.NewAdminServiceClient(l.conns[0])
	for {
		select {
		case <-received:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(flushPause):
		}
		if _, err := admin.Flush(ctx, &logbatcherv1.FlushRequest{}); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
}

// finish half-closes the streams and expects each to end with OK.
func (l *load) finish() error {
	for n, s := range l.streams {
		if err := s.stream.CloseSend(); err != nil {
			return fmt.Errorf("stream %d: half-close: %w", n, err)
		}
	}
	for n, s := range l.streams {
		if err := streamError(s.stream, io.EOF); !errors.Is(err, io.EOF) {
			return fmt.Errorf("stream %d: end: %w", n, err)
		}
	}
	return nil
}

// close closes the connections.
func (l *load) close() {
	l.cancel()
	for _, conn := range l.conns {
		_ = conn.Close() // nothing hangs on it any more
	}
}

// quantile returns a quantile of the time from sending a request to the watermark that covers it.
func (l *load) quantile(q float64) time.Duration {
	slices.Sort(l.latencies)
	return l.latencies[int(q*float64(len(l.latencies)-1))]
}

// countSeries adds up the samples of a metrics page whose line begins with prefix, and counts them.
func countSeries(page io.Reader, prefix string) (sum float64, series int, err error) {
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), prefix) {
			continue
		}
		value, err := sample(lines.Text())
		if err != nil {
			return 0, 0, err
		}
		sum += value
		series++
	}
	return sum, series, lines.Err()
}
