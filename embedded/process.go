package embedded

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is a child process together with the goroutine that started it and waits for it. Its standard input is a pipe
// that nothing is written to: it ends when this process does.
type process struct {
	name    string
	command *exec.Cmd
	output  *output
	done    chan struct{} // closed by own once the child is reaped
}

// startProcess starts a program. A line of its output that matches ready announces that it accepts connections; see await.
func startProcess(name string, ready *regexp.Regexp, log *slog.Logger, program string, arguments ...string) (*process, error) {
	p := &process{
		name:    name,
		command: exec.Command(program, arguments...),
		output:  &output{name: name, log: log, ready: ready, announced: make(chan string, 1)},
		done:    make(chan struct{}),
	}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	p.command.WaitDelay = time.Second
	dieWithParent(p.command)

	started := make(chan error)
	go p.own(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// own starts the child and waits for its end, all on one thread, because the kernel takes the end of that thread for the
// parent's.
func (p *process) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	input, err := p.command.StdinPipe()
	if err == nil {
		err = p.command.Start()
	}
	started <- err
	if err != nil {
		return
	}
	_ = p.command.Wait() // its result is in command.ProcessState
	_ = input.Close()
	close(p.done)
}

// await blocks until the child is ready and returns the address that it announced, if any.
func (p *process) await(ctx context.Context) (address string, err error) {
	select {
	case address := <-p.output.announced:
		return address, nil
	case <-p.done:
		return "", fmt.Errorf("%s ended: %v: %s", p.name, p.command.ProcessState, p.output.last())
	case <-ctx.Done():
		return "", fmt.Errorf("await %s: %w: %s", p.name, ctx.Err(), p.output.last())
	}
}

func (p *process) ended() <-chan struct{} { return p.done }

func (p *process) signal(signal os.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.done
}

func (p *process) stop(ctx context.Context) error {
	_ = p.signal(syscall.SIGCONT) // a paused process handles no signal
	_ = p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("stop %s: killed, because it did not end in time: %w", p.name, ctx.Err())
	}
}

// An output receives a child's output, logs it line by line, watches for the announcement, and keeps the last lines for
// error messages.
type output struct {
	name      string
	log       *slog.Logger
	ready     *regexp.Regexp
	announced chan string // the announced address; sent once, never closed

	mu      sync.Mutex // guards what follows
	partial []byte
	kept    []string
}

// keptLines is how many lines of output an error message shows.
const keptLines = 10

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.partial = append(o.partial, data...)
	for {
		line, rest, found := bytes.Cut(o.partial, []byte("\n"))
		if !found {
			return len(data), nil
		}
		o.take(string(line))
		o.partial = rest
	}
}

func (o *output) take(line string) {
	o.log.Debug("output of child process", "process", o.name, "line", line)
	o.kept = append(o.kept, line)
	o.kept = o.kept[max(0, len(o.kept)-keptLines):]
	match := o.ready.FindStringSubmatch(line)
	if match == nil {
		return
	}
	select {
	case o.announced <- strings.Join(match[1:], " "):
	default: // announced before
	}
}

func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(append(o.kept[:len(o.kept):len(o.kept)], string(o.partial)), "\n")
}
