package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// TestStuckTable has a table that takes no inserts, and for it all kinds of requests that a producer may send, many at once.
// Streams and unary calls for another table are committed all the time, and at the end everything is.
func TestStuckTable(t *testing.T) {
	routes := "routes:\n"
	for _, name := range []string{"free", "stuck"} {
		routes += fmt.Sprintf("  - {name: %s, table: t_%s, columns: [n, time, body, rest], order_by: n, partition_by: \"\", retention: {max_age: 0}, "+
			"filter: {attributes.%s: {equals: 1}}}\n", name, name, name)
	}
	server := embeddedtest.OwnClickHouse(t)
	proxy := server.InjectFaults(t)
	b := newBench(t, server, embeddedtest.Redis(t), "columns:"+numberedColumns+
		"  - {name: rest, type: 'Map(LowCardinality(String), String)', source: attributes}\n"+routes)
	b.change = func(c *config.Config) {
		c.WAL.Enabled = false // with a log, what waits for a table leaves the memory
		c.Server.UnaryTimeout = time.Hour
		c.Memory.Budget, c.Server.Limits.MaxRequestBytes = 24*settings.MiB, settings.MiB
	}
	i := b.start(t)
	proxy.Set(embeddedtest.Faults{Refuse: 1e8, Match: "t_stuck"})
	conn, err := grpc.NewClient(b.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := logbatcherv1.NewIngestServiceClient(conn)

	// entries returns entries for the tables.
	entries := func(count, body, attributes int, tables ...string) []*logbatcherv1.Entry {
		e := &logbatcherv1.Entry{Body: strings.Repeat("x", body)}
		for _, name := range append(tables, "n") {
			e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{Key: name, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: 1})
		}
		for range attributes {
			e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{Key: "k"})
		}
		all := make([]*logbatcherv1.Entry, count)
		for i := range all {
			all[i] = e
		}
		return all
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	var mu sync.Mutex
	told := map[string]string{} // what each stream was told last that it waits for
	// stream sends the requests, which are few enough for their windows, and returns what tells how many are committed.
	stream := func(name string, requests ...[]*logbatcherv1.Entry) func() uint64 {
		s, err := client.IngestStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var committed uint64
		running.Go(func() {
			err := s.Send(&logbatcherv1.IngestStreamRequest{Open: &logbatcherv1.Open{Producer: name}})
			for n := 0; err == nil && n < len(requests); n++ {
				err = s.Send(&logbatcherv1.IngestStreamRequest{Sequence: uint64(n) + 1, Entries: requests[n]})
			}
		})
		running.Go(func() {
			for {
				r, err := s.Recv()
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("stream %s: %v", name, err)
					}
					return
				}
				mu.Lock()
				if r.GetThrottle() != nil {
					told[name] = r.GetThrottle().GetTable()
				}
				committed = max(committed, r.GetCommittedSequence())
				mu.Unlock()
			}
		})
		return func() uint64 { mu.Lock(); defer mu.Unlock(); return committed }
	}
	repeat := func(times int, e []*logbatcherv1.Entry) (requests [][]*logbatcherv1.Entry) {
		for range times {
			requests = append(requests, e)
		}
		return requests
	}
	rows := 0
	stuck := map[string]func() uint64{}
	for k := range 12 {
		stuck[fmt.Sprint("both/", k)] = stream(fmt.Sprint("both/", k), repeat(3, entries(200, 1000, 0, "free", "stuck"))...)
		rows += 3 * 200
	}
	for k := range 3 {
		stuck[fmt.Sprint("large/", k)] = stream(fmt.Sprint("large/", k), repeat(3, entries(900, 1000, 0, "stuck", "free"))...)
		rows += 3 * 900
	}
	tiny := entries(205, 0, 1000, "free", "stuck")
	for k := range 1 {
		stuck[fmt.Sprint("tiny/", k)] = stream(fmt.Sprint("tiny/", k), repeat(3, tiny)...)
		rows += 3 * 205
	}
	for range 10 {
		running.Go(func() {
			_, err := client.Ingest(ctx, &logbatcherv1.IngestRequest{Entries: entries(1, 10, 0, "free", "stuck")})
			if err != nil && ctx.Err() == nil {
				t.Errorf("unary call: %v", err)
			}
		})
		rows++
	}
	eventually(t, "streams are told that they wait for the table", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.HasSuffix(told["large/0"], ".t_stuck") && strings.HasSuffix(told["large/1"], ".t_stuck") && strings.HasSuffix(told["large/2"], ".t_stuck")
	})
	free := 0
	for kind, request := range map[string][]*logbatcherv1.Entry{
		"small": entries(1, 10, 0, "free"), "large": entries(900, 1000, 0, "free"), "tiny": entries(205, 0, 1000, "free"),
	} {
		committed := stream("free/"+kind, request)
		limited, cancel := context.WithTimeout(ctx, patience)
		if _, err := client.Ingest(limited, &logbatcherv1.IngestRequest{Entries: request}); err != nil {
			t.Fatalf("unary call with a %s request for the free table: %v", kind, err)
		}
		cancel()
		eventually(t, "a "+kind+" request for the free table is committed", func() bool { return committed() == 1 })
		free += 2 * len(request)
	}
	proxy.Set(embeddedtest.Faults{})
	for name, committed := range stuck {
		eventually(t, "all of "+name+" is committed", func() bool { return committed() == 3 })
	}
	eventually(t, "all bytes are given back", func() bool { return i.budget.Used() == 0 })
	for table, want := range map[string]int{"t_stuck": rows, "t_free": rows + free} {
		if got := b.clickhouse.Query(t, "SELECT count() FROM "+table); got != fmt.Sprint(want) {
			t.Errorf("%s has %s rows, want %d", table, got, want)
		}
	}
}
