//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
)

const (
	// maxConnections is how many connections the producers share at most.
	maxConnections = 16
	// flushPause is the time between two Flushes once all is sent, so that the rest of the last batch need not linger.
	flushPause = 100 * time.Millisecond
)

// A Load is what is written in a run.
type Load struct {
	// Rows are numbered from First to Rows, which is not one of them. Streams and Entries are how many producers there are, and entries of a request.
	First, Rows, Streams, Entries int
	// Logged means that it is enough that the rows are logged.
	Logged bool
	// RowsPerSecond is how fast the producers send; 0 sends as fast as the gateway reads.
	RowsPerSecond int
	// Templates are the requests, sent in turn.
	Templates [][]*logbatcherv1.Entry
}

// Streams are producers of package client that send to a gateway.
type Streams struct {
	*Gateway
	load  Load
	conns []*grpc.ClientConn

	mu                sync.Mutex
	committed, logged []time.Duration // from sending a request to the watermark that covers it
}

// NewStreams connects producers to a gateway, which Close stops.
func NewStreams(gateway *Gateway, load Load) (*Streams, error) {
	s := &Streams{Gateway: gateway, load: load}
	for range min(load.Streams, maxConnections) {
		conn, err := grpc.NewClient(gateway.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.conns = append(s.conns, conn)
	}
	return s, nil
}

// Disconnect closes the connections.
func (s *Streams) Disconnect() (err error) {
	for _, conn := range s.conns {
		err = errors.Join(err, conn.Close())
	}
	s.conns = nil
	return err
}

// Close closes the connections and stops the gateway.
func (s *Streams) Close() error { return errors.Join(s.Disconnect(), s.Gateway.Close()) }

// Write sends all rows and returns once they are committed, or logged if that is enough.
func (s *Streams) Write(ctx context.Context) error {
	tasks, ctx := errgroup.WithContext(ctx)
	var sending, running sync.WaitGroup
	ended := make(chan struct{})
	for stream := range s.load.Streams {
		sending.Add(1)
		running.Add(1)
		tasks.Go(func() error {
			defer running.Done()
			return s.produce(ctx, stream, sending.Done)
		})
	}
	if s.load.Logged {
		return tasks.Wait()
	}
	go func() {
		running.Wait()
		close(ended)
	}()
	tasks.Go(func() error {
		sending.Wait()
		admin := logbatcherv1.NewAdminServiceClient(s.conns[0])
		for {
			select {
			case <-ended:
				return nil
			case <-time.After(flushPause):
			}
			if _, err := admin.Flush(ctx, &logbatcherv1.FlushRequest{}); err != nil && ctx.Err() == nil {
				return fmt.Errorf("flush: %w", err)
			}
		}
	})
	return tasks.Wait()
}

// produce sends the requests of one stream, numbered over all streams, and calls sent once they are sent. What the gateway did not
// take is an error.
func (s *Streams) produce(ctx context.Context, stream int, sent func()) (err error) {
	load := &s.load
	requests := (load.Rows - load.First + load.Entries - 1) / load.Entries
	own := (requests - stream + load.Streams - 1) / load.Streams
	times := make([]time.Time, own+1) // by sequence; written before the request is sent
	committed, logged := make([]time.Duration, 0, own), make([]time.Duration, 0, own)
	refused := ""

	config := client.DefaultConfig(fmt.Sprintf("bench/%d", stream))
	if load.Logged {
		config.Open.Acknowledgement = logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_LOGGED
	}
	for key, value := range Resource(stream % Resources) {
		config.Open.ResourceAttributes = append(config.Open.ResourceAttributes, text(key, value))
	}
	config.Conns = []grpc.ClientConnInterface{s.conns[stream%len(s.conns)]}
	config.BatchEntries, config.BatchBytes, config.Linger = load.Entries, 4<<20, time.Minute // each Send is a request
	config.OnError = func(err error) { refused = err.Error() }
	config.OnRefusal = func(r client.Refused) { refused = r.String() }
	config.OnDeadLettered = func(d *logbatcherv1.DeadLettered) { refused = d.String() }
	config.OnProgress = func(p client.Progress) {
		for uint64(len(committed)) < p.Committed {
			committed = append(committed, time.Since(times[len(committed)+1]))
		}
		for uint64(len(logged)) < p.Logged {
			logged = append(logged, time.Since(times[len(logged)+1]))
		}
	}
	config.FlushTimeout = time.Hour
	producer, err := client.Open(config)
	if err != nil {
		return err
	}
	send := func() error {
		defer sent()
		began := time.Now()
		for i := range own {
			request := i*load.Streams + stream
			first := load.First + request*load.Entries
			if load.RowsPerSecond > 0 {
				due := began.Add(time.Duration(first-load.First) * time.Second / time.Duration(load.RowsPerSecond))
				if err := Rest(ctx, time.Until(due)); err != nil {
					return err
				}
			}
			times[i+1] = time.Now()
			if err := producer.Send(ctx, numbered(load.Templates[request%len(load.Templates)], first, load.Rows)...); err != nil {
				return err
			}
		}
		return nil
	}
	err = send()
	if err := errors.Join(err, producer.Close(ctx)); err != nil {
		return fmt.Errorf("stream %d: %w", stream, err)
	}
	if refused != "" {
		return fmt.Errorf("stream %d: not everything was taken at once: %s", stream, refused)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed, s.logged = append(s.committed, committed...), append(s.logged, logged...)
	return nil
}

// Report adds the latencies and how many batches were sealed.
func (s *Streams) Report(ctx context.Context, r *Result) error {
	r.P50, r.P99 = percentiles(s.committed)
	r.LoggedP50, r.LoggedP99 = percentiles(s.logged)
	return s.Gateway.Report(ctx, r)
}

// percentiles returns the 50th and the 99th percentile, or zeros of nothing. It sorts its argument.
func percentiles(d []time.Duration) (p50, p99 time.Duration) {
	if len(d) == 0 {
		return 0, 0
	}
	slices.Sort(d)
	return d[len(d)/2], d[len(d)*99/100]
}
