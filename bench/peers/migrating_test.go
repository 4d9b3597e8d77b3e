//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/logbatcher/logbatcher/embedded"
)

// TestMigrating does what docs/migrating.md says for the Collector: the Collector runs with the page's configurations, exports to its own table
// and to LogBatcher at once, and the page's queries find no difference.
func TestMigrating(t *testing.T) {
	page, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language, title string) string {
		found := regexp.MustCompile("(?s) *```" + language + "\n *" + regexp.QuoteMeta(title) + "(.*?)```").FindStringSubmatch(string(page))
		if found == nil {
			t.Fatalf("there is no %q on the page", title)
		}
		return found[1]
	}
	s := startPeers(t)
	here := strings.NewReplacer(
		"http://clickhouse:8123", "http://"+s.Address, "clickhouse:8123", s.Address, "redis:6379", s.RedisAddress(), "database: otel\n", "database: moving\n",
		"otel.", "moving.", "0.0.0.0:4317", "127.0.0.1:0", "0.0.0.0:4318", "127.0.0.1:0", "service:\n", "service:\n  telemetry: {metrics: {level: none}}\n",
	)
	start := func(text string) *embedded.Server {
		file := filepath.Join(t.TempDir(), "collector.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		server := embedded.NewServer(embedded.ServerConfig{
			Name: "collector", Directory: t.TempDir(), Ready: collectorReady,
			Command: func(context.Context, string) (string, []string, error) {
				return collectorBinary(t), []string{"--config", file}, nil
			},
		})
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return server
	}
	stop := func(server *embedded.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), collectorStop)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	// The Collector as it was makes its database and its table.
	stop(start(here.Replace(block("yaml", "# collector.yaml\n"))))

	g, err := s.StartGateway(t.Context(), buildGateway(t), "moving", "colo: test\n"+
		strings.Replace(here.Replace(block("yaml", "# logbatcher.yaml\n")), "listen:\n", "listen:\n  grpc: \"127.0.0.1:0\"\n  http: \"127.0.0.1:0\"\n", 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, g.Close) })
	both := start(strings.ReplaceAll(here.Replace(block("yaml", "# collector.yaml, in parallel\n")), "logbatcher:4317\n", g.GRPC+"\n"))
	const records = 1000
	at := time.Now().Add(-10 * time.Minute) // the queries read up to ten minutes and ten seconds ago
	request := one()
	for i := range records {
		scope := request.ResourceLogs[0].ScopeLogs[0]
		scope.LogRecords = append(scope.LogRecords, &logs.LogRecord{TimeUnixNano: uint64(at.UnixNano()) + uint64(i), Body: str("moving")})
	}
	encoded, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := exportOnce(t.Context(), both.Address(), encoded); err != nil {
		t.Error(err)
	}
	stop(both) // it exports what it has, both ways
	for _, table := range []string{"otel_logs", "otel_logs_check"} {
		var stored uint64
		if err := s.Conn.QueryRow(t.Context(), "SELECT count() FROM moving."+table+" WHERE Body = 'moving'").Scan(&stored); err != nil || stored != records {
			t.Errorf("%s has %d rows: %v", table, stored, err)
		}
	}
	compare := func(title string) (rows int) {
		t.Helper()
		query := strings.ReplaceAll(title+here.Replace(block("sql", title)), "now()", fmt.Sprintf("toDateTime(%d)", at.Unix()+615))
		found, err := s.Conn.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close()
		for found.Next() {
			rows++
		}
		if err := found.Err(); err != nil {
			t.Error(err)
		}
		return rows
	}
	counts, content := "SELECT minute, sum(old)", "SELECT Timestamp, ServiceName"
	if n, m := compare(counts), compare(content); n != 0 || m != 0 {
		t.Errorf("the queries find %d minutes and %d rows that differ", n, m)
	}
	// They do find what is missing.
	if err := s.Conn.Exec(t.Context(), "ALTER TABLE moving.otel_logs_check DELETE WHERE Timestamp = (SELECT min(Timestamp) FROM moving.otel_logs_check) SETTINGS mutations_sync = 1"); err != nil {
		t.Fatal(err)
	}
	if n, m := compare(counts), compare(content); n != 1 || m != 1 {
		t.Errorf("a row less makes %d minutes and %d rows that differ", n, m)
	}
}

// TestConfigurationsOfTheCollector has the Collector read all of its configurations in the documentation.
func TestConfigurationsOfTheCollector(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test")
	}
	page, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(# collector.yaml.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Errorf("the page has %d configurations", len(blocks))
	}
	for _, b := range blocks {
		file := filepath.Join(t.TempDir(), "collector.yaml")
		if err := os.WriteFile(file, []byte(b[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if output, err := exec.CommandContext(t.Context(), collectorBinary(t), "validate", "--config", file).CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, output, b[1])
		}
	}
}
