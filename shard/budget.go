package shard

import (
	"container/list"
	"context"
	"sync"
)

// BudgetConfig bounds the bytes in flight.
type BudgetConfig struct {
	// Limit is the bound of all bytes in flight.
	Limit int
	// Tables is what all tables together may hold of Limit. The rest is there for requests, whatever the tables hold.
	Tables int
	// TableShare is what one of several tables may hold of what the others leave of Tables. A table that is the only one may hold
	// all of it.
	TableShare float64
	// LargestRequest is what the rows of the largest request may occupy. One of several tables leaves at least that much of Tables
	// to those that hold nothing.
	LargestRequest int
}

// Budget bounds the bytes in flight of the process: those of requests on their way into batches, and those that
// tables hold, which are the rows of batches and dead letters that are not settled.
//
// A request on its way holds memory only while somebody works on it: before it waits for a table it gives everything
// back. So the requests' part comes free by itself, and is handed out in the order of asking. What a table
// holds may stay for as long as the table takes no inserts. So tables get no more than Tables, and none of several
// so much that another one finds no room.
type Budget struct {
	config BudgetConfig

	mu       sync.Mutex
	requests int       // bytes of requests on their way
	held     int       // bytes that tables hold, or that are reserved for them
	several  bool      // there is more than one table
	waiters  list.List // of *waiter: requests that wait for memory, the longest waiting first
	queue    queue     // requests that wait for tables
	accounts map[string]*tableAccount
}

type waiter struct {
	bytes int
	ready chan struct{} // closed by grantLocked once the bytes are the waiter's
}

// NewBudget returns a budget.
func NewBudget(config BudgetConfig) *Budget {
	return &Budget{config: config, accounts: map[string]*tableAccount{}}
}

// Acquire takes bytes for a request once they are free, in the order of asking. A request that is larger than what tables leave is let in
// when no other is on its way: it would wait in vain for a table that stands still. When ctx ends first it takes nothing and
// returns ctx's error.
func (b *Budget) Acquire(ctx context.Context, bytes int) error {
	b.mu.Lock()
	if b.waiters.Len() == 0 && b.fitsLocked(bytes) {
		b.requests += bytes
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
		b.requests -= bytes
	default:
		b.waiters.Remove(place)
	}
	b.grantLocked()
	return context.Cause(ctx)
}

// Release gives a request's bytes back.
func (b *Budget) Release(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests -= bytes
	b.grantLocked()
}

// Used returns the bytes in flight.
func (b *Budget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests + b.held
}

// Limit returns the bound.
func (b *Budget) Limit() int { return b.config.Limit }

func (b *Budget) fitsLocked(bytes int) bool {
	return b.requests <= 0 || b.requests+b.held+bytes <= b.config.Limit
}

func (b *Budget) grantLocked() {
	for front := b.waiters.Front(); front != nil; front = b.waiters.Front() {
		w := front.Value.(*waiter)
		if !b.fitsLocked(w.bytes) {
			return
		}
		b.requests += w.bytes
		b.waiters.Remove(front)
		close(w.ready)
	}
}
