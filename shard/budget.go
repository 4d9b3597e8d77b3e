package shard

import (
	"container/list"
	"context"
	"sync"
)

// Budget bounds the bytes in flight of the process. What asks before it takes (a
// received request) waits its turn; what can't wait (rows that take the place of a request) is
// charged all the same, and those who ask wait longer.
type Budget struct {
	limit int

	mu      sync.Mutex
	used    int
	waiters list.List // of *waiter, the longest waiting first
}

type waiter struct {
	bytes int
	ready chan struct{} // closed by grantLocked once the bytes are the waiter's
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int) *Budget { return &Budget{limit: limit} }

// Acquire takes bytes once they are free, in the order of asking. More than the whole budget is granted when nothing
// else is in flight, so that no request is too large to ever pass. When ctx ends first it takes nothing and returns
// ctx's error.
func (b *Budget) Acquire(ctx context.Context, bytes int) error {
	b.mu.Lock()
	if b.waiters.Len() == 0 && b.fitsLocked(bytes) {
		b.used += bytes
		b.mu.Unlock()
		return nil
	}
	w := &waiter{bytes: bytes, ready: make(chan struct{})}
	place := b.waiters.PushBack(w)
	b.mu.Unlock()

	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready: // granted between the two
		b.used -= bytes
	default:
		b.waiters.Remove(place)
	}
	b.grantLocked()
	return context.Cause(ctx)
}

// Charge takes bytes at once, beyond the limit if need be.
func (b *Budget) Charge(bytes int) {
	b.mu.Lock()
	b.used += bytes
	b.mu.Unlock()
}

// Release gives bytes back.
func (b *Budget) Release(bytes int) {
	b.mu.Lock()
	b.used -= bytes
	b.grantLocked()
	b.mu.Unlock()
}

// Used returns the bytes in flight.
func (b *Budget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Limit returns the bound.
func (b *Budget) Limit() int { return b.limit }

func (b *Budget) fitsLocked(bytes int) bool {
	return b.used+bytes <= b.limit || b.used <= 0
}

func (b *Budget) grantLocked() {
	for front := b.waiters.Front(); front != nil; front = b.waiters.Front() {
		w := front.Value.(*waiter)
		if !b.fitsLocked(w.bytes) {
			return
		}
		b.used += w.bytes
		b.waiters.Remove(front)
		close(w.ready)
	}
}
