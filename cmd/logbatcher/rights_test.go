package main

import (
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/lease"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/deadletter"
)

// TestDocumentedRights gives a Redis user the rights that docs/dead-letters.md lists, and does with them all that the gateway does by default.
func TestDocumentedRights(t *testing.T) {
	page, err := os.ReadFile("../../docs/dead-letters.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ACL SETUSER .*$`).FindString(string(page))
	server := embeddedtest.OwnRedis(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Address()})
	defer admin.Close()
	var words []any
	for _, word := range strings.Fields(line) {
		words = append(words, word)
	}
	if len(words) == 0 {
		t.Fatal("the page has no ACL SETUSER line")
	}
	if err := admin.Do(t.Context(), words...).Err(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}

	cfg := config.Default()
	cfg.Redis.Addresses = []string{server.Address()}
	cfg.Redis.User, cfg.Redis.Password = "logbatcher", "PASSWORD"
	client := redisClient(cfg)
	defer client.Close()
	letters := deadletter.DefaultConfig()
	letters.Stream = cfg.DeadLetters.Stream
	letters.WhenFull, letters.MaxBytes = deadletter.Trim, 2*sink.MaxLetterBytes
	queue, err := deadletter.New(client, letters, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	warnings, err := queue.Check(t.Context())
	if err != nil || strings.Contains(strings.Join(warnings, " "), "does not let us") {
		t.Errorf("check: %q, %v", warnings, err)
	}
	for _, id := range []string{"a", "a", "b", "c", "d"} { // more than the queue holds
		if err := queue.Write(t.Context(), &sink.DeadLetter{DeadLettered: schema.DeadLettered{ID: id, Rows: 1}, Payload: make([]byte, 700<<10)}); err != nil {
			t.Fatalf("write %s: %v", id, err)
		}
	}
	if list, err := queue.List(t.Context(), "", 10); err != nil || len(list) == 0 {
		t.Errorf("list: %d letters, %v", len(list), err)
	}

	held, err := lease.New(client, leasePrefix, "test", slog.New(slog.DiscardHandler)).TryAcquire(t.Context(), "migrate", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.PExpire(t.Context(), leasePrefix+"migrate", time.Minute).Err(); err != nil {
		t.Errorf("renew a lease: %v", err)
	}
	if err := held.Release(t.Context()); err != nil {
		t.Errorf("release a lease: %v", err)
	}
}
