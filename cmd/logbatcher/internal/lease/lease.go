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
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/schema"
)

// Why a lease's context has ended, as context.Cause tells it.
var (
	// ErrLost says that the lease ran out, or that another holds it now.
	ErrLost = errors.New("lease lost")
	// ErrReleased says that its holder gave it up.
	ErrReleased = errors.New("lease released")
)

// minTTL is the shortest time to live: below it a pause of the runtime could cost the lease.
const minTTL = 100 * time.Millisecond

// The value of a key is "instance token". Answers with the value that the key had before; empty where it
// was free. A holder may ask again with the same token, so an answer that was lost does no harm.
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

// Locker hands out leases that Redis keeps. It implements schema.Locker.
type Locker struct {
	client           redis.UniversalClient
	prefix, instance string
	log              *slog.Logger
}

var _ schema.Locker = (*Locker)(nil)

// New returns a Locker whose keys begin with prefix, and whose holders are told by the instance's name.
// The client stays the caller's. It should have ContextTimeoutEnabled set; without that,
// Acquire and Release outlast their context by the client's time-outs when Redis does not answer.
func New(client redis.UniversalClient, prefix, instance string, log *slog.Logger) *Locker {
	return &Locker{client: client, prefix: prefix, instance: instance, log: log}
}

// Acquire returns once this instance holds the lease of that name, or when ctx ends. It waits for
// another holder as well as for a Redis that is away or refuses.
func (l *Locker) Acquire(ctx context.Context, name string, ttl time.Duration) (schema.Lease, error) {
	held := l.newLease(name, ttl)
	pause := ttl / 10
	told := ""
	var before error
	for {
		err := held.take(ctx)
		if err == nil {
			return held, nil
		}
		if ctx.Err() != nil {
			// A question that ctx cut off says less than the answer before it.
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), cmp.Or(before, err))
		}
		before = err
		if text := err.Error(); text != told && !errors.Is(err, schema.ErrLeaseHeld) {
			told = text
			l.log.Warn("lease: not acquired, trying on", "lease", name, "error", err)
		}
		// Instances that wait for the same lease should not ask all at once.
		if !sleep(ctx, pause/2+mathrand.N(pause)) {
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// TryAcquire returns an error that wraps schema.ErrLeaseHeld, and names the holder, where another holds the lease.
func (l *Locker) TryAcquire(ctx context.Context, name string, ttl time.Duration) (schema.Lease, error) {
	held := l.newLease(name, ttl)
	if err := held.take(ctx); err != nil {
		return nil, err
	}
	return held, nil
}

func (l *Locker) newLease(name string, ttl time.Duration) *lease {
	return &lease{
		locker: l, name: name, key: l.prefix + name, ttl: max(ttl, minTTL),
		value: l.instance + " " + rand.Text(),
		quit:  make(chan struct{}), done: make(chan struct{}),
	}
}

// lease is one lease that Redis keeps. Its goroutine, keep, is started by take and ends by quit or
// by the loss of the lease.
type lease struct {
	locker           *Locker
	name, key, value string
	ttl              time.Duration

	ctx    context.Context
	cancel context.CancelCauseFunc
	expiry *time.Timer

	stop       sync.Once
	quit, done chan struct{}
}

// take asks for the lease once, and starts to keep it.
func (h *lease) take(ctx context.Context) error {
	asked := time.Now()
	before, err := take.Run(ctx, h.locker.client, []string{h.key}, h.value, h.ttl.Milliseconds()).Text()
	if err != nil {
		return fmt.Errorf("lease %s: %w", h.name, err)
	}
	if before != "" {
		instance := before[:max(0, strings.LastIndexByte(before, ' '))]
		return fmt.Errorf("lease %s: instance %q: %w", h.name, instance, schema.ErrLeaseHeld)
	}
	left := h.ttl - time.Since(asked)
	if left <= 0 {
		return fmt.Errorf("lease %s: %w: Redis took longer to answer than its time to live, %v", h.name, ErrLost, h.ttl)
	}
	// The lease outlives the call that asked for it, but not its values.
	h.ctx, h.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	// A timer of its own, because a renewal may hang for longer than the lease has left.
	h.expiry = time.AfterFunc(left, func() { h.lose("time to live has passed without an answer from Redis") })
	go h.keep()
	return nil
}

func (h *lease) keep() {
	defer close(h.done)
	defer h.expiry.Stop()
	pause := h.ttl / 3
	for {
		timer := time.NewTimer(pause)
		select {
		case <-h.quit:
			timer.Stop()
			return
		case <-h.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		asked := time.Now()
		ours, err := renew.Run(h.ctx, h.locker.client, []string{h.key}, h.value, h.ttl.Milliseconds()).Int()
		switch {
		case err != nil:
			pause = h.ttl / 12 // several more tries before it runs out
			continue
		case ours == 0:
			h.lose("Redis has another holder, or none")
			return
		case !h.expiry.Stop():
			return // it ran out while Redis answered; what was told to the holder stays true
		}
		h.expiry.Reset(h.ttl - time.Since(asked))
		pause = h.ttl / 3
	}
}

func (h *lease) lose(why string) {
	if h.ctx.Err() != nil {
		return
	}
	h.locker.log.Warn("lease: lost", "lease", h.name, "why", why)
	h.cancel(fmt.Errorf("lease %s: %w: %s", h.name, ErrLost, why))
}

// Context ends, with ErrLost or ErrReleased as its cause, when the lease is lost or released.
func (h *lease) Context() context.Context { return h.ctx }

// Release ends the lease's context, waits for its goroutine and deletes its key. When that fails, another
// can have the lease only after its time to live; Release may be called again.
func (h *lease) Release(ctx context.Context) error {
	h.stop.Do(func() {
		h.cancel(ErrReleased)
		close(h.quit)
	})
	<-h.done
	if err := drop.Run(ctx, h.locker.client, []string{h.key}, h.value).Err(); err != nil {
		return fmt.Errorf("release lease %s: %w", h.name, err)
	}
	return nil
}

// sleep tells whether the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
