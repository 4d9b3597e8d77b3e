package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/owner"
	"github.com/logbatcher/logbatcher/embedded"
)

// stack is a ClickHouse and a Redis of our own, for dev and demo.
type stack struct {
	directory  string
	clickhouse *embedded.Server
	redis      *embedded.Server
}

// startStack starts both with their data under directory.
func startStack(ctx context.Context, directory, clickhouseListen string, log *slog.Logger) (*stack, error) {
	s := &stack{
		directory: directory,
		clickhouse: embedded.NewClickHouse(embedded.ClickHouseConfig{
			Directory: filepath.Join(directory, "clickhouse"), Listen: clickhouseListen, Logger: log,
		}),
		redis: embedded.NewRedis(embedded.RedisConfig{Directory: filepath.Join(directory, "redis"), Logger: log}),
	}
	if err := s.clickhouse.Start(ctx); err != nil {
		return nil, err
	}
	if err := s.redis.Start(ctx); err != nil {
		return nil, errors.Join(err, s.stop(ctx))
	}
	if !s.redis.Persistent() {
		log.Warn("no redis-server is installed: dead letters and leases are kept in this process and end with it")
	}
	return s, nil
}

// configure points a configuration at the stack, and leaves everything else, such as routes, as the operator set it.
func (s *stack) configure(c *config.Config) error {
	address, err := url.Parse(s.clickhouse.Address())
	if err != nil {
		return fmt.Errorf("embedded ClickHouse: %w", err)
	}
	c.ClickHouse.Addresses = []string{address.Host}
	c.Redis.Addresses = []string{s.redis.Address()}
	c.Producers.Owners = owner.None // nobody else uses that Redis
	if c.WAL.Dir == config.Default().WAL.Dir {
		c.WAL.Dir = filepath.Join(s.directory, "wal")
	}
	return nil
}

// stop stops both. They keep what they have acknowledged.
func (s *stack) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return errors.Join(s.redis.Stop(ctx), s.clickhouse.Stop(ctx))
}
