//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A gateway is a process of logbatcher serve, with links of its own to what it needs.
type gateway struct {
	*process
	busy sync.Mutex // held by the fault that strikes it

	file              string // its configuration
	clock             string // the file with the seconds by which its clock is wrong
	clickhouse, redis *link
	walFolder         string // empty: it has no log
	walMiB            int
	disk              *disk // has the log; nil: an ordinary folder does

	// Guarded by the process's mutex.
	heard      map[string]int // how often the log had each of heardLines
	serving    chan struct{}  // closed when the current life serves
	grpc, http string         // addresses of the current life, once it serves
	restarts   int            // how often its disk did not let it start
}

// A gateway's log may have half of its disk.
const (
	walMiB    = 256
	diskBytes = 2 * walMiB << 20
)

// newGateway returns a gateway that is not started.
func newGateway(r *run, index int) (*gateway, error) {
	name := fmt.Sprintf("gateway-%d", index)
	g := &gateway{heard: map[string]int{}, file: filepath.Join(r.folder, name+".yaml"), clock: filepath.Join(r.folder, name+".clock")}
	log, err := os.Create(filepath.Join(r.folder, name+".log"))
	if err != nil {
		return nil, err
	}
	g.process = &process{name: name, log: log, begin: g.begin, hear: g.hear, ended: g.ended, command: func() *exec.Cmd {
		command := exec.Command(r.binary, "serve", "--config", g.file)
		command.Env = append(os.Environ(), clockVariable+"="+g.clock)
		return command
	}}
	if r.options.log {
		g.walFolder, g.walMiB = filepath.Join(r.folder, name+"-wal"), walMiB
		if g.disk, err = newDisk(g.walFolder, diskBytes); err != nil {
			r.say("the log of %s is in an ordinary folder, and its disk can't fail: %v", name, err)
		} else {
			g.disk.lies = strings.Contains(r.options.breaking, "lie")
		}
	}
	if g.clickhouse, err = newLink(name+"→ClickHouse", func() []string { return []string{r.inserts.address} }); err != nil {
		return nil, err
	}
	g.redis, err = newLink(name+"→Redis", func() []string { return []string{r.redis.Address()} })
	return g, err
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

// begin is called when a life begins.
func (g *gateway) begin() { g.grpc, g.http, g.serving = "", "", make(chan struct{}) }

// ended is called when a gateway ends by itself. It may, if its disk fails before it serves: as a supervisor would, the run starts it again.
func (g *gateway) ended() bool {
	if g.disk == nil || g.grpc != "" || !g.disk.failedLately() {
		return false
	}
	time.AfterFunc(supervised, func() { _ = g.start() }) // what goes wrong shows in the end
	g.restarts++
	return true
}

// supervised is the time after which a gateway that could not start is started again.
const supervised = 300 * time.Millisecond

// hear takes a line of the log.
func (g *gateway) hear(line []byte) {
	for _, text := range heardLines {
		if bytes.Contains(line, []byte(text)) {
			g.heard[text]++
		}
	}
	if match := serving.FindSubmatch(line); match != nil && g.grpc == "" {
		g.grpc, g.http = string(match[1]), string(match[2])
		close(g.serving)
	}
}

// times returns how often the log had one of heardLines.
func (g *gateway) times(text string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.heard[text]
}

// addresses returns where the current life serves. They are empty while it does not.
func (g *gateway) addresses() (grpc, http string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.runningLocked() == nil {
		return "", ""
	}
	return g.grpc, g.http
}

// awaitServing blocks until the current life serves.
func (g *gateway) awaitServing(ctx context.Context) error {
	for {
		g.mu.Lock()
		current, serves := g.current, g.serving
		g.mu.Unlock()
		select {
		case <-serves:
			return nil
		case <-current.done:
			if g.problems() != nil {
				return fmt.Errorf("%s ended: %v", g.name, current.command.ProcessState)
			}
			rest(ctx, supervised) // it will be started again
		case <-ctx.Done():
			return fmt.Errorf("await %s: %w", g.name, context.Cause(ctx))
		}
	}
}

// configure writes the configuration's file.
func (g *gateway) configure(c *configuration) error {
	return os.WriteFile(g.file, []byte(c.text(g)), 0o600)
}

// stopTimeout is how long a gateway may take to end: somewhat more than its shutdown.timeout.
const stopTimeout = 75 * time.Second

// stop ends the gateway in order. With a log it may leave rows to its next life.
func (g *gateway) stop(ctx context.Context) (status int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTimeout, errors.New("it takes longer than its shutdown.timeout"))
	defer cancel()
	status, err = g.end(ctx, syscall.SIGTERM)
	// A status of -1: it had not come to handling signals yet.
	if err == nil && status > 0 && (status != 4 || g.walFolder == "") {
		err = fmt.Errorf("%s ended with status %d after SIGTERM", g.name, status)
	}
	return status, err
}
