//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/logbatcher/logbatcher/embedded"
)

// A stack is the servers that all runs share.
type stack struct {
	folder        string
	engine, redis *embedded.Server
	enginePID     int
	address       string // of ClickHouse, host:port
	conn          driver.Conn
	databases     int
}

// startStack starts ClickHouse and Redis with their data under folder.
func startStack(ctx context.Context, folder string) (_ *stack, err error) {
	s := &stack{
		folder: folder,
		engine: embedded.NewClickHouse(embedded.ClickHouseConfig{Directory: filepath.Join(folder, "clickhouse")}),
		redis:  embedded.NewRedis(embedded.RedisConfig{Directory: filepath.Join(folder, "redis")}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if err := s.engine.Start(ctx); err != nil {
		return nil, err
	}
	if err := s.redis.Start(ctx); err != nil {
		return nil, err
	}
	if s.enginePID, err = s.engine.PID(); err != nil {
		return nil, err
	}
	s.address = strings.TrimPrefix(s.engine.Address(), "http://")
	s.conn, err = openDriver(s.address, "default", 2)
	return s, err
}

// openDriver connects clickhouse-go, without compression.
func openDriver(address, database string, connections int) (driver.Conn, error) {
	return clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{address}, Auth: clickhouse.Auth{Database: database},
		MaxOpenConns: connections, MaxIdleConns: connections, DialTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute,
		Settings: clickhouse.Settings{"async_insert": 0},
	})
}

// stopTimeout bounds the stop of a server.
const stopTimeout = 40 * time.Second

// stop stops the servers.
func (s *stack) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var err error
	if s.conn != nil {
		err = s.conn.Close()
	}
	return errors.Join(err, s.redis.Stop(ctx), s.engine.Stop(ctx))
}

// newDatabase returns the name of a database that no run has used. The gateway creates it.
func (s *stack) newDatabase() string {
	s.databases++
	return fmt.Sprintf("bench_%d", s.databases)
}

// counted checks that the database's tables hold each row of a run once.
func (s *stack) counted(ctx context.Context, database string, rows int) error {
	var count, distinct uint64
	query := fmt.Sprintf("SELECT count(), uniqExact(toUInt64(LogAttributes['%s'])) FROM merge('%s', '^otel_logs')", numberKey, database)
	if err := s.conn.QueryRow(ctx, query).Scan(&count, &distinct); err != nil {
		return fmt.Errorf("count the rows: %w", err)
	}
	if count != uint64(rows) || distinct != uint64(rows) {
		return fmt.Errorf("%s holds %d rows with %d numbers, %d were sent: lost %d, doubled %d",
			database, count, distinct, rows, rows-int(distinct), count-distinct)
	}
	return nil
}

// settle waits until ClickHouse has no merges left, at most fifteen seconds.
func (s *stack) settle(ctx context.Context) error {
	for range 75 {
		var merges uint64
		if err := s.conn.QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&merges); err != nil || merges == 0 {
			return err
		}
		if err := rest(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// drop removes a run's database.
func (s *stack) drop(ctx context.Context, database string) error {
	return s.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+database+" SYNC")
}

// machine describes what is measured on.
func machine(ctx context.Context, s *stack) string {
	var version string
	if err := s.conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		version = "unknown: " + err.Error()
	}
	cpus, _ := os.ReadFile("/proc/cpuinfo") // for the reader only, as the load
	_, model, _ := strings.Cut(string(cpus), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%d cores (%s), ClickHouse %s, load before %s", runtime.NumCPU(), model, version, strings.TrimSpace(string(load)))
}
