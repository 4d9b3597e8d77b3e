package sink

import (
	"fmt"
	"sync"
	"time"
)

// tableWatch is what is remembered of a table.
type tableWatch struct {
	name      string
	limiter   *limiter
	migration migrationGate

	mu           sync.Mutex // guards what follows
	acknowledged int        // inserts
	committed    uint64
	deadLettered uint64
	held         map[*piece]string
	heldSince    time.Time
	failing      *Error
	failingSince time.Time
	lastFailure  *FailedInsert
	// suspects are the producers that had refused rows a moment ago, and until when they are remembered.
	suspects      map[string]time.Time
	unjudgedUntil time.Time // the table's Judge is not asked before
}

// watch returns what is remembered of a table, from its first use on.
func (d *Delivery) watch(table string) *tableWatch {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tables[table]
	if t == nil {
		t = &tableWatch{
			name: table, limiter: newLimiter(d.config.MaxInsertsPerTable),
			migration: migrationGate{turn: make(chan struct{}, 1)}, held: map[*piece]string{}, suspects: map[string]time.Time{},
		}
		d.tables[table] = t
		d.metrics.limit.WithLabelValues(table).Set(float64(d.config.MaxInsertsPerTable))
	}
	return t
}

// succeeded notes an acknowledged insert.
func (t *tableWatch) succeeded() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acknowledged++
	t.failing = nil
}

// answered notes that the server is there, though not that it takes inserts.
func (t *tableWatch) answered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failing != nil && t.failing.Code == 0 {
		t.failing = nil
	}
}

// failed notes that the table takes no inserts, if that is what the error means.
func (t *tableWatch) failed(failure *Error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if failure.Class != Transient && failure.Class != Ambiguous {
		t.failing = nil
		return
	}
	if t.failing == nil {
		t.failingSince = now
	}
	t.failing = failure
}

func (t *tableWatch) noteFailure(failure *FailedInsert) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastFailure = failure
}

// inserts counts the inserts that the table has acknowledged.
func (t *tableWatch) inserts() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acknowledged
}

func (t *tableWatch) commit(rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.committed += uint64(rows)
}

func (t *tableWatch) hold(p *piece, failure *Error, advice string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.held) == 0 {
		t.heldSince = time.Now()
	}
	t.held[p] = fmt.Sprintf("%v; to do: %s", failure, advice)
}

func (t *tableWatch) unhold(p *piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, p)
}

// heldReasonLocked returns one of the reasons, the same one each time.
func (t *tableWatch) heldReasonLocked() string {
	reason := ""
	for _, r := range t.held {
		if reason == "" || r < reason {
			reason = r
		}
	}
	return reason
}
