package sink

import (
	"fmt"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// tableWatch is what is remembered of a table.
type tableWatch struct {
	name      string
	limiter   *limiter
	migration migrationGate

	mu           sync.Mutex // guards what follows
	gate         tableGate
	keptBack     int // pieces that wait at the gate
	acknowledged int // inserts
	held         map[*piece]string
	heldSince    time.Time
	failing      *Error
	failingSince time.Time
	lastFailure  *schema.FailedBatch
	// suspects are the producers that had refused rows a moment ago, and until when they are remembered.
	suspects      map[string]time.Time
	unjudgedUntil time.Time // the table's Judge is not asked before
	doubtfulUntil time.Time // it is asked before the first insert of suspects' rows until then
	views         map[string]failedView
	// outage is that of a table that takes no inserts, holding that of batches that are held.
	outage, holding outage
}

// watch returns what is remembered of a table, from its first use on.
func (d *Delivery) watch(table string) *tableWatch {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tables[table]
	if t == nil {
		t = &tableWatch{
			name: table, limiter: newLimiter(d.config.MaxInsertsPerTable), gate: tableGate{changed: make(chan struct{})},
			migration: migrationGate{turn: make(chan struct{}, 1)}, held: map[*piece]string{}, views: map[string]failedView{}, suspects: map[string]time.Time{},
		}
		d.tables[table] = t
		d.metrics.limit.WithLabelValues(table).Set(float64(d.config.MaxInsertsPerTable))
	}
	return t
}

// noteSuccess notes an acknowledged insert: the table takes inserts, and ClickHouse is there.
func (v *delivery) noteSuccess() {
	now := time.Now()
	t := v.table
	t.mu.Lock()
	t.acknowledged++
	t.failing = nil
	line, say := t.outage.end(now)
	t.mu.Unlock()
	if say {
		v.log.Info("table takes inserts again", append([]any{"table", t.name}, line...)...)
	}
	v.mu.Lock()
	line, say = v.away.end(now)
	v.mu.Unlock()
	if say {
		v.log.Info("ClickHouse takes inserts again", line...)
	}
}

// answered notes that the server is there, though not that it takes inserts.
func (t *tableWatch) answered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failing != nil && t.failing.Code == 0 {
		t.failing = nil
	}
}

// noteFailure notes that the table takes no inserts, if that is what the error means.
func (v *delivery) noteFailure(p *piece, failure *Error, now time.Time) {
	t := v.table
	t.mu.Lock()
	if failure.Class != Transient && failure.Class != Ambiguous {
		t.failing = nil
		t.mu.Unlock()
		return
	}
	if t.failing == nil {
		t.failingSince = now
	}
	t.failing = failure
	var line []any
	if failure.Code != 0 && t.outage.note(p, now) {
		line = append([]any{"table", t.name}, t.outage.counts()...)
	}
	t.mu.Unlock()
	if line != nil {
		v.log.Warn("table takes no inserts", append(line, "class", failure.Class.String(), "code", failure.Code, "error", failure)...)
	}
	if failure.Code != 0 {
		return
	}
	// The way to ClickHouse is the same for all tables.
	v.mu.Lock()
	if v.away.note(p, now) {
		line = v.away.counts()
	}
	v.mu.Unlock()
	if line != nil {
		v.log.Warn("ClickHouse takes no inserts", append(line, "class", failure.Class.String(), "error", failure)...)
	}
}

func (t *tableWatch) setLastFailure(failure *schema.FailedBatch) {
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

// noteHeld notes that the piece waits for an operator.
func (v *delivery) noteHeld(p *piece, failure *Error) {
	t, now, advice := v.table, time.Now(), v.advice(failure)
	t.mu.Lock()
	if len(t.held) == 0 {
		t.heldSince = now
	}
	t.held[p] = fmt.Sprintf("%v; to do: %s", failure, advice)
	var line []any
	if t.holding.note(p, now) {
		line = append([]any{"table", t.name}, t.holding.counts()...)
	}
	t.mu.Unlock()
	if line != nil {
		v.log.Error("batches held", append(line, "error", failure, "todo", advice)...)
	}
}

// unhold notes that the piece does not wait for an operator any more.
func (v *delivery) unhold(p *piece) {
	t := v.table
	t.mu.Lock()
	delete(t.held, p)
	delete(t.holding.pieces, p)
	var line []any
	say := false
	if len(t.holding.pieces) == 0 {
		line, say = t.holding.end(time.Now())
	}
	t.mu.Unlock()
	if say {
		v.log.Info("no batch is held any more", append([]any{"table", t.name}, line...)...)
	}
}

// settled forgets the piece, whose settling has ended.
func (v *delivery) settled(p *piece) {
	v.unhold(p)
	v.mu.Lock()
	delete(v.away.pieces, p)
	v.mu.Unlock()
	t := v.table
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.outage.pieces, p)
	if len(t.outage.pieces) == 0 && t.failing != nil && t.failing.Code != 0 {
		t.failing = nil // nothing waits for it
	}
}

// heldReasonLocked returns why the table's batches are held, one of the reasons and the same one each time. Empty: they are not.
func (t *tableWatch) heldReasonLocked() string {
	if t.gate.refused {
		return t.gate.why.Error()
	}
	reason := ""
	for _, r := range t.held {
		if reason == "" || r < reason {
			reason = r
		}
	}
	return reason
}
