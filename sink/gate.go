package sink

import (
	"context"
	"time"
)

// tableGate keeps batches away from a table that is not known to fit them.
type tableGate struct {
	why     error // nil: open
	refused bool  // an operator has to act; otherwise it is just not known yet
	since   time.Time
	changed chan struct{} // closed when the gate is set
}

// RefuseTable holds the table's batches because it does not fit its route and an operator has to act. Nothing is inserted until
// AdmitTable. The table is named "database.table".
func (d *Delivery) RefuseTable(table string, why error) { d.watch(table).setGate(why, true) }

// SuspendTable makes the table's batches wait until it is known to fit its route, which could not be determined so far. Unlike
// those of a refused table, they are not dead-lettered after Limits.HoldFor.
func (d *Delivery) SuspendTable(table string, why error) { d.watch(table).setGate(why, false) }

// AdmitTable opens the table, which fits its route. Batches that are held are retried at once.
func (d *Delivery) AdmitTable(table string) { d.watch(table).setGate(nil, false) }

func (t *tableWatch) setGate(why error, refused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	since := time.Now()
	if why != nil && t.gate.why != nil {
		since = t.gate.since
	}
	close(t.gate.changed)
	t.gate = tableGate{why: why, refused: refused, since: since, changed: make(chan struct{})}
}

func (t *tableWatch) gateState() tableGate {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gate
}

// keepBack counts the pieces that wait at the gate.
func (t *tableWatch) keepBack(change int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keptBack += change
}

// admitted blocks while the table's gate is shut. Its verdict is retry, unless the piece was given up meanwhile.
func (v *delivery) admitted(ctx context.Context, p *piece) (verdict, error) {
	if v.table.gateState().why == nil {
		return retry, nil
	}
	v.table.keepBack(1)
	defer v.table.keepBack(-1)
	for {
		gate := v.table.gateState()
		if gate.why == nil {
			return retry, nil
		}
		v.last = &Error{Class: Schema, Op: "insert into", Table: v.table.name, Err: gate.why}
		p.settling.fail()
		var verdict verdict
		var err error
		if gate.refused {
			verdict, err = v.hold(ctx, p, v.last, gate.changed)
		} else {
			verdict, err = v.again(ctx, p, v.last, v.config.HoldBackoff, gate.changed)
		}
		if verdict != retry || err != nil {
			return verdict, err
		}
	}
}
