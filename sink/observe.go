package sink

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// troubleAfter is how long something has to fail before the service counts as degraded: anything shorter is an ordinary retry.
// recentCode is how long an unknown error code stays in Degraded, recentView a failed view.
const (
	troubleAfter = 10 * time.Second
	recentCode   = time.Hour
	recentView   = 5 * time.Minute
)

// TableState is the state of a table's inserts.
type TableState struct {
	// InFlight is how many inserts are sent and not answered, Limit how many may be.
	InFlight, Limit int
	// Held reports that batches wait for an operator, HeldReason why and what to do.
	Held       bool
	HeldReason string
	// KeptBack counts the batches, or parts of them, that wait for a table that does not fit or is not known to.
	KeptBack int
	// LastFailure is the last failed insert, if any.
	LastFailure *schema.FailedBatch
}

// observeAttempt records the outcome of an insert. failure is nil if it was acknowledged.
func (v *delivery) observeAttempt(p *piece, failure *Error, took time.Duration) {
	outcome := outcomeCommitted
	if failure == nil || failure.Deduplicated {
		v.noteSuccess()
	} else {
		outcome = failure.Class.String()
		v.noteFailure(p, failure)
		v.noteInsertFailure(p, failure)
	}
	_, limit := v.table.limiter.state()
	v.metrics.limit.WithLabelValues(v.table.name).Set(float64(limit))
	v.metrics.inserts.WithLabelValues(v.table.name, outcome).Inc()
	v.metrics.duration.WithLabelValues(v.table.name).Observe(took.Seconds())
	if p.settling.attempts > 1 {
		v.metrics.retries.WithLabelValues(v.table.name).Inc()
	}
}

// noteInsertFailure records what the error of an insert says about the table, its views and the table of codes.
func (v *delivery) noteInsertFailure(p *piece, failure *Error) {
	now, t := time.Now(), v.table
	view := namedView(failure.Error())
	if view != "" {
		v.metrics.viewFailures.WithLabelValues(t.name, view).Inc()
	}
	t.mu.Lock()
	t.lastFailure = &schema.FailedBatch{
		ID: p.block.ID(), Rows: p.size(), Attempt: p.settling.attempts, Time: now,
		Class: failure.Class.String(), Code: failure.Code, Message: failure.Error(),
	}
	if view != "" {
		t.views[view] = failedView{now, failure.Error()}
	}
	t.mu.Unlock()
	if failure.Class == Unclassified {
		v.metrics.unclassified.WithLabelValues(fmt.Sprint(failure.Code)).Inc()
		v.mu.Lock()
		v.codes[failure.Code] = seenCode{now, failure.Error()}
		v.mu.Unlock()
	}
}

// TableState returns the state of a table's inserts. The table is named "database.table"; one that nothing was sent to has the zero
// state.
func (d *Delivery) TableState(table string) TableState {
	d.mu.Lock()
	t := d.tables[table]
	d.mu.Unlock()
	if t == nil {
		return TableState{Limit: d.config.MaxInsertsPerTable}
	}
	inFlight, limit := t.limiter.state()
	t.mu.Lock()
	defer t.mu.Unlock()
	state := TableState{
		InFlight: inFlight, Limit: limit, Held: len(t.holding.pieces) > 0, HeldReason: t.holding.reason(),
		KeptBack: t.keptBack, LastFailure: t.lastFailure,
	}
	if t.gate.refused {
		state.Held, state.HeldReason = true, t.gate.why.Error()
	}
	return state
}

// Degraded returns what does not work, as sentences for people, with what to do about it if there is something to do. It is empty
// if all is well.
func (d *Delivery) Degraded() []string {
	now := time.Now()
	d.mu.Lock()
	tables := slices.Collect(maps.Values(d.tables))
	reasons := append(d.letters.reasons(now), codeReasons(d.codes, now)...)
	if away := d.awayLocked(now); away != "" {
		reasons = append(reasons, away)
	}
	d.mu.Unlock()
	for _, t := range tables {
		reasons = append(reasons, t.reasons(now)...)
	}
	slices.Sort(reasons)
	return reasons
}

// Away returns the sentence for people if ClickHouse is away: what is accepted now is committed once it is back. Otherwise it is empty.
func (d *Delivery) Away() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.awayLocked(time.Now())
}

func (d *Delivery) awayLocked(now time.Time) string {
	if !d.away.lasts(now) {
		return ""
	}
	return fmt.Sprintf("ClickHouse is away since %s; rows are kept and tried again: %s", clock(d.away.since), d.away.reason())
}

// reasons returns what does not work for the table.
func (t *tableWatch) reasons(now time.Time) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	reasons := viewReasons(t, now)
	switch n := len(t.holding.pieces); {
	case t.gate.refused:
		reasons = append(reasons, fmt.Sprintf("table %s does not fit its route since %s, its batches are held, now %d: %v", t.name, clock(t.gate.since), t.keptBack, t.gate.why))
	case t.gate.why != nil:
		reasons = append(reasons, fmt.Sprintf("table %s was not seen to fit its route yet, its batches wait, now %d: %v", t.name, t.keptBack, t.gate.why))
	case n > 0:
		reasons = append(reasons, fmt.Sprintf("table %s: %d batches held since %s: %s", t.name, n, clock(t.holding.since), t.holding.reason()))
	}
	if t.failing.lasts(now) {
		reasons = append(reasons, fmt.Sprintf("table %s takes no inserts since %s; rows are kept and tried again: %s", t.name, clock(t.failing.since), t.failing.reason()))
	}
	return reasons
}

// clock formats a time for people.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
