package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// A ClickHouseConfig says how to run a ClickHouse. Its zero value lacks only
// the folder.
type ClickHouseConfig struct {
	// Directory is the data folder; it is made if need be.
	Directory string
	// Listen is the loopback address to serve HTTP on; "" is a free port, kept
	// over restarts.
	Listen string
	// Library and Engine are the files to use; "" finds or installs them, as the
	// functions of these names do.
	Library, Engine string
	// MaxConnections is how many statements run at a time, the others wait; 0 is
	// the program's default.
	MaxConnections int
	// Faults lets SetFaults spoil answers. It is for tests.
	Faults bool
	// StartTimeout bounds the start of the process, not the installation; 0 is
	// one minute.
	StartTimeout time.Duration
	// Logger gets what happens, and on debug level what the engine prints; nil
	// discards it.
	Logger *slog.Logger
}

// A ClickHouse is one ClickHouse server in a child process. Its methods may be
// called from any goroutine; those that start or end the process exclude one
// another.
//
// The order of a life is Start, then any of Pause, Resume, Kill and Restart,
// then Stop, which must be called even after Kill.
type ClickHouse struct {
	config ClickHouseConfig
	log    *slog.Logger

	change sync.Mutex // held while the process is started or ended

	mu      sync.Mutex // guards what follows
	child   *process   // nil before the first start
	address string
}

// NewClickHouse makes a ClickHouse that does not run yet.
func NewClickHouse(config ClickHouseConfig) *ClickHouse {
	if config.StartTimeout == 0 {
		config.StartTimeout = time.Minute
	}
	return &ClickHouse{config: config, log: orDiscard(config.Logger)}
}

// Start installs what is missing, starts the process and returns when it
// answers. It fails if the process runs already.
func (c *ClickHouse) Start(ctx context.Context) error {
	c.change.Lock()
	defer c.change.Unlock()
	if c.runningChild() != nil {
		return errors.New("start ClickHouse: running already")
	}
	return c.start(ctx)
}

// Restart starts the process again on the same folder and the same port. A
// running one is stopped in order first; a killed one need not be.
func (c *ClickHouse) Restart(ctx context.Context) error {
	c.change.Lock()
	defer c.change.Unlock()
	if child := c.runningChild(); child != nil {
		if err := child.stop(ctx); err != nil {
			return err
		}
	}
	return c.start(ctx)
}

func (c *ClickHouse) start(ctx context.Context) (err error) {
	if c.config.Directory == "" {
		return errors.New("start ClickHouse: no directory is configured")
	}
	if c.config.Library == "" {
		if c.config.Library, err = Library(ctx, c.log); err != nil {
			return fmt.Errorf("find libchdb: %w", err)
		}
	}
	if c.config.Engine == "" {
		if c.config.Engine, err = Engine(ctx, c.log); err != nil {
			return fmt.Errorf("find %s: %w", engineName, err)
		}
	}
	// The engine writes relative paths into its tables' metadata and would look for them below themselves.
	directory, err := filepath.Abs(c.config.Directory)
	if err != nil {
		return fmt.Errorf("start ClickHouse: %w", err)
	}
	c.config.Directory = directory
	if err := os.MkdirAll(c.config.Directory, 0o755); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}

	began := time.Now()
	child, err := startProcess("ClickHouse", "ready ", c.log, c.config.Engine, c.arguments()...)
	if err != nil {
		return err
	}
	timeout, cancel := context.WithTimeout(ctx, c.config.StartTimeout)
	defer cancel()
	address, err := child.awaitAnnouncement(timeout)
	if err != nil {
		child.kill()
		return err
	}
	c.mu.Lock()
	c.child, c.address = child, address
	c.mu.Unlock()
	c.log.Info("ClickHouse is running", "address", address, "directory", c.config.Directory, "took", time.Since(began))
	return nil
}

func (c *ClickHouse) arguments() []string {
	listen := c.config.Listen
	if address, err := url.Parse(c.Address()); err == nil && address.Host != "" {
		listen = address.Host
	}
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	arguments := []string{"--library", c.config.Library, "--path", c.config.Directory, "--listen", listen, "--exit-with-parent"}
	if c.config.MaxConnections > 0 {
		arguments = append(arguments, "--max-connections", strconv.Itoa(c.config.MaxConnections))
	}
	if c.config.Faults {
		arguments = append(arguments, "--faults")
	}
	return arguments
}

// Address returns the URL of the HTTP interface, "http://127.0.0.1:PORT". It is
// empty before the first start and does not change later.
func (c *ClickHouse) Address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.address
}

// Done returns a channel that is closed when the process that runs now has
// ended, by whatever cause. It is nil before the first start.
func (c *ClickHouse) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.child == nil {
		return nil
	}
	return c.child.done
}

// Stop ends the process in order: running statements finish first. When ctx
// ends before that, the process is killed, and Stop returns an error. Stopping
// one that does not run is no error.
func (c *ClickHouse) Stop(ctx context.Context) error {
	c.change.Lock()
	defer c.change.Unlock()
	child := c.runningChild()
	if child == nil {
		return nil
	}
	err := child.stop(ctx)
	c.log.Info("ClickHouse has stopped", "address", c.Address())
	return err
}

// Kill ends the process as a crash would (SIGKILL), and returns when it is
// gone. Clients see their connections broken.
func (c *ClickHouse) Kill() error {
	c.change.Lock()
	defer c.change.Unlock()
	return killChild(c.runningChild())
}

// Pause freezes the process (SIGSTOP): connections stay open and nothing is
// answered.
func (c *ClickHouse) Pause() error { return signalChild(c.runningChild(), signalPause) }

// Resume lets a paused process go on.
func (c *ClickHouse) Resume() error { return signalChild(c.runningChild(), signalResume) }

// runningChild returns the process if it has not ended.
func (c *ClickHouse) runningChild() *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.child == nil || !c.child.running() {
		return nil
	}
	return c.child
}

func killChild(child *process) error {
	if child == nil {
		return ErrNotRunning
	}
	child.kill()
	return nil
}

func signalChild(child *process, signal os.Signal) error {
	if child == nil {
		return ErrNotRunning
	}
	return child.signal(signal)
}
