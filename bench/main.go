//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// directCommand is the hidden first argument that makes this program a direct writer.
const directCommand = "direct-writer"

// options are the command line.
type options struct {
	rows, axisRows int
	rounds         int
	streams        int
	entries        int
	batch          int
	writers        int
	axes           bool
	rest           time.Duration
	timeout        time.Duration
	binary         string
}

func readOptions() options {
	var o options
	flag.IntVar(&o.rows, "rows", 1_000_000, "rows of each run of the table")
	flag.IntVar(&o.axisRows, "axis-rows", 400_000, "rows of each run along an axis")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds of the table; its figures are medians")
	flag.IntVar(&o.streams, "streams", 4, "streams of the table's runs")
	flag.IntVar(&o.entries, "entries", 500, "entries of a request")
	flag.IntVar(&o.batch, "batch", 50_000, "rows of a batch")
	flag.IntVar(&o.writers, "writers", 4, "writers of direct insertion, and inserts in flight of the gateway")
	flag.BoolVar(&o.axes, "axes", true, "measure the axes of growth too")
	flag.DurationVar(&o.rest, "rest", 3*time.Second, "rest between two runs")
	flag.DurationVar(&o.timeout, "timeout", 15*time.Minute, "end of everything")
	flag.StringVar(&o.binary, "logbatcher", "bin/logbatcher", "the program to measure; its engine stands beside it")
	flag.Parse()
	return o
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == directCommand {
		end(runDirectWriter(os.Args[2:], os.Stdin, os.Stdout))
	}
	o := readOptions()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the time of -timeout=%s is over", o.timeout))
	err := run(ctx, o)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	cancel()
	stop()
	end(err)
}

// end ends the process.
func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run starts the servers, measures, prints, and stops them.
func run(ctx context.Context, o options) (err error) {
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	if _, err := os.Stat(o.binary); err != nil {
		return fmt.Errorf("%w (make build makes it)", err)
	}
	folder, err := os.MkdirTemp("", "logbatcher-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s, err := startStack(ctx, folder, o.binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	fmt.Printf("%s\n\n", machine(ctx, s))
	results, err := measureTable(ctx, s, o)
	if err != nil {
		return err
	}
	printTable(os.Stdout, results)
	printAims(os.Stdout, results)
	if !o.axes {
		return nil
	}
	for _, axis := range growthAxes(o) {
		points, err := measureAxis(ctx, s, o, axis)
		if err != nil {
			return err
		}
		printAxis(os.Stdout, axis.name, points)
	}
	return nil
}

// measureTable runs all variants, in turn in each round, and returns the medians of each.
func measureTable(ctx context.Context, s *stack, o options) ([]result, error) {
	variants := []func(context.Context) (result, error){
		func(ctx context.Context) (result, error) { return measureGateway(ctx, s, o.gatewayRun("none")) },
		func(ctx context.Context) (result, error) { return measureGateway(ctx, s, o.gatewayRun("lz4")) },
		func(ctx context.Context) (result, error) { return measureDirect(ctx, s, o, byRow) },
		func(ctx context.Context) (result, error) { return measureDirect(ctx, s, o, byColumn) },
	}
	rounds := make([][]result, len(variants))
	for round := range o.rounds {
		for i, measure := range variants {
			if err := rest(ctx, o.rest); err != nil {
				return nil, err
			}
			r, err := measure(ctx)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "round %d: %s\n", round+1, r)
			rounds[i] = append(rounds[i], r)
		}
	}
	results := make([]result, len(variants))
	for i := range rounds {
		results[i] = median(rounds[i])
	}
	return results, nil
}

// gatewayRun is a run of the table.
func (o options) gatewayRun(compression string) gatewayRun {
	return gatewayRun{
		name: "gateway, " + compression, compression: compression, rows: o.rows, streams: o.streams, entries: o.entries,
		batch: o.batch, inserts: o.writers, routes: 1, colos: 1,
	}
}

// rest lets the machine come to rest.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
