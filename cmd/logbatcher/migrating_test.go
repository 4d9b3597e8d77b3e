package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema/schematest"
	"github.com/logbatcher/logbatcher/schema/table"
)

// TestMigrating reads the configurations of docs/migrating.md, plans them against tables as they are there, and goes back.
func TestMigrating(t *testing.T) {
	page, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	back := regexp.MustCompile("(?s)## Going back.*?```sql\n(.*?)```").FindStringSubmatch(string(page))
	if back == nil {
		t.Fatal("the page does not go back")
	}
	exporter, err := os.ReadFile("../../schema/table/testdata/collector/v0.165.1_text.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, exporterColumns, _ := strings.Cut(string(exporter), "(")
	for title, create := range map[string]struct{ table, definition, adds string }{
		"# logbatcher.yaml": {"otel_logs_check", "(" + exporterColumns, ""},
		// Written after the columns and keys that ClickHouse's documentation shows for tables of that time.
		"# logbatcher.yaml, a table of an exporter before 0.103": {"otel_logs", `(Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
			TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)), TraceFlags UInt32 CODEC(ZSTD(1)),
			SeverityText LowCardinality(String) CODEC(ZSTD(1)), SeverityNumber Int32 CODEC(ZSTD(1)), ServiceName LowCardinality(String) CODEC(ZSTD(1)),
			Body String CODEC(ZSTD(1)), ResourceSchemaUrl String CODEC(ZSTD(1)), ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
			ScopeSchemaUrl String CODEC(ZSTD(1)), ScopeName String CODEC(ZSTD(1)), ScopeVersion String CODEC(ZSTD(1)),
			ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)), LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
			INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1, INDEX idx_body Body TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1
			) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SeverityText, toUnixTimestamp(Timestamp), TraceId)
			TTL toDateTime(Timestamp) + toIntervalDay(3) SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1`, ""},
		"# logbatcher.yaml, a table of your own": {"app", `(timestamp DateTime64(3), level LowCardinality(String), service LowCardinality(String), message String,
			host LowCardinality(String), status UInt16) ENGINE = MergeTree PARTITION BY toDate(timestamp) ORDER BY (service, timestamp)`,
			"add column attributes Map(LowCardinality(String), String)|"},
	} {
		t.Run(title, func(t *testing.T) {
			text := regexp.MustCompile("(?s)```yaml\n" + regexp.QuoteMeta(title) + "\n(.*?)```").FindStringSubmatch(string(page))
			if text == nil {
				t.Fatal("it is not on the page")
			}
			conn := schematest.Open(t)
			file := filepath.Join(t.TempDir(), "logbatcher.yaml")
			if err := os.WriteFile(file, []byte(text[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := config.Load(t.Context(), file, nil, []string{"clickhouse.database=" + conn.Server.Database})
			if err != nil {
				t.Fatal(err)
			}
			routes, problems := c.Routes()
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			conn.Run(t, "CREATE TABLE "+conn.Server.Database+"."+create.table+" "+create.definition)
			definition := "SELECT create_table_query FROM system.tables WHERE database = '" + conn.Server.Database + "' AND name = '" + create.table + "'"
			before := conn.Ask(t, definition)

			m := table.NewMigrator(table.MigratorConfig{Conn: conn, Instance: "test"})
			plans, err := m.Plan(t.Context(), routes[0].Table)
			if err != nil {
				t.Fatal(err)
			}
			want := create.adds + "add column _batch_id LowCardinality(String)|setting fsync_after_insert = 1|setting fsync_part_directory = 1|" +
				"setting non_replicated_deduplication_window = 10000"
			if len(plans[0].Refused) > 0 || len(plans[0].Steps) != 1 || strings.Join(plans[0].Steps[0].Changes, "|") != want {
				t.Fatalf("want only %q:\n%s", want, plans[0])
			}
			if err := m.Migrate(t.Context(), routes[0].Table); err != nil {
				t.Fatal(err)
			}
			statements := strings.NewReplacer("otel.otel_logs", conn.Server.Database+"."+create.table, "otel.", conn.Server.Database+".").Replace(back[1])
			for statement := range strings.SplitSeq(strings.TrimSpace(statements), ";\n") {
				conn.Run(t, strings.TrimSuffix(statement, ";"))
			}
			if create.adds != "" {
				conn.Run(t, "ALTER TABLE "+conn.Server.Database+"."+create.table+" DROP COLUMN attributes")
			}
			if after := conn.Ask(t, definition); after != before {
				t.Errorf("the table was\n%s\nand is\n%s", before, after)
			}
		})
	}
	if n := strings.Count(string(page), "\n# logbatcher.yaml"); n != 3 {
		t.Errorf("the page has %d configurations", n)
	}
}

// TestMigratingEvents posts events as Vector and Fluent Bit encode them to the page's table of one's own.
func TestMigratingEvents(t *testing.T) {
	page, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile("(?s)# logbatcher.yaml, a table of your own\n(.*?)```").FindStringSubmatch(string(page))
	if text == nil {
		t.Fatal("it is not on the page")
	}
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), text[1])
	b.change = func(c *config.Config) { c.Listen.HTTP = "127.0.0.1:0" }
	i := b.start(t)
	at := time.Now().UTC().Add(-time.Minute).Truncate(time.Millisecond)
	stamp := at.Format("2006-01-02 15:04:05.000")
	for name, test := range map[string]struct{ line, want string }{
		"Vector, file": {
			`{"file":"/var/log/app.log","host":"web1","message":"it started","source_type":"file","timestamp":"` + at.Format(time.RFC3339Nano) + `"}`,
			stamp + "\t\t\tit started\tweb1\t0\t{'file':'/var/log/app.log','source_type':'file'}",
		},
		"Vector, parsed": {
			`{"timestamp":"` + at.Format("2006-01-02T15:04:05.000000000Z") + `","level":"warn","service":"shop","message":"slow","status":503,"took":1.5,"user":{"id":7}}`,
			stamp + "\twarn\tshop\tslow\t\t503\t{'took':'1.5','user':'{\"id\":7}'}",
		},
		"Fluent Bit, tail": {
			fmt.Sprintf(`{"timestamp":%.6f,"log":"it started","stream":"stderr","kubernetes":{"pod_name":"p-1"}}`, float64(at.UnixMilli())/1000),
			stamp + "\t\t\tit started\t\t0\t{'stream':'stderr','kubernetes':'{\"pod_name\":\"p-1\"}'}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := http.Post("http://"+i.httpListener.Addr().String()+"/v1/ingest", "application/x-ndjson", strings.NewReader(test.line+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK || !strings.Contains(string(answer), `"accepted":1`) || strings.Contains(string(answer), "refused") {
				t.Fatalf("%s: %s", response.Status, answer)
			}
			row, err := b.clickhouse.Try(t.Context(), "SELECT timestamp, level, service, message, host, status, attributes FROM app FORMAT TSVRaw", map[string]string{"session_timezone": "UTC"})
			if err != nil || row != test.want {
				t.Errorf("%v: the row is\n%q, want\n%q", err, row, test.want)
			}
			b.clickhouse.Exec(t, "TRUNCATE TABLE app")
		})
	}
}
