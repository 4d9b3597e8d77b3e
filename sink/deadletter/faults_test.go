package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/redis/go-redis/v9"
)

// Writers go on while Redis is killed and restarted twice. Acknowledged letters are there exactly once.
func TestNoLetterLostOrDoubledWhenRedisIsKilled(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	client := connect(t, server)
	// With everysec, Redis may answer before it has passed the letter to the kernel.
	always := func() {
		t.Helper()
		// After many failures the client tries to connect only once a second.
		embeddedtest.Eventually(t, "Redis takes a setting", func() bool {
			return client.ConfigSet(t.Context(), "appendfsync", "always").Err() == nil
		})
	}
	always()
	q := open(t, client)

	const writers, each = 6, 400
	var acknowledged atomic.Int64
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if err := writeUntilKept(t.Context(), q, letter(fmt.Sprint(w*each+i), 2000)); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	for kill := range 2 {
		embeddedtest.Eventually(t, "a quarter more of the letters are acknowledged", func() bool {
			return acknowledged.Load() >= int64(kill+1)*writers*each/4 || t.Failed()
		})
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		before := acknowledged.Load()
		away := q.metrics.errors.WithLabelValues(string(Away))
		failures := valueOf(t, away)
		embeddedtest.Eventually(t, "writes fail", func() bool { return valueOf(t, away) >= failures+2*writers })
		if after := acknowledged.Load(); after > before+writers {
			t.Errorf("%d letters were acknowledged while Redis was dead", after-before)
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		always()
	}
	group.Wait()
	wantEachOnce(t, q, writers*each)
}

// Redis answers later than the client waits, but executes the writes.
func TestPausedRedis(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	q := open(t, connect(t, server))
	mustWrite(t, q, letter("0", 100))
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	err := q.Write(t.Context(), letter("1", 100))
	wantKind(t, err, Away)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = q.Write(ctx, letter("2", 100))
	wantKind(t, err, Away)
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("two writes took %v", took)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := writeUntilKept(t.Context(), q, letter(fmt.Sprint(i), 100)); err != nil {
			t.Fatal(err)
		}
	}
	wantEachOnce(t, q, 3)
}

func TestAwayWhileWaitingForRoom(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	q := open(t, connect(t, server), small)
	fill(t, q)
	done := make(chan error, 1)
	go func() { done <- q.Write(t.Context(), letter("late", 100_000)) }()
	embeddedtest.Eventually(t, "the letter waits for room", func() bool { return valueOf(t, q.metrics.waiting) == 1 })
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	wantKind(t, <-done, Away)
}

func TestScriptsAreLoadedAgain(t *testing.T) {
	client := connect(t, embeddedtest.Redis(t))
	q := open(t, client)
	mustWrite(t, q, letter("0", 1))
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, q, letter("1", 1))
	wantEachOnce(t, q, 2)
}

func TestRefusals(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	client := connect(t, server)
	ctx := t.Context()
	do := func(args ...any) {
		t.Helper()
		if err := client.Do(ctx, args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	user := func(name, password string) *Queue {
		c := redis.NewClient(&redis.Options{Addr: server.Address(), Username: name, Password: password, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		return open(t, c)
	}
	q := open(t, client)
	cases := []struct {
		name         string
		queue        *Queue
		before       func()
		after        func()
		code, advice string
	}{
		{"out of memory", q, func() { do("CONFIG", "SET", "maxmemory", 1) }, func() { do("CONFIG", "SET", "maxmemory", 0) }, "OOM", "maxmemory"},
		{"replica", q, func() { do("REPLICAOF", "127.0.0.1", "1"); do("CONFIG", "SET", "replica-serve-stale-data", "yes") }, func() { do("REPLICAOF", "NO", "ONE") }, "READONLY", "master"},
		{"too few replicas", q, func() { do("CONFIG", "SET", "min-replicas-to-write", 1) }, func() { do("CONFIG", "SET", "min-replicas-to-write", 0) }, "NOREPLICAS", "min-replicas-to-write"},
		{"stream is a string", q, func() { do("SET", q.cfg.Stream, "x") }, func() { do("DEL", q.cfg.Stream) }, "WRONGTYPE", "stream"},
		{"usage is a string", q, func() { do("SET", q.cfg.usageKey(), "x") }, func() { do("DEL", q.cfg.usageKey()) }, "WRONGTYPE", "stream"},
		{"wrong password", user("somebody", "wrong"), func() {}, func() {}, "WRONGPASS", "password"},
		{"no right to XADD", user("weak", "w"), func() { do("ACL", "SETUSER", "weak", "on", ">w", "~*", "+@all", "-xadd") }, func() {}, "xecuting the script", "+xadd"},
		{"no password", user("", ""), func() { do("CONFIG", "SET", "requirepass", "p") }, func() { do("CONFIG", "SET", "requirepass", "") }, "unauthenticated", "password"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.before()
			err := c.queue.Write(ctx, letter("refused", 100))
			c.after()
			e := wantKind(t, err, Refused)
			if !strings.Contains(e.Err.Error(), c.code) || !strings.Contains(e.Advice, c.advice) || e.Permanent() {
				t.Errorf("error is %v; want %s, advice about %s, not permanent", e, c.code, c.advice)
			}
		})
	}
	// None of them has burned the letter's id.
	mustWrite(t, q, letter("refused", 100))
	if all := listAll(t, q); len(all) != 1 {
		t.Errorf("%d letters, want 1", len(all))
	}
}

// The user in the advice has enough rights, also without MEMORY.
func TestRightsThatSuffice(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	admin := connect(t, server)
	for _, memory := range []string{"+memory|usage", "-memory"} {
		rights := []any{"ACL", "SETUSER", "keeper", "reset", "on", ">k", "~logbatcher:dead_letters", "~{logbatcher:dead_letters}:*",
			"+evalsha", "+eval", "+xadd", "+xlen", "+xdel", "+xrange", "+xrevrange", "+get", "+set", "+expire", "+del", "+hset", "+hmget", memory}
		if err := admin.Do(t.Context(), rights...).Err(); err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(&redis.Options{Addr: server.Address(), Username: "keeper", Password: "k", MaxRetries: -1})
		q := open(t, client)
		mustWrite(t, q, letter(memory, 1000))
		if u, _, err := q.measure(t.Context(), true, 0); err != nil || u.bytes < 1000 {
			t.Errorf("%s: usage = %+v, %v", memory, u, err)
		}
		all := listAll(t, q)
		if len(all) != 1 {
			t.Fatalf("%s: %d letters", memory, len(all))
		}
		_, lastErr := q.last(t.Context())
		_, claimErr := q.claim(t.Context(), &all[0], "token", time.Minute)
		replaced, replaceErr := q.replace(t.Context(), &all[0], "token", []*sink.DeadLetter{letter(memory, 500)})
		if err := errors.Join(lastErr, claimErr, replaceErr); err != nil || len(replaced) != 1 {
			t.Fatalf("%s: %d letters, %v", memory, len(replaced), err)
		}
		_, removeErr := q.remove(t.Context(), &replaced[0], "token", false)
		if err := errors.Join(removeErr, q.release(t.Context(), &replaced[0], "token")); err != nil || len(listAll(t, q)) != 0 {
			t.Errorf("%s: %d letters after the last was removed, %v", memory, len(listAll(t, q)), err)
		}
		_ = client.Close()
	}
}
