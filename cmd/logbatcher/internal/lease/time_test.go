package lease

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/schema"
)

// scripted is a redis.Hook that answers the scripts of this package from memory, in the time of a synctest bubble, where
// a connection can't be. lease_test.go runs them on Redis.
type scripted struct {
	mu    sync.Mutex
	value map[string]string
	ends  map[string]time.Time
	away  bool // nothing is answered
}

var errAway = errors.New("redis is away")

func (*scripted) DialHook(next redis.DialHook) redis.DialHook { return next }
func (*scripted) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *scripted) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.away {
			cmd.SetErr(errAway)
			return errAway
		}
		arguments := cmd.Args() // evalsha, digest, 1, key, value, milliseconds
		key, value := arguments[3].(string), arguments[4].(string)
		if !time.Now().Before(s.ends[key]) {
			delete(s.value, key)
		}
		answer := cmd.(*redis.Cmd)
		switch held := s.value[key]; arguments[1] {
		case take.Hash():
			if held != "" && held != value {
				answer.SetVal(held)
				return nil
			}
			s.value[key], s.ends[key] = value, time.Now().Add(time.Duration(arguments[5].(int64))*time.Millisecond)
			answer.SetVal("")
		case renew.Hash():
			answer.SetVal(int64(0))
			if held == value {
				s.ends[key] = time.Now().Add(time.Duration(arguments[5].(int64)) * time.Millisecond)
				answer.SetVal(int64(1))
			}
		case drop.Hash():
			answer.SetVal(int64(0))
			if held == value {
				delete(s.value, key)
				answer.SetVal(int64(1))
			}
		}
		return nil
	}
}

func (s *scripted) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// inTime runs a test with two instances in a bubble.
func inTime(t *testing.T, test func(t *testing.T, server *scripted, a, b *Locker)) {
	synctest.Test(t, func(t *testing.T) {
		server := &scripted{value: map[string]string{}, ends: map[string]time.Time{}}
		client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
		defer client.Close()
		client.AddHook(server)
		log := slog.New(slog.DiscardHandler)
		test(t, server, New(client, "test:lease:", "a", log), New(client, "test:lease:", "b", log))
	})
}

func TestRenewal(t *testing.T) {
	inTime(t, func(t *testing.T, _ *scripted, a, b *Locker) {
		lease := acquire(t, a, 30*time.Second)
		for range 100 {
			time.Sleep(5 * time.Second)
			if _, err := b.TryAcquire(t.Context(), "retention", time.Minute); !errors.Is(err, schema.ErrLeaseHeld) {
				t.Fatalf("another got %v", err)
			}
		}
		if err := lease.Context().Err(); err != nil {
			t.Errorf("lost: %v", context.Cause(lease.Context()))
		}
		release(t, lease)
		release(t, acquire(t, b, time.Minute))
	})
}

// TestShortPauseIsSurvived stops Redis for almost the lease's time to live.
func TestShortPauseIsSurvived(t *testing.T) {
	inTime(t, func(t *testing.T, server *scripted, a, _ *Locker) {
		lease := acquire(t, a, 30*time.Second)
		time.Sleep(9 * time.Second) // just before it is renewed
		server.setAway(true)
		time.Sleep(18 * time.Second)
		server.setAway(false)
		time.Sleep(5 * time.Minute)
		if err := lease.Context().Err(); err != nil {
			t.Errorf("lost: %v", context.Cause(lease.Context()))
		}
		release(t, lease)
	})
}

// TestLongPauseIsNot: the holder knows of its loss before another can have the lease.
func TestLongPauseIsNot(t *testing.T) {
	inTime(t, func(t *testing.T, server *scripted, a, b *Locker) {
		lease := acquire(t, a, 30*time.Second)
		began := time.Now()
		server.setAway(true)
		<-lease.Context().Done()
		if !errors.Is(context.Cause(lease.Context()), ErrLost) || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(began), context.Cause(lease.Context()))
		}
		server.setAway(false)
		next, err := b.Acquire(t.Context(), "retention", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		release(t, lease) // leaves the next holder's alone
		if _, err := a.TryAcquire(t.Context(), "retention", time.Minute); !errors.Is(err, schema.ErrLeaseHeld) {
			t.Errorf("a third one got %v", err)
		}
		release(t, next)
	})
}
