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

// MigratorConfig says how tables are made to fit.
type MigratorConfig struct {
	// Conn runs the statements.
	Conn schema.Conn
	// Locker makes one instance of several migrate. Nil: no lease is taken. Every statement that is run
	// without being asked for by name may be run twice, so a lease saves work and confusion, not data.
	Locker schema.Locker
	// Instance names this LogBatcher in the history.
	Instance string
	// Log is told what is changed. Nil: nobody is.
	Log *slog.Logger
	// HistoryCluster and HistoryEngine are the cluster and the engine of the tables in which migrations are recorded. Empty: one server, MergeTree.
	HistoryCluster, HistoryEngine string
	// LeaseTTL is when a dead instance's lease runs out. 0: 30 s.
	LeaseTTL time.Duration
	// LeaseWait is how long to wait for an instance that migrates the same table. 0: one minute.
	LeaseWait time.Duration
	// VisibleWithin is how long a change may take to show on the server that is asked. 0: 30 s.
	VisibleWithin time.Duration
}

// Migrator makes tables fit their routes. It starts no goroutine and may be used by several goroutines at once.
type Migrator struct {
	config MigratorConfig
	log    *slog.Logger

	mu     sync.Mutex
	warned map[string][]string // the warnings that were logged last, by the table's full name
}

// RefusedError says that a table does not fit and that making it fit is left to a person. Nothing was changed, and rows must
// not be inserted: the table would change them, lose them, or not take them.
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

// codeCannotAssignAlter is ClickHouse's code for a replica that has not applied the ALTER before this one.
const codeCannotAssignAlter = 517

// errNotVisible: the statements went through, and the table still does not fit.
var errNotVisible = errors.New("the change does not show")

// alterAttempts and alterPause bound the tries of an ALTER that a replica is not ready for: seven
// tries, sixteen seconds.
const (
	alterAttempts = 7
	alterPause    = 250 * time.Millisecond
)

// NewMigrator returns a migrator.
func NewMigrator(config MigratorConfig) *Migrator {
	config.LeaseTTL = cmp.Or(config.LeaseTTL, 30*time.Second)
	config.LeaseWait = cmp.Or(config.LeaseWait, time.Minute)
	config.VisibleWithin = cmp.Or(config.VisibleWithin, 30*time.Second)
	return &Migrator{
		config: config,
		log:    cmp.Or(config.Log, slog.New(slog.DiscardHandler)),
		warned: make(map[string][]string),
	}
}

// Plan tells what it would take to make the tables fit. It changes nothing.
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

// Migrate makes the table fit, and returns once every change is seen. It does nothing where the table fits, and
// returns a *RefusedError, with nothing changed, where a person has to decide.
func (m *Migrator) Migrate(ctx context.Context, t *schema.Table) error {
	_, err := m.Apply(ctx, t)
	return err
}

// Apply is Migrate with changes that are otherwise refused, asked for by their names (see Plan.Allow). Names that this
// table knows nothing of are another table's: UnknownNames finds those that are nobody's. It returns what was done.
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
	if lease == nil {
		return plan, m.run(ctx, t, plan)
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

// UnknownNames returns the names by which none of the plans refuses anything: whoever mistypes one should not read
// that all is well.
func UnknownNames(plans []*Plan, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(plans, func(p *Plan) bool { return p.named(name) >= 0 })
	})
}

func (m *Migrator) plan(ctx context.Context, t *schema.Table) (*Plan, error) {
	existing, err := readExisting(ctx, m.config.Conn, t)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", t.FullName(), err)
	}
	if !existing.Table {
		return NewPlan(t, existing), nil
	}
	spelled, err := respell(ctx, m.config.Conn, t)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", t.FullName(), err)
	}
	return NewPlan(spelled, existing), nil
}

// permitted returns a plan that may be run, and whether something in it was asked for by name.
func (m *Migrator) permitted(ctx context.Context, t *schema.Table, allow []string) (plan *Plan, asked bool, err error) {
	if plan, err = m.plan(ctx, t); err != nil {
		return nil, false, err
	}
	m.warn(ctx, plan)
	asked = len(plan.Allow(allow...)) < len(allow)
	if len(plan.Refused) > 0 {
		return nil, asked, &RefusedError{Table: t.FullName(), Steps: plan.Refused}
	}
	return plan, asked, nil
}

// warn logs a plan's warnings when they are others than the last time.
func (m *Migrator) warn(ctx context.Context, plan *Plan) {
	name := plan.Table.FullName()
	m.mu.Lock()
	news := !slices.Equal(m.warned[name], plan.warnings)
	m.warned[name] = plan.warnings
	m.mu.Unlock()
	for _, warning := range plan.warnings {
		if news {
			m.log.WarnContext(ctx, "table", "table", name, "warning", warning)
		}
	}
}

// reportForeignChange tells that a table which fitted was changed by somebody else.
func (m *Migrator) reportForeignChange(ctx context.Context, t *schema.Table) {
	at, hash, outcome, err := m.historyOf(t.Database).last(ctx, t)
	if err != nil {
		m.log.WarnContext(ctx, "schema history unreadable", "table", t.FullName(), "error", err)
		return
	}
	if outcome == outcomeApplied && hash == t.Hash() {
		m.log.WarnContext(ctx, "table was changed from outside", "table", t.FullName(), "migrated", at)
	}
}

// acquire returns a lease, or nil where the migration goes on without one: there is no Locker, or the lease can't be
// had. Waiting for a lease that Redis can't give would hold a route for the sake of
// statements that may be run twice. What was asked for by name is run under a lease or, where there is a
// Locker, not at all.
func (m *Migrator) acquire(ctx context.Context, t *schema.Table, strict bool) (schema.Lease, error) {
	if m.config.Locker == nil {
		m.log.InfoContext(ctx, "migrating without a lease", "table", t.FullName())
		return nil, nil
	}
	wait, cancel := context.WithTimeout(ctx, m.config.LeaseWait)
	defer cancel()
	lease, err := m.config.Locker.Acquire(wait, "schema/"+t.FullName(), m.config.LeaseTTL)
	switch {
	case err == nil:
		return lease, nil
	case ctx.Err() != nil || strict:
		return nil, fmt.Errorf("migrate %s: acquire lease: %w", t.FullName(), err)
	}
	m.log.WarnContext(ctx, "migrating without a lease", "table", t.FullName(), "error", err)
	return nil, nil
}

// run executes the plan's steps and waits until the table fits.
func (m *Migrator) run(ctx context.Context, t *schema.Table, plan *Plan) error {
	for _, step := range plan.Steps {
		m.log.InfoContext(ctx, "migrating", "table", t.FullName(), "changes", step.Changes)
		start := time.Now()
		err := m.execute(ctx, step.Statement)
		record := migration{hash: t.Hash(), statement: step.Statement, duration: time.Since(start), outcome: outcomeApplied}
		if err != nil {
			record.outcome, record.message = outcomeFailed, err.Error()
		}
		// Without its row in the history a migration is still a migration.
		if writeErr := m.historyOf(t.Database).write(ctx, t, record); writeErr != nil {
			m.log.WarnContext(ctx, "schema history not written", "table", t.FullName(), "error", writeErr)
		}
		if err != nil {
			return fmt.Errorf("migrate %s: %w", t.FullName(), err)
		}
	}
	return m.verify(ctx, t)
}

// execute runs a statement, again where a replica has not applied the one before yet.
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

// verify waits until the server that is asked has the changes: it may be another replica than
// the one that made them.
func (m *Migrator) verify(ctx context.Context, t *schema.Table) error {
	wait, cancel := context.WithTimeoutCause(ctx, m.config.VisibleWithin, errNotVisible)
	defer cancel()
	left, look := "", ctx // the first look takes as long as it takes
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
			return fmt.Errorf("migrate %s: %w; left to do: %s", t.FullName(), context.Cause(wait), cmp.Or(strings.TrimSpace(left), "not known"))
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
