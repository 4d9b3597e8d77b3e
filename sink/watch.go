package sink

import (
	"fmt"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// tableWatch is what the delivery remembers about a table.
type tableWatch struct {
	name      string
	limiter   *limiter
	migration migrationGate

	mu           sync.Mutex // guards the rest
	gate         tableGate
	keptBack     int // pieces that wait at the gate
	acknowledged int // inserts
	lastFailure  *schema.FailedBatch
	// failing has the pieces that the table itself rejects for now, holding those that wait for an operator.
	failing, holding outage
	// suspects are the producers whose rows were rejected lately, and until when they are remembered.
	suspects      map[string]time.Time
	unjudgedUntil time.Time // the Judge is not asked until then
	doubtfulUntil time.Time // until then it is asked before the first insert of suspects' rows
	views         map[string]failedView
}

// watch returns what is remembered about a table, starting with its first use.
func (d *Delivery) watch(table string) *tableWatch {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tables[table]
	if t == nil {
		t = &tableWatch{
			name: table, limiter: newLimiter(d.config.MaxInsertsPerTable), gate: tableGate{changed: make(chan struct{})},
			migration: migrationGate{turn: make(chan struct{}, 1)}, views: map[string]failedView{}, suspects: map[string]time.Time{},
		}
		d.tables[table] = t
		d.metrics.limit.WithLabelValues(table).Set(float64(d.config.MaxInsertsPerTable))
	}
	return t
}

// noteSuccess records an acknowledged insert: the table accepts inserts, and ClickHouse is reachable.
func (v *delivery) noteSuccess() {
	now := time.Now()
	t := v.table
	t.mu.Lock()
	t.acknowledged++
	line := t.failing.end(now)
	t.mu.Unlock()
	if line != nil {
		v.log.Info("table takes inserts again", append([]any{"table", t.name}, line...)...)
	}
	v.mu.Lock()
	line = v.away.end(now)
	v.mu.Unlock()
	if line != nil {
		v.log.Info("ClickHouse takes inserts again", line...)
	}
}

// noteFailure records what a piece waits for after a failed insert or lookup: its table, ClickHouse, or neither.
func (v *delivery) noteFailure(p *piece, failure *Error) {
	v.forget(p)
	if failure.Class != Transient && failure.Class != Ambiguous {
		return
	}
	now, t := time.Now(), v.table
	if failure.Code != 0 {
		t.mu.Lock()
		line := t.failing.note(p, failure.Error(), now)
		t.mu.Unlock()
		if line != nil {
			line = append([]any{"table", t.name}, line...)
			v.log.Warn("table takes no inserts", append(line, "class", failure.Class.String(), "code", failure.Code, "error", failure)...)
		}
		return
	}
	// All tables are reached over the same network.
	v.mu.Lock()
	line := v.away.note(p, failure.Error(), now)
	v.mu.Unlock()
	if line != nil {
		v.log.Warn("ClickHouse takes no inserts", append(line, "class", failure.Class.String(), "error", failure)...)
	}
}

// forget ends the piece's wait for its table or for ClickHouse.
func (v *delivery) forget(p *piece) {
	v.table.mu.Lock()
	delete(v.table.failing.pieces, p)
	v.table.mu.Unlock()
	v.mu.Lock()
	delete(v.away.pieces, p)
	v.mu.Unlock()
}

// inserts returns the number of inserts that the table has acknowledged.
func (t *tableWatch) inserts() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acknowledged
}

// noteHeld records that the piece waits for an operator.
func (v *delivery) noteHeld(p *piece, failure *Error) {
	t, advice := v.table, v.advice(failure)
	t.mu.Lock()
	line := t.holding.note(p, fmt.Sprintf("%v; to do: %s", failure, advice), time.Now())
	t.mu.Unlock()
	if line != nil {
		line = append([]any{"table", t.name}, line...)
		v.log.Error("batches held", append(line, "error", failure, "todo", advice)...)
	}
}

// unhold records that the piece no longer waits for an operator.
func (v *delivery) unhold(p *piece) {
	t := v.table
	t.mu.Lock()
	delete(t.holding.pieces, p)
	var line []any
	if len(t.holding.pieces) == 0 {
		line = t.holding.end(time.Now())
	}
	t.mu.Unlock()
	if line != nil {
		v.log.Info("no batch is held any more", append([]any{"table", t.name}, line...)...)
	}
}
