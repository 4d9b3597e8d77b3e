package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// routeWith is a configuration with a route that has the settings.
func routeWith(settings string) string {
	return `columns:
- {name: ts, type: DateTime, source: time}
- {name: body, type: String, source: body}
- {name: maybe, type: Nullable(String), source: event_name}
routes:
- {name: r, table: t, ` + settings + "}"
}

// badConfigurations can't work. Each has a part of what is said of it.
var badConfigurations = []struct{ name, text, want string }{
	{"unknown key", "colour: red", "1:1: colour: unknown setting"},
	{"sorting key without column", routeWith("order_by: (Nope)"), `:6:33: routes[0].order_by: the table has no column "Nope"`},
	{"sorting key of a function of no column", routeWith("order_by: toDate(tss)"), `did you mean ts?`},
	{"sorting key that is not closed", routeWith("order_by: '(ts'"), "routes[0].order_by: a ) is missing"},
	{"nullable sorting key", routeWith("order_by: maybe"), "column maybe is Nullable"},
	{"sorting key twice", routeWith("order_by: '(ts, ts)'"), "column ts is there twice"},
	{"primary key", routeWith("order_by: '(ts, body)', primary_key: body"), "routes[0].primary_key"},
	{"partition key without column", routeWith("order_by: ts, partition_by: toDate(Nope)"), "routes[0].partition_by"},
	{"partition key that is not computed", routeWith("order_by: ts, partition_by: cityHash64(ts)"), "routes[0].partition_by"},
	{"TTL without column", routeWith("order_by: ts, ttl: Nope + INTERVAL 1 DAY"), `routes[0].ttl: the table has no column "Nope"`},
	{"TTL of a text", routeWith("order_by: ts, ttl: body"), "routes[0].ttl: column body has type String"},
	{"index without column", routeWith("order_by: ts, indexes: [{name: i, expression: lower(Body), type: minmax}]"), "did you mean body?"},
	{"index type", routeWith("order_by: ts, indexes: [{name: i, expression: body, type: bloomfilter(0.01)}]"), "did you mean bloom_filter?"},
	{"index type that is not closed", routeWith("order_by: ts, indexes: [{name: i, expression: body, type: bloom_filter(0.01}]"), ":6:"},
	{"engine that folds rows", "clickhouse: {engine: SummingMergeTree}", "1:22: clickhouse.engine"},
	{"engine without column", "clickhouse: {engine: ReplacingMergeTree(version)}", `1:22: clickhouse.engine: the table has no column "version"`},
	{"engine of a route without column", routeWith("order_by: ts, engine: ReplacingMergeTree(version)"), `routes[0].engine: the table has no column "version"`},
	{"engine that does not replicate", "clickhouse: {failover: replicas, addresses: ['a:1', 'b:1']}", "clickhouse.failover"},
	{"route that does not replicate", "clickhouse: {failover: replicas, addresses: ['a:1', 'b:1'], engine: ReplicatedMergeTree}\n" +
		routeWith("order_by: ts, engine: MergeTree"), "routes[0].engine: clickhouse.failover is replicas"},
	{"codec", "columns:\n- {name: ts, type: DateTime, source: time, codec: ZTSD(1)}\nroutes:\n- {name: r, table: t, order_by: ts}", "there is no ZTSD; did you mean ZSTD?"},
	{"codec that is not closed", "columns:\n- {name: ts, type: DateTime, source: time, codec: 'ZSTD(1'}\nroutes:\n- {name: r, table: t, order_by: ts}", "columns[0].codec: a ) is missing"},
	{"token window", routeWith("order_by: ts, settings: {non_replicated_deduplication_window: 0}"), "routes[0].settings.non_replicated_deduplication_window"},
	{"queue too small", "dead_letters: {max_bytes: 1MiB}", "1:27: dead_letters.max_bytes: must be at least"},
	{"queue that is no slot", "dead_letters: {stream: 'a}b'}", "1:24: dead_letters.stream"},
	{"error class", "clickhouse: {error_classes: [{code: 1, class: rows, reason: x}]}", "did you mean row?"},
	{"instance", "instance: {id: 'a b'}", "1:16: instance.id"},
	{"colo", "colo: a/b", "1:7: colo"},
	{"IP address", "listen: {grpc: '300.1.1.1:80'}", "1:16: listen.grpc: an address is host:port"},
	{"host", "clickhouse: {addresses: ['click house:8123']}", "clickhouse.addresses[0]"},
	{"scheme", "redis: {addresses: ['redis://localhost:6379']}", "without a scheme"},
	{"port", "redis: {addresses: ['localhost:66379']}", "redis.addresses[0]"},
	{"port with a sign", "redis: {addresses: ['localhost:+6379']}", "redis.addresses[0]"},
	{"one port for two", "listen: {grpc: ':4320', http: '127.0.0.1:4320'}", "1:31: listen.http"},
	{"budget below a request", "memory: {budget: 2MiB}", "memory.budget"},
	{"share below a request", "memory: {table_share: 0.01}", "memory.table_share"},
	{"memory limit", "memory: {limit: 64MiB}", "more than the limit"},
	{"missing password file", "redis: {password_file: /nowhere/password}", "1:24: redis.password_file"},
	{"missing certificate", "server: {tls: {cert_file: /nowhere/c, key_file: /nowhere/k}}", "1:27: server.tls.cert_file"},
	{"missing authority", "clickhouse: {tls: {enabled: true, ca_file: /nowhere/ca}}", "1:44: clickhouse.tls.ca_file"},
	{"age above retention", routeWith("order_by: ts, max_age: 40d"), "routes[0].max_age"},
	{"reserve", "wal: {max_bytes: 256MiB, reserve_bytes: 128MiB}", "1:41: wal.reserve_bytes"},
	{"log without a folder", "wal: {dir: ''}", "wal.dir"},
	{"back-off", "clickhouse: {retry: {min: 1m, max: 1s}}", "clickhouse.retry.min"},
}

// TestCheckAndServeAgree has configurations that can't work: config check and serve say the same of them, with file and line, and
// neither contacts anybody before.
func TestCheckAndServeAgree(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	place := regexp.MustCompile(regexp.QuoteMeta(file) + `:\d+:\d+: `)
	for _, test := range badConfigurations {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(test.text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			status, _, errs := command(t, "", "config", "check", file)
			if status != exitError || !place.MatchString(errs) || !strings.Contains(errs, test.want) {
				t.Errorf("config check: exit status %d, %s; want %d and %s", status, errs, exitError, test.want)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			log := &stoppingLog{stop: cancel}
			load := func(ctx context.Context) (*config.Config, error) { return config.Load(ctx, file, nil, nil) }
			served := serve(ctx, load, nil, log, func(*gateway) { cancel() })
			if served == nil || "logbatcher: "+served.Error()+"\n" != errs || log.written.Load() {
				t.Errorf("config check says %q, serve says %v", errs, served)
			}
		})
	}
}

// stoppingLog stops a service that has begun to start, as one with a wrong configuration must not.
type stoppingLog struct {
	stop    func()
	written atomic.Bool
}

// Write implements io.Writer.
func (l *stoppingLog) Write(line []byte) (int, error) {
	l.written.Store(true)
	l.stop()
	return len(line), nil
}

// TestCheckMakesAllParts has a part that Load does not know refuse a configuration: config check makes it as serve does.
func TestCheckMakesAllParts(t *testing.T) {
	c, err := config.Load(t.Context(), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.WAL.Enabled, c.WAL.Dir = false, "" // as in a check
	for what, change := range map[string]func(*config.Config){
		"max_batch_rows": func(c *config.Config) { c.Shards.MaxBatchRows = 0 },
		"unary_timeout":  func(c *config.Config) { c.Server.UnaryTimeout = 0 },
		"max_bytes":      func(c *config.Config) { c.DeadLetters.MaxBytes = 1 },
		"Backoff":        func(c *config.Config) { c.ClickHouse.Retry.Min = 0 },
		"addresses":      func(c *config.Config) { c.ClickHouse.Addresses = nil },
	} {
		changed := *c
		change(&changed)
		if g, err := newGateway(t.Context(), &changed, newLog(&changed.Log, os.Stderr)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v, %v", what, g, err)
		}
	}
	g, err := newGateway(t.Context(), c, newLog(&c.Log, os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	g.close()
}

// TestServeRefusesBeforeListening has a wrong file leave the port alone, so that a service in the same place goes on.
func TestServeRefusesBeforeListening(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	status, _, errs := command(t, "", "serve", "--set", "listen.grpc="+listener.Addr().String(), "--set", "colo=a/b")
	if status != exitError || !strings.Contains(errs, "colo") || strings.Contains(errs, "in use") {
		t.Errorf("exit status %d, %s", status, errs)
	}
}

// TestWhatCheckPassesIsServed serves what config check passes, with ClickHouse and Redis there: every table is made as it is wanted.
func TestWhatCheckPassesIsServed(t *testing.T) {
	for name, text := range map[string]string{
		"keys":     routeWith("order_by: '(toStartOfHour(ts), body)', primary_key: toStartOfHour(ts), partition_by: toYYYYMM(ts), ttl: 'ts + INTERVAL 60 DAY'"),
		"nullable": routeWith("order_by: maybe, settings: {allow_nullable_key: 1}"),
		"indexes": routeWith("order_by: ts, indexes: [{name: i, expression: lower(body), type: 'ngrambf_v1(3, 256, 2, 0)'}, " +
			"{name: k, expression: '(body, ts)', type: minmax}]"),
		"engine": routeWith("order_by: ts, engine: ReplacingMergeTree(ts)"),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), text)
			if status, _, errs := command(t, "", "config", "check", b.file); status != exitOK {
				t.Fatalf("config check: exit status %d, %s", status, errs)
			}
			i := b.start(t)
			if degraded := i.status.Degraded(); len(degraded) > 0 {
				t.Errorf("degraded: %q", degraded)
			}
			i.stop(t)
		})
	}
}
