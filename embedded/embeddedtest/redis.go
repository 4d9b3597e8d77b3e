package embeddedtest

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"github.com/logbatcher/logbatcher/embedded"
)

// Redis starts an empty Redis: a redis-server where one is installed, else the in-process stand-in. It is stopped when the test
// ends.
func Redis(t testing.TB) *embedded.Server {
	t.Helper()
	return startRedis(t, embedded.RedisConfig{Directory: t.TempDir()})
}

// OwnRedis is Redis for tests that kill it, pause it, or rely on what it keeps:
// it is always a redis-server.
func OwnRedis(t testing.TB) *embedded.Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		unavailable(t, &embedded.UnavailableError{What: "redis-server", Remedy: "install Redis", Err: errors.Unwrap(err)})
	}
	return startRedis(t, embedded.RedisConfig{Directory: t.TempDir()})
}

// InProcessRedis starts the stand-in.
func InProcessRedis(t testing.TB) *embedded.Server {
	t.Helper()
	return startRedis(t, embedded.RedisConfig{InProcess: true})
}

func startRedis(t testing.TB, config embedded.RedisConfig) *embedded.Server {
	t.Helper()
	redis := embedded.NewRedis(config)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := redis.Start(ctx); err != nil {
		unavailable(t, err)
	}
	stopAtEnd(t, redis.Stop)
	return redis
}
