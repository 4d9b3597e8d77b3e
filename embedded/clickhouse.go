package embedded

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A ClickHouseConfig describes a ClickHouse. Only the folder is required.
type ClickHouseConfig struct {
	// Directory is the data folder. It is created if it does not exist.
	Directory string
	// Listen is the loopback address of the HTTP interface; empty picks a free port. Restarts keep it.
	Listen string
	// Library and Engine are the files to use; empty finds or installs them, as the functions of these names do.
	Library, Engine string
	// MaxConnections is how many statements run at a time, while others wait; 0 is the program's default.
	MaxConnections int
	// StartTimeout bounds the start of the process, without the installation; 0 means one minute.
	StartTimeout time.Duration
	// Logger receives starts and stops, and at debug level the engine's output; nil discards.
	Logger *slog.Logger
}

// NewClickHouse returns a ClickHouse that is not running yet. Its Address is the URL of its HTTP interface.
func NewClickHouse(config ClickHouseConfig) *Server {
	var s *Server
	s = NewServer(ServerConfig{
		Name: "ClickHouse", Directory: config.Directory, Listen: config.Listen, Logger: config.Logger, StartTimeout: config.StartTimeout,
		Ready: regexp.MustCompile(`^ready (\S+)`),
		Command: func(ctx context.Context, address string) (program string, arguments []string, err error) {
			if config.Library == "" {
				if config.Library, err = Library(ctx, s.log); err != nil {
					return "", nil, fmt.Errorf("find libchdb: %w", err)
				}
			}
			if config.Engine == "" {
				if config.Engine, err = Engine(ctx, s.log); err != nil {
					return "", nil, fmt.Errorf("find %s: %w", engineName, err)
				}
			}
			listen := cmp.Or(strings.TrimPrefix(address, "http://"), "127.0.0.1:0")
			arguments = []string{"--library", config.Library, "--path", s.config.Directory, "--listen", listen, "--exit-with-parent"}
			if config.MaxConnections > 0 {
				arguments = append(arguments, "--max-connections", strconv.Itoa(config.MaxConnections))
			}
			return config.Engine, arguments, nil
		},
	})
	return s
}
