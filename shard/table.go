package shard

import (
	"sync/atomic"
	"time"
)

// tableAccount is one table's account in the budget: its open batches, those in flight, and its dead letters that are not written yet.
// It outlives reloads of the configuration, as the table does.
type tableAccount struct {
	name   string
	budget *Budget
	lane   lane // of its blocks in files

	// Guarded by the budget's lock.
	bytes int       // held, or reserved for requests
	rows  int       // in unsettled batches
	freed time.Time // when the table last settled a batch
	pass  int       // the last pass over the queue in which a request claimed the table

	// The table's ledger: routed = committed + dead-lettered + in flight.
	routed, committed, deadLettered, refused atomic.Uint64
}

// account returns the account of a table, and whether it is new.
func (b *Budget) account(name string) (t *tableAccount, isNew bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.accounts[name]; t != nil {
		return t, false
	}
	t = &tableAccount{name: name, budget: b, lane: lane{width: tableLane}}
	b.accounts[name] = t
	return t, true
}

// charge records that the table holds more. It never blocks: the rows replace an admitted request.
func (t *tableAccount) charge(bytes, rows int) {
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	t.bytes += bytes
	t.rows += rows
	b.held += bytes
}

// settle records that a batch of the table is settled.
func (t *tableAccount) settle(bytes, rows int) {
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	t.rows -= rows
	t.freed = time.Now()
	b.freeLocked(t, bytes)
	b.admitLocked()
}

// release records that the table holds less, though it may take no inserts.
func (t *tableAccount) release(bytes int) {
	t.budget.unreserve([]reservation{{t, bytes}})
}

// unreserve returns what reserve has reserved.
func (b *Budget) unreserve(reserved []reservation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range reserved {
		b.freeLocked(r.account, r.bytes)
	}
	b.admitLocked()
}

func (b *Budget) freeLocked(t *tableAccount, bytes int) {
	t.bytes -= bytes
	b.held -= bytes
}

// held returns what the table holds.
func (t *tableAccount) held() (bytes, rows int) {
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	return t.bytes, t.rows
}

// setTables sets whether there are several tables.
func (b *Budget) setTables(several bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.several = several
	b.admitLocked()
}

// roomLocked reports whether the table's own share has room for that much more.
func (b *Budget) roomLocked(t *tableAccount, bytes int) bool {
	if t.bytes <= 0 {
		return true
	}
	left := b.config.Tables - (b.held - t.bytes) // by the others
	if b.several {
		left = min(int(float64(left)*b.config.TableShare), left-b.config.LargestRequest)
	}
	return t.bytes+bytes <= left
}
