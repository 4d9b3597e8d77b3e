package shard

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// TestManyTablesAreInsertedOnceALinger checks that batches are sealed by the linger, however many tables there are.
func TestManyTablesAreInsertedOnceALinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tables, seconds = 300, 5
		delivery := &scripted{}
		var routes []*schema.Route
		for i := range tables {
			routes = append(routes, filtered(t, fmt.Sprint(i)))
		}
		config := testConfig()
		config.Shards, config.MaxOpenBatches = 1, 0
		r := startWith(t, BudgetConfig{Limit: 96 << 20, Tables: 79 << 20, TableShare: 0.25, LargestRequest: 5 << 20}, config, delivery, routes...)
		random := rand.New(rand.NewPCG(1, 2))
		for range seconds * 10 {
			var entries []schema.Entry
			for range 100 {
				entries = append(entries, entry(fmt.Sprint(random.IntN(tables)), "EWR", time.Now()))
			}
			r.send(entries...)
			time.Sleep(100 * time.Millisecond)
		}
		r.stop()
		inserts := map[string]int{}
		for _, b := range delivery.batches {
			inserts[b.table]++
		}
		for table, n := range inserts {
			if n > seconds+1 {
				t.Errorf("%s got %d inserts in %d seconds", table, n, seconds)
			}
		}
		if _, rows := delivery.rows(); rows != seconds*1000 || len(inserts) != tables {
			t.Errorf("%d rows in %d tables", rows, len(inserts))
		}
	})
}

// TestOpenBatchesStayWithinTheirBytes checks that open batches don't take all the room of the tables.
func TestOpenBatchesStayWithinTheirBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		config := testConfig()
		config.Shards, config.MaxOpenBytes = 1, 300<<10
		r := start(t, config, delivery, filtered(t, "a"), filtered(t, "b"), filtered(t, "c"))
		for _, service := range []string{"a", "b", "c"} {
			r.send(sized(service, 150<<10))
			synctest.Wait()
		}
		var sealed []string
		for _, b := range delivery.batches {
			sealed = append(sealed, b.table)
		}
		if !slices.Equal(sealed, []string{"of_a", "of_b"}) {
			t.Errorf("sealed %q, want the two oldest of three", sealed)
		}
		r.stop()
	})
}

// discard is a Delivery that commits everything at once.
type discard struct{}

func (discard) Deliver(_ context.Context, b *batch.Block, _ schema.LogFile, _ sink.Limits, _ <-chan struct{}) (sink.Outcome, error) {
	return sink.Outcome{Committed: b.Rows()}, nil
}

func (discard) FindAll(context.Context, []*batch.Block) map[*batch.Block]bool { return nil }

func (discard) DeadLetter(context.Context, *sink.DeadLetter) ([]sink.DeadLetter, error) {
	return nil, nil
}

// discardLog is a log that costs nothing.
type discardLog struct{ schema.LogFile }

func (discardLog) PutRouting(string, []byte) error { return nil }

func (l discardLog) Seal(context.Context, string, *schema.Contents, []byte, io.WriterTo) (schema.LogFile, error) {
	return l, nil
}

func (discardLog) Settled(int, int)                           {}
func (discardLog) Reserve(context.Context, int, func()) error { return nil }
func (discardLog) Unreserve()                                 {}
func (discardLog) Append(string) (uint64, error)              { return 1, nil }

// BenchmarkRoutes routes entries that match one of some routes. The time is that of an entry. With a log, that costs nothing itself.
func BenchmarkRoutes(b *testing.B) {
	for _, c := range []struct {
		tables int
		logged bool
	}{{1, false}, {1, true}, {100, false}, {100, true}, {1000, false}} {
		tables := c.tables
		name := fmt.Sprint(tables)
		if c.logged {
			name += ",logged"
		}
		b.Run(name, func(b *testing.B) {
			var routes []*schema.Route
			for i := range tables {
				route := schema.DefaultRoute("logs")
				route.Name = fmt.Sprint(i)
				route.Table.Name = "t" + route.Name
				filter, problems := schema.ParseFilter(map[string]any{"service": map[string]any{"equals": route.Name}}, "filter")
				if len(problems) > 0 {
					b.Fatal(problems)
				}
				route.Filter = filter
				routes = append(routes, route)
			}
			budget := NewBudget(BudgetConfig{Limit: 96 << 20, Tables: 79 << 20, TableShare: 0.25, LargestRequest: 5 << 20})
			config := Config{
				Compression: batch.Uncompressed,
				Instance:    "bench", Shards: 1, Bucket: time.Minute, Linger: time.Second, MaxBatchRows: 100_000, MaxBatchBytes: 32 << 20, MaxOpenBytes: 60 << 20,
				Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
			}
			if c.logged {
				config.WAL = discardLog{}
			}
			router, err := NewRouter(config, budget, discard{}, routes, time.UTC)
			if err != nil {
				b.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- router.Run(context.Background()) }()
			const size = 1000
			entries := make([]schema.Entry, size)
			names := make([]string, tables)
			for i := range names {
				names[i] = fmt.Sprint(i)
			}
			for i := range entries {
				entries[i] = entry(names[i%tables], "EWR", time.Now())
				entries[i].Body = "GET /v1/carts/81723 200 in 12 ms, 4 items, cache hit, no retry, upstream 10.0.3.7:8080 answered 200 in 9 ms"
			}
			b.ResetTimer()
			settled := make(chan struct{}, 64)
			for n := 0; n < b.N; n += size {
				request := &schema.Request{Producer: "p", Epoch: 1, Sequence: uint64(n), Received: time.Now(), Entries: entries, Size: 150 * size, Bytes: 400 * size}
				request.Release = func() { budget.Release(request.Bytes); settled <- struct{}{} }
				request.Settled = func(*schema.Outcome) {}
				if c.logged {
					request.Log, request.Placed = discardLog{}, func(*schema.Outcome) {}
				}
				if err := budget.Acquire(context.Background(), request.Bytes); err != nil {
					b.Fatal(err)
				}
				if err := router.Route(context.Background(), request, func(schema.WaitCause, string) {}); err != nil {
					b.Fatal(err)
				}
				<-settled
			}
			b.StopTimer()
			router.Shutdown(context.Background())
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	}
}
