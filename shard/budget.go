package shard

import (
	"container/list"
	"context"
	"sync"
)

// BudgetConfig bounds the bytes in flight.
type BudgetConfig struct {
	// Limit bounds all bytes in flight.
	Limit int
	// Tables is the part of Limit that all tables together may hold. The rest is reserved for requests.
	Tables int
	// TableShare is the fraction that one of several tables may hold of what the others leave of Tables. An only table may hold all.
	TableShare float64
	// LargestRequest is the size of the rows of the largest request. Each of several tables leaves at least that much of Tables to those
	// that hold nothing.
	LargestRequest int
}

// Budget bounds the bytes in flight of the process: those of requests on their way into batches, and those held by tables, which are
// the rows of unsettled batches and dead letters.
//
// A request holds memory only while it is being worked on: before it waits for a table it releases everything. So the requests' part
// frees itself, and is granted in the order of asking. What a table holds may stay for as long as the table takes no inserts. So tables
// get no more than Tables, and none of several gets so much that another one finds no room.
type Budget struct {
	config BudgetConfig

	mu       sync.Mutex
	requests int       // bytes of requests on their way
	held     int       // bytes held by tables, or reserved for them
	several  bool      // there is more than one table
	waiters  list.List // of *waiter: requests waiting for memory, the longest waiting first
	queue    queue     // requests waiting for tables
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

// Acquire blocks until the bytes for a request are free, in the order of asking. A request larger than what tables leave is admitted
// when no other is in flight: it might wait forever for a stuck table. If ctx ends first it takes nothing and returns its error.
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

// Release returns a request's bytes.
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

// Limit returns the limit.
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
