package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
)

// migrationRetry is the time between two tries of a failed migration.
const migrationRetry = 15 * time.Second

// migrations makes the routes' tables fit, tries again what failed, and says what does not fit. The batches of a table that
// does not fit are held by the errors that ClickHouse gives for them; nothing else depends on it.
type migrations struct {
	migrator *schema.Migrator
	log      *slog.Logger

	mu     sync.Mutex
	failed map[string]failedMigration // by the table's full name
}

type failedMigration struct {
	table *schema.Table
	err   error
}

func newMigrations(migrator *schema.Migrator, log *slog.Logger) *migrations {
	return &migrations{migrator: migrator, log: log, failed: map[string]failedMigration{}}
}

// newMigrator returns what migrates, for the service and for the commands.
func newMigrator(c *config.Config, s *clickhouse.Sink, locker schema.Locker, instance string, log *slog.Logger) *schema.Migrator {
	return schema.NewMigrator(schema.MigratorConfig{
		Conn: s.Conn(), Locker: locker, Instance: instance, Log: log, History: history(c),
	})
}

func history(c *config.Config) schema.HistoryConfig {
	return schema.HistoryConfig{Cluster: c.ClickHouse.Cluster, Engine: c.ClickHouse.Engine}
}

// Migrate implements sink.Migrator: it is called when ClickHouse refuses a batch because the table does not fit.
func (m *migrations) Migrate(ctx context.Context, table *schema.Table) error {
	err := m.migrator.Migrate(ctx, table)
	m.mu.Lock()
	defer m.mu.Unlock()
	name := table.FullName()
	if err == nil {
		delete(m.failed, name)
		return nil
	}
	if before, known := m.failed[name]; !known || before.err.Error() != err.Error() {
		m.log.Error("table does not fit, its batches are held", "table", name, "error", err)
	}
	m.failed[name] = failedMigration{table: table, err: err}
	return err
}

// migrateAll migrates the tables of all routes. What fails is tried again by run.
func (m *migrations) migrateAll(ctx context.Context, routes []*schema.Route) {
	m.forget(routes)
	for _, r := range routes {
		_ = m.Migrate(ctx, r.Table) // told, and kept in failed
	}
}

// forget drops failures of tables that no route has any more.
func (m *migrations) forget(routes []*schema.Route) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.failed {
		if !slices.ContainsFunc(routes, func(r *schema.Route) bool { return r.Table.FullName() == name }) {
			delete(m.failed, name)
		}
	}
}

// run tries failed migrations again until ctx ends.
func (m *migrations) run(ctx context.Context) error {
	tick := time.NewTicker(migrationRetry)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		m.mu.Lock()
		var again []*schema.Table
		for _, f := range m.failed {
			again = append(again, f.table)
		}
		m.mu.Unlock()
		for _, table := range again {
			_ = m.Migrate(ctx, table)
		}
	}
}

// degraded says which tables do not fit.
func (m *migrations) degraded() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var reasons []string
	for name, f := range m.failed {
		reasons = append(reasons, fmt.Sprintf("table %s does not fit its route, its batches are held: %v", name, f.err))
	}
	slices.Sort(reasons)
	return reasons
}
