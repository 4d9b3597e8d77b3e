package server

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errShutdown is the reason for which a call ends that has not begun when the instance shuts down.
var errShutdown = errors.New("shutting down")

// lifecycle tells all calls that the instance shuts down: first that they should end, then that they must.
type lifecycle struct {
	draining, hurrying context.Context
	drain, hurry       context.CancelFunc

	mu       sync.Mutex
	deadline time.Time
	// exits has room for one; it is signalled when a call has ended.
	exits chan struct{}
}

func newLifecycle() *lifecycle {
	l := &lifecycle{exits: make(chan struct{}, 1)}
	l.draining, l.drain = context.WithCancel(context.Background())
	l.hurrying, l.hurry = context.WithCancel(context.Background())
	return l
}

// begin tells all streams to drain until the deadline.
func (l *lifecycle) begin(deadline time.Time) {
	l.mu.Lock()
	if l.deadline.IsZero() {
		l.deadline = deadline
	}
	l.mu.Unlock()
	l.drain()
}

func (l *lifecycle) drainDeadline() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline
}

// left says that a call has ended.
func (l *lifecycle) left() {
	select {
	case l.exits <- struct{}{}:
	default:
	}
}
