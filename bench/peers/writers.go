//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/logbatcher/logbatcher/bench/internal/rig"
)

// exporterTable is the statement by which the Collector's exporter creates its table.
var exporterTable = filepath.Join("schema", "table", "testdata", "collector", "v0.165.1_text.sql")

var (
	indexLine   = regexp.MustCompile(`(?m)^ *INDEX .*\n`)
	lastComma   = regexp.MustCompile(`,\s*\n\)`)
	exporterTTL = regexp.MustCompile(`(?m)^TTL .*\n`)
)

// createTable creates the table as the exporter does, and has LogBatcher take it over, so that all runs write to the same one.
func (b *bench) createTable(ctx context.Context, database string, indexes bool) error {
	statement, err := os.ReadFile(exporterTable)
	if err != nil {
		return fmt.Errorf("read the exporter's table: %w", err)
	}
	text := exporterTTL.ReplaceAllString(string(statement), "")
	if !indexes {
		text = lastComma.ReplaceAllString(indexLine.ReplaceAllString(text, ""), "\n)")
	}
	text = regexp.MustCompile("`logs`").ReplaceAllString(text, database)
	for _, s := range []string{"CREATE DATABASE " + database, text} {
		if err := b.rig.Conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("create the table: %w", err)
		}
	}
	return b.rig.ApplySchema(ctx, b.logbatcher, database, b.configuration(database))
}

func (b *bench) configuration(database string) string {
	return gatewayConfiguration(b.rig, gatewayOptions{
		database: database, batch: b.batch, inserts: b.inserts, streams: max(b.waiting, b.senders) + 10, linger: b.linger,
	})
}

// openCollector returns what starts a Collector that makes batches of that many rows, and queues that many requests.
func (b *bench) openCollector(batch, queue int) func(context.Context, string) (rig.Writer, error) {
	return func(ctx context.Context, database string) (rig.Writer, error) {
		c, err := startCollector(ctx, b.rig, b.collector, collectorOptions{database: database, inserts: b.inserts, batch: batch, queue: queue, linger: b.linger})
		if err != nil {
			return nil, err
		}
		w := &collectorCalls{collector: c}
		w.calls, err = b.newCalls(otlpOverGRPC, received, c.address, database)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return w, nil
	}
}

// openCalls returns what starts a gateway and sends calls to it.
func (b *bench) openCalls(protocol protocol, level level) func(context.Context, string) (rig.Writer, error) {
	return func(ctx context.Context, database string) (rig.Writer, error) {
		g, err := b.rig.StartGateway(ctx, b.logbatcher, database, b.configuration(database))
		if err != nil {
			return nil, err
		}
		address := g.GRPC
		if protocol != otlpOverGRPC {
			address = g.HTTP
		}
		w := &gatewayCalls{Gateway: g}
		w.calls, err = b.newCalls(protocol, level, address, database)
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		return w, nil
	}
}

// openStreams starts a gateway, and producers of package client.
func (b *bench) openStreams(ctx context.Context, database string) (rig.Writer, error) {
	g, err := b.rig.StartGateway(ctx, b.logbatcher, database, b.configuration(database))
	if err != nil {
		return nil, err
	}
	return rig.NewStreams(g, rig.Load{Rows: b.rows, Streams: rig.Resources, Entries: b.entries, Templates: b.templates})
}

func (b *bench) openDirect(ctx context.Context, database string) (rig.Writer, error) {
	return b.rig.OpenDirect(ctx, database, rig.DirectLoad{
		Way: rig.ByColumn, Rows: b.rows, Batch: b.batch, Writers: b.inserts, Templates: b.templates,
	})
}

// calls sends requests that are encoded beforehand, several at a time.
type calls struct {
	rig      *rig.Rig
	database string
	rows     int
	entries  int
	parallel int
	requests []*template
	sender   sender
	level    level

	mu        sync.Mutex
	latencies []time.Duration
}

func (b *bench) newCalls(protocol protocol, level level, address, database string) (*calls, error) {
	c := &calls{rig: b.rig, database: database, rows: b.rows, entries: b.entries, parallel: b.senders, level: level}
	if level == committed {
		c.parallel = b.waiting
	}
	var err error
	if c.requests, err = encodeAll(protocol, b.templates); err != nil {
		return nil, err
	}
	c.sender, err = newSender(protocol, level, address, c.parallel)
	return c, err
}

// Write sends all rows and returns once the table holds them.
func (c *calls) Write(ctx context.Context) error {
	var next atomic.Int64
	total := c.rows / c.entries
	tasks, sending := errgroup.WithContext(ctx)
	for range c.parallel {
		tasks.Go(func() error {
			var buffer []byte
			var latencies []time.Duration
			for {
				i := int(next.Add(1)) - 1
				if i >= total {
					break
				}
				buffer = c.requests[i%len(c.requests)].numbered(buffer, i*c.entries)
				began := time.Now()
				if err := c.sender.send(sending, buffer); err != nil {
					return fmt.Errorf("request %d: %w", i, err)
				}
				latencies = append(latencies, time.Since(began))
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.latencies = append(c.latencies, latencies...)
			return nil
		})
	}
	if err := tasks.Wait(); err != nil {
		return err
	}
	return awaitRows(ctx, c.rig, c.database, uint64(c.rows))
}

// report adds the latencies where an answer means that the rows are stored.
func (c *calls) report(r *rig.Result) {
	if c.level == committed {
		slices.Sort(c.latencies)
		r.P50, r.P99 = c.latencies[len(c.latencies)/2], c.latencies[len(c.latencies)*99/100]
	}
}

// collectorCalls are calls to a Collector.
type collectorCalls struct {
	*calls
	*collector
}

// Report adds nothing: the Collector does not tell how many batches it made.
func (w *collectorCalls) Report(context.Context, *rig.Result) error { return nil }

func (w *collectorCalls) Close() error { return errors.Join(w.sender.close(), w.collector.Close()) }

// gatewayCalls are calls to a gateway.
type gatewayCalls struct {
	*calls
	*rig.Gateway
}

// Report adds the latencies, and how many batches were sealed.
func (w *gatewayCalls) Report(ctx context.Context, r *rig.Result) error {
	w.report(r)
	return w.Gateway.Report(ctx, r)
}

// Close closes the connections and stops the gateway.
func (w *gatewayCalls) Close() error { return errors.Join(w.sender.close(), w.Gateway.Close()) }
