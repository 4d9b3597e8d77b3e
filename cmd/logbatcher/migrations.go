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
	// migrationRetry is the time between two tries of a failed migration.
	migrationRetry = 15 * time.Second
	// migrationsAtOnce bounds the tables that are migrated at a time.
	migrationsAtOnce = 8
)

// unroutedFor is how long the batches of a route that a reload has removed may still come.
const unroutedFor = 5 * time.Minute

// gate keeps batches from tables. It is implemented by sink.Delivery.
type gate interface {
	RefuseTable(table string, why error)
	SuspendTable(table string, why error)
	AdmitTable(table string)
	TableState(table string) sink.TableState
}

// migrations makes the routes' tables fit, tries again what failed, and binds the delivery to what it finds: nothing is inserted
// into a table that the plan refuses, nor into one that was never seen to fit. A table that fitted stays open where a later
// migration fails for a reason that passes.
type migrations struct {
	migrator sink.Migrator
	gate     gate
	log      *slog.Logger

	mu      sync.Mutex                 // guards what follows
	routes  []*schema.Route            // the present ones
	current map[string]*schema.Table   // their tables, by their full names
	fitted  map[string]string          // hash of the table that was seen to fit
	failed  map[string]failedMigration // of the tables that do not fit, or are not known to
	recheck []*schema.Table            // were seen to fit before the last reload, which did not wait for them
}

type failedMigration struct {
	table    *schema.Table
	err      error
	unrouted time.Time // since when no route has the table
}

func newMigrations(migrator sink.Migrator, log *slog.Logger) *migrations {
	return &migrations{
		migrator: migrator, log: log,
		current: map[string]*schema.Table{}, fitted: map[string]string{}, failed: map[string]failedMigration{},
	}
}

// newMigrator returns what migrates, for the service and for the commands.
func newMigrator(c *config.Config, s *clickhouse.Sink, locker schema.Locker, instance string, log *slog.Logger) *table.Migrator {
	return table.NewMigrator(table.MigratorConfig{
		Conn: s.Conn(), Locker: locker, Instance: instance, Log: log, HistoryCluster: c.ClickHouse.Cluster, HistoryEngine: c.ClickHouse.Engine,
	})
}

// Migrate implements sink.Migrator: it is called when ClickHouse refuses a batch because the table does not fit. A batch may be
// older than a reload, so that it is the route's present table that is made to fit.
func (m *migrations) Migrate(ctx context.Context, table *schema.Table) error {
	m.mu.Lock()
	if current := m.current[table.FullName()]; current != nil {
		table = current
	}
	m.mu.Unlock()
	return m.migrate(ctx, table)
}

func (m *migrations) migrate(ctx context.Context, t *schema.Table) error {
	err := m.migrator.Migrate(ctx, t)
	if err != nil && ctx.Err() != nil {
		return err // the end of the service says nothing about the table
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := t.FullName()
	if err == nil {
		if _, failed := m.failed[name]; failed {
			m.log.Info("table fits", "table", name)
		}
		delete(m.failed, name)
		m.fitted[name] = t.Hash()
		m.gate.AdmitTable(name)
		return nil
	}
	before := m.failed[name]
	told := before.err != nil && before.err.Error() == err.Error()
	m.failed[name] = failedMigration{table: t, err: err, unrouted: before.unrouted}
	var refused *table.RefusedError
	switch {
	case errors.As(err, &refused):
		m.gate.RefuseTable(name, err)
		if !told {
			m.log.Error("table does not fit, its batches are held", "table", name, "error", err)
		}
	case m.fitted[name] == t.Hash():
		if !told {
			m.log.Warn("migration failed, it is tried again", "table", name, "error", err)
		}
	default:
		m.gate.SuspendTable(name, err)
		if !told {
			m.log.Warn("migration failed, it is tried again; batches wait until the t is seen to fit", "table", name, "error", err)
		}
	}
	return err
}

// migrateAll makes the routes the present ones and migrates their tables. It leaves to run those that were seen to fit and are wanted as before, and what
// fails; the error is the context's.
func (m *migrations) migrateAll(ctx context.Context, routes []*schema.Route) error {
	var group errgroup.Group
	group.SetLimit(migrationsAtOnce)
	for _, table := range m.use(routes) {
		group.Go(func() error {
			if ctx.Err() == nil {
				_ = m.migrate(ctx, table) // told, and kept in failed
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

// use makes the routes the present ones and returns the tables that are not known to fit them. Others are for run.
func (m *migrations) use(routes []*schema.Route) (changed []*schema.Table) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.routes = routes
	before := m.current
	m.recheck = nil
	m.current = make(map[string]*schema.Table, len(routes))
	for _, r := range routes {
		name := r.Table.FullName()
		m.current[name] = r.Table
		if _, failed := m.failed[name]; failed || m.fitted[name] != r.Table.Hash() || !reflect.DeepEqual(before[name], r.Table) {
			changed = append(changed, r.Table)
		} else {
			m.recheck = append(m.recheck, r.Table)
		}
	}
	for name, f := range m.failed {
		switch {
		case m.current[name] != nil:
			f.unrouted = time.Time{}
		case f.unrouted.IsZero():
			f.unrouted = time.Now()
		}
		m.failed[name] = f
	}
	return changed
}

// inForce returns the present routes.
func (m *migrations) inForce() []*schema.Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.routes
}

// run tries failed migrations again, and after a reload the tables that it did not wait for, until ctx ends.
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
			_ = m.migrate(ctx, table)
		}
	}
}

// again returns the tables to migrate again: those of routes, and those that batches of an earlier route wait for.
func (m *migrations) again() []*schema.Table {
	m.mu.Lock()
	defer m.mu.Unlock()
	again := m.recheck
	m.recheck = nil
	for name, f := range m.failed {
		table := m.current[name]
		switch {
		case table != nil:
			again = append(again, table)
		case m.gate.TableState(name).KeptBack > 0:
			again = append(again, f.table)
		case time.Since(f.unrouted) > unroutedFor:
			delete(m.failed, name)
			m.gate.AdmitTable(name)
		}
	}
	return again
}

// degraded returns which migrations failed for tables that take batches all the same. The delivery tells of the others.
func (m *migrations) degraded() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var reasons []string
	for name, f := range m.failed {
		var refused *table.RefusedError
		if !errors.As(f.err, &refused) && m.fitted[name] == f.table.Hash() {
			reasons = append(reasons, fmt.Sprintf("table %s: the last migration failed, it is tried again: %v", name, f.err))
		}
	}
	slices.Sort(reasons)
	return reasons
}
