package shard

import (
	"context"
	"sync"
)

// tableAccount bounds the bytes that one table may hold: those of its open batches and those in flight. It outlives
// reloads of the configuration, as the table does.
type tableAccount struct {
	limit int

	mu      sync.Mutex
	bytes   int           // held, or promised to requests on their way
	rows    int           // in batches that are not settled
	changed chan struct{} // closed and replaced when bytes fall below the limit
}

func newTableAccount(limit int) *tableAccount {
	return &tableAccount{limit: limit, changed: make(chan struct{})}
}

// tryReserve promises bytes to a request if the table is below its bound.
func (t *tableAccount) tryReserve(bytes int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bytes >= t.limit {
		return false
	}
	t.bytes += bytes
	return true
}

// wait returns when the table may be below its bound, or with ctx's error.
func (t *tableAccount) wait(ctx context.Context) error {
	t.mu.Lock()
	changed, full := t.changed, t.bytes >= t.limit
	t.mu.Unlock()
	if !full {
		return nil
	}
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// add changes what the table holds.
func (t *tableAccount) add(bytes, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wasFull := t.bytes >= t.limit
	t.bytes += bytes
	t.rows += rows
	if wasFull && t.bytes < t.limit {
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

func (t *tableAccount) held() (bytes, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes, t.rows
}
