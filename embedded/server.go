package embedded

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// A ServerConfig describes a server program.
type ServerConfig struct {
	// Name is what log lines and errors call the server.
	Name string
	// Directory is the data folder. It is created if it does not exist.
	Directory string
	// Command returns the program and its arguments. The address is empty at the first start if any free port will do.
	Command func(ctx context.Context, address string) (program string, arguments []string, err error)
	// Ready matches the line of output that announces that the server accepts connections. Its first group, if it
	// has one, is the server's address.
	Ready *regexp.Regexp
	// Listen is the address to serve on; empty picks a free port. Restarts keep it.
	Listen string
	// StartTimeout bounds the start of the process; 0 means one minute.
	StartTimeout time.Duration
	// Logger receives starts and stops, and at debug level the program's output; nil discards.
	Logger *slog.Logger
}

// A Server is one server, usually in a child process. Its methods are safe for concurrent use; those that start or end the
// server exclude each other.
//
// Call Start first, then any of Pause, Resume, Kill and Restart, and finally Stop, even after Kill.
type Server struct {
	config    ServerConfig
	log       *slog.Logger
	inProcess bool
	// launch starts an instance at the address and returns it, with its address, once it accepts connections.
	launch func(ctx context.Context, address string) (instance, string, error)

	change sync.Mutex // held while the server is started or ended

	mu      sync.Mutex // guards what follows
	current instance   // nil before the first start
	address string
}

// An instance is one life of a server, from a start to the next end.
type instance interface {
	// ended is closed once the instance is gone.
	ended() <-chan struct{}
	signal(os.Signal) error
	// stop ends the instance in order, or kills it when ctx ends first and returns an error.
	stop(ctx context.Context) error
	// kill ends the instance at once. It does nothing to one that has ended.
	kill()
}

// NewServer returns a server that is not running yet.
func NewServer(config ServerConfig) *Server {
	config.StartTimeout = cmp.Or(config.StartTimeout, time.Minute)
	s := &Server{config: config, log: cmp.Or(config.Logger, slog.New(slog.DiscardHandler)), address: config.Listen}
	s.launch = s.launchProcess
	return s
}

// Start installs what is missing, starts the server, and returns once it accepts connections. It fails if the server is
// running.
func (s *Server) Start(ctx context.Context) error {
	s.change.Lock()
	defer s.change.Unlock()
	if s.running() != nil {
		return fmt.Errorf("start %s: it is running", s.config.Name)
	}
	return s.start(ctx)
}

// Restart starts the server again on the same folder and port. If it is running, it is stopped in order first.
func (s *Server) Restart(ctx context.Context) error {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.stop(ctx); err != nil {
		return err
	}
	return s.start(ctx)
}

func (s *Server) start(ctx context.Context) error {
	began := time.Now()
	started, address, err := s.launch(ctx, s.Address())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.current, s.address = started, address
	s.mu.Unlock()
	s.log.Info(s.config.Name+" is running", "address", address, "directory", s.config.Directory, "took", time.Since(began))
	return nil
}

// launchProcess starts the program and waits for the line that announces it.
func (s *Server) launchProcess(ctx context.Context, address string) (instance, string, error) {
	if s.config.Directory == "" {
		return nil, "", fmt.Errorf("start %s: no directory is configured", s.config.Name)
	}
	// The engine writes relative paths into the metadata of its tables and would resolve them there.
	directory, err := filepath.Abs(s.config.Directory)
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", s.config.Name, err)
	}
	s.config.Directory = directory
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, "", fmt.Errorf("make data folder: %w", err)
	}
	program, arguments, err := s.config.Command(ctx, address)
	if err != nil {
		return nil, "", err
	}
	child, err := startProcess(s.config.Name, s.config.Ready, s.log, program, arguments...)
	if err != nil {
		return nil, "", err
	}
	timeout, cancel := context.WithTimeout(ctx, s.config.StartTimeout)
	defer cancel()
	announced, err := child.await(timeout)
	if err != nil {
		child.kill()
		return nil, "", err
	}
	return child, cmp.Or(announced, address), nil
}

// Stop ends the server in order: a ClickHouse finishes running statements. When ctx ends first, the server is killed and
// Stop returns an error. Stopping a server that is not running does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.change.Lock()
	defer s.change.Unlock()
	return s.stop(ctx)
}

func (s *Server) stop(ctx context.Context) error {
	running := s.running()
	if running == nil {
		return nil
	}
	err := running.stop(ctx)
	s.log.Info(s.config.Name+" has stopped", "address", s.Address())
	return err
}

// Kill ends the server as a crash would (SIGKILL) and returns once it is gone.
func (s *Server) Kill() error {
	s.change.Lock()
	defer s.change.Unlock()
	running := s.running()
	if running == nil {
		return ErrNotRunning
	}
	running.kill()
	return nil
}

// Pause freezes the process (SIGSTOP) and returns when all of its threads stand still: connections stay open and get no answers.
func (s *Server) Pause() error {
	if err := s.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pid, err := s.PID()
	if err != nil {
		return err
	}
	return awaitStopped(pid)
}

// Resume continues a paused process.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal os.Signal) error {
	running := s.running()
	if running == nil {
		return ErrNotRunning
	}
	return running.signal(signal)
}

// Address returns the server's address: a URL for ClickHouse, host and port for Redis. It is empty before the first start,
// unless one is configured, and does not change afterwards.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Done returns a channel that is closed when the instance running now has ended, for any reason. It is nil before the
// first start.
func (s *Server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil
	}
	return s.current.ended()
}

// Persistent reports whether what the server acknowledged outlives this process.
func (s *Server) Persistent() bool { return !s.inProcess }

// PID returns the id of the server's process. It fails if the server has none.
func (s *Server) PID() (int, error) {
	switch running := s.running().(type) {
	case nil:
		return 0, ErrNotRunning
	case *process:
		return running.command.Process.Pid, nil
	default:
		return 0, ErrInProcess
	}
}

// running returns the current instance unless it has ended.
func (s *Server) running() instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil
	}
	select {
	case <-s.current.ended():
		return nil
	default:
		return s.current
	}
}
