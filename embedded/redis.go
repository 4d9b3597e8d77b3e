package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// A RedisConfig describes a Redis.
type RedisConfig struct {
	// Directory is the data folder of a redis-server. It is created if it does not exist.
	Directory string
	// Listen is the loopback address to serve on; empty picks a free port. Restarts keep it.
	Listen string
	// InProcess takes the stand-in even where a redis-server is installed.
	InProcess bool
	// Logger receives starts and stops, and at debug level the server's output; nil discards.
	Logger *slog.Logger
}

// NewRedis returns a Redis that is not running yet: a redis-server in a child process, with appendonly on, so that what it
// acknowledged survives Kill. Where none is installed, it is a stand-in in this process, which keeps its data over Kill and
// Restart, but is not persistent.
//
// Away from Linux a redis-server outlives a parent that was killed.
func NewRedis(config RedisConfig) *Server {
	s := NewServer(ServerConfig{
		Name: "Redis", Directory: config.Directory, Listen: config.Listen, Logger: config.Logger, StartTimeout: 20 * time.Second,
		Ready: regexp.MustCompile(`Ready to accept connections`),
	})
	program, err := exec.LookPath("redis-server")
	if config.InProcess || err != nil {
		standIn := newStandIn()
		s.inProcess = true
		s.launch = func(_ context.Context, address string) (instance, string, error) {
			return standIn.start(address)
		}
		return s
	}
	s.launch = func(ctx context.Context, address string) (instance, string, error) {
		if address == "" || strings.HasSuffix(address, ":0") {
			if address, err = freeAddress(); err != nil {
				return nil, "", err
			}
		}
		return s.launchProcess(ctx, address)
	}
	s.config.Command = func(_ context.Context, address string) (string, []string, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return "", nil, fmt.Errorf("read listen address: %w", err)
		}
		return program, []string{"--bind", host, "--port", port, "--dir", s.config.Directory,
			"--appendonly", "yes", "--save", "", "--daemonize", "no"}, nil
	}
	return s
}

// freeAddress returns a loopback address with a free port. If another process takes the port first, the start fails.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
