//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
}

// A gateway's log may have half of its disk.
const (
	walMiB    = 256
	diskBytes = 2 * walMiB << 20
)

// newGateway returns a gateway that is not started.
func newGateway(r *run, index int) (*gateway, error) {
	name := fmt.Sprintf("gateway-%d", index)
	g := &gateway{file: filepath.Join(r.folder, name+".yaml"), clock: filepath.Join(r.folder, name+".clock")}
	log, err := os.Create(filepath.Join(r.folder, name+".log"))
	if err != nil {
		return nil, err
	}
	g.process = &process{name: name, log: log, heard: map[string]int{}, command: func() *exec.Cmd {
		command := exec.Command(r.binary, "serve", "--config", g.file)
		command.Env = append(os.Environ(), clockVariable+"="+g.clock)
		return command
	}}
	if r.options.log {
		g.walFolder, g.walMiB = filepath.Join(r.folder, name+"-wal"), walMiB
		if g.disk, err = newDisk(g.walFolder, diskBytes); err != nil {
			r.say("the log of %s is in an ordinary folder, and its disk can't fail: %v", name, err)
		}
	}
	if g.clickhouse, err = newLink(name+"→ClickHouse", func() []string { return []string{r.inserts.address} }); err != nil {
		return nil, err
	}
	g.redis, err = newLink(name+"→Redis", func() []string { return []string{r.redis.Address()} })
	return g, err
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
	if err == nil && status != 0 && (status != 4 || g.walFolder == "") {
		err = fmt.Errorf("%s ended with status %d after SIGTERM", g.name, status)
	}
	return status, err
}
