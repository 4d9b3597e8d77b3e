//go:build linux

// Command peers measures LogBatcher beside the OpenTelemetry Collector with its ClickHouse exporter: the same records over OTLP into
// tables of the same DDL, in the same ClickHouse, in one run, in turn. Beside OTLP it measures LogBatcher's other ways in, and what
// ClickHouse takes from its driver directly.
//
// It starts everything itself on loopback addresses, and ends by itself. The tables are those that the exporter makes, with its text
// indexes and without any. The senders are in this process, and send requests that are encoded beforehand. Every row has a number, and every
// run ends by counting rows and numbers; a lost or doubled row is an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/bench/internal/rig"
)

// options are the command line.
type options struct {
	rows, rounds, entries, batch, inserts, senders, waiting int
	linger, rest, timeout                                   time.Duration
	logbatcher, collector, runs                             string
}

func readOptions() options {
	var o options
	flag.IntVar(&o.rows, "rows", 1_000_000, "rows of each run, a multiple of -entries")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds of the tables, whose figures are medians")
	flag.IntVar(&o.entries, "entries", 500, "records of a request")
	flag.IntVar(&o.batch, "batch", 50_000, "rows of a batch; one of the Collectors has 5000, as in its README")
	flag.IntVar(&o.inserts, "inserts", 4, "inserts in flight, of each")
	flag.IntVar(&o.senders, "senders", 8, "calls at a time where they are answered before the rows are stored")
	flag.IntVar(&o.waiting, "waiting", 400, "calls at a time where they wait until the rows are stored")
	flag.DurationVar(&o.linger, "linger", time.Second, "the longest time that a batch waits for more rows")
	flag.DurationVar(&o.rest, "rest", 3*time.Second, "rest between two runs")
	flag.DurationVar(&o.timeout, "timeout", 40*time.Minute, "bound of the whole")
	flag.StringVar(&o.logbatcher, "logbatcher", "bin/logbatcher", "LogBatcher's program")
	flag.StringVar(&o.collector, "collector", "bin/collector", "the Collector's program")
	flag.StringVar(&o.runs, "runs", "", "only the runs whose names have one of these texts, separated by commas")
	flag.Parse()
	return o
}

func main() {
	o := readOptions()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	err := run(ctx, o)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run starts the servers, measures, prints, and stops the servers.
func run(ctx context.Context, o options) (err error) {
	if o.rows%o.entries != 0 {
		return fmt.Errorf("-rows %d is no multiple of -entries %d", o.rows, o.entries)
	}
	for _, path := range []*string{&o.logbatcher, &o.collector} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
		if _, err := os.Stat(*path); err != nil {
			return fmt.Errorf("%w (make build peers makes it)", err)
		}
	}
	folder, err := os.MkdirTemp("", "logbatcher-peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s, err := rig.Start(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	b := &bench{options: o, rig: s, templates: rig.Templates(rig.Shape{Batch: o.batch, Entries: o.entries})}
	runs := slices.DeleteFunc(b.runs(), func(r rig.Run) bool {
		return !slices.ContainsFunc(strings.Split(o.runs, ","), func(text string) bool { return strings.Contains(r.Name, text) })
	})
	fmt.Printf("%s\n\n", s.Machine(ctx))
	results, err := s.Rounds(ctx, runs, o.rounds, o.rest)
	if err != nil {
		return err
	}
	rig.PrintTable(os.Stdout, results)
	rig.PrintAims(os.Stdout, aims(results)...)
	return nil
}

// A bench makes the runs.
type bench struct {
	options
	rig       *rig.Rig
	templates [][]*logbatcherv1.Entry
}

// Names of the runs that aims are about, without the table.
const (
	collectorSmall = "Collector, 5000 rows a batch"
	collectorLarge = "Collector"
	otlp           = "OTLP/gRPC"
	direct         = "clickhouse-go, columnar"
)

// withIndexes ends the names of runs into tables with text indexes.
const withIndexes = ", text indexes"

// runs returns the runs in the order of the table.
func (b *bench) runs() (runs []rig.Run) {
	add := func(name string, indexes bool, open func(context.Context, string) (rig.Writer, error)) {
		if indexes {
			name += withIndexes
		}
		runs = append(runs, rig.Run{Name: name, Rows: b.rows, Open: func(ctx context.Context, database string) (rig.Writer, error) {
			if err := b.createTable(ctx, database, indexes); err != nil {
				return nil, err
			}
			return open(ctx, database)
		}})
	}
	for _, indexes := range []bool{false, true} {
		add(collectorLarge, indexes, b.openCollector(b.batch, 1000))
		add(collectorSmall, indexes, b.openCollector(min(5000, b.batch), 200))
		add(otlp, indexes, b.openCalls(otlpOverGRPC, received))
		if !indexes {
			add(otlp+", committed", indexes, b.openCalls(otlpOverGRPC, committed))
			add("OTLP/HTTP", indexes, b.openCalls(otlpOverHTTP, received))
			add("POST /v1/ingest", indexes, b.openCalls(linesOverHTTP, received))
		}
		add("IngestStream", indexes, b.openStreams)
		add(direct, indexes, b.openDirect)
	}
	return runs
}

// aims compares the runs where the ones concerned were made: LogBatcher and the better of the Collectors, over the same protocol, both answering
// a call before its rows are stored.
func aims(results []rig.Result) (aims []rig.Aim) {
	named := map[string]rig.Result{}
	for _, r := range results {
		named[r.Name] = r
	}
	for _, table := range []string{"", withIndexes} {
		ours, large, small := named[otlp+table], named[collectorLarge+table], named[collectorSmall+table]
		if ours.Rows == 0 || large.Rows == 0 || small.Rows == 0 {
			continue
		}
		cpu := min(large.PerRow(large.WriterCPU), small.PerRow(small.WriterCPU))
		aims = append(aims,
			rig.Aim{Name: "CPU / the Collector's" + table, Is: ours.PerRow(ours.WriterCPU) / cpu, Wanted: 1.0 / 6},
			rig.Aim{Name: "memory / the Collector's" + table, Is: float64(ours.Memory) / float64(min(large.Memory, small.Memory)), Wanted: 1.0 / 3},
		)
		if table == "" {
			aims = append(aims, rig.Aim{Name: "rows/s / the Collector's", Is: ours.Rate() / max(large.Rate(), small.Rate()), Wanted: 2, AtLeast: true})
		} else if driver := named[direct+table]; driver.Rows > 0 {
			aims = append(aims, rig.Aim{Name: "rows/s / the driver's" + table, Is: ours.Rate() / driver.Rate(), Wanted: 0.9, AtLeast: true})
		}
	}
	return aims
}
