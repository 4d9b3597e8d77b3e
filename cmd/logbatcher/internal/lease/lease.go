package lease

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/schema"
)

// The causes of the end of a lease's context, for context.Cause.
var (
	// ErrLost means that the lease expired or that another instance holds it.
	ErrLost = errors.New("lease lost")
	// ErrReleased means that the holder released it.
	ErrReleased = errors.New("lease released")
)

// minTTL is the shortest time to live: below it a pause of the runtime could cost the lease.
const minTTL = 100 * time.Millisecond

// The value of a key is "instance token". take returns another holder's value, or an empty string if the lease is ours. It is safe
// to repeat with the same token, so a lost reply does no harm.
var take = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then
  return held
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''`)

var renew = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0`)

var drop = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0`)

// Locker acquires leases in Redis. It implements schema.Locker.
type Locker struct {
	client           redis.UniversalClient
	prefix, instance string
	log              *slog.Logger
}

var _ schema.Locker = (*Locker)(nil)

// New returns a Locker whose keys begin with prefix and name the instance as their holder. The caller owns the client, which must
// have ContextTimeoutEnabled set: renewals are bounded by their context.
func New(client redis.UniversalClient, prefix, instance string, log *slog.Logger) *Locker {
	return &Locker{client: client, prefix: prefix, instance: instance, log: log}
}

// Acquire blocks until this instance holds the named lease or ctx ends. It waits for another holder, and for a Redis that is
// down or returns errors.
func (l *Locker) Acquire(ctx context.Context, name string, ttl time.Duration) (schema.Lease, error) {
	h := l.newLease(name, ttl)
	pause := ttl / 10
	logged := ""
	var before error
	for {
		err := h.take(ctx)
		switch {
		case err == nil:
			return h, nil
		case ctx.Err() != nil: // the failure before is more useful than one that ctx caused
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), cmp.Or(before, err))
		case !errors.Is(err, schema.ErrLeaseHeld) && err.Error() != logged:
			logged = err.Error()
			l.log.Warn("lease: not acquired, retrying", "lease", name, "error", err)
		}
		before = err
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + mathrand.N(pause)): // so that instances do not all ask at once
		}
	}
}

// TryAcquire returns an error that wraps schema.ErrLeaseHeld and names the holder if another instance holds the lease.
func (l *Locker) TryAcquire(ctx context.Context, name string, ttl time.Duration) (schema.Lease, error) {
	h := l.newLease(name, ttl)
	if err := h.take(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

func (l *Locker) newLease(name string, ttl time.Duration) *lease {
	return &lease{
		locker: l, name: name, ttl: max(ttl, minTTL), keys: []string{l.prefix + name},
		value: l.instance + " " + rand.Text(), done: make(chan struct{}),
	}
}

// lease is a held lease. Its goroutine, keep, ends with ctx.
type lease struct {
	locker *Locker
	name   string
	keys   []string // the one key
	value  string
	ttl    time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// take requests the lease once and, if it gets it, starts to keep it.
func (h *lease) take(ctx context.Context) error {
	asked := time.Now()
	holder, err := take.Run(ctx, h.locker.client, h.keys, h.value, h.ttl.Milliseconds()).Text()
	if err != nil {
		return fmt.Errorf("lease %s: %w", h.name, err)
	}
	if holder != "" {
		instance := holder[:max(0, strings.LastIndexByte(holder, ' '))]
		return fmt.Errorf("lease %s: instance %q: %w", h.name, instance, schema.ErrLeaseHeld)
	}
	expires := asked.Add(h.ttl)
	if !time.Now().Before(expires) {
		return fmt.Errorf("lease %s: %w: Redis took longer to reply than its time to live, %v", h.name, ErrLost, h.ttl)
	}
	// The lease outlives the call that acquired it.
	h.ctx, h.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	go h.keep(expires)
	return nil
}

// keep renews the lease until it is released or lost.
func (h *lease) keep(expires time.Time) {
	defer close(h.done)
	pause := h.ttl / 3
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-time.After(min(pause, time.Until(expires))):
		}
		asked := time.Now()
		if !asked.Before(expires) {
			h.lose("its time to live passed without a reply from Redis")
			return
		}
		ctx, cancel := context.WithDeadline(h.ctx, expires)
		ours, err := renew.Run(ctx, h.locker.client, h.keys, h.value, h.ttl.Milliseconds()).Int()
		cancel()
		switch {
		case err != nil:
			pause = h.ttl / 12 // several more attempts before it expires
		case ours == 0:
			h.lose("Redis has another holder or none")
			return
		default:
			expires, pause = asked.Add(h.ttl), h.ttl/3
		}
	}
}

func (h *lease) lose(why string) {
	h.locker.log.Warn("lease: lost", "lease", h.name, "why", why)
	h.cancel(fmt.Errorf("lease %s: %w: %s", h.name, ErrLost, why))
}

// Context ends, with ErrLost or ErrReleased as its cause, when the lease is lost or released.
func (h *lease) Context() context.Context { return h.ctx }

// Release ends the lease's context, waits for its goroutine and deletes its key. If deleting fails, others can acquire the
// lease only after its time to live; Release may be called again.
func (h *lease) Release(ctx context.Context) error {
	h.cancel(ErrReleased)
	<-h.done
	if err := drop.Run(ctx, h.locker.client, h.keys, h.value).Err(); err != nil {
		return fmt.Errorf("release lease %s: %w", h.name, err)
	}
	return nil
}
