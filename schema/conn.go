package schema

import (
	"context"
	"time"
)

// Conn runs SQL on one ClickHouse server, or on any server of one cluster.
type Conn interface {
	// Exec runs a statement that returns no rows.
	Exec(ctx context.Context, statement string) error
	// Query runs a statement and returns all its rows as text; NULL is empty. It is for small results, such as those of
	// system tables.
	Query(ctx context.Context, statement string) ([][]string, error)
}

// Locker grants leases, so that only one of several instances does something.
type Locker interface {
	// Acquire blocks until this instance holds the lease of that name, or ctx ends. The lease
	// is renewed until Release is called; a process that dies loses it after ttl.
	Acquire(ctx context.Context, name string, ttl time.Duration) (Lease, error)
	// TryAcquire is Acquire, but returns ErrLeaseHeld at once if another instance holds the lease.
	TryAcquire(ctx context.Context, name string, ttl time.Duration) (Lease, error)
}

// Lease is held until it is released or lost.
type Lease interface {
	// Context ends when the lease is lost or released.
	Context() context.Context
	// Release releases the lease. It may be called twice.
	Release(ctx context.Context) error
}
