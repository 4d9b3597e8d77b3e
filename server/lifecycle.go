package server

import (
	"context"
	"time"
)

// lifecycle tells all calls that the instance is shutting down: first that they should end, then that they must.
type lifecycle struct {
	draining, hurrying context.Context
	drain, hurry       context.CancelFunc
	// deadline is when draining streams are cut off. It is set before draining ends.
	deadline time.Time
}

func newLifecycle() *lifecycle {
	l := &lifecycle{}
	l.draining, l.drain = context.WithCancel(context.Background())
	l.hurrying, l.hurry = context.WithCancel(context.Background())
	return l
}

// begin tells all streams to drain until the deadline. It is called once.
func (l *lifecycle) begin(deadline time.Time) {
	l.deadline = deadline
	l.drain()
}

// within returns a context that ends with the cause late after the limit, and with the cause ended when end does.
func within(ctx context.Context, limit time.Duration, late error, end context.Context, ended error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	ctx, cut := context.WithCancelCause(ctx)
	stop := context.AfterFunc(end, func() { cut(ended) })
	return ctx, func() {
		stop()
		cut(nil)
		cancel()
	}
}
