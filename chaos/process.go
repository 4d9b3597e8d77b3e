//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// errNotRunning is returned when a process that should be signalled is gone.
var errNotRunning = errors.New("it is not running")

// A process is a program over all its lives. Other than an embedded.Server it can be killed while it starts.
type process struct {
	name    string
	command func() *exec.Cmd
	log     *os.File
	begin   func()            // called when a life begins, under mu; nil: nobody is
	hear    func(line []byte) // called with each line of output, under mu
	ended   func() bool       // called under mu when a life ends by itself, and reports whether that is as it should be

	mu      sync.Mutex // guards what follows
	current *life
	partial []byte
	lives   int
	crashes []error // ends that are not as they should be
	closed  bool    // it must not be started again
}

// A life is one run of the program.
type life struct {
	command  *exec.Cmd
	expected bool // somebody ended it
	done     chan struct{}
}

// start starts the program, and returns before it serves. What is written to its standard output and error is kept in its log file.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return errors.New("the run is over")
	case p.runningLocked() != nil:
		return errors.New("it is running")
	}
	p.lives++
	fmt.Fprintf(p.log, "--- %s: life %d of %s\n", time.Now().Format(time.RFC3339Nano), p.lives, p.name)
	l := &life{command: p.command(), done: make(chan struct{})}
	l.command.Stdout, l.command.Stderr = p, p
	l.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	l.command.WaitDelay = time.Second
	p.partial = nil
	if p.begin != nil {
		p.begin()
	}
	started := make(chan error)
	go func() {
		// The kernel takes the end of this thread for that of the parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := l.command.Start()
		started <- err
		if err != nil {
			return
		}
		_ = l.command.Wait() // its result is in command.ProcessState
		p.mu.Lock()
		if !l.expected && !p.ended() {
			p.crashes = append(p.crashes, fmt.Errorf("%s ended by itself in its life %d: %v", p.name, p.lives, l.command.ProcessState))
		}
		p.mu.Unlock()
		close(l.done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.current = l
	return nil
}

func (p *process) runningLocked() *life {
	if p.current == nil {
		return nil
	}
	select {
	case <-p.current.done:
		return nil
	default:
		return p.current
	}
}

// Write takes output of the program.
func (p *process) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.log.Write(data) // for people only
	p.partial = append(p.partial, data...)
	for {
		line, rest, found := bytes.Cut(p.partial, []byte("\n"))
		if !found {
			return len(data), nil
		}
		p.hear(line)
		p.partial = rest
	}
}

// signal sends a signal. A signal that ends the program is to be said with end.
func (p *process) signal(signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.runningLocked()
	if l == nil {
		return errNotRunning
	}
	return l.command.Process.Signal(signal)
}

// end sends a signal that ends the program, and returns its exit status once it is gone. When ctx ends first, it is killed.
func (p *process) end(ctx context.Context, signal syscall.Signal) (status int, err error) {
	p.mu.Lock()
	l := p.runningLocked()
	if l == nil {
		p.mu.Unlock()
		return 0, errNotRunning
	}
	l.expected = true
	err = l.command.Process.Signal(signal)
	p.mu.Unlock()
	select {
	case <-l.done:
	case <-ctx.Done():
		_ = l.command.Process.Kill()
		<-l.done
		err = errors.Join(err, fmt.Errorf("%s does not end: %w", p.name, context.Cause(ctx)))
	}
	return l.command.ProcessState.ExitCode(), err
}

// close ends the program for good.
func (p *process) close(ctx context.Context) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_, _ = p.end(ctx, syscall.SIGKILL) // it may have ended
	_ = p.log.Close()
}

// problems returns the ends that are not as they should be.
func (p *process) problems() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.crashes...)
}
