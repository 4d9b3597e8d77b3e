package sink

import (
	"context"
	"time"
)

// tableGate keeps batches from a table that is not known to fit them.
type tableGate struct {
	why     error // nil: open
	refused bool  // a person has to act; otherwise it is only not known yet
	since   time.Time
	changed chan struct{} // closed when the gate is set
}

// RefuseTable holds the table's batches: it does not fit its route, for the reason given, and a person has to act. Nothing is
// inserted until AdmitTable. The table is named as "database.table".
func (d *Delivery) RefuseTable(table string, why error) { d.watch(table).setGate(why, true) }

// SuspendTable has the table's batches wait until it is seen to fit its route, which could not be found out so far for the
// reason given. Unlike a refused table's, they are not dead-lettered after Limits.HoldFor.
func (d *Delivery) SuspendTable(table string, why error) { d.watch(table).setGate(why, false) }

// AdmitTable lets batches into the table, which fits. Those that are held are tried again at once.
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
