package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
)

// defaultGRPCAddress is the address at which the tools expect the service: the default of listen.grpc.
const defaultGRPCAddress = "127.0.0.1:4320"

func newServeCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "serve",
		Short: "Accept log entries over gRPC and insert them into ClickHouse",
		Long: `Serve is the service. It needs a ClickHouse and a Redis; ` + "`logbatcher dev`" + ` brings its own.

SIGTERM drains the streams, flushes what was received and exits with status 0. If shutdown.timeout passes
first, the status is 4 and the last line reports how many batches and rows of which tables are not settled.
A second signal exits at once. SIGHUP reloads routes, columns and their schema; a bad configuration is refused
as a whole and the old one stays.

` + exitStatusHelp,
		Args: cobra.NoArgs,
	}
	load := addConfigFlags(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		reload, stop := hangups()
		defer stop()
		return serve(command.Context(), load, reload, command.ErrOrStderr(), func(*gateway) {})
	}
	return command
}

// loader loads the configuration, at startup and for a reload. It gives up when ctx ends.
type loader func(ctx context.Context) (*config.Config, error)

// addConfigFlags adds --config and --set, and returns a loader of that configuration.
func addConfigFlags(command *cobra.Command) loader {
	path := command.Flags().StringP("config", "c", os.Getenv("LOGBATCHER_CONFIG"), "configuration file (YAML); none: the defaults")
	assignments := addSetFlag(command)
	return func(ctx context.Context) (*config.Config, error) {
		return config.Load(ctx, *path, os.Environ(), *assignments)
	}
}

// addSetFlag adds --set.
func addSetFlag(command *cobra.Command) *[]string {
	return command.Flags().StringArray("set", nil, "set a setting over file and environment, as in --set shards.linger=2s; may be repeated")
}

// hangups returns a channel that receives each SIGHUP, and a function that stops that.
func hangups() (<-chan os.Signal, func()) {
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	return reload, func() { signal.Stop(reload) }
}

// serve runs the service until ctx ends, and then shuts it down in order, which is an error only if rows are left. It calls
// started once the service accepts entries.
func serve(ctx context.Context, load loader, reload <-chan os.Signal, out io.Writer, started func(*gateway)) error {
	cfg, err := load(ctx)
	if err != nil {
		return err
	}
	log := newLog(&cfg.Log, out)
	for _, warning := range cfg.Warnings {
		log.Warn("configuration", "warning", warning)
	}
	limitMemory(cfg)
	g, err := newGateway(ctx, cfg, log)
	if err != nil {
		return err
	}
	return g.run(ctx, load, reload, started)
}

// newLog returns the service's log.
func newLog(c *config.Log, out io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // Load has checked it
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// instanceID returns the id of this start of the process: the instance's name with a unique suffix.
func instanceID(c *config.Config) (string, error) {
	name := c.Instance.ID
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("instance.id is empty and the host has no name: %w", err)
		}
		name = host
	}
	return name + "-" + uniqueSuffix(), nil
}
