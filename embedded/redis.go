package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// ErrInProcess is returned by Pause and Resume of a Redis that has no process of
// its own.
var ErrInProcess = errors.New("the Redis is in this process")

// A RedisConfig says how to run a Redis.
type RedisConfig struct {
	// Directory is the data folder of a redis-server; it is made if need be.
	Directory string
	// Listen is the loopback address to serve on; "" is a free port, kept over
	// restarts.
	Listen string
	// InProcess takes the stand-in even where a redis-server is installed.
	InProcess bool
	// StartTimeout bounds the start of the process; 0 is 20 seconds.
	StartTimeout time.Duration
	// Logger gets what happens, and on debug level what the server prints; nil
	// discards it.
	Logger *slog.Logger
}

// A Redis is one Redis server: a redis-server in a child process, with
// appendonly on, so that what it acknowledged survives Kill; or, where none is
// installed, a stand-in in this process, which keeps its data over Kill and
// Restart but not longer than the process lives. Its methods may be called from
// any goroutine; those that start or end the server exclude one another.
//
// Away from Linux a redis-server outlives a parent that was killed.
type Redis struct {
	config  RedisConfig
	program string // "" for the stand-in
	log     *slog.Logger

	change sync.Mutex // held while the server is started or ended

	mu      sync.Mutex // guards what follows
	child   *process
	standIn *standIn
	address string
}

// NewRedis makes a Redis that does not run yet.
func NewRedis(config RedisConfig) *Redis {
	if config.StartTimeout == 0 {
		config.StartTimeout = 20 * time.Second
	}
	r := &Redis{config: config, log: orDiscard(config.Logger)}
	if !config.InProcess {
		r.program, _ = exec.LookPath("redis-server")
	}
	return r
}

// InProcess tells whether this is the stand-in.
func (r *Redis) InProcess() bool { return r.program == "" }

// Persistent tells whether what was acknowledged outlives this process.
func (r *Redis) Persistent() bool { return r.program != "" }

// Address returns host and port. It is empty before the first start and does
// not change later.
func (r *Redis) Address() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.address
}

// Done returns a channel that is closed when the process that runs now has
// ended. It is nil before the first start and for the stand-in.
func (r *Redis) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil {
		return nil
	}
	return r.child.done
}

// Start starts the server and returns when it answers. It fails if it runs
// already.
func (r *Redis) Start(ctx context.Context) error {
	r.change.Lock()
	defer r.change.Unlock()
	if r.running() {
		return errors.New("start Redis: running already")
	}
	return r.start(ctx)
}

// Restart starts the server again with its data and on the same port. A running
// one is stopped in order first.
func (r *Redis) Restart(ctx context.Context) error {
	r.change.Lock()
	defer r.change.Unlock()
	if err := r.stop(ctx); err != nil {
		return err
	}
	return r.start(ctx)
}

// Stop ends the server in order. When ctx ends first it is killed, and Stop
// returns an error. Stopping one that does not run is no error.
func (r *Redis) Stop(ctx context.Context) error {
	r.change.Lock()
	defer r.change.Unlock()
	return r.stop(ctx)
}

// Kill ends the server as a crash would (SIGKILL), and returns when it is gone.
func (r *Redis) Kill() error {
	r.change.Lock()
	defer r.change.Unlock()
	if r.InProcess() && r.running() {
		r.standIn.stop()
		return nil
	}
	return killChild(r.runningChild())
}

// Pause freezes the process (SIGSTOP): connections stay open and nothing is
// answered.
func (r *Redis) Pause() error {
	if r.InProcess() {
		return ErrInProcess
	}
	return signalChild(r.runningChild(), signalPause)
}

// Resume lets a paused process go on.
func (r *Redis) Resume() error {
	if r.InProcess() {
		return ErrInProcess
	}
	return signalChild(r.runningChild(), signalResume)
}

func (r *Redis) start(ctx context.Context) error {
	listen, err := r.listenAddress()
	if err != nil {
		return err
	}
	if r.InProcess() {
		if r.standIn == nil {
			r.standIn = &standIn{server: miniredis.NewMiniRedis()}
		}
		if err := r.standIn.start(listen); err != nil {
			return fmt.Errorf("start in-process Redis: %w", err)
		}
	} else if err := r.startServer(ctx, listen); err != nil {
		return err
	}
	r.mu.Lock()
	r.address = listen
	r.mu.Unlock()
	r.log.Info("Redis is running", "address", listen, "in_process", r.InProcess())
	return nil
}

// listenAddress is the address of before, the configured one, or one with a
// free port. Another process may take that port in the meantime; then the
// start fails.
func (r *Redis) listenAddress() (string, error) {
	if address := r.Address(); address != "" {
		return address, nil
	}
	if r.config.Listen != "" && !strings.HasSuffix(r.config.Listen, ":0") {
		return r.config.Listen, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

func (r *Redis) startServer(ctx context.Context, listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("read listen address: %w", err)
	}
	if r.config.Directory == "" {
		return errors.New("start Redis: no directory is configured")
	}
	if err := os.MkdirAll(r.config.Directory, 0o755); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	child, err := startProcess("Redis", "", r.log, r.program, "--bind", host, "--port", port,
		"--dir", r.config.Directory, "--appendonly", "yes", "--save", "", "--daemonize", "no")
	if err != nil {
		return err
	}
	timeout, cancel := context.WithTimeout(ctx, r.config.StartTimeout)
	defer cancel()
	if err := awaitRedis(timeout, child, listen); err != nil {
		child.kill()
		return err
	}
	r.mu.Lock()
	r.child = child
	r.mu.Unlock()
	return nil
}

// awaitRedis asks until the server answers.
func awaitRedis(ctx context.Context, child *process, address string) error {
	for {
		err := pingRedis(ctx, address)
		if err == nil {
			return nil
		}
		select {
		case <-child.done:
			return fmt.Errorf("%s ended: %w: %s", child.name, child.failure(), child.lines.last())
		case <-ctx.Done():
			return fmt.Errorf("await %s: %w: %w: %s", child.name, ctx.Err(), err, child.lines.last())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func pingRedis(ctx context.Context, address string) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(time.Second))
	if _, err := connection.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(io.LimitReader(connection, 1<<10)).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "+PONG\r\n" {
		return fmt.Errorf("ping: %s", strings.TrimSpace(answer)) // loading its data
	}
	return nil
}

func (r *Redis) stop(ctx context.Context) error {
	if !r.running() {
		return nil
	}
	if r.InProcess() {
		r.standIn.stop()
		return nil
	}
	return r.runningChild().stop(ctx)
}

func (r *Redis) running() bool {
	if r.InProcess() {
		return r.standIn != nil && r.standIn.running
	}
	return r.runningChild() != nil
}

func (r *Redis) runningChild() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil || !r.child.running() {
		return nil
	}
	return r.child
}
