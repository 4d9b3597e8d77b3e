package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A process is a child process together with the goroutine that started it and
// waits for it. Its standard input is a pipe that nothing is written to: it
// ends when this process does.
type process struct {
	name    string
	command *exec.Cmd
	lines   *lineWriter
	done    chan struct{} // closed by the owner when the child is reaped
	err     error         // how the child ended; read it after done
}

// startProcess starts a program and returns when it runs. The first line of its
// output that begins with announcement (if that is not empty) says that it is
// ready; see awaitAnnouncement.
func startProcess(name, announcement string, log *slog.Logger, program string, arguments ...string) (*process, error) {
	p := &process{
		name:    name,
		command: exec.Command(program, arguments...),
		lines:   &lineWriter{name: name, log: log, announcement: announcement, announced: make(chan string, 1)},
		done:    make(chan struct{}),
	}
	p.command.Stdout = p.lines
	p.command.Stderr = p.lines
	p.command.WaitDelay = time.Second
	dieWithParent(p.command)

	started := make(chan error)
	go p.own(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// own starts the child and waits for its end, on one thread throughout, since
// the kernel takes the end of that thread for the parent's.
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
	p.err = p.command.Wait()
	_ = input.Close()
	close(p.done)
}

// awaitAnnouncement waits for the line that says that the child is ready, and
// returns what follows the announcement in it.
func (p *process) awaitAnnouncement(ctx context.Context) (string, error) {
	select {
	case rest := <-p.lines.announced:
		return rest, nil
	case <-p.done:
		return "", fmt.Errorf("%s ended: %w: %s", p.name, p.failure(), p.lines.last())
	case <-ctx.Done():
		return "", fmt.Errorf("await %s: %w: %s", p.name, ctx.Err(), p.lines.last())
	}
}

// failure is how a child ended that should not have.
func (p *process) failure() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// running tells whether the child has not been reaped yet.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends a signal.
func (p *process) signal(signal os.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// kill ends the child at once and joins it. Killing one that has ended is no
// error.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.done
}

// stop asks the child to end and joins it; when ctx ends first it is killed,
// and stop says so.
func (p *process) stop(ctx context.Context) error {
	_ = p.signal(signalResume) // a paused process hears nothing
	_ = p.signal(signalStop)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("stop %s: killed, because it did not end in time: %w", p.name, ctx.Err())
	}
}

// A lineWriter takes a child's output, logs it line by line, looks for the
// announcement, and keeps the last lines for error messages.
type lineWriter struct {
	name         string
	log          *slog.Logger
	announcement string
	announced    chan string // what follows the announcement; sent once, never closed

	mu      sync.Mutex // guards what follows
	partial []byte
	kept    []string
}

// keptLines is how many lines of output an error message shows.
const keptLines = 10

func (w *lineWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partial = append(w.partial, data...)
	for {
		line, rest, found := bytes.Cut(w.partial, []byte("\n"))
		if !found {
			return len(data), nil
		}
		w.take(string(line))
		w.partial = rest
	}
}

func (w *lineWriter) take(line string) {
	w.log.Debug("output of child process", "process", w.name, "line", line)
	w.kept = append(w.kept, line)
	w.kept = w.kept[max(0, len(w.kept)-keptLines):]
	rest, found := strings.CutPrefix(line, w.announcement)
	if !found || w.announcement == "" {
		return
	}
	select {
	case w.announced <- rest:
	default: // it was announced before
	}
}

func (w *lineWriter) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(append(w.kept[:len(w.kept):len(w.kept)], string(w.partial)), "\n")
}
