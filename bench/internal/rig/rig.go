//go:build linux

// Package rig starts the servers that a measurement needs, runs what is measured on them, and keeps the accounts: rows per second, CPU by
// the operating system's accounts, memory, latency. It is shared by the commands that measure.
//
// In comes a Run, which opens a Writer; out comes a Result. Always: every row has a number, and every run ends by counting rows and
// numbers in ClickHouse; a lost or doubled row is an error. No process outlives the rig.
package rig

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

// A Rig is the servers that all runs share: ClickHouse and Redis.
type Rig struct {
	// Folder is where the servers have their data, and runs their files.
	Folder string
	// Address is ClickHouse's, host:port.
	Address string
	// Conn is a connection to ClickHouse.
	Conn driver.Conn

	engine, redis *embedded.Server
	enginePID     int
	databases     int
}

// Start starts the servers with their data under folder.
func Start(ctx context.Context, folder string) (_ *Rig, err error) {
	s := &Rig{
		Folder: folder,
		engine: embedded.NewClickHouse(embedded.ClickHouseConfig{Directory: filepath.Join(folder, "clickhouse")}),
		redis:  embedded.NewRedis(embedded.RedisConfig{Directory: filepath.Join(folder, "redis")}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
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
	s.Address = strings.TrimPrefix(s.engine.Address(), "http://")
	s.Conn, err = openDriver(s.Address, "default", 2)
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

// Stop stops the servers.
func (s *Rig) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var err error
	if s.Conn != nil {
		err = s.Conn.Close()
	}
	return errors.Join(err, s.redis.Stop(ctx), s.engine.Stop(ctx))
}

// Away stops ClickHouse, until Back.
func (s *Rig) Away(ctx context.Context) error { return s.engine.Stop(ctx) }

// Back starts ClickHouse again, with what it had.
func (s *Rig) Back(ctx context.Context) (err error) {
	if err := s.engine.Start(ctx); err != nil {
		return err
	}
	s.enginePID, err = s.engine.PID()
	return err
}

// RedisAddress returns the address of Redis.
func (s *Rig) RedisAddress() string { return s.redis.Address() }

// newDatabase returns the name of a database that no run has used. The writer creates it.
func (s *Rig) newDatabase() string {
	s.databases++
	return fmt.Sprintf("bench_%d", s.databases)
}

// counted checks that the database's tables hold each row of a run once.
func (s *Rig) counted(ctx context.Context, database string, rows int) error {
	var count, distinct uint64
	query := fmt.Sprintf("SELECT count(), uniqExact(toUInt64(LogAttributes['%s'])) FROM merge('%s', '^otel_logs')", NumberKey, database)
	if err := s.Conn.QueryRow(ctx, query).Scan(&count, &distinct); err != nil {
		return fmt.Errorf("count the rows: %w", err)
	}
	if count != uint64(rows) || distinct != uint64(rows) {
		return fmt.Errorf("%s holds %d rows with %d numbers, %d were sent: lost %d, doubled %d",
			database, count, distinct, rows, rows-int(distinct), count-distinct)
	}
	return nil
}

// Await waits until the database's tables hold that many rows, checks that each is there once, and returns when that was. It drops the database.
func (s *Rig) Await(ctx context.Context, database string, rows int) (time.Time, error) {
	for {
		var count uint64
		query := fmt.Sprintf("SELECT count() FROM merge('%s', '^otel_logs')", database)
		if err := s.Conn.QueryRow(ctx, query).Scan(&count); err != nil {
			return time.Time{}, fmt.Errorf("count the rows: %w", err)
		}
		if count >= uint64(rows) {
			break
		}
		if err := Rest(ctx, 100*time.Millisecond); err != nil {
			return time.Time{}, fmt.Errorf("%d of %d rows are in the table: %w", count, rows, err)
		}
	}
	at := time.Now()
	if err := s.counted(ctx, database, rows); err != nil {
		return at, err
	}
	return at, s.drop(ctx, database)
}

// settle waits until ClickHouse has no merges left, at most fifteen seconds.
func (s *Rig) settle(ctx context.Context) error {
	for range 75 {
		var merges uint64
		if err := s.Conn.QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&merges); err != nil || merges == 0 {
			return err
		}
		if err := Rest(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// drop removes a run's database.
func (s *Rig) drop(ctx context.Context, database string) error {
	return s.Conn.Exec(ctx, "DROP DATABASE IF EXISTS "+database+" SYNC")
}

// Machine describes what is measured on.
func (s *Rig) Machine(ctx context.Context) string {
	var version string
	if err := s.Conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		version = "unknown: " + err.Error()
	}
	cpus, _ := os.ReadFile("/proc/cpuinfo") // for the reader only, as the load
	_, model, _ := strings.Cut(string(cpus), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%d cores (%s), ClickHouse %s, load before %s", runtime.NumCPU(), model, version, strings.TrimSpace(string(load)))
}

// Rest waits for d.
func Rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
