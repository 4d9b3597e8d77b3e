package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
)

// devDirectory is where dev keeps its data.
const devDirectory = ".logbatcher"

// devClickHouse is the address of dev's ClickHouse, the one that tools use by default.
const devClickHouse = "127.0.0.1:8123"

func newDevCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "dev",
		Short: "Serve with an embedded ClickHouse and Redis; nothing needs to be installed or configured",
		Long: `Dev starts ClickHouse in a child process (npm installs the engine once per machine) and Redis (redis-server if
installed, otherwise one in this process that keeps nothing), with their data under ./.logbatcher, and
serves. A configuration file may set everything except the addresses of these two.

` + exitStatusHelp,
		Args: cobra.NoArgs,
	}
	load := addConfigFlags(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		ctx, log := command.Context(), slog.New(slog.NewTextHandler(command.ErrOrStderr(), nil))
		own, err := startStack(ctx, devDirectory, devClickHouse, log)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil // stopped before anything was accepted
		case err != nil:
			return err
		}
		defer func() {
			if err := own.stop(ctx); err != nil {
				log.Warn("stop the embedded servers", "error", err)
			}
		}()
		loadOwn := func(ctx context.Context) (*config.Config, error) {
			cfg, err := load(ctx)
			if err != nil {
				return nil, err
			}
			return cfg, own.configure(cfg)
		}
		reload, stop := hangups()
		defer stop()
		return serve(ctx, loadOwn, reload, command.ErrOrStderr(), func(g *gateway) {
			greet(command.OutOrStdout(), g, own)
		})
	}
	return command
}

// greet prints the addresses and what to try.
func greet(out io.Writer, g *gateway, s *stack) {
	grpc, http := g.grpcListener.Addr().String(), address(g.httpListener)
	if current := g.keyring.current.Load(); current.TLS != nil || current.Policy != nil {
		fmt.Fprintf(out, "\nLogBatcher is ready: gRPC on %s, HTTP on %s. docs/security.md has the flags for TLS and tokens.\n\nPress Ctrl-C to stop.\n", grpc, http)
		return
	}
	fmt.Fprintf(out, `
LogBatcher is ready.

  gRPC        %s
  HTTP        http://%s/readyz  http://%s/metrics
  ClickHouse  %s
  Redis       %s

Try, in another terminal:

  bin/logbatcher send /var/log/*.log
  bin/logbatcher query "SELECT ServiceName, count() FROM otel_logs GROUP BY ServiceName"
  grpcurl -plaintext -d '{"entries":[{"body":"hello","service":"me"}]}' %s logbatcher.v1.IngestService/Ingest

Press Ctrl-C to stop.
`, grpc, http, http, s.clickhouse.Address(), s.redis.Address(), grpc)
}
