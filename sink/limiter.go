package sink

import (
	"context"
	"slices"
	"sync"
)

// limiter bounds the inserts in flight, in the order of asking. When the server is overloaded the limit is halved; after limit
// consecutive successes it grows by one, up to its greatest value.
type limiter struct {
	greatest int

	mu        sync.Mutex // guards the rest
	limit     int
	inFlight  int
	successes int
	waiting   []chan struct{} // each is closed once its owner has a place
}

func newLimiter(greatest int) *limiter {
	return &limiter{greatest: greatest, limit: greatest}
}

// acquire blocks until a place is free and takes it, or returns the error of ctx. It calls waiting if it has to wait.
func (l *limiter) acquire(ctx context.Context, waiting func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.inFlight < l.limit && len(l.waiting) == 0 {
		l.inFlight++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	waiting()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, turn); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	} else { // the place came at the same time: pass it on
		l.inFlight--
		l.admitLocked()
	}
	return ctx.Err()
}

// release gives a place back. succeeded means that the server accepted the insert, overloaded that it asked for fewer at a time.
func (l *limiter) release(succeeded, overloaded bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	switch {
	case overloaded:
		l.limit = max(1, l.limit/2)
		l.successes = 0
	case succeeded && l.limit < l.greatest:
		if l.successes++; l.successes >= l.limit {
			l.limit++
			l.successes = 0
		}
	}
	l.admitLocked()
}

func (l *limiter) admitLocked() {
	for l.inFlight < l.limit && len(l.waiting) > 0 {
		close(l.waiting[0])
		l.waiting = slices.Delete(l.waiting, 0, 1)
		l.inFlight++
	}
}

// state returns the inserts in flight and the limit.
func (l *limiter) state() (inFlight, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inFlight, l.limit
}
