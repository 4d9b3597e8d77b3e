package table

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// MigratorConfig has what a Migrator needs.
type MigratorConfig struct {
	// Conn runs the statements.
	Conn schema.Conn
	// Locker lets one of several instances migrate. Nil: no lease is taken. Every statement that was not asked for by name may be run
	// twice, so a lease saves work, not data.
	Locker schema.Locker
	// Instance names this LogBatcher in the history.
	Instance string
	// Log receives changes and warnings. Nil discards.
	Log *slog.Logger
	// HistoryCluster and HistoryEngine are the cluster and the engine of the history tables. Empty: one server, MergeTree.
	HistoryCluster, HistoryEngine string
	// VisibleWithin is how long a change may take to become visible on the server that is asked. 0: 30 s.
	VisibleWithin time.Duration
}

const (
	// leaseTTL is when the lease of an instance that died expires.
	leaseTTL = 30 * time.Second
	// leaseWait is how long to wait for an instance that migrates the same table.
	leaseWait = time.Minute

	// codeCannotAssignAlter is ClickHouse's code for an ALTER while a replica has not applied the one before.
	codeCannotAssignAlter = 517
	// alterAttempts and alterPause bound the attempts at such an ALTER: seven attempts, sixteen seconds.
	alterAttempts = 7
	alterPause    = 250 * time.Millisecond
)

// Migrator makes tables fit their routes. It starts no goroutine and is safe for concurrent use.
type Migrator struct {
	config MigratorConfig
	log    *slog.Logger

	mu     sync.Mutex
	warned map[string][]string // the warnings that were last logged, by the table's full name
}

// RefusedError is returned for a table that does not fit, if making it fit is left to a person. Nothing was changed, and
// no rows may be inserted: the table would change, lose or reject them.
type RefusedError struct {
	// Table is the table, as database.table.
	Table string
	// Steps are what was refused, with the statements that would do it.
	Steps []RefusedStep
}

// Error returns what was refused and what a person would run.
func (e *RefusedError) Error() string {
	var b strings.Builder
	b.WriteString("migrate " + e.Table + ": refused:")
	for _, s := range e.Steps {
		b.WriteString("\n" + s.Change)
		if s.Statement != "" {
			b.WriteString("; it would take: " + s.Statement)
		}
	}
	return b.String()
}

// errNotVisible is the cause of a migration whose statements succeeded while the table still does not fit.
var errNotVisible = errors.New("the change is not visible")

// NewMigrator returns a migrator.
func NewMigrator(config MigratorConfig) *Migrator {
	config.VisibleWithin = cmp.Or(config.VisibleWithin, 30*time.Second)
	return &Migrator{
		config: config,
		log:    cmp.Or(config.Log, slog.New(slog.DiscardHandler)),
		warned: make(map[string][]string),
	}
}

// Plan returns what it would take to make the tables fit. It changes nothing.
func (m *Migrator) Plan(ctx context.Context, tables ...*schema.Table) ([]*Plan, error) {
	plans := make([]*Plan, 0, len(tables))
	for _, t := range tables {
		plan, err := m.plan(ctx, t)
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

// Migrate makes the table fit, and returns once every change is visible. It returns a *RefusedError, with nothing changed,
// if a person has to decide.
func (m *Migrator) Migrate(ctx context.Context, t *schema.Table) error {
	_, err := m.Apply(ctx, t)
	return err
}

// Apply is Migrate with changes that are otherwise refused, asked for by their names (see Plan.Allow). It ignores names of
// other tables' changes; UnknownNames finds those that no table has. It returns what was done.
func (m *Migrator) Apply(ctx context.Context, t *schema.Table, allow ...string) (*Plan, error) {
	plan, asked, err := m.permitted(ctx, t, allow)
	if err != nil || plan.Empty() {
		return plan, err
	}
	m.reportForeignChange(ctx, t)
	lease, err := m.acquire(ctx, t, asked)
	if err != nil {
		return nil, err
	}
	err = schema.UnderLease(ctx, lease, func(ctx context.Context) error {
		// Another instance may have migrated while this one waited.
		if plan, _, err = m.permitted(ctx, t, allow); err != nil || plan.Empty() {
			return err
		}
		return m.run(ctx, t, plan)
	})
	return plan, err
}

// UnknownNames returns the names by which none of the plans refuses anything.
func UnknownNames(plans []*Plan, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(plans, func(p *Plan) bool { return p.named(name) >= 0 })
	})
}

func (m *Migrator) plan(ctx context.Context, t *schema.Table) (*Plan, error) {
	spelled := t
	existing, err := readExisting(ctx, m.config.Conn, t)
	if err == nil && existing.Table {
		spelled, err = respell(ctx, m.config.Conn, t)
	}
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", t.FullName(), err)
	}
	return NewPlan(spelled, existing), nil
}

// permitted returns a plan that may be run, and whether anything in it was asked for by name.
func (m *Migrator) permitted(ctx context.Context, t *schema.Table, allow []string) (plan *Plan, asked bool, err error) {
	if plan, err = m.plan(ctx, t); err != nil {
		return nil, false, err
	}
	m.warn(ctx, plan)
	asked = plan.Allow(allow...)
	if len(plan.Refused) > 0 {
		return nil, asked, &RefusedError{Table: t.FullName(), Steps: plan.Refused}
	}
	return plan, asked, nil
}

// warn logs a plan's warnings if they differ from the last ones.
func (m *Migrator) warn(ctx context.Context, plan *Plan) {
	name := plan.Table.FullName()
	m.mu.Lock()
	changed := !slices.Equal(m.warned[name], plan.warnings)
	m.warned[name] = plan.warnings
	m.mu.Unlock()
	if !changed {
		return
	}
	for _, warning := range plan.warnings {
		m.log.WarnContext(ctx, "table", "table", name, "warning", warning)
	}
}

// acquire returns a lease, or nil if the migration runs without one: there is no Locker, or it failed. Waiting for a lease that
// Redis can't grant would hold a route for the sake of statements that may be run twice. Only a strict caller gets the
// Locker's error.
func (m *Migrator) acquire(ctx context.Context, t *schema.Table, strict bool) (schema.Lease, error) {
	if m.config.Locker == nil {
		m.log.InfoContext(ctx, "migrating without a lease", "table", t.FullName())
		return nil, nil
	}
	wait, cancel := context.WithTimeout(ctx, leaseWait)
	defer cancel()
	lease, err := m.config.Locker.Acquire(wait, "schema/"+t.FullName(), leaseTTL)
	switch {
	case err == nil:
		return lease, nil
	case ctx.Err() != nil || strict:
		return nil, fmt.Errorf("migrate %s: acquire lease: %w", t.FullName(), err)
	}
	m.log.WarnContext(ctx, "migrating without a lease", "table", t.FullName(), "error", err)
	return nil, nil
}

// run executes the plan's steps and blocks until the table fits.
func (m *Migrator) run(ctx context.Context, t *schema.Table, plan *Plan) error {
	for _, step := range plan.Steps {
		m.log.InfoContext(ctx, "migrating", "table", t.FullName(), "changes", step.Changes)
		start := time.Now()
		err := m.execute(ctx, step.Statement)
		if recordErr := m.record(ctx, t, step.Statement, time.Since(start), err); recordErr != nil {
			m.log.WarnContext(ctx, "schema history not written", "table", t.FullName(), "error", recordErr)
		}
		if err != nil {
			return fmt.Errorf("migrate %s: %w", t.FullName(), err)
		}
	}
	return m.verify(ctx, t)
}

// execute runs a statement, and repeats it while a replica has not applied the one before.
func (m *Migrator) execute(ctx context.Context, statement string) error {
	pause := alterPause
	for attempt := 1; ; attempt++ {
		err := m.config.Conn.Exec(ctx, statement)
		if schema.ErrorCode(err) != codeCannotAssignAlter || attempt == alterAttempts {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

// verify blocks until the changes are visible: the server that is asked may be another replica than the one that made them.
func (m *Migrator) verify(ctx context.Context, t *schema.Table) error {
	wait, cancel := context.WithTimeoutCause(ctx, m.config.VisibleWithin, errNotVisible)
	defer cancel()
	left, look := "", ctx // the first look has no time limit
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		plan, err := m.plan(look, t)
		look = wait
		if err == nil && plan.Empty() {
			return nil
		}
		if err == nil {
			left = plan.String()
		} else if wait.Err() == nil {
			m.log.WarnContext(ctx, "migration not verified yet", "table", t.FullName(), "error", err)
		}
		if sleep(wait, pause) != nil {
			return fmt.Errorf("migrate %s: %w; left to do: %s", t.FullName(), context.Cause(wait), cmp.Or(strings.TrimSpace(left), "unknown"))
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
