package sink

import (
	"fmt"
	"slices"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// troubleAfter is how long something must not work before it makes the service degraded: what is
// shorter is an ordinary retry. recentCode is how long an unknown error code is told of, recentView a view that failed.
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

// observeAttempt notes the outcome of an insert. Failure is nil for an acknowledged one.
func (v *delivery) observeAttempt(p *piece, failure *Error, took time.Duration) {
	outcome := outcomeCommitted
	now := time.Now()
	switch {
	case failure == nil || failure.Deduplicated:
		v.noteSuccess()
	default:
		outcome = failure.Class.String()
		v.noteFailure(p, failure, now)
		v.noteView(failure, now)
		v.table.setLastFailure(&schema.FailedBatch{
			ID: p.block.ID(), Rows: p.size(), Attempt: p.settling.attempts, Time: now,
			Class: failure.Class.String(), Code: failure.Code, Message: failure.Error(),
		})
		if failure.Class == Unclassified {
			v.noteUnclassified(failure, now)
		}
	}
	_, limit := v.table.limiter.state()
	v.metrics.limit.WithLabelValues(v.table.name).Set(float64(limit))
	v.metrics.inserts.WithLabelValues(v.table.name, outcome).Inc()
	v.metrics.duration.WithLabelValues(v.table.name).Observe(took.Seconds())
	if p.settling.attempts > 1 {
		v.metrics.retries.WithLabelValues(v.table.name).Inc()
	}
}

// TableState returns how a table's inserts are doing; table is "database.table". A table that nothing was sent
// to yet has the zero state.
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
	return TableState{
		InFlight: inFlight, Limit: limit, Held: len(t.held) > 0 || t.gate.refused, HeldReason: t.heldReasonLocked(),
		KeptBack: t.keptBack, LastFailure: t.lastFailure,
	}
}

// Degraded returns what does not work, as sentences for people, each with what to do where something is to be
// done. It is empty when all is well.
func (d *Delivery) Degraded() []string {
	d.mu.Lock()
	tables := make([]*tableWatch, 0, len(d.tables))
	for _, t := range d.tables {
		tables = append(tables, t)
	}
	reasons := append(d.letters.reasons(time.Now()), codeReasons(d.codes, time.Now())...)
	d.mu.Unlock()

	var away *Error
	var awaySince time.Time
	for _, t := range tables {
		t.mu.Lock()
		switch n := len(t.held); {
		case t.gate.refused:
			reasons = append(reasons, fmt.Sprintf("table %s does not fit its route since %s, its batches are held, now %d: %v", t.name, clock(t.gate.since), t.keptBack, t.gate.why))
		case t.gate.why != nil:
			reasons = append(reasons, fmt.Sprintf("table %s was not seen to fit its route yet, its batches wait, now %d: %v", t.name, t.keptBack, t.gate.why))
		case n > 0:
			reasons = append(reasons, fmt.Sprintf("table %s: %d batches held since %s: %s", t.name, n, clock(t.heldSince), t.heldReasonLocked()))
		}
		reasons = append(reasons, viewReasons(t, time.Now())...)
		switch {
		case t.failing == nil || time.Since(t.failingSince) < troubleAfter:
		case t.failing.Code != 0:
			reasons = append(reasons, fmt.Sprintf("table %s takes no inserts since %s; rows are kept and tried again: %v", t.name, clock(t.failingSince), t.failing))
		case away == nil || t.failingSince.Before(awaySince):
			away, awaySince = t.failing, t.failingSince
		}
		t.mu.Unlock()
	}
	if away != nil {
		reasons = append(reasons, fmt.Sprintf("ClickHouse is away since %s; rows are kept and tried again: %v", clock(awaySince), away))
	}
	slices.Sort(reasons)
	return reasons
}

// clock writes a time for people.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
