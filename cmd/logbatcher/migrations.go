package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/table"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
)

const (
	// migrationRetry is the time between two attempts of a failed migration.
	migrationRetry = 15 * time.Second
	// migrationsAtOnce bounds the concurrent migrations.
	migrationsAtOnce = 8
	// unroutedFor is how long after a reload batches of a route that it removed may still arrive.
	unroutedFor = 5 * time.Minute
)

// gate keeps batches from tables. It is implemented by sink.Delivery.
type gate interface {
	RefuseTable(table string, why error)
	SuspendTable(table string, why error)
	AdmitTable(table string)
	TableState(table string) sink.TableState
}

// migrations makes the routes' tables fit, retries failures, and controls which tables the delivery inserts into: none that the
// plan refuses, and none that was never seen to fit. A table that fitted stays open when a later migration fails temporarily.
type migrations struct {
	migrator sink.Migrator
	gate     gate
	log      *slog.Logger

	mu     sync.Mutex            // guards what follows
	routes []*schema.Route       // the current ones
	tables map[string]*migration // by the full names of their tables; of earlier routes too
}

// migration is the state of one table.
type migration struct {
	table    *schema.Table // of the latest route
	routed   bool          // a current route has the table
	unrouted time.Time     // since when none has it
	fitted   string        // hash of the table that was seen to fit
	err      error         // of the last migration
	recheck  bool          // fitted before the last reload, which did not wait for it
}

func newMigrations(migrator sink.Migrator, log *slog.Logger) *migrations {
	return &migrations{migrator: migrator, log: log, tables: map[string]*migration{}}
}

// newMigrator returns the migrator of the service and of the commands.
func newMigrator(c *config.Config, s *clickhouse.Sink, locker schema.Locker, instance string, log *slog.Logger) *table.Migrator {
	return table.NewMigrator(table.MigratorConfig{
		Conn: s.Conn(), Locker: locker, Instance: instance, Log: log, HistoryCluster: c.ClickHouse.Cluster, HistoryEngine: c.ClickHouse.Engine,
	})
}

// of returns the state of a table. The caller holds mu.
func (m *migrations) of(table *schema.Table) *migration {
	s := m.tables[table.FullName()]
	if s == nil {
		s = &migration{table: table}
		m.tables[table.FullName()] = s
	}
	return s
}

// Migrate implements sink.Migrator. ClickHouse has rejected a batch because the table does not fit. The batch may precede a
// reload, so the table is made to fit its current route.
func (m *migrations) Migrate(ctx context.Context, table *schema.Table) error {
	m.mu.Lock()
	if s := m.of(table); s.routed {
		table = s.table
	}
	m.mu.Unlock()
	return m.migrate(ctx, table)
}

// HasRoute implements sink.CurrentTables.
func (m *migrations) HasRoute(table *schema.Table) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.tables[table.FullName()]
	return s != nil && s.routed
}

func (m *migrations) migrate(ctx context.Context, t *schema.Table) error {
	err := m.migrator.Migrate(ctx, t)
	if err != nil && ctx.Err() != nil {
		return err // the service ends; the table may well fit
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name, s := t.FullName(), m.of(t)
	before := s.err
	s.err = err
	if err == nil {
		if before != nil {
			m.log.Info("table fits", "table", name)
		}
		s.fitted = t.Hash()
		m.gate.AdmitTable(name)
		return nil
	}
	level, message := slog.LevelWarn, "migration failed, retrying"
	switch {
	case refused(err):
		m.gate.RefuseTable(name, err)
		level, message = slog.LevelError, "table does not fit, its batches are held"
	case s.fitted != t.Hash():
		m.gate.SuspendTable(name, err)
		message = "migration failed, retrying; batches wait until the table is seen to fit"
	}
	if before == nil || before.Error() != err.Error() {
		m.log.Log(ctx, level, message, "table", name, "error", err)
	}
	return err
}

// refused reports whether a migration failed because the plan refuses a change.
func refused(err error) bool {
	var refusal *table.RefusedError
	return errors.As(err, &refusal)
}

// migrateAll switches to the routes and migrates their tables. It leaves failures to run, and tables that fitted and have not
// changed. The error is the context's.
func (m *migrations) migrateAll(ctx context.Context, routes []*schema.Route) error {
	var group errgroup.Group
	group.SetLimit(migrationsAtOnce)
	for _, table := range m.use(routes) {
		group.Go(func() error {
			if ctx.Err() == nil {
				_ = m.migrate(ctx, table) // logged, and kept for run
			}
			return nil
		})
	}
	_ = group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// suspendAll switches to the routes and keeps batches from their tables, which nobody has seen yet, until run has seen them fit.
func (m *migrations) suspendAll(routes []*schema.Route, why error) {
	changed := m.use(routes)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, table := range changed {
		m.of(table).err = why
		m.gate.SuspendTable(table.FullName(), why)
	}
}

// use switches to the routes and returns the tables that are not known to fit them.
func (m *migrations) use(routes []*schema.Route) (changed []*schema.Table) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.routes = routes
	kept := map[*migration]bool{}
	for _, r := range routes {
		s := m.of(r.Table)
		kept[s] = true
		s.recheck = s.routed && s.err == nil && s.fitted == r.Table.Hash() && reflect.DeepEqual(s.table, r.Table)
		s.table, s.routed = r.Table, true
		if !s.recheck {
			changed = append(changed, r.Table)
		}
	}
	for _, s := range m.tables {
		if s.routed && !kept[s] {
			s.routed, s.recheck, s.unrouted = false, false, time.Now()
		}
	}
	return changed
}

// inForce returns the current routes.
func (m *migrations) inForce() []*schema.Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.routes
}

// run retries failed migrations, and migrates tables that a reload did not wait for, until ctx ends.
func (m *migrations) run(ctx context.Context) error {
	tick := time.NewTicker(migrationRetry)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		for _, table := range m.again() {
			_ = m.migrate(ctx, table) // logged, and kept for the next round
		}
	}
}

// again returns the tables to migrate again: those of routes, and those that batches of an earlier route wait for.
func (m *migrations) again() (again []*schema.Table) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, s := range m.tables {
		switch {
		case s.recheck, s.err != nil && (s.routed || m.gate.TableState(name).KeptBack > 0):
			s.recheck = false
			again = append(again, s.table)
		case s.err != nil && time.Since(s.unrouted) > unroutedFor:
			s.err = nil
			m.gate.AdmitTable(name)
		}
	}
	return again
}

// degraded returns the failed migrations of tables that accept batches all the same. The delivery reports the others.
func (m *migrations) degraded() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var reasons []string
	for name, s := range m.tables {
		if s.err != nil && !refused(s.err) && s.fitted == s.table.Hash() {
			reasons = append(reasons, fmt.Sprintf("table %s: the last migration failed, retrying: %v", name, s.err))
		}
	}
	slices.Sort(reasons)
	return reasons
}
