package schema

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLeaseHeld is returned by Locker.TryAcquire while another instance holds the lease.
var ErrLeaseHeld = errors.New("lease is held by another instance")

// errLeaseLost is the cause of a context that ended because its lease did.
var errLeaseLost = errors.New("lease lost")

// releaseTimeout bounds releasing a lease after the work, whose own context may have ended.
const releaseTimeout = 5 * time.Second

// UnderLease runs do with a context that ends with ctx or with the lease, then releases the lease. A nil lease never ends.
func UnderLease(ctx context.Context, lease Lease, do func(context.Context) error) (err error) {
	if lease == nil {
		return do(ctx)
	}
	held, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(lease.Context(), func() { cancel(errLeaseLost) })
	defer func() {
		stop()
		release, done := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer done()
		_ = lease.Release(release) // a lease that can't be released expires
	}()
	err = do(held)
	if err != nil && context.Cause(held) == errLeaseLost {
		return fmt.Errorf("%w: %w", errLeaseLost, err)
	}
	return err
}
