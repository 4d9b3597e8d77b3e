//go:build linux

// Command bench measures the gateway from end to end, beside inserting the same rows directly with clickhouse-go.
//
// It starts its own servers on loopback addresses: ClickHouse, Redis and the gateway (bin/logbatcher serve). Producers of package
// client, or writers of clickhouse-go, run in this process. It prints one table with rows per second, CPU per row by the operating
// system's accounts, memory and latency, and then the aims as ratios. Several gateways can be compared in one run.
//
// Always: every row has a number, and every run ends by counting rows and numbers in ClickHouse; a lost or doubled row is an
// error. All runs use tables of the same DDL, made by the gateway. Everything is bounded by -timeout, and no process
// outlives this one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/logbatcher/logbatcher/bench/internal/rig"
)

// options are the command line.
type options struct {
	rows, rounds, streams, entries, batch, writers, rate int
	linger, rest, timeout                                time.Duration
	direct, axes, outage                                 bool
	binaries, logs                                       string
}

func readOptions() options {
	var o options
	flag.IntVar(&o.rows, "rows", 1_000_000, "rows of each run")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds of the table, whose figures are medians")
	flag.IntVar(&o.streams, "streams", 4, "producers")
	flag.IntVar(&o.entries, "entries", 500, "entries of a request")
	flag.IntVar(&o.batch, "batch", 50_000, "rows of a batch")
	flag.IntVar(&o.writers, "writers", 4, "writers of direct insertion, and inserts in flight of the gateway")
	flag.IntVar(&o.rate, "rate", 0, "rows per second that the producers send; 0 sends as fast as the gateway reads")
	flag.DurationVar(&o.linger, "linger", time.Second, "the gateway's shards.linger")
	flag.BoolVar(&o.direct, "direct", true, "insert directly too")
	flag.BoolVar(&o.axes, "axes", false, "measure 1 and 1000 streams, 50 routes and 64 colos too")
	flag.StringVar(&o.logs, "log", "on", "whether the gateway has a write-ahead log: on, off, or \"on,off\" to compare; nothing for a program that knows none")
	flag.BoolVar(&o.outage, "outage", false, "measure an outage of ClickHouse instead: memory and log while it is away, and the recovery after a kill")
	flag.DurationVar(&o.rest, "rest", 3*time.Second, "rest between two runs")
	flag.DurationVar(&o.timeout, "timeout", 15*time.Minute, "bound of the whole")
	flag.StringVar(&o.binaries, "logbatcher", "bin/logbatcher", "the gateway's program; several, separated by commas, are compared")
	flag.Parse()
	return o
}

func main() {
	o := readOptions()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("-timeout=%s is over", o.timeout))
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", errors.Join(context.Cause(ctx), err))
		os.Exit(1)
	}
}

// run starts the servers, measures, prints, and stops the servers.
func run(ctx context.Context, o options) (err error) {
	variants, err := o.variants()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "logbatcher-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s, err := rig.Start(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	fmt.Printf("%s\n\n", s.Machine(ctx))
	if o.outage {
		for i, v := range variants {
			if v.direct == "" {
				if err := outage(ctx, s, &v, fmt.Sprintf("outage_%d", i)); err != nil {
					return fmt.Errorf("%s: %w", v.name, err)
				}
			}
		}
		return nil
	}
	var runs []rig.Run
	for _, v := range variants {
		runs = append(runs, rig.Run{Name: v.name, Rows: v.rows, Open: func(ctx context.Context, database string) (rig.Writer, error) {
			return open(ctx, s, &v, database)
		}})
	}
	results, err := s.Rounds(ctx, runs, o.rounds, o.rest)
	if err != nil {
		return err
	}
	rig.PrintTable(os.Stdout, results)
	printAims(results)
	return nil
}

// A variant is a run of the table.
type variant struct {
	name                                  string
	binary                                string // of the gateway, which makes the table for direct insertion too
	compression, log                      string
	direct                                rig.Way // not empty: insert without the gateway
	rows, streams, entries, batch         int
	inserts, routes, colos, rowsPerSecond int
	linger                                time.Duration
}

// variants returns the runs in the order of the table. Those of printAims are recognized by their names.
func (o options) variants() ([]variant, error) {
	var variants []variant
	binaries, logs := strings.Split(o.binaries, ","), strings.Split(o.logs, ",")
	for _, binary := range binaries {
		path, err := filepath.Abs(binary)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w (make build makes it)", err)
		}
		for _, log := range logs {
			base := variant{
				binary: path, compression: "none", log: log, rows: o.rows, streams: o.streams, entries: o.entries, batch: o.batch, inserts: o.writers,
				routes: 1, colos: 1, rowsPerSecond: o.rate, linger: o.linger,
			}
			add := func(name string, change func(*variant)) {
				v := base
				change(&v)
				v.name = name
				if len(logs) > 1 {
					v.name += ", log " + log
				}
				if len(binaries) > 1 {
					v.name += " " + binary
				}
				variants = append(variants, v)
			}
			add(gatewayPlain, func(*variant) {})
			add(gatewayLZ4, func(v *variant) { v.compression = "lz4" })
			if o.axes {
				add("1 stream", func(v *variant) { v.streams, v.entries = 1, 100 })
				add("1000 streams", func(v *variant) { v.streams, v.entries = 1000, 100 })
				add("50 routes", func(v *variant) { v.routes = 50 })
				add("64 colos", func(v *variant) { v.colos = 64 })
			}
		}
	}
	if o.direct {
		for _, w := range []rig.Way{rig.ByRow, rig.ByColumn} {
			v := variants[0]
			v.name, v.direct = "direct, "+string(w), w
			variants = append(variants, v)
		}
	}
	return variants, nil
}

// open starts the variant's writer. The tables exist when it returns.
func open(ctx context.Context, s *rig.Rig, v *variant, database string) (rig.Writer, error) {
	templates := rig.Templates(rig.Shape{Batch: v.batch, Entries: v.entries, Routes: v.routes, Colos: v.colos})
	if v.direct != "" {
		if err := s.ApplySchema(ctx, v.binary, database, configuration(s, v, database)); err != nil {
			return nil, err
		}
		return s.OpenDirect(ctx, database, rig.DirectLoad{
			Way: v.direct, Rows: v.rows, Batch: v.batch, Writers: v.inserts, Templates: templates, TimestampTime: true,
		})
	}
	gateway, err := s.StartGateway(ctx, v.binary, database, configuration(s, v, database))
	if err != nil {
		return nil, err
	}
	return rig.NewStreams(gateway, rig.Load{Rows: v.rows, Streams: v.streams, Entries: v.entries, RowsPerSecond: v.rowsPerSecond, Templates: templates})
}

// configuration is the gateway's: what a run needs, and defaults for the rest.
func configuration(s *rig.Rig, v *variant, database string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `listen: {grpc: "127.0.0.1:0", http: "127.0.0.1:0"}
server: {limits: {max_request_bytes: 1MiB, max_streams: %d}}
memory: {table_share: 1}
shards: {count: %d, max_batch_rows: %d, linger: %s}
clickhouse: {addresses: [%q], database: %s, compression: %s, inserts_per_table: %d}
redis: {addresses: [%q]}
retention: {enabled: false}
`, v.streams+4, min(runtime.NumCPU(), 4), v.batch, v.linger, s.Address, database, v.compression, v.inserts, s.RedisAddress())
	if v.log != "" {
		fmt.Fprintf(&b, "producers: {owners: none}\nwal: {enabled: %t, dir: %q}\n", v.log == "on", filepath.Join(s.Folder, database+".wal"))
	}
	b.WriteString("routes:\n")
	if v.routes == 1 {
		b.WriteString("  - {name: firehose, table: otel_logs, indexes: none}\n")
		return b.String()
	}
	for i := range v.routes {
		fmt.Fprintf(&b, "  - {name: route_%d, table: otel_logs_%d, indexes: none, filter: {service: {equals: %s}}}\n", i, i, rig.ServiceOf(i))
	}
	return b.String()
}

// Names of the runs that aims are about.
const (
	gatewayPlain = "gateway, none"
	gatewayLZ4   = "gateway, lz4"
	directByRow  = "direct, row by row"
)

// printAims compares the runs, where the ones concerned were made.
func printAims(results []rig.Result) {
	named := map[string]rig.Result{}
	for _, r := range results {
		named[r.Name] = r
	}
	var aims []rig.Aim
	for _, name := range []string{gatewayPlain, gatewayLZ4} {
		on, off := named[name+", log on"], named[name+", log off"]
		if on.Rows > 0 && off.Rows > 0 {
			aims = append(aims,
				rig.Aim{Name: name + ": CPU with the log / without", Is: on.PerRow(on.WriterCPU) / off.PerRow(off.WriterCPU), Wanted: 1.35},
				rig.Aim{Name: name + ": rows/s with the log / without", Is: on.Rate() / off.Rate(), Wanted: 0.9, AtLeast: true})
		}
	}
	plain, lz4, direct := named[gatewayPlain], named[gatewayLZ4], named[directByRow]
	if plain.Rows > 0 && direct.Rows > 0 {
		aims = append(aims,
			rig.Aim{Name: "gateway CPU / ClickHouse CPU, none", Is: plain.PerRow(plain.WriterCPU) / plain.PerRow(plain.EngineCPU), Wanted: 0.25},
			rig.Aim{Name: "gateway CPU / ClickHouse CPU, lz4", Is: lz4.PerRow(lz4.WriterCPU) / lz4.PerRow(lz4.EngineCPU), Wanted: 0.33},
			rig.Aim{Name: "gateway CPU / client CPU of direct, row by row", Is: plain.PerRow(plain.WriterCPU) / direct.PerRow(direct.WriterCPU), Wanted: 0.5},
			rig.Aim{Name: "gateway rows/s / direct rows/s, row by row", Is: plain.Rate() / direct.Rate(), Wanted: 1.3, AtLeast: true},
			rig.Aim{Name: "gateway memory, MiB", Is: float64(max(plain.Memory, lz4.Memory)) / (1 << 20), Wanted: 150})
	}
	rig.PrintAims(os.Stdout, aims...)
}
