package schema

import (
	"context"
	"time"
)

// Conn runs SQL on one ClickHouse server, or on any server of one cluster.
type Conn interface {
	// Exec runs a statement that returns no rows.
	Exec(ctx context.Context, statement string) error
	// Query runs a statement and returns all its rows as text, in the order of its columns. NULL is
	// the empty string. It is for small results, such as those of the system tables.
	Query(ctx context.Context, statement string) ([][]string, error)
}

// Locker hands out leases, so that of several instances one does a thing.
type Locker interface {
	// Acquire returns once this instance holds the lease of that name, or when ctx ends. The lease
	// is renewed until Release is called; a process that dies loses it after ttl.
	Acquire(ctx context.Context, name string, ttl time.Duration) (Lease, error)
	// TryAcquire returns ErrLeaseHeld at once where another instance holds it.
	TryAcquire(ctx context.Context, name string, ttl time.Duration) (Lease, error)
}

// Lease is held until it is released or lost.
type Lease interface {
	// Context ends when the lease is lost or released.
	Context() context.Context
	// Release gives the lease up. It is safe to call it twice.
	Release(ctx context.Context) error
}
