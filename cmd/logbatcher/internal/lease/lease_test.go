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

func connect(t *testing.T, server *embedded.Redis) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: server.Address(), MaxRetries: -1, ContextTimeoutEnabled: true,
		DialTimeout: 300 * time.Millisecond, ReadTimeout: 300 * time.Millisecond, WriteTimeout: 300 * time.Millisecond,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func locker(t *testing.T, server *embedded.Redis, instance string) *Locker {
	return New(connect(t, server), "test:lease:", instance, slog.New(slog.DiscardHandler))
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
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := b.Acquire(ctx, "retention", time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, schema.ErrLeaseHeld) {
			t.Errorf("Acquire of a held one = %v", err)
		}
		if other, err := b.TryAcquire(t.Context(), "other name", time.Minute); err != nil {
			t.Errorf("another name: %v", err)
		} else {
			release(t, other)
		}

		got := make(chan schema.Lease, 1)
		go func() {
			lease, err := b.Acquire(t.Context(), "retention", 200*time.Millisecond)
			if err != nil {
				t.Errorf("acquire: %v", err)
			}
			got <- lease
		}()
		time.Sleep(50 * time.Millisecond)
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
				for range 5 {
					lease, err := l.Acquire(t.Context(), "turn", 300*time.Millisecond)
					if err != nil {
						t.Errorf("acquire: %v", err)
						return
					}
					if n := holders.Add(1); n != 1 {
						t.Errorf("%d holders", n)
					}
					turns.Add(1)
					time.Sleep(time.Millisecond)
					holders.Add(-1)
					release(t, lease)
				}
			})
		}
		group.Wait()
		if turns.Load() != 30 {
			t.Errorf("%d turns, want 30", turns.Load())
		}
	})
}

func TestRenewal(t *testing.T) {
	all(t, func(t *testing.T, a, b schema.Locker) {
		lease := acquire(t, a, 600*time.Millisecond)
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			if _, err := b.TryAcquire(t.Context(), "retention", time.Minute); !errors.Is(err, schema.ErrLeaseHeld) {
				t.Fatalf("another got %v", err)
			}
		}
		if err := lease.Context().Err(); err != nil {
			t.Errorf("lost: %v", context.Cause(lease.Context()))
		}
		release(t, lease)
	})
}

func awaitLoss(t *testing.T, lease schema.Lease, within time.Duration) {
	t.Helper()
	select {
	case <-lease.Context().Done():
	case <-time.After(within):
		t.Fatalf("not lost after %v", within)
	}
	if !errors.Is(context.Cause(lease.Context()), ErrLost) {
		t.Errorf("cause = %v, want ErrLost", context.Cause(lease.Context()))
	}
}

func TestLostWhileRedisIsPaused(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	lease := acquire(t, locker(t, server, "a"), 600*time.Millisecond)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	awaitLoss(t, lease, 1500*time.Millisecond)
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

func TestShortPauseIsSurvived(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	lease := acquire(t, locker(t, server, "a"), 3*time.Second)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond) // a renewal fails in it
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if err := lease.Context().Err(); err != nil {
		t.Errorf("lost: %v", context.Cause(lease.Context()))
	}
	release(t, lease)
}

func TestLostToAnother(t *testing.T) {
	server := embeddedtest.Redis(t)
	lease := acquire(t, locker(t, server, "a"), 300*time.Millisecond)
	client := connect(t, server)
	if err := client.Set(t.Context(), "test:lease:retention", "b token", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	awaitLoss(t, lease, time.Second)
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
	got := make(chan error, 1)
	go func() {
		lease, err := a.Acquire(t.Context(), "retention", time.Second)
		if err == nil {
			err = lease.Release(t.Context())
		}
		got <- err
	}()
	time.Sleep(100 * time.Millisecond)
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("acquire and release: %v", err)
	}
}

// A release that Redis does not hear is told; the lease then ends by itself.
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
