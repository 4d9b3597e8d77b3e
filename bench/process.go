//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a process gets to end in order.
const stopTimeout = 40 * time.Second

// A child is a process that this one started, waits for, and takes along when it ends.
type child struct {
	command *exec.Cmd
	input   io.WriteCloser
	lines   chan string // its output, line by line; closed at its end
	done    chan struct{}
	err     error // how it ended; read it after done

	mu   sync.Mutex
	last []string // its last lines, for messages
}

// startChild starts a program. Its standard error, and its output too, arrive in lines; those that nobody takes are dropped.
func startChild(program string, arguments ...string) (*child, error) {
	c := &child{command: exec.Command(program, arguments...), lines: make(chan string, 256), done: make(chan struct{})}
	c.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	reader, writer := io.Pipe()
	c.command.Stdout, c.command.Stderr = writer, writer
	var err error
	if c.input, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel takes the end of the starting thread for the parent's
		defer runtime.UnlockOSThread()
		err := c.command.Start()
		started <- err
		if err == nil {
			c.err = c.command.Wait()
			close(c.done)
		}
		_ = writer.Close()
	}()
	go c.read(reader)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return c, nil
}

func (c *child) read(reader io.Reader) {
	defer close(c.lines)
	lines := bufio.NewScanner(reader)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c.mu.Lock()
		c.last = append(c.last, lines.Text())
		c.last = c.last[max(0, len(c.last)-20):]
		c.mu.Unlock()
		select {
		case c.lines <- lines.Text():
		default:
		}
	}
	_, _ = io.Copy(io.Discard, reader) // what is no line must not block the child
}

// await returns the first line that holds text.
func (c *child) await(ctx context.Context, text string) (string, error) {
	for {
		select {
		case line, more := <-c.lines:
			if !more {
				<-c.done
				return "", c.failure(errors.New("it ended"))
			}
			if strings.Contains(line, text) {
				return line, nil
			}
		case <-ctx.Done():
			return "", c.failure(context.Cause(ctx))
		}
	}
}

// failure is an error with what the child said last.
func (c *child) failure(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("%s: %w; it said:\n%s", c.command.Args[0], err, strings.Join(c.last, "\n"))
}

// pid returns the process's id.
func (c *child) pid() int { return c.command.Process.Pid }

// finish ends the child's input, joins it, and says whether it ended well.
func (c *child) finish() error {
	_ = c.input.Close()
	return c.join()
}

// stop asks the child to end, joins it, and says whether it ended well.
func (c *child) stop() error {
	_ = c.input.Close()
	_ = c.command.Process.Signal(syscall.SIGTERM)
	return c.join()
}

// join waits for the end. It kills a child that does not end in time.
func (c *child) join() error {
	select {
	case <-c.done:
	case <-time.After(stopTimeout):
		_ = c.command.Process.Kill()
		<-c.done
	}
	if c.err != nil {
		return c.failure(c.err)
	}
	return nil
}
