package embedded_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

func connectRedis(t *testing.T, server *embedded.Server) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Address()})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestKilledRedisKeepsWhatItAcknowledged(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	if !server.Persistent() {
		t.Fatal("not a server of its own")
	}
	client := connectRedis(t, server)
	if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "letters", Values: []string{"a", "1"}}).Err(); err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Fatal("a killed Redis answers")
	}
	restart(t, server.Restart)
	if n, err := client.XLen(t.Context(), "letters").Result(); err != nil || n != 1 {
		t.Fatalf("%d letters after SIGKILL, %v", n, err)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	restart(t, server.Restart)
	if n, err := client.XLen(t.Context(), "letters").Result(); err != nil || n != 1 {
		t.Fatalf("%d letters after a restart, %v", n, err)
	}
}

func TestRedisInProcess(t *testing.T) {
	server := embeddedtest.InProcessRedis(t)
	if server.Persistent() {
		t.Fatal("not in this process")
	}
	client := connectRedis(t, server)
	if err := client.Set(t.Context(), "lease", "me", 300*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), "kept", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	embeddedtest.Eventually(t, "the lease expires", func() bool { return client.Exists(t.Context(), "lease").Val() == 0 })
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Fatal("a killed Redis answers")
	}
	restart(t, server.Restart)
	if got := client.Get(t.Context(), "kept").Val(); got != "1" {
		t.Fatalf("after a restart: %q", got)
	}
	if err := server.Pause(); !errors.Is(err, embedded.ErrInProcess) {
		t.Fatalf("pause: %v", err)
	}
}
