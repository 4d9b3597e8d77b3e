package table_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/schematest"
	"github.com/logbatcher/logbatcher/schema/table"
)

var updateGolden = flag.Bool("update", false, "write the golden files of DDL and plans")

// golden compares text with a file of testdata, or writes it with -update.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s differs (go test -update writes it):\n%s", path, text)
	}
}

func TestGoldenDDL(t *testing.T) {
	firehose := schema.DefaultRoute("logs").Table
	golden(t, "firehose.sql", table.CreateDatabase(firehose)+";\n"+table.CreateTable(firehose)+";\n")

	text, err := schema.IndexSet("text")
	if err != nil {
		t.Fatal(err)
	}
	replicated := schema.DefaultRoute("logs").Table
	replicated.Cluster, replicated.Engine = "main", "ReplicatedMergeTree('/clickhouse/tables/{shard}/otel_logs', '{replica}')"
	replicated.TTL, replicated.Indexes = "TimestampTime + INTERVAL 90 DAY", text
	golden(t, "replicated.sql", table.CreateDatabase(replicated)+";\n"+table.CreateTable(replicated)+";\n")

	odd := &schema.Table{
		Database: "it's", Name: "a`b\\c", OrderBy: "k, `v w`", Columns: schematest.Columns(t, "k UInt8 | T64 | it's", "v`w String"),
		Settings: map[string]string{"storage_policy": "hot'cold", "index_granularity": "1024"},
	}
	odd.Columns[1].Default, odd.Columns[1].HasDefault = "don't", true
	golden(t, "odd.sql", table.CreateDatabase(odd)+";\n"+table.CreateTable(odd)+";\n")
}

// collectorTable is an otel_logs as the collector made it, before EventName.
func collectorTable() *table.Existing {
	existing := &table.Existing{Database: true, Table: true, Engine: "MergeTree"}
	logs := schema.DefaultRoute("logs").Table
	for _, c := range logs.Columns {
		if c.Name == "EventName" || c.Name == schema.BatchIDColumn {
			continue
		}
		e := table.ExistingColumn{Name: c.Name, Type: c.Type.String(), InKey: strings.Contains(logs.OrderBy, c.Name)}
		if c.Codec != "" {
			e.Codec = "CODEC(" + c.Codec + ")"
		}
		existing.Columns = append(existing.Columns, e)
	}
	define(existing)
	return existing
}

// define gives the table the definition that its columns make.
func define(e *table.Existing) {
	var lines []string
	for _, c := range e.Columns {
		line := strings.TrimSpace("`" + c.Name + "` " + c.Type + " " + c.DefaultKind)
		if c.DefaultKind != "" {
			line += " concat('a', 'b')"
		}
		lines = append(lines, strings.TrimSpace(line+" "+c.Codec))
	}
	for _, x := range schema.DefaultRoute("logs").Table.Indexes {
		lines = append(lines, "INDEX "+x.Name+" "+x.Expression+" TYPE "+x.Type+" GRANULARITY "+strconv.Itoa(x.Granularity))
	}
	e.Definition, _ = schema.ParseDefinition("CREATE TABLE logs.otel_logs (" + strings.Join(lines, ", ") + ") ENGINE = " + e.Engine +
		" PARTITION BY toDate(TimestampTime) PRIMARY KEY (ServiceName, TimestampTime) ORDER BY (ServiceName, TimestampTime, Timestamp)" +
		" TTL TimestampTime + toIntervalDay(3) SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1 COMMENT 'the logs'")
}

func TestGoldenPlans(t *testing.T) {
	firehose := schema.DefaultRoute("logs").Table
	golden(t, "plan_new.sql", table.NewPlan(firehose, &table.Existing{}).String())

	// A table of the collector's is taken over as it is.
	golden(t, "plan_collector.sql", table.NewPlan(firehose, collectorTable()).String())

	changed := schema.DefaultRoute("logs").Table
	changed.Cluster, changed.TTL, changed.Fsync = "main", "TimestampTime + INTERVAL 60 DAY", false
	for i := range changed.Columns {
		switch c := &changed.Columns[i]; c.Name {
		case "SeverityNumber":
			c.Type.Kind = schema.KindUInt16
		case "Body":
			c.Codec, c.Comment = "ZSTD(3)", "the message"
		case "ScopeName":
			c.Type.LowCardinality = true
		}
	}
	changed.Indexes = append(changed.Indexes, schema.Index{Name: "idx_span_id", Expression: "SpanId", Type: "bloom_filter(0.01)"})
	golden(t, "plan_widen.sql", table.NewPlan(changed, collectorTable()).String())

	refused := schema.DefaultRoute("logs").Table
	refused.OrderBy, refused.PrimaryKey, refused.PartitionBy = "(TimestampTime)", "", "toYYYYMM(TimestampTime)"
	existing := collectorTable()
	for i := range existing.Columns {
		switch c := &existing.Columns[i]; c.Name {
		case "SeverityNumber":
			c.Type = "UInt64"
		case "SpanId":
			c.Type = "Nullable(String)"
		case "ServiceName":
			c.Type = "FixedString(8)"
		case "ScopeName":
			c.DefaultKind = "MATERIALIZED"
		case "Body":
			c.Type = "JSON"
		}
	}
	define(existing)
	golden(t, "plan_refused.sql", table.NewPlan(refused, existing).String())

	distributed := collectorTable()
	distributed.Engine = "Distributed"
	golden(t, "plan_distributed.sql", table.NewPlan(firehose, distributed).String())
}
