package main

import (
	"errors"
	"fmt"
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
	var table string
	var dryRun bool
	run := &cobra.Command{
		Use:   "run",
		Short: "Remove what has expired now, or print what would be removed",
		Args:  cobra.NoArgs,
	}
	load := addConfigFlags(run)
	run.Flags().StringVar(&table, "table", "", "only this table (database.table, or just the table's name)")
	run.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be removed, and change nothing")
	run.RunE = func(command *cobra.Command, _ []string) error {
		t, err := openTools(command.Context(), load, command.ErrOrStderr())
		if err != nil {
			return err
		}
		defer t.close()
		retainer := newRetainer(t.config, t.clickhouse, t.locker, t.instance, slog.New(slog.DiscardHandler), nil)
		var problems []error
		found := false
		for _, route := range t.routes {
			if table != "" && table != route.Table.Name && table != route.Table.FullName() {
				continue
			}
			found = true
			if err := retain(command, retainer, route, dryRun); err != nil {
				problems = append(problems, err)
			}
		}
		if !found {
			return fmt.Errorf("--table %s: no route has this table", table)
		}
		return errors.Join(problems...)
	}
	command.AddCommand(run)
	return command
}

// retain makes one route's run, or a dry run, and prints it.
func retain(command *cobra.Command, retainer *retention.Retainer, route *schema.Route, dryRun bool) error {
	if dryRun {
		plan, err := retainer.Plan(command.Context(), route)
		if err != nil {
			return err
		}
		fmt.Fprint(command.OutOrStdout(), plan)
		return nil
	}
	result, err := retainer.Run(command.Context(), route)
	if result != nil {
		fmt.Fprint(command.OutOrStdout(), result)
	}
	return err
}
