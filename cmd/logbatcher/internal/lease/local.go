package lease

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Local hands out leases within this process, for a single instance without Redis. It implements schema.Locker.
// Its leases are never lost, so their time to live has no meaning.
type Local struct {
	mu   sync.Mutex
	held map[string]chan struct{} // by name; closed when the lease is released
}

var _ schema.Locker = (*Local)(nil)

// NewLocal returns a Local of which nothing is held.
func NewLocal() *Local { return &Local{held: make(map[string]chan struct{})} }

// Acquire returns once the caller holds the lease of that name, or when ctx ends.
func (l *Local) Acquire(ctx context.Context, name string, _ time.Duration) (schema.Lease, error) {
	for {
		lease, released := l.take(ctx, name)
		if lease != nil {
			return lease, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lease %s: %w: %w", name, context.Cause(ctx), schema.ErrLeaseHeld)
		case <-released:
		}
	}
}

// TryAcquire returns an error that wraps schema.ErrLeaseHeld where the lease is held.
func (l *Local) TryAcquire(ctx context.Context, name string, _ time.Duration) (schema.Lease, error) {
	lease, _ := l.take(ctx, name)
	if lease == nil {
		return nil, fmt.Errorf("lease %s: %w", name, schema.ErrLeaseHeld)
	}
	return lease, nil
}

// take returns a lease, or nil and a channel that is closed when the present one is released.
func (l *Local) take(ctx context.Context, name string) (*localLease, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if released, ok := l.held[name]; ok {
		return nil, released
	}
	l.held[name] = make(chan struct{})
	lease := &localLease{local: l, name: name}
	lease.ctx, lease.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return lease, nil
}

type localLease struct {
	local  *Local
	name   string
	ctx    context.Context
	cancel context.CancelCauseFunc
	once   sync.Once
}

// Context ends when the lease is released.
func (l *localLease) Context() context.Context { return l.ctx }

// Release gives the lease up.
func (l *localLease) Release(context.Context) error {
	l.once.Do(func() {
		l.cancel(ErrReleased)
		l.local.mu.Lock()
		defer l.local.mu.Unlock()
		close(l.local.held[l.name])
		delete(l.local.held, l.name)
	})
	return nil
}
