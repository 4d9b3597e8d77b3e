//go:build linux

// Command chaos proves that nothing is lost and nothing doubled: producers send numbered entries through the client, while everything
// between them and ClickHouse is killed, stopped, cut and delayed.
//
// A seed flows in, from which the faults and the fate of each entry are drawn; a count flows out, of every number in ClickHouse and in
// the dead letters. All processes are real: gateways (logbatcher serve), behind a balancer, the embedded ClickHouse, redis-server, and
// proxies on every connection. It exits with status 1 if a number is lost or doubled, or the
// gateways' books do not add up, and then prints the command that has the same
// faults strike at the same times again.
//
// Always: whatever is sent is committed before it is counted; a fault that did not take effect is counted as such; no process outlives
// this one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	seed                                 uint64
	faults, gateways, producers, entries int
	duration, patience, timeout          time.Duration
	log                                  bool
	disks                                bool // disks in memory can be had here
	only, breaking, folder, binary       string
	keep                                 bool
}

func readOptions(arguments []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&o.seed, "seed", 0, "what everything is drawn from; 0 takes one from the clock")
	flags.IntVar(&o.faults, "faults", 200, "number of faults")
	flags.IntVar(&o.entries, "entries", 10_000_000, "number of entries")
	flags.IntVar(&o.gateways, "gateways", 1, "number of gateways")
	flags.IntVar(&o.producers, "producers", 8, "number of producers")
	flags.DurationVar(&o.duration, "duration", 10*time.Minute, "time over which entries and faults are spread")
	flags.DurationVar(&o.patience, "patience", 3*time.Minute, "longest time without anything committed, once the faults are over")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Minute, "bound of the whole")
	flags.BoolVar(&o.log, "log", true, "give the gateways a write-ahead log; without one, a gateway that is killed forgets what it has stored")
	flags.StringVar(&o.only, "only", "", "only kinds of faults whose names begin with one of these, separated by commas; -kind excludes")
	flags.StringVar(&o.breaking, "break", "", "lose or double entries on purpose, to see that it is found: skip some, repeat some, lie (of disks, about fsync); several are separated by commas")
	flags.StringVar(&o.folder, "folder", "", "where the data goes; empty: the system's folder for temporary files")
	flags.StringVar(&o.binary, "logbatcher", "", "the service's program; empty: it is built")
	flags.BoolVar(&o.keep, "keep", false, "keep the data")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if o.producers < 1 || o.gateways < 1 || o.entries < o.producers || o.duration <= 0 {
		return nil, errors.New("there must be producers, gateways, entries for each producer, and a duration")
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	return o, nil
}

// kinds returns the kinds of faults that a run has.
func (o *options) kinds() []*kind {
	names := strings.Split(o.only, ",")
	return slices.DeleteFunc(kinds(), func(k *kind) bool {
		chosen, named := false, false
		for _, name := range names {
			without, excludes := strings.CutPrefix(name, "-")
			switch {
			case excludes && strings.HasPrefix(k.name, without):
				return true
			case !excludes && name != "":
				named = true
				chosen = chosen || strings.HasPrefix(k.name, name)
			}
		}
		return named && !chosen || k.targets(o) == 0
	})
}

// pace is the time between two entries of a producer.
func (o *options) pace() time.Duration { return o.duration / time.Duration(o.entries/o.producers) }

// command is the command line that repeats the run.
func (o *options) command() string {
	text := fmt.Sprintf("go run ./chaos -seed %d -faults %d -entries %d -gateways %d -producers %d -duration %v", o.seed, o.faults, o.entries,
		o.gateways, o.producers, o.duration)
	if !o.log {
		text += " -log=false"
	}
	if o.only != "" {
		text += " -only " + o.only
	}
	if o.breaking != "" {
		text += " -break " + o.breaking
	}
	return text
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		if err := produce(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			os.Exit(1)
		}
		return
	}
	o, err := readOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err == nil {
		_, err = chaos(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// errWrong means that numbers are lost, doubled or misplaced.
var errWrong = errors.New("not every number is where it should be, once")

// chaos does one run and reports it.
func chaos(ctx context.Context, o *options, out io.Writer) (c *count, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("-timeout=%s is over", o.timeout))
	defer cancel()
	fmt.Fprintf(out, "%s\n", o.command())
	r, err := newRun(ctx, o, out)
	if err != nil {
		return nil, err
	}
	defer func() {
		r.close()
		if err != nil {
			fmt.Fprintf(out, "logs and data are in %s; to repeat it: %s\n", r.folder, o.command())
		} else if !o.keep {
			err = os.RemoveAll(r.folder)
		}
	}()
	err = r.load(ctx)
	took := time.Since(r.began)
	if err == nil {
		err = r.audit(ctx)
	}
	err = errors.Join(err, r.finish(ctx))
	c, countErr := r.count(ctx)
	r.report(c, took)
	if err = errors.Join(err, countErr); err == nil && c.wrong() {
		err = errWrong
	}
	return c, err
}
