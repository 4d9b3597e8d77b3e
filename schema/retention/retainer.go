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

// Config has what a Retainer needs.
type Config struct {
	// Conn runs the statements.
	Conn schema.Conn
	// Locker lets one of several instances run at a time. If it fails, nothing is deleted. Nil: there is only one instance.
	Locker schema.Locker
	// Instance names this LogBatcher in the history.
	Instance string
	// Log receives drops and deletes. Nil discards.
	Log *slog.Logger
	// Registerer registers the metrics. Nil: they are not exported.
	Registerer prometheus.Registerer
	// HistoryCluster and HistoryEngine are the cluster and the engine of the history tables. Empty: one server, MergeTree.
	HistoryCluster, HistoryEngine string
	// Now is this machine's clock, which is compared with ClickHouse's. Nil: time.Now.
	Now func() time.Time
	// MutationTimeout is how long a run waits for its mutation, which then continues without it. 0: one hour.
	MutationTimeout time.Duration
	// PollInterval is the time between two looks at the mutation. 0: half a second.
	PollInterval time.Duration
}

const (
	// leaseTTL is when the lease of an instance that died expires.
	leaseTTL = 30 * time.Second
	// historyTimeout bounds recording a run.
	historyTimeout = 10 * time.Second
	// maxClockDifference is how far the two clocks may be apart.
	maxClockDifference = 5 * time.Minute
)

// ErrClocksDiffer is returned by a run that did not start because this machine's clock and ClickHouse's differ by more than
// five minutes, so that it is unknown what has expired.
var ErrClocksDiffer = errors.New("the clocks of LogBatcher and ClickHouse differ")

// Retainer removes rows that are older than their route keeps them. It starts no goroutine and is safe for concurrent use.
type Retainer struct {
	config  Config
	log     *slog.Logger
	metrics *metrics

	mu      sync.Mutex
	stopped string // why no run is possible; empty if the clocks agreed when last compared
}

// Result is what a run did.
type Result struct {
	// Route, Table and Cutoff are the plan's.
	Route, Table string
	Cutoff       time.Time
	// Dropped are the ids of the dropped partitions, which had these rows, parts and bytes on disk.
	Dropped                                 []string
	DroppedRows, DroppedParts, DroppedBytes uint64
	// DeletedRows is how many rows the mutation deleted.
	DeletedRows uint64
	// Oldest is the time of the oldest row afterwards. Zero: the table is empty.
	Oldest time.Time
	// Unfinished is how many mutations of the table are not done, whoever started them.
	Unfinished int
	// Ended is when the run ended, Duration how long it took.
	Ended    time.Time
	Duration time.Duration
	// Notes are about what is left, and why.
	Notes []string

	// checked reports whether Oldest and Unfinished are known.
	checked bool
}

// New returns a Retainer.
func New(config Config) *Retainer {
	if config.Now == nil {
		config.Now = time.Now
	}
	config.MutationTimeout = cmp.Or(config.MutationTimeout, time.Hour)
	config.PollInterval = cmp.Or(config.PollInterval, 500*time.Millisecond)
	return &Retainer{
		config:  config,
		log:     cmp.Or(config.Log, slog.New(slog.DiscardHandler)),
		metrics: newMetrics(config.Registerer),
	}
}

// Plan returns what a run would do. It changes nothing.
func (r *Retainer) Plan(ctx context.Context, route *schema.Route) (*Plan, error) {
	p, err := r.plan(ctx, route)
	if err != nil {
		return nil, fmt.Errorf("retention of %s: %w", route.Table.FullName(), err)
	}
	return p, nil
}

// Run removes what has expired. It returns ErrLeaseHeld while another instance runs, ErrMutationUnfinished if rows could not
// be deleted because of another mutation, and a *MutationFailedError if the mutation failed and was killed. The result is nil
// only if nothing was begun.
func (r *Retainer) Run(ctx context.Context, route *schema.Route) (*Result, error) {
	return r.underLease(ctx, route, r.run)
}

// RunDue is Run unless an instance has made a run within the route's interval; then it returns nil.
func (r *Retainer) RunDue(ctx context.Context, route *schema.Route) (*Result, error) {
	return r.underLease(ctx, route, func(ctx context.Context, route *schema.Route) (*Result, error) {
		last, err := r.lastRun(ctx, route)
		if err != nil {
			return nil, fmt.Errorf("retention of %s: %w", route.Table.FullName(), err)
		}
		// A tenth less, or the jitter of two instances would skip every other run.
		if r.config.Now().Sub(last) < route.Retention.Interval*9/10 {
			return nil, nil
		}
		return r.run(ctx, route)
	})
}

// Degraded returns why no run is possible. Empty: runs are possible.
func (r *Retainer) Degraded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped == "" {
		return nil
	}
	return []string{r.stopped}
}

func (r *Retainer) underLease(ctx context.Context, route *schema.Route, run func(context.Context, *schema.Route) (*Result, error)) (result *Result, err error) {
	var lease schema.Lease
	if r.config.Locker != nil {
		if lease, err = r.config.Locker.TryAcquire(ctx, "retention/"+route.Table.FullName(), leaseTTL); err != nil {
			return nil, fmt.Errorf("retention of %s: %w", route.Table.FullName(), err)
		}
	}
	err = schema.UnderLease(ctx, lease, func(ctx context.Context) (err error) {
		result, err = run(ctx, route)
		return err
	})
	return result, err
}

func (r *Retainer) run(ctx context.Context, route *schema.Route) (*Result, error) {
	start := r.config.Now()
	result := &Result{Route: route.Name, Table: route.Table.FullName()}
	plan, err := r.plan(ctx, route)
	if err == nil {
		result.Cutoff, result.Notes = plan.Cutoff, plan.Notes
		err = errors.Join(r.apply(ctx, route.Table, plan, result), r.check(ctx, route.Table, plan, result))
	}
	result.Ended = r.config.Now()
	result.Duration = result.Ended.Sub(start)
	r.metrics.observe(result, err)
	if err != nil {
		err = fmt.Errorf("retention of %s: %w", result.Table, err)
	}
	// A run that was cut short is recorded too.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), historyTimeout)
	defer cancel()
	if recordErr := r.record(record, route, result, err); recordErr != nil {
		r.log.WarnContext(ctx, "retention history not written", "table", result.Table, "error", recordErr)
	}
	return result, err
}

// now returns the earlier of this machine's time and ClickHouse's. A clock that is ahead would remove rows too early, for
// good; one that is behind only keeps them longer.
func (r *Retainer) now(ctx context.Context) (time.Time, error) {
	before := r.config.Now()
	rows, err := integers(r.config.Conn.Query(ctx, "SELECT toUnixTimestamp64Milli(now64(3))"))
	if err != nil {
		return time.Time{}, fmt.Errorf("read ClickHouse's time: %w", err)
	}
	server, after := time.UnixMilli(rows[0][0]), r.config.Now()
	difference := time.Duration(0) // the clocks agree if ClickHouse's time is between before and after
	switch {
	case server.Before(before):
		difference = server.Sub(before)
	case server.After(after):
		difference = server.Sub(after)
	}
	r.metrics.clocks.Set(difference.Seconds())
	r.mu.Lock()
	defer r.mu.Unlock()
	if difference.Abs() > maxClockDifference {
		err = fmt.Errorf("%w by more than %v: it is %s here and %s there; nothing is removed until they agree",
			ErrClocksDiffer, maxClockDifference, after.UTC().Format(time.RFC3339), server.UTC().Format(time.RFC3339))
		r.stopped = "retention is stopped: " + err.Error()
		return time.Time{}, err
	}
	r.stopped = ""
	if server.Before(before) {
		return server, nil
	}
	return before, nil
}

func (r *Retainer) apply(ctx context.Context, t *schema.Table, plan *Plan, result *Result) error {
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
	// A table has at most one unfinished mutation.
	for _, m := range plan.Unfinished {
		if !m.compares(plan.comparison) {
			return fmt.Errorf("%w: %s %s", ErrMutationUnfinished, m.ID, m.Command)
		}
		if err := r.await(ctx, t, m.ID); err != nil {
			return fmt.Errorf("mutation of an earlier run: %w", err)
		}
	}
	r.log.InfoContext(ctx, "deleting rows", "table", plan.Table, "rows", plan.Delete.Rows, "statement", plan.Delete.Statement)
	if err := r.mutate(ctx, t, plan); err != nil {
		return fmt.Errorf("delete rows: %w", err)
	}
	result.DeletedRows = plan.Delete.Rows
	return nil
}

// check reads the oldest row that is left, so that the metric is about the table and not about what should be in it.
func (r *Retainer) check(ctx context.Context, t *schema.Table, plan *Plan, result *Result) error {
	if plan.Column == "" {
		return nil
	}
	oldest, err := r.oldest(ctx, t, plan.Column, "")
	if err == nil && oldest.Equal(noTime) {
		// Rows without a time hide the oldest one. To find it ClickHouse has to read the column.
		oldest, err = r.oldest(ctx, t, plan.Column, " WHERE toUnixTimestamp64Milli(toDateTime64("+schema.QuoteIdentifier(plan.Column)+", 3, 'UTC')) != 0")
	}
	if err != nil {
		return fmt.Errorf("read oldest row: %w", err)
	}
	unfinished, err := r.unfinished(ctx, t)
	if err != nil {
		return err
	}
	result.Oldest, result.Unfinished, result.checked = oldest, len(unfinished), true
	if result.DeletedRows > 0 && !oldest.IsZero() && oldest.Before(plan.Cutoff.Add(-24*time.Hour)) {
		r.log.WarnContext(ctx, "rows older than the cutoff are left", "table", plan.Table, "oldest", oldest, "cutoff", plan.Cutoff)
	}
	return nil
}

// oldest returns the least time in a column, zero if there is none.
func (r *Retainer) oldest(ctx context.Context, t *schema.Table, name, where string) (time.Time, error) {
	column := schema.QuoteIdentifier(name)
	rows, err := integers(r.config.Conn.Query(ctx, "SELECT count("+column+"), toUnixTimestamp64Milli(toDateTime64(assumeNotNull(min("+column+")), 3, 'UTC')) FROM "+
		schema.QuotedName(t.Database, t.Name)+where+exactBounds))
	if err != nil || rows[0][0] == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(rows[0][1]).UTC(), nil
}
