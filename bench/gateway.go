//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/embedded"
)

const (
	// maxConnections is how many connections the producers share at most.
	maxConnections = 16
	// flushPause is the time between two Flushes once all is sent, so that the rest of the last batch need not linger.
	flushPause = 100 * time.Millisecond
)

// A gateway is a gateway's process with the producers that send to it.
type gateway struct {
	variant
	process  *embedded.Server
	id       int
	http     string
	conns    []*grpc.ClientConn
	requests [][]*logbatcherv1.Entry // templates, sent in turn

	mu        sync.Mutex
	latencies []time.Duration // from sending a request to the watermark that covers it
}

// configuration is the gateway's: what a run needs, and defaults for the rest.
func (s *stack) configuration(v *variant, database string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `listen: {grpc: "127.0.0.1:0", http: "127.0.0.1:0"}
server: {limits: {max_request_bytes: 1MiB, max_streams: %d}}
memory: {table_share: 1}
shards: {count: %d, max_batch_rows: %d, linger: %s}
clickhouse: {addresses: [%q], database: %s, compression: %s, inserts_per_table: %d}
redis: {addresses: [%q]}
retention: {enabled: false}
routes:
`, v.streams+4, min(runtime.NumCPU(), 4), v.batch, v.linger, s.address, database, v.compression, v.inserts, s.redis.Address())
	if v.routes == 1 {
		b.WriteString("  - {name: firehose, table: otel_logs, indexes: none}\n")
		return b.String()
	}
	for i := range v.routes {
		fmt.Fprintf(&b, "  - {name: route_%d, table: otel_logs_%d, indexes: none, filter: {service: {equals: %s}}}\n", i, i, serviceOf(i))
	}
	return b.String()
}

// open starts the variant's writer. The tables exist when it returns.
func (s *stack) open(ctx context.Context, v variant, database string) (writer, error) {
	file := filepath.Join(s.folder, database+".yaml")
	if err := os.WriteFile(file, []byte(s.configuration(&v, database)), 0o600); err != nil {
		return nil, err
	}
	if v.direct != "" {
		if output, err := exec.CommandContext(ctx, v.binary, "schema", "apply", "--config", file).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("create the table: %w: %s", err, output)
		}
		return openDirect(ctx, s.address, database, v)
	}
	g := &gateway{variant: v, requests: templates(&v)}
	g.process = embedded.NewServer(embedded.ServerConfig{
		Name: "gateway", Directory: s.folder, Ready: regexp.MustCompile(`msg=serving .*grpc=(\S+) http=(\S+)`),
		Command: func(context.Context, string) (string, []string, error) {
			return v.binary, []string{"serve", "--config", file}, nil
		},
	})
	if err := g.process.Start(ctx); err != nil {
		return nil, err
	}
	var err error
	if g.id, err = g.process.PID(); err != nil {
		return nil, errors.Join(err, g.close())
	}
	address, httpAddress, _ := strings.Cut(g.process.Address(), " ")
	g.http = httpAddress
	for range min(v.streams, maxConnections) {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, errors.Join(err, g.close())
		}
		g.conns = append(g.conns, conn)
	}
	return g, nil
}

func (g *gateway) pid() int { return g.id }

// close stops the gateway.
func (g *gateway) close() error {
	var err error
	for _, conn := range g.conns {
		err = errors.Join(err, conn.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return errors.Join(err, g.process.Stop(ctx))
}

// write sends all rows and returns once they are committed.
func (g *gateway) write(ctx context.Context) error {
	tasks, ctx := errgroup.WithContext(ctx)
	var sending, running sync.WaitGroup
	ended := make(chan struct{})
	for stream := range g.streams {
		sending.Add(1)
		running.Add(1)
		tasks.Go(func() error {
			defer running.Done()
			return g.produce(ctx, stream, sending.Done)
		})
	}
	go func() {
		running.Wait()
		close(ended)
	}()
	tasks.Go(func() error {
		sending.Wait()
		admin := logbatcherv1.NewAdminServiceClient(g.conns[0])
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
func (g *gateway) produce(ctx context.Context, stream int, sent func()) (err error) {
	tasks, ctx := errgroup.WithContext(ctx)
	requests := (g.rows + g.entries - 1) / g.entries
	own := (requests - stream + g.streams - 1) / g.streams
	times := make([]time.Time, own+1) // by sequence; written before the request is sent
	latencies := make([]time.Duration, 0, own)
	committed, refused := uint64(0), ""

	config := client.DefaultConfig(fmt.Sprintf("bench/%d", stream))
	for key, value := range resource(stream % resources) {
		config.Open.ResourceAttributes = append(config.Open.ResourceAttributes, text(key, value))
	}
	config.OnError = func(err error) { refused = err.Error() }
	config.OnRefusal = func(r *logbatcherv1.Refusal) { refused = r.String() }
	config.OnDeadLettered = func(d *logbatcherv1.DeadLettered) { refused = d.String() }
	config.OnCommitted = func(c client.Committed) {
		for ; committed < c.Sequence; committed++ {
			latencies = append(latencies, time.Since(times[committed+1]))
		}
	}
	producer, err := client.NewProducer(g.conns[stream%len(g.conns)], config)
	if err != nil {
		return err
	}
	tasks.Go(func() error { return producer.Run(ctx) })
	tasks.Go(func() error {
		defer sent()
		defer producer.Close()
		began := time.Now()
		for i := range own {
			request := i*g.streams + stream
			first := request * g.entries
			if g.rowsPerSecond > 0 {
				due := began.Add(time.Duration(first) * time.Second / time.Duration(g.rowsPerSecond))
				if err := rest(ctx, time.Until(due)); err != nil {
					return err
				}
			}
			times[i+1] = time.Now()
			if err := producer.Send(ctx, numbered(g.requests[request%len(g.requests)], first, g.rows)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := tasks.Wait(); err != nil {
		return fmt.Errorf("stream %d: %w", stream, err)
	}
	if refused != "" {
		return fmt.Errorf("stream %d: not everything was taken at once: %s", stream, refused)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.latencies = append(g.latencies, latencies...)
	return nil
}

// report adds the latencies and how many batches were sealed.
func (g *gateway) report(ctx context.Context, r *result) error {
	slices.Sort(g.latencies)
	r.p50, r.p99 = g.latencies[len(g.latencies)/2], g.latencies[len(g.latencies)*99/100]
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.http+"/metrics", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	for _, metric := range families["logbatcher_batches_sealed_total"].GetMetric() {
		r.batches += metric.GetCounter().GetValue()
	}
	return err
}
