//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/logbatcher/logbatcher/embedded"
)

// A stack is the servers that all runs share.
type stack struct {
	folder, binary string
	engine         *embedded.Server
	enginePID      int
	redis          *embedded.Server
	address        string // of ClickHouse, host:port
	conn           driver.Conn
	databases      int
}

// startStack starts ClickHouse and Redis with their data under folder.
func startStack(ctx context.Context, folder, binary string) (_ *stack, err error) {
	host := filepath.Join(filepath.Dir(binary), "logbatcher-engine")
	if _, err := os.Stat(host); err == nil && os.Getenv(embedded.EngineVariable) == "" {
		if err := os.Setenv(embedded.EngineVariable, host); err != nil {
			return nil, err
		}
	}
	s := &stack{
		folder: folder, binary: binary,
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
	if s.enginePID, err = childNamed("logbatcher-engi"); err != nil { // the kernel keeps 15 bytes of a name
		return nil, err
	}
	address, err := url.Parse(s.engine.Address())
	if err != nil {
		return nil, err
	}
	s.address = address.Host
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

// newDatabase returns the name of a database that no run has used. The gateway makes it.
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
		return fmt.Errorf("%s holds %d rows with %d numbers, sent were %d: lost %d, doubled %d",
			database, count, distinct, rows, rows-int(distinct), count-distinct)
	}
	return nil
}

// settle waits until ClickHouse merges nothing more, fifteen seconds at most.
func (s *stack) settle(ctx context.Context) error {
	for range 75 {
		var merges uint64
		if err := s.conn.QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&merges); err != nil {
			return err
		}
		if merges == 0 {
			return nil
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
	model := "unknown CPU"
	data, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(data)) {
			if _, text, found := strings.Cut(line, ":"); found && strings.HasPrefix(line, "model name") {
				model = strings.TrimSpace(text)
				break
			}
		}
	}
	load, _ := os.ReadFile("/proc/loadavg") // it is for the reader only
	return fmt.Sprintf("%d cores (%s), ClickHouse %s, load before %s", cores(), model, version, strings.TrimSpace(string(load)))
}
