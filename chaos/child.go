//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// childCommand is the first argument of a process of chaos that is one producer.
const childCommand = "produce"

// child reports whether a producer has a process of its own, with a spill, which is killed now and then. It needs a log: what it sends
// again after a kill must be recognized.
func (o *options) child(producer int) bool {
	return o.log && producer%4 == 1 && o.breaking == ""
}

// A childProducer is the process of a producer.
type childProducer struct {
	*process
	busy  sync.Mutex // held by the fault that strikes it
	index int
	done  chan struct{} // closed when all is sent
	once  sync.Once
}

// An assignment is what the process of a producer is told.
type assignment struct {
	Seed                                 uint64
	Faults, Gateways, Producers, Entries int
	Duration                             time.Duration
	Disks, Clock                         bool
	Only                                 string
	Index                                int
	Address, Spill                       string
	Logged                               bool
}

// A report is a line that the process of a producer writes now and then.
type report struct {
	Next, Committed uint64
	Breaks          int64
	Done            bool
}

// newChild returns a producer in a process that is not started.
func newChild(r *run, p *producer) (*childProducer, error) {
	name := fmt.Sprintf("producer-%d", p.index)
	log, err := os.Create(filepath.Join(r.folder, name+".log"))
	if err != nil {
		return nil, err
	}
	o := r.options
	text, err := json.Marshal(assignment{
		o.seed, o.faults, o.gateways, o.producers, o.entries, o.duration, o.disks, o.binary == "", o.only, p.index, p.address,
		filepath.Join(r.folder, name+"-spill"), p.logged,
	})
	if err != nil {
		return nil, err
	}
	c := &childProducer{index: p.index, done: make(chan struct{})}
	var total report // of the lives before
	var last report
	c.process = &process{
		name: name, log: log,
		ended:   func() bool { return c.current.command.ProcessState.Success() },
		command: func() *exec.Cmd { return exec.Command("/proc/self/exe", childCommand, string(text)) },
		begin:   func() { total.Breaks += last.Breaks; last = report{} },
		hear: func(line []byte) {
			if json.Unmarshal(line, &last) != nil {
				return // it is a line of the log
			}
			p.next.Store(max(p.next.Load(), last.Next))
			p.committed.Store(max(p.committed.Load(), last.Committed))
			p.breaks.Store(total.Breaks + last.Breaks)
			if last.Done {
				c.once.Do(func() { close(c.done) })
			}
		},
	}
	return c, nil
}

// run starts the process, and returns once it has sent all numbers, however many lives that takes.
func (c *childProducer) run(ctx context.Context) error {
	if err := c.start(); err != nil {
		return err
	}
	for {
		select {
		case <-c.done:
			return c.problems()
		case <-time.After(100 * time.Millisecond):
			if err := c.problems(); err != nil {
				return err
			}
		case <-ctx.Done():
			ended, cancel := context.WithCancel(ctx)
			cancel()
			_, _ = c.end(ended, syscall.SIGKILL)
			return context.Cause(ctx)
		}
	}
}

// produce is the process of a producer.
func produce(text string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var a assignment
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return err
	}
	o := &options{
		seed: a.Seed, faults: a.Faults, gateways: a.Gateways, producers: a.Producers, entries: a.Entries, duration: a.Duration, disks: a.Disks,
		log: true, only: a.Only,
	}
	if !a.Clock {
		o.binary = "given"
	}
	p := &producer{
		plan: newPlan(o, o.kinds()), index: a.Index, address: a.Address, spill: a.Spill, logged: a.Logged, pace: o.pace(),
		log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	tell := func(done bool) {
		line, err := json.Marshal(report{p.next.Load(), p.committed.Load(), p.breaks.Load(), done})
		if err == nil {
			_, err = fmt.Printf("%s\n", line)
		}
		if err != nil {
			stop() // nobody listens
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			tell(false)
		case err := <-ended:
			if err == nil {
				tell(true)
			}
			return err
		}
	}
}

// killProducer kills a producer, and starts it again on its spill.
func killProducer(ctx context.Context, r *run, f *fault) (bool, string, error) {
	c := r.children[f.target]
	c.busy.Lock()
	defer c.busy.Unlock()
	if _, err := c.end(ctx, syscall.SIGKILL); err != nil {
		if errors.Is(err, errNotRunning) {
			return false, "it has sent everything", nil
		}
		return false, "", err
	}
	select {
	case <-c.done: // between its last word and its end
		return true, c.name, nil
	default:
	}
	rest(ctx, f.length)
	return true, c.name, c.start()
}

// stopProducer stops a producer for a while.
func stopProducer(ctx context.Context, r *run, f *fault) (bool, string, error) {
	c := r.children[f.target]
	c.busy.Lock()
	defer c.busy.Unlock()
	if err := c.signal(syscall.SIGSTOP); err != nil {
		return false, "it has sent everything", nil
	}
	rest(ctx, f.length)
	return true, c.name, c.signal(syscall.SIGCONT)
}
