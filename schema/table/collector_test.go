package table_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/schematest"
)

// createCollectorTable creates otel_logs as a version of the Collector's exporter does, in the test's database.
func createCollectorTable(t *testing.T, conn *schematest.Conn, version string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "collector", version+".sql"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(text), "(")
	if !found {
		t.Fatalf("%s is no statement", version)
	}
	conn.Run(t, "CREATE TABLE "+schema.QuotedName(conn.Server.Database, "otel_logs")+" ("+list)
}

// layoutTable returns the table of a route that names a layout and nothing else.
func layoutTable(t *testing.T, database, name string) *schema.Table {
	t.Helper()
	layouts := schema.Layouts()
	i := slices.IndexFunc(layouts, func(l schema.Layout) bool { return l.Name == name })
	l := layouts[i]
	indexes, err := schema.IndexSet(l.IndexSet)
	if err != nil {
		t.Fatal(err)
	}
	return &schema.Table{
		Database: database, Name: "otel_logs", Columns: l.Columns, Indexes: indexes,
		PartitionBy: l.PartitionBy, PrimaryKey: l.PrimaryKey, OrderBy: l.OrderBy, Fsync: true,
	}
}

// TestTakeOverCollectorTable takes over tables as the Collector's exporter made them: what is added is what LogBatcher needs to store a
// batch once, and everything else stays as it was, rows included.
func TestTakeOverCollectorTable(t *testing.T) {
	const (
		batchID  = "add column _batch_id LowCardinality(String)"
		settings = "setting fsync_after_insert = 1|setting fsync_part_directory = 1|setting non_replicated_deduplication_window = 10000"
	)
	for version, test := range map[string]struct{ layout, changes string }{
		// The exporter drops event names where the column is missing. LogBatcher drops nothing.
		"v0.120.0":       {"otel_logs", "add column EventName String|" + batchID + "|" + settings},
		"v0.150.0":       {"otel_logs", batchID + "|" + settings},
		"v0.152.0_bloom": {"otel_logs_v2", batchID + "|" + settings},
		"v0.152.0_text":  {"otel_logs_v2", batchID + "|" + settings},
		"v0.165.1_bloom": {"otel_logs_v2", batchID + "|" + settings},
		"v0.165.1_text":  {"otel_logs_v2", batchID + "|" + settings},
	} {
		t.Run(version, func(t *testing.T) {
			conn := schematest.Open(t)
			createCollectorTable(t, conn, version)
			name := schema.QuotedName(conn.Server.Database, "otel_logs")
			conn.Run(t, "INSERT INTO "+name+" (Timestamp, ServiceName, Body, ResourceAttributes) SELECT now64(9) - number, 'checkout', toString(number), "+
				"map('k8s.pod.name', 'p1') FROM numbers(100)")
			rows := "SELECT count(), sum(cityHash64(Timestamp, ServiceName, Body)), any(_batch_id) FROM " + name
			before := conn.Ask(t, strings.ReplaceAll(rows, "any(_batch_id)", "''"))

			m := newMigrator(conn)
			target := layoutTable(t, conn.Server.Database, test.layout)
			plans, err := m.Plan(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			if len(plans[0].Refused) > 0 || len(plans[0].Steps) != 1 || strings.Join(plans[0].Steps[0].Changes, "|") != test.changes {
				t.Fatalf("want only %q:\n%s", test.changes, plans[0])
			}
			if err := m.Migrate(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			expectFits(t, m, target)
			if after := conn.Ask(t, rows); after != before {
				t.Errorf("rows were %q, are %q", before, after)
			}
		})
	}
}

// TestTakeOverChangedTable: an owner's codecs stay, and indexes that the route does not ask for are not made.
func TestTakeOverChangedTable(t *testing.T) {
	conn := schematest.Open(t)
	createCollectorTable(t, conn, "v0.150.0")
	name := schema.QuotedName(conn.Server.Database, "otel_logs")
	conn.Run(t, "ALTER TABLE "+name+" MODIFY COLUMN Body CODEC(ZSTD(9)), MODIFY COLUMN TraceId CODEC(LZ4), DROP INDEX idx_body")
	target := layoutTable(t, conn.Server.Database, "otel_logs")
	target.Indexes = nil // indexes: none
	plans, err := newMigrator(conn).Plan(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	text := plans[0].String()
	if len(plans[0].Steps) != 1 || strings.Contains(text, "MODIFY COLUMN") || strings.Contains(text, "ADD INDEX") ||
		!strings.Contains(text, "note: codecs of TraceId, Body are not the defaults: left alone") {
		t.Errorf("plan:\n%s", text)
	}
	// A codec that somebody wrote is another matter.
	target.Column("Body").Codec = "ZSTD(5)"
	if plans, err = newMigrator(conn).Plan(t.Context(), target); err != nil || !strings.Contains(plans[0].String(), "MODIFY COLUMN IF EXISTS `Body` CODEC(ZSTD(5))") {
		t.Errorf("%v, plan:\n%s", err, plans[0])
	}
}

// TestCollectorTablesThatAreRefused: the message has what to write instead.
func TestCollectorTablesThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ version, layout, want string }{
		"newer layout": {"v0.165.1_text", "otel_logs", "write columns: [otel_logs_v2] in the route"},
		"older layout": {"v0.150.0", "otel_logs_v2", "write columns: [otel_logs] in the route"},
		"JSON, old":    {"v0.139.0_json", "otel_logs", "columns ResourceAttributes JSON, ScopeAttributes JSON, LogAttributes JSON: the Collector's exporter makes such a table with json: true"},
		"JSON, new":    {"v0.165.1_json", "otel_logs_v2", "columns ResourceAttributes JSON, ScopeAttributes JSON, LogAttributes JSON: the Collector's exporter makes such a table with json: true"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := schematest.Open(t)
			createCollectorTable(t, conn, test.version)
			plans, err := newMigrator(conn).Plan(t.Context(), layoutTable(t, conn.Server.Database, test.layout))
			if err != nil {
				t.Fatal(err)
			}
			if len(plans[0].Steps) > 0 || !strings.Contains(plans[0].String(), test.want) {
				t.Errorf("no %q:\n%s", test.want, plans[0])
			}
		})
	}
}
