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

// tools are the parts for commands that work on the tables.
type tools struct {
	out        io.Writer
	config     *config.Config
	routes     []*schema.Route
	instance   string
	clickhouse *clickhouse.Sink
	redis      redis.UniversalClient
	locker     *lease.Locker
}

// withTools gives command the configuration's flags and has it open the tools and run.
func withTools(command *cobra.Command, run func(context.Context, *tools) error) *cobra.Command {
	load := addConfigFlags(command)
	command.Args = cobra.NoArgs
	command.RunE = func(command *cobra.Command, _ []string) error {
		t, err := openTools(command.Context(), load, command.ErrOrStderr())
		if err != nil {
			return err
		}
		defer t.close()
		t.out = command.OutOrStdout()
		return run(command.Context(), t)
	}
	return command
}

// openTools loads the configuration and connects to ClickHouse. Warnings go to out.
func openTools(ctx context.Context, load loader, out io.Writer) (t *tools, err error) {
	t = &tools{}
	if t.config, err = load(ctx); err != nil {
		return nil, err
	}
	warn(out, t.config)
	if t.routes, err = routesOf(t.config); err != nil {
		return nil, err
	}
	if t.instance, err = instanceID(t.config); err != nil {
		return nil, err
	}
	classes, err := t.config.ClickHouse.Classes()
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if t.clickhouse, err = openClickHouse(t.config, classes, log); err != nil {
		return nil, err
	}
	t.redis = redisClient(t.config)
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
	plan := &cobra.Command{Use: "plan", Short: "Print the DDL that apply would run, and change nothing"}
	apply := &cobra.Command{
		Use:   "apply",
		Short: "Make the tables fit their routes",
		Long: `Apply creates and alters tables, one at a time, under a lease. It refuses changes that would lose data, and prints the
statement to run by hand, unless --allow names the change, for instance --allow 'logs.otel_logs:column Body'. The name
consists of the table and the change, as plan prints it.`,
	}
	allow := apply.Flags().StringArray("allow", nil, "refused change to make anyway, by its name in the plan (repeatable)")
	command.AddCommand(
		withTools(plan, printPlans),
		withTools(apply, func(ctx context.Context, t *tools) error { return applyPlans(ctx, t, *allow) }),
	)
	return command
}

func printPlans(ctx context.Context, t *tools) error {
	plans, err := t.plans(ctx, t.migrator())
	for _, p := range plans {
		fmt.Fprint(t.out, p)
	}
	return err
}

func applyPlans(ctx context.Context, t *tools, allow []string) error {
	migrator := t.migrator()
	if len(allow) > 0 {
		plans, err := t.plans(ctx, migrator)
		if err != nil {
			return err
		}
		if unknown := table.UnknownNames(plans, allow); len(unknown) > 0 {
			return fmt.Errorf("--allow: no table refuses a change named %q; plan prints the names, such as 'logs.otel_logs:column Body'. Nothing was changed", unknown)
		}
	}
	var problems []error
	for _, r := range t.routes {
		plan, err := migrator.Apply(ctx, r.Table, allow...)
		if plan != nil {
			fmt.Fprint(t.out, plan)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
