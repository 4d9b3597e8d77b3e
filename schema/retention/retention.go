package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
)

// Config says how retention is seen to.
type Config struct {
	// Conn runs the statements.
	Conn schema.Conn
	// Locker lets one instance of several run at a time. Nil: there is only one. Where it fails nothing is
	// deleted: that can wait.
	Locker schema.Locker
	// Instance names this LogBatcher in the history.
	Instance string
	// Log is told what goes. Nil: nobody is.
	Log *slog.Logger
	// Registerer takes the metrics. Nil: nobody does.
	Registerer prometheus.Registerer
	// HistoryCluster and HistoryEngine are the cluster and the engine of the tables in which runs are recorded. Empty: one server, MergeTree.
	HistoryCluster, HistoryEngine string
	// Now is the clock of this machine, which is held against ClickHouse's. Nil: time.Now.
	Now func() time.Time
	// LeaseTTL is when a dead instance's lease runs out. 0: 30 s.
	LeaseTTL time.Duration
	// MutationTimeout is how long a run waits for its mutation. Then the mutation goes on and a later run takes it up. 0: one hour.
	MutationTimeout time.Duration
	// PollInterval is the time between two looks at the mutation. 0: half a second.
	PollInterval time.Duration
}

// Retainer removes what is older than its route keeps it. It starts no goroutine and may be used by several at once.
type Retainer struct {
	config  Config
	log     *slog.Logger
	metrics *metrics

	mu      sync.Mutex
	stopped string // why no run can be made; empty: the clocks agreed when they were last compared
}

// ErrClocksDiffer is returned by a run that was not begun because this machine's clock and ClickHouse's differ by more than
// five minutes: nobody knows what has expired.
var ErrClocksDiffer = errors.New("the clocks of LogBatcher and of ClickHouse differ")

// maxClockDifference is how far the two clocks may be apart.
const maxClockDifference = 5 * time.Minute

// Result is what a retention run did.
type Result struct {
	// Route, Table and Cutoff are the plan's.
	Route, Table string
	Cutoff       time.Time
	// Dropped are the ids of the partitions that were dropped, with these rows, parts and bytes on disk.
	Dropped                                 []string
	DroppedRows, DroppedParts, DroppedBytes uint64
	// DeletedRows is how many rows the mutation was to delete, and did.
	DeletedRows uint64
	// Oldest is the time of the oldest row afterwards. Zero: the table is empty.
	Oldest time.Time
	// Unfinished is how many mutations of the table are not done, anybody's.
	Unfinished int
	// Ended and Duration say when the run ended and how long it took.
	Ended    time.Time
	Duration time.Duration
	// Notes say what is left, and why.
	Notes []string

	// checked tells that Oldest and Unfinished were asked for.
	checked bool
}

// New returns a retainer. It registers its metrics.
func New(config Config) *Retainer {
	if config.Now == nil {
		config.Now = time.Now
	}
	config.LeaseTTL = cmp.Or(config.LeaseTTL, 30*time.Second)
	config.MutationTimeout = cmp.Or(config.MutationTimeout, time.Hour)
	config.PollInterval = cmp.Or(config.PollInterval, 500*time.Millisecond)
	return &Retainer{
		config:  config,
		log:     cmp.Or(config.Log, slog.New(slog.DiscardHandler)),
		metrics: newMetrics(config.Registerer),
	}
}

// Plan tells what a run would do. It changes nothing.
func (r *Retainer) Plan(ctx context.Context, route *schema.Route) (*Plan, error) {
	p, err := r.plan(ctx, route)
	if err != nil {
		return nil, fmt.Errorf("retention of %s: %w", route.Table.FullName(), err)
	}
	return p, nil
}

func (r *Retainer) plan(ctx context.Context, route *schema.Route) (*Plan, error) {
	t := route.Table
	p := &Plan{Route: route.Name, Table: t.FullName()}
	if route.Retention.MaxAge <= 0 {
		p.note("the route keeps its rows for ever")
		return p, nil
	}
	now, err := r.now(ctx)
	if err != nil {
		return nil, err
	}
	columns, by, found, err := readTable(ctx, r.config.Conn, t)
	if err != nil {
		return nil, err
	}
	if !found {
		p.note("the table is not there")
		return p, nil
	}
	column, err := timeColumn(route, columns, by)
	if err != nil {
		return nil, err
	}
	e := newExpiry(column, now.Add(-route.Retention.MaxAge))
	p.Column, p.Cutoff, p.ours = column.Name, e.cutoff, e.compared()
	if e.never() {
		p.note("nothing can have expired: %s holds no time before the cutoff", column.Type)
		return p, nil
	}
	partitions, err := readPartitions(ctx, r.config.Conn, t, by, e)
	if err != nil {
		return nil, err
	}
	cut := p.sortPartitions(route, e, partitions)
	if err := p.deleteRows(ctx, r.config.Conn, t, e, cut); err != nil {
		return nil, err
	}
	mutations, err := readMutations(ctx, r.config.Conn, t)
	p.Unfinished = unfinished(mutations)
	return p, err
}

// now returns the earlier of this machine's time and ClickHouse's. A clock that runs ahead would have rows removed before
// their time, for good; one that is behind only keeps them longer.
func (r *Retainer) now(ctx context.Context) (time.Time, error) {
	before := r.config.Now()
	rows, err := r.config.Conn.Query(ctx, "SELECT toUnixTimestamp64Milli(now64(3))")
	if err != nil {
		return time.Time{}, fmt.Errorf("read ClickHouse's time: %w", err)
	}
	numbers, err := integers(rows[0])
	if err != nil {
		return time.Time{}, fmt.Errorf("read ClickHouse's time: %w", err)
	}
	server, after := time.UnixMilli(numbers[0]), r.config.Now()
	difference := time.Duration(0) // within the time that the question took, they agree
	switch {
	case server.Before(before):
		difference = server.Sub(before)
	case server.After(after):
		difference = server.Sub(after)
	}
	r.metrics.clocks.Set(difference.Seconds())
	if difference.Abs() > maxClockDifference {
		err = fmt.Errorf("%w by more than %v: here it is %s, there %s; nothing is removed until they agree",
			ErrClocksDiffer, maxClockDifference, after.UTC().Format(time.RFC3339), server.UTC().Format(time.RFC3339))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped = ""; err != nil {
		r.stopped = "retention is stopped: " + err.Error()
		return time.Time{}, err
	}
	if server.Before(before) {
		return server, nil
	}
	return before, nil
}

// Degraded returns why no run can be made, for people. Nothing: runs are made.
func (r *Retainer) Degraded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped == "" {
		return nil
	}
	return []string{r.stopped}
}

// Run removes what has expired. It returns ErrLeaseHeld where another instance is at it, an error that is
// ErrMutationUnfinished where rows wait for a mutation, and *MutationFailedError where the mutation failed and was killed. The
// result tells what was done also where there is an error; it is nil only where nothing was begun.
func (r *Retainer) Run(ctx context.Context, route *schema.Route) (*Result, error) {
	var result *Result
	err := r.alone(ctx, route, func(ctx context.Context) (err error) {
		result, err = r.runAlone(ctx, route)
		return err
	})
	return result, err
}

// RunDue is Run, if no instance has made a run within the route's interval. It returns nil where one has.
func (r *Retainer) RunDue(ctx context.Context, route *schema.Route) (*Result, error) {
	var result *Result
	err := r.alone(ctx, route, func(ctx context.Context) error {
		last, err := r.historyOf(route).last(ctx, route)
		if err != nil {
			return fmt.Errorf("retention of %s: %w", route.Table.FullName(), err)
		}
		// A tenth less, or the jitter of two instances would make every other run drop out.
		if r.config.Now().Sub(last) < route.Retention.Interval*9/10 {
			return nil
		}
		result, err = r.runAlone(ctx, route)
		return err
	})
	return result, err
}

// alone runs do while this instance holds the table's lease.
func (r *Retainer) alone(ctx context.Context, route *schema.Route, do func(context.Context) error) error {
	if r.config.Locker == nil {
		return do(ctx)
	}
	lease, err := r.config.Locker.TryAcquire(ctx, "retention/"+route.Table.FullName(), r.config.LeaseTTL)
	if err != nil {
		return fmt.Errorf("retention of %s: %w", route.Table.FullName(), err)
	}
	return schema.UnderLease(ctx, lease, do)
}

func (r *Retainer) runAlone(ctx context.Context, route *schema.Route) (*Result, error) {
	start := r.config.Now()
	result := &Result{Route: route.Name, Table: route.Table.FullName()}
	plan, err := r.plan(ctx, route)
	if err == nil {
		result.Cutoff, result.Notes = plan.Cutoff, plan.Notes
		err = r.apply(ctx, route, plan, result)
	}
	if plan != nil && plan.Column != "" {
		err = errors.Join(err, r.check(ctx, route, plan, result))
	}
	result.Ended = r.config.Now()
	result.Duration = result.Ended.Sub(start)
	r.metrics.observe(result, err)
	if err != nil {
		err = fmt.Errorf("retention of %s: %w", result.Table, err)
	}
	// The row is also written when the run was cut short, by a context that is not its own.
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), historyTimeout)
	defer cancel()
	if writeErr := r.historyOf(route).write(write, route, result, err); writeErr != nil {
		r.log.WarnContext(ctx, "retention history not written", "table", result.Table, "error", writeErr)
	}
	return result, err
}

// historyTimeout bounds writing down a run.
const historyTimeout = 10 * time.Second

func (r *Retainer) apply(ctx context.Context, route *schema.Route, plan *Plan, result *Result) error {
	for _, p := range plan.Drops {
		r.log.InfoContext(ctx, "dropping partition", "table", plan.Table, "partition", p.Value, "rows", p.Rows, "newest", p.Max)
		if err := r.config.Conn.Exec(ctx, p.Statement); err != nil {
			return fmt.Errorf("drop partition %s: %w", p.ID, err)
		}
		result.Dropped = append(result.Dropped, p.ID)
		result.DroppedRows += p.Rows
		result.DroppedParts += p.Parts
		result.DroppedBytes += p.Bytes
	}
	if plan.Delete == nil {
		return nil
	}
	if err := r.takeUp(ctx, route.Table, plan); err != nil {
		return err
	}
	r.log.InfoContext(ctx, "deleting rows", "table", plan.Table, "rows", plan.Delete.Rows, "statement", plan.Delete.Statement)
	id, err := startMutation(ctx, r.config.Conn, route.Table, plan.Delete.Statement, plan.ours)
	if err != nil {
		return fmt.Errorf("delete rows: %w", err)
	}
	if err := r.await(ctx, route.Table, id); err != nil {
		return fmt.Errorf("delete rows: %w", err)
	}
	result.DeletedRows = plan.Delete.Rows
	return nil
}

// takeUp waits for the mutation that an earlier run left, and stops at one that is not ours: a table has one unfinished
// mutation at most.
func (r *Retainer) takeUp(ctx context.Context, t *schema.Table, plan *Plan) error {
	for _, m := range plan.Unfinished {
		if !m.startsWithComparison(plan.ours) {
			return fmt.Errorf("%w: %s %s", ErrMutationUnfinished, m.ID, m.Command)
		}
		if err := r.await(ctx, t, m.ID); err != nil {
			return fmt.Errorf("mutation of an earlier run: %w", err)
		}
	}
	return nil
}

// await blocks until a mutation is done, for MutationTimeout at most.
func (r *Retainer) await(ctx context.Context, t *schema.Table, id string) error {
	wait, cancel := context.WithTimeoutCause(ctx, r.config.MutationTimeout, ErrMutationUnfinished)
	defer cancel()
	err := watchMutation(wait, r.config.Conn, t, id, r.config.PollInterval)
	if cause := context.Cause(wait); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// check asks for the oldest row, so that what is exported is what is there and not what should be.
func (r *Retainer) check(ctx context.Context, route *schema.Route, plan *Plan, result *Result) error {
	oldest, err := r.oldest(ctx, route.Table, plan.Column, "")
	if err == nil && oldest.Equal(noTime) {
		// Rows without a time hide the oldest one. To find it takes reading the column.
		oldest, err = r.oldest(ctx, route.Table, plan.Column, " WHERE toUnixTimestamp64Milli(toDateTime64("+schema.QuoteIdentifier(plan.Column)+", 3, 'UTC')) != 0")
	}
	if schema.ErrorCode(err) == schema.CodeUnknownTable || schema.ErrorCode(err) == schema.CodeUnknownDatabase {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read oldest row: %w", err)
	}
	result.Oldest = oldest
	mutations, err := readMutations(ctx, r.config.Conn, route.Table)
	if err != nil {
		return err
	}
	result.Unfinished = len(unfinished(mutations))
	result.checked = true
	if plan.Delete != nil && result.DeletedRows > 0 && !result.Oldest.IsZero() && result.Oldest.Before(plan.Cutoff.Add(-24*time.Hour)) {
		r.log.WarnContext(ctx, "rows older than the cutoff are left", "table", plan.Table, "oldest", result.Oldest, "cutoff", plan.Cutoff)
	}
	return nil
}

// oldest returns the least time in a column. Zero: there is none.
func (r *Retainer) oldest(ctx context.Context, t *schema.Table, name, where string) (time.Time, error) {
	column := schema.QuoteIdentifier(name)
	rows, err := r.config.Conn.Query(ctx, "SELECT count("+column+"), toUnixTimestamp64Milli(toDateTime64(assumeNotNull(min("+column+")), 3, 'UTC')) FROM "+
		schema.QuotedName(t.Database, t.Name)+where+rightBounds)
	if err != nil {
		return time.Time{}, err
	}
	numbers, err := integers(rows[0])
	if err != nil || numbers[0] == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(numbers[1]).UTC(), nil
}
