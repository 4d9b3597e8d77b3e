package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/retention"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
)

// newRetainer returns the Retainer of the service and of the command.
func newRetainer(c *config.Config, s *clickhouse.Sink, locker schema.Locker, instance string, log *slog.Logger, registerer prometheus.Registerer) *retention.Retainer {
	return retention.New(retention.Config{
		Conn: s.Conn(), Locker: locker, Instance: instance, Log: log, Registerer: registerer,
		HistoryCluster: c.ClickHouse.Cluster, HistoryEngine: c.ClickHouse.Engine,
	})
}

func newRetentionCommand() *cobra.Command {
	command := &cobra.Command{Use: "retention", Short: "Remove what has expired"}
	run := &cobra.Command{Use: "run", Short: "Remove what has expired now, or print what would be removed"}
	table := run.Flags().String("table", "", "only this table (database.table, or just the table's name)")
	dryRun := run.Flags().Bool("dry-run", false, "print what would be removed, and change nothing")
	command.AddCommand(withTools(run, func(ctx context.Context, t *tools) error {
		retainer := newRetainer(t.config, t.clickhouse, t.locker, t.instance, slog.New(slog.DiscardHandler), nil)
		var problems []error
		found := false
		for _, route := range t.routes {
			if *table == "" || *table == route.Table.Name || *table == route.Table.FullName() {
				found = true
				problems = append(problems, retain(ctx, retainer, route, *dryRun, t.out))
			}
		}
		if !found {
			return fmt.Errorf("--table %s: no route has this table", *table)
		}
		return errors.Join(problems...)
	}))
	return command
}

// retain makes one route's run, or a dry run, and prints it.
func retain(ctx context.Context, retainer *retention.Retainer, route *schema.Route, dryRun bool, out io.Writer) error {
	if dryRun {
		plan, err := retainer.Plan(ctx, route)
		if err == nil {
			fmt.Fprint(out, plan)
		}
		return err
	}
	result, err := retainer.Run(ctx, route)
	if result != nil {
		fmt.Fprint(out, result)
	}
	return err
}
