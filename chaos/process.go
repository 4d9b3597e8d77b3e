//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// errNotRunning is returned when a process that should be signalled is gone.
var errNotRunning = errors.New("it is not running")

// A process is a gateway, over all its lives. Other than an embedded.Server it can be killed while it starts.
type process struct {
	name    string
	command func() *exec.Cmd
	log     *os.File

	mu      sync.Mutex // guards what follows
	current *life
	partial []byte
	heard   map[string]int // how often the log had each of heardLines
	serving chan struct{}  // closed when the current life serves
	grpc    string         // addresses of the current life, once it serves
	http    string
	lives   int
	crashes []error // ends that nobody asked for
}

// A life is one run of the program.
type life struct {
	command  *exec.Cmd
	expected bool // somebody ended it
	done     chan struct{}
}

// serving announces that a gateway accepts streams.
var serving = regexp.MustCompile(`msg=serving .*grpc=(\S+) http=(\S+)`)

// heardLines are the parts of log lines that are counted.
var heardLines = []string{reloaded, refusedConfiguration, clockStepped}

const (
	reloaded             = `msg="configuration reloaded"`
	refusedConfiguration = `msg="configuration refused`
	clockStepped         = "chaos: the clock is stepped"
)

// start starts the program, and returns before it serves. What is written to its standard output and error is kept in its log file.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runningLocked() != nil {
		return errors.New("it is running")
	}
	p.lives++
	fmt.Fprintf(p.log, "--- %s: life %d of %s\n", time.Now().Format(time.RFC3339Nano), p.lives, p.name)
	l := &life{command: p.command(), done: make(chan struct{})}
	l.command.Stdout, l.command.Stderr = p, p
	l.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	l.command.WaitDelay = time.Second
	p.partial, p.grpc, p.http, p.serving = nil, "", "", make(chan struct{})
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
		if !l.expected {
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
		for _, text := range heardLines {
			if bytes.Contains(line, []byte(text)) {
				p.heard[text]++
			}
		}
		if match := serving.FindSubmatch(line); match != nil && p.grpc == "" {
			p.grpc, p.http = string(match[1]), string(match[2])
			close(p.serving)
		}
		p.partial = rest
	}
}

// times returns how often the log had one of heardLines.
func (p *process) times(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard[text]
}

// addresses returns where the current life serves. They are empty while it does not.
func (p *process) addresses() (grpc, http string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runningLocked() == nil {
		return "", ""
	}
	return p.grpc, p.http
}

// awaitServing blocks until the current life serves.
func (p *process) awaitServing(ctx context.Context) error {
	p.mu.Lock()
	current, serves := p.current, p.serving
	p.mu.Unlock()
	select {
	case <-serves:
		return nil
	case <-current.done:
		return fmt.Errorf("%s ended: %v", p.name, current.command.ProcessState)
	case <-ctx.Done():
		return fmt.Errorf("await %s: %w", p.name, context.Cause(ctx))
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

// problems returns the ends that nobody asked for.
func (p *process) problems() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.crashes...)
}
