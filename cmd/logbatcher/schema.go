package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/lease"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/table"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
)

// tools is what the commands that work on the tables need.
type tools struct {
	config     *config.Config
	routes     []*schema.Route
	instance   string
	clickhouse *clickhouse.Sink
	redis      redis.UniversalClient
	locker     *lease.Locker
}

// openTools loads the configuration and reaches ClickHouse.
func openTools(ctx context.Context, load loader, out io.Writer) (*tools, error) {
	cfg, err := load(ctx)
	if err != nil {
		return nil, err
	}
	warn(out, cfg)
	t := &tools{config: cfg}
	if t.routes, err = routesOf(cfg); err != nil {
		return nil, err
	}
	if t.instance, err = instanceID(cfg); err != nil {
		return nil, err
	}
	classes, err := cfg.ClickHouse.Classes()
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if t.clickhouse, err = openClickHouse(cfg, classes, log); err != nil {
		return nil, err
	}
	t.redis = redisClient(cfg)
	t.locker = lease.New(t.redis, leasePrefix, t.instance, log)
	if _, err := t.clickhouse.Check(ctx); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tools) close() { _ = errors.Join(t.clickhouse.Close(), t.redis.Close()) }

func routesOf(cfg *config.Config) ([]*schema.Route, error) {
	routes, problems := cfg.Routes()
	if len(problems) > 0 {
		return nil, problems[0]
	}
	return routes, nil
}

func (t *tools) migrator() *table.Migrator {
	return newMigrator(t.config, t.clickhouse, t.locker, t.instance, slog.New(slog.DiscardHandler))
}

// plans returns the plans of all routes' tables.
func (t *tools) plans(ctx context.Context, migrator *table.Migrator) ([]*table.Plan, error) {
	var tables []*schema.Table
	for _, r := range t.routes {
		tables = append(tables, r.Table)
	}
	return migrator.Plan(ctx, tables...)
}

func newSchemaCommand() *cobra.Command {
	command := &cobra.Command{Use: "schema", Short: "Plan and apply the DDL that makes the tables fit their routes"}
	plan := &cobra.Command{
		Use:   "plan",
		Short: "Print the DDL that apply would run, and change nothing",
		Args:  cobra.NoArgs,
	}
	loadPlan := addConfigFlags(plan)
	plan.RunE = func(command *cobra.Command, _ []string) error {
		return printPlans(command, loadPlan)
	}
	apply := &cobra.Command{
		Use:   "apply",
		Short: "Make the tables fit their routes",
		Long: `Apply creates and alters tables, one at a time, under a lease. What would lose data is refused, with the
statement that a person would have to run, unless it is asked for by name with --allow, for instance
--allow 'logs.otel_logs:column Body'. The name is the table's and the change's, as plan prints it.`,
		Args: cobra.NoArgs,
	}
	loadApply := addConfigFlags(apply)
	allow := apply.Flags().StringArray("allow", nil, "name of a refused change that is to be made all the same, as plan prints it (may be repeated)")
	apply.RunE = func(command *cobra.Command, _ []string) error {
		return applyPlans(command, loadApply, *allow)
	}
	command.AddCommand(plan, apply)
	return command
}

func printPlans(command *cobra.Command, load loader) error {
	t, err := openTools(command.Context(), load, command.ErrOrStderr())
	if err != nil {
		return err
	}
	defer t.close()
	plans, err := t.plans(command.Context(), t.migrator())
	for _, p := range plans {
		fmt.Fprint(command.OutOrStdout(), p)
	}
	return err
}

func applyPlans(command *cobra.Command, load loader, allow []string) error {
	t, err := openTools(command.Context(), load, command.ErrOrStderr())
	if err != nil {
		return err
	}
	defer t.close()
	migrator := t.migrator()
	if len(allow) > 0 {
		plans, err := t.plans(command.Context(), migrator)
		if err != nil {
			return err
		}
		if unknown := table.UnknownNames(plans, allow); len(unknown) > 0 {
			return fmt.Errorf("--allow: no table refuses a change by the name %q; plan prints the names, as in 'logs.otel_logs:column Body'. Nothing was changed", unknown)
		}
	}
	var problems []error
	for _, r := range t.routes {
		plan, err := migrator.Apply(command.Context(), r.Table, allow...)
		if plan != nil {
			fmt.Fprint(command.OutOrStdout(), plan)
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}
