package lease

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

// soon is a time to live that is short for a test that waits for its end, and long for a machine under load.
const soon = 5 * time.Second

func connect(t *testing.T, server *embedded.Server) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Address(), MaxRetries: -1, ContextTimeoutEnabled: true, ReadTimeout: soon})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func locker(t *testing.T, server *embedded.Server, instance string) *Locker {
	return New(connect(t, server), "test:lease:", instance, slog.New(slog.DiscardHandler))
}

// asked returns a channel that receives an item for each request of the locker's client, once it was answered or failed.
func asked(l schema.Locker) <-chan struct{} {
	answers := make(chan struct{}, 1000)
	l.(*Locker).client.AddHook(afterCommand(func() { answers <- struct{}{} }))
	return answers
}

// afterCommand is a redis.Hook that is called after each command.
type afterCommand func()

func (afterCommand) DialHook(next redis.DialHook) redis.DialHook { return next }
func (afterCommand) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (done afterCommand) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		defer done()
		return next(ctx, cmd)
	}
}

// all runs a test on two instances' lockers of each kind.
func all(t *testing.T, test func(t *testing.T, a, b schema.Locker)) {
	t.Run("server", func(t *testing.T) {
		server := embeddedtest.Redis(t)
		test(t, locker(t, server, "gw a"), locker(t, server, "gw b"))
	})
	t.Run("stand-in", func(t *testing.T) {
		server := embeddedtest.InProcessRedis(t)
		test(t, locker(t, server, "gw a"), locker(t, server, "gw b"))
	})
}

func acquire(t *testing.T, l schema.Locker, ttl time.Duration) schema.Lease {
	t.Helper()
	lease, err := l.TryAcquire(t.Context(), "retention", ttl)
	if err != nil {
		t.Fatalf("acquire: %v", err)
	}
	return lease
}

func release(t *testing.T, l schema.Lease) {
	t.Helper()
	if err := l.Release(context.Background()); err != nil {
		t.Errorf("release: %v", err)
	}
}

func TestOneHolder(t *testing.T) {
	all(t, func(t *testing.T, a, b schema.Locker) {
		first := acquire(t, a, time.Minute)
		for _, l := range []schema.Locker{a, b} {
			if _, err := l.TryAcquire(t.Context(), "retention", time.Minute); !errors.Is(err, schema.ErrLeaseHeld) {
				t.Errorf("a second one got %v, want ErrLeaseHeld", err)
			}
		}
		answers := asked(b)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-answers
			cancel()
		}()
		_, err := b.Acquire(ctx, "retention", soon)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, schema.ErrLeaseHeld) {
			t.Errorf("Acquire of a held one = %v", err)
		}
		if other, err := b.TryAcquire(t.Context(), "other name", time.Minute); err != nil {
			t.Errorf("another name: %v", err)
		} else {
			release(t, other)
		}

		for len(answers) > 0 {
			<-answers
		}
		got := make(chan schema.Lease, 1)
		go func() {
			lease, err := b.Acquire(t.Context(), "retention", soon)
			if err != nil {
				t.Errorf("acquire: %v", err)
			}
			got <- lease
		}()
		<-answers // it has found the lease held
		release(t, first)
		if !errors.Is(context.Cause(first.Context()), ErrReleased) {
			t.Errorf("cause = %v, want ErrReleased", context.Cause(first.Context()))
		}
		second := <-got
		release(t, first) // a second time: nothing happens, least of all to the new holder
		if _, err := a.TryAcquire(t.Context(), "retention", time.Minute); !errors.Is(err, schema.ErrLeaseHeld) {
			t.Errorf("after a second release: %v, want ErrLeaseHeld", err)
		}
		release(t, second)
	})
}

func TestHolderIsNamed(t *testing.T) {
	server := embeddedtest.Redis(t)
	held := acquire(t, locker(t, server, "gw a"), time.Minute)
	defer release(t, held)
	_, err := locker(t, server, "gw b").TryAcquire(t.Context(), "retention", time.Minute)
	if err == nil || !strings.Contains(err.Error(), `"gw a"`) {
		t.Errorf("error is %v, want one that names the holder", err)
	}
}

func TestNeverTwoAtOnce(t *testing.T) {
	all(t, func(t *testing.T, a, b schema.Locker) {
		var holders, turns atomic.Int64
		var group sync.WaitGroup
		for i := range 6 {
			group.Go(func() {
				l := a
				if i%2 == 1 {
					l = b
				}
				for range 2 {
					lease, err := l.Acquire(t.Context(), "turn", soon)
					if err != nil {
						t.Errorf("acquire: %v", err)
						return
					}
					if n := holders.Add(1); n != 1 {
						t.Errorf("%d holders", n)
					}
					turns.Add(1)
					if _, err := l.TryAcquire(t.Context(), "turn", soon); !errors.Is(err, schema.ErrLeaseHeld) {
						t.Errorf("another got %v", err)
					}
					holders.Add(-1)
					release(t, lease)
				}
			})
		}
		group.Wait()
		if turns.Load() != 12 {
			t.Errorf("%d turns, want 12", turns.Load())
		}
	})
}

func awaitLoss(t *testing.T, lease schema.Lease) {
	t.Helper()
	select {
	case <-lease.Context().Done():
	case <-time.After(time.Minute):
		t.Fatal("not lost after a minute")
	}
	if !errors.Is(context.Cause(lease.Context()), ErrLost) {
		t.Errorf("cause = %v, want ErrLost", context.Cause(lease.Context()))
	}
}

func TestLostWhileRedisIsPaused(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	lease := acquire(t, locker(t, server, "a"), soon)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	awaitLoss(t, lease)
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	next, err := locker(t, server, "b").Acquire(t.Context(), "retention", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	release(t, lease) // must leave the next holder's alone
	if next.Context().Err() != nil {
		t.Error("the next holder lost its lease")
	}
	if _, err := locker(t, server, "c").TryAcquire(t.Context(), "retention", time.Minute); !errors.Is(err, schema.ErrLeaseHeld) {
		t.Errorf("a third one got %v", err)
	}
	release(t, next)
}

func TestLostToAnother(t *testing.T) {
	server := embeddedtest.Redis(t)
	lease := acquire(t, locker(t, server, "a"), soon)
	client := connect(t, server)
	if err := client.Set(t.Context(), "test:lease:retention", "b token", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	awaitLoss(t, lease)
	release(t, lease)
	if got := client.Get(t.Context(), "test:lease:retention").Val(); got != "b token" {
		t.Errorf("the key is %q after the loser's release", got)
	}
}

func TestAcquireWaitsForRedis(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	a := locker(t, server, "a")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.TryAcquire(t.Context(), "retention", time.Second); err == nil || errors.Is(err, schema.ErrLeaseHeld) {
		t.Errorf("TryAcquire without Redis = %v", err)
	}
	answers := asked(a)
	got := make(chan error, 1)
	go func() {
		lease, err := a.Acquire(t.Context(), "retention", soon)
		if err == nil {
			err = lease.Release(t.Context())
		}
		got <- err
	}()
	<-answers // its first attempt failed
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("acquire and release: %v", err)
	}
}

// A release that does not reach Redis is an error; the lease then expires.
func TestReleaseWithoutRedis(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	a := locker(t, server, "a")
	lease := acquire(t, a, time.Minute)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := lease.Release(t.Context()); err == nil {
		t.Error("want an error")
	}
	if lease.Context().Err() == nil {
		t.Error("the context goes on after Release")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	release(t, lease)
	release(t, acquire(t, a, time.Minute))
}
