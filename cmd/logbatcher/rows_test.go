package main

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/sink"
)

// TestEveryType sends a value for a column of each type, and reads back what ClickHouse says it is.
func TestEveryType(t *testing.T) {
	columns := []struct{ name, kind, attribute, want string }{
		{"s", "String", `"stringValue":"tab\tünïcode \u0000 end"`, `tab\tünïcode \0 end`},
		{"s_bytes", "String", `"type":5,"bytesValue":"/wD+"`, "\xff\\0\xfe"},
		{"s_double", "String", `"type":3,"doubleValue":0.1`, "0.1"},
		{"s_bool", "String", `"type":4,"boolValue":true`, "true"},
		{"s_json", "String", `"type":6,"stringValue":"{\"a\":[1]}"`, `{"a":[1]}`},
		{"lc", "LowCardinality(String)", `"stringValue":"word"`, "word"},
		{"lcn", "LowCardinality(Nullable(String))", `"stringValue":"word"`, "word"},
		{"fs", "FixedString(4)", `"stringValue":"abc"`, `abc\0`},
		{"i8", "Int8", `"type":2,"intValue":-128`, "-128"},
		{"i16", "Int16", `"type":2,"intValue":-32768`, "-32768"},
		{"i32", "Int32", `"type":2,"intValue":-2147483648`, "-2147483648"},
		{"i64", "Int64", `"type":2,"intValue":"-9223372036854775808"`, "-9223372036854775808"},
		{"u8", "UInt8", `"type":2,"intValue":255`, "255"},
		{"u16", "UInt16", `"type":2,"intValue":65535`, "65535"},
		{"u32", "UInt32", `"type":2,"intValue":4294967295`, "4294967295"},
		{"u64", "UInt64", `"stringValue":"18446744073709551615"`, "18446744073709551615"},
		{"f32", "Float32", `"type":3,"doubleValue":1.5`, "1.5"},
		{"f64", "Float64", `"type":3,"doubleValue":-2.2250738585072014e-308`, "-2.2250738585072014e-308"},
		{"b", "Bool", `"type":4,"boolValue":true`, "true"},
		{"d", "Date", `"stringValue":"2149-06-06"`, "2149-06-06"},
		{"dt", "DateTime('UTC')", `"stringValue":"2026-02-28T23:59:59Z"`, "2026-02-28 23:59:59"},
		{"dt_zone", "DateTime('America/New_York')", `"stringValue":"2026-07-01T12:00:00Z"`, "2026-07-01 08:00:00"},
		{"dt64", "DateTime64(9, 'UTC')", `"stringValue":"2026-02-28T23:59:59.123456789Z"`, "2026-02-28 23:59:59.123456789"},
		{"dt64_3", "DateTime64(3, 'UTC')", `"type":2,"intValue":"1767225600123999999"`, "2026-01-01 00:00:00.123"},
		{"uuid", "UUID", `"stringValue":"61f0c404-5cb3-11e7-907b-a6006ad3dba0"`, "61f0c404-5cb3-11e7-907b-a6006ad3dba0"},
		{"ip4", "IPv4", `"stringValue":"192.0.2.1"`, "192.0.2.1"},
		{"ip6", "IPv6", `"stringValue":"2001:db8::1"`, "2001:db8::1"},
		{"ip6_4", "IPv6", `"stringValue":"192.0.2.1"`, "::ffff:192.0.2.1"},
		{"e8", "Enum8('a' = -128, 'b' = 127)", `"stringValue":"b"`, "b"},
		{"e16", "Enum16('a' = -32768, 'b' = 32767)", `"type":2,"intValue":-32768`, "a"},
		{"a", "Array(String)", `"type":6,"stringValue":"[\"x\",1,true]"`, "['x','1','true']"},
		{"n_i64", "Nullable(Int64)", `"type":2,"intValue":0`, "0"},
		{"n_s", "Nullable(String)", "", `\N`},
		{"n_dt64", "Nullable(DateTime64(6, 'UTC'))", "", `\N`},
		{"n_uuid", "Nullable(UUID)", `"stringValue":"61f0c4045cb311e7907ba6006ad3dba0"`, "61f0c404-5cb3-11e7-907b-a6006ad3dba0"},
		{"n_ip4", "Nullable(IPv4)", `"stringValue":"0.0.0.0"`, "0.0.0.0"},
		{"n_f64", "Nullable(Float64)", `"type":3,"doubleValue":"NaN"`, "nan"},
		{"n_b", "Nullable(Bool)", `"type":4`, "false"},
		{"n_e8", "Nullable(Enum8('a' = 1))", "", `\N`},
		{"absent_u64", "UInt64", "", "0"},
		{"absent_fs", "FixedString(2)", "", `\0\0`},
		{"absent_a", "Array(String)", "", "[]"},
	}
	// The entry's own fields, and maps.
	fields := []struct{ name, kind, source, want string }{
		{"own_time", "DateTime64(9, 'UTC')", "time", "2026-03-04 05:06:07.000000001"},
		{"own_observed", "DateTime64(6, 'UTC')", "observed_time", "2026-03-04 05:06:08.123456"},
		{"own_severity", "UInt8", "severity_number", "17"},
		{"own_severity_text", "LowCardinality(String)", "severity_text", "ERROR"},
		{"own_body", "String", "body", "the body"},
		{"own_service", "LowCardinality(String)", "service", "api"},
		{"own_trace", "String", "trace_id", "0af7651916cd43dd8448eb211c80319c"},
		{"own_trace_uuid", "UUID", "trace_id", "0af76519-16cd-43dd-8448-eb211c80319c"},
		{"own_span", "String", "span_id", "b7ad6b7169203331"},
		{"own_flags", "UInt8", "trace_flags", "1"},
		{"own_event", "String", "event_name", "cart.checkout"},
		{"own_scope", "String", "scope_name", "opened"},
		{"own_scope_version", "String", "scope_version", "2"},
		{"own_scope_url", "String", "scope_schema_url", "https://s"},
		{"own_resource_url", "String", "resource_schema_url", "https://r"},
		{"own_colo", "LowCardinality(String)", "colo", "EWR"},
		{"own_producer", "String", "producer", "types/0"},
		{"own_sequence", "UInt64", "sequence", "1"},
		{"rest", "Map(LowCardinality(String), String)", "attributes", "{'left':'over'}"},
		{"resource", "Map(String, String)", "resource_attributes", "{'cores':'8'}"}, // host.name has a column of its own
		{"host", "String", `resource["host.name"]`, "h1"},
		{"scope", "Map(LowCardinality(String), String)", "scope_attributes", "{'k':'v'}"},
	}
	var text, entry strings.Builder
	var names, want []string
	text.WriteString("columns:\n")
	entry.WriteString(`{"timeUnixNano":"1772600767000000001","observedTimeUnixNano":"1772600768123456789","severityNumber":17,"severityText":"ERROR",
		"body":"the body","service":"api","traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","traceFlags":1,
		"eventName":"cart.checkout","attributes":[{"key":"left","stringValue":"over"}`)
	for _, c := range columns {
		text.WriteString("  - {name: " + c.name + ", type: \"" + c.kind + "\", source: 'attributes[\"" + c.name + "\"]'}\n")
		names, want = append(names, c.name), append(want, c.want)
		if c.attribute != "" {
			entry.WriteString(`,{"key":"` + c.name + `",` + c.attribute + "}")
		}
	}
	for _, c := range fields {
		text.WriteString("  - {name: " + c.name + ", type: \"" + c.kind + "\", source: '" + c.source + "'}\n")
		names, want = append(names, c.name), append(want, c.want)
	}
	entry.WriteString("]}")
	text.WriteString("routes:\n  - {name: types, table: types, order_by: own_sequence, partition_by: toYYYYMM(own_time), max_age: 3650d, retention: {max_age: 0}}\n")

	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), text.String())
	b.start(t)
	var e logbatcherv1.Entry
	if err := protojson.Unmarshal([]byte(entry.String()), &e); err != nil {
		t.Fatal(err)
	}
	tr := b.traffic(t)
	open := &logbatcherv1.Open{
		Producer: "types/0", Colo: "EWR", ResourceSchemaUrl: "https://r", ScopeName: "opened", ScopeVersion: "2", ScopeSchemaUrl: "https://s",
		ResourceAttributes: []*logbatcherv1.Attribute{{Key: "host.name", StringValue: "h1"}, {Key: "cores", Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: 8}},
		ScopeAttributes:    []*logbatcherv1.Attribute{{Key: "k", StringValue: "v"}},
	}
	configuration := client.DefaultConfig(open.Producer)
	configuration.Open, configuration.Conns = open, []grpc.ClientConnInterface{tr.connect(t)}
	configuration.OnRefusal = func(r client.Refused) { t.Errorf("refused: %v", r) }
	configuration.OnDeadLettered = func(l *logbatcherv1.DeadLettered) { t.Errorf("dead-lettered: %v", l) }
	p, err := client.Open(configuration)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Send(ctx, &e); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.clickhouse.Query(t, "SELECT count() FROM types"); got != "1" {
		t.Fatalf("%s rows, want 1", got)
	}
	got := strings.Split(b.clickhouse.Query(t, "SELECT "+strings.Join(names, ", ")+" FROM types"), "\t")
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d: %q", len(got), len(want), got)
	}
	for i := range names {
		if got[i] != want[i] {
			t.Errorf("%s is %q, want %q", names[i], got[i], want[i])
		}
	}
}

// TestBadRows puts rows that the table's constraint refuses in each place of a batch.
func TestBadRows(t *testing.T) {
	const rows = 24
	for name, isBad := range map[string]func(int) bool{
		"none":    func(int) bool { return false },
		"first":   func(n int) bool { return n == 0 },
		"middle":  func(n int) bool { return n == rows/2 },
		"last":    func(n int) bool { return n == rows-1 },
		"several": func(n int) bool { return n%7 == 2 || n == 3 },
		"all":     func(int) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
			b.change = func(c *config.Config) { c.Shards.Linger = 100 * time.Millisecond }
			b.start(t)
			b.clickhouse.Exec(t, "ALTER TABLE numbered ADD CONSTRAINT only_good CHECK bad = 0")
			tr := b.traffic(t)
			tr.isBad, tr.request = isBad, rows
			p := tr.producer(t, "test/0", tr.connect(t))
			if err := tr.send(t.Context(), p, rows); err != nil {
				t.Fatal(err)
			}
			tr.finish(t)
			letters := tr.verify(t)
			told := 0
			for _, l := range tr.letters {
				told += int(l.GetRows())
				if l.GetCode() != 469 || l.GetFirstSequence() != 1 || l.GetLastSequence() != 1 || l.GetRoute() != "numbered" {
					t.Errorf("the producer was told %v", l)
				}
			}
			if told != letters {
				t.Errorf("the producer was told of %d dead letters, there are %d", told, letters)
			}
			if parts := b.clickhouse.Query(t, "SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'numbered' AND active"); name == "none" && parts != "1" {
				t.Errorf("%s parts, want the request in one", parts)
			}
		})
	}
}

// TestARowThatNoLetterHolds refuses a row that is larger than a dead letter may be: an entry within the limits, whose text goes to seven columns.
func TestARowThatNoLetterHolds(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), `
columns:
  - {name: time, type: DateTime64(9), source: time}
  - {name: a, type: String, source: body}
  - {name: b, type: String, source: body}
  - {name: c, type: String, source: body}
  - {name: d, type: String, source: body}
  - {name: e, type: String, source: body}
  - {name: f, type: String, source: body}
  - {name: g, type: String, source: body}
routes:
  - {name: wide, table: wide, order_by: time, partition_by: "", columns: [time, a, b, c, d, e, f, g], retention: {max_age: 0}}
`)
	i := b.start(t)
	b.clickhouse.Exec(t, "ALTER TABLE wide ADD CONSTRAINT short CHECK length(a) < 1000")
	text := make([]byte, 180<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(text) // does not fail
	conn := b.traffic(t).connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := logbatcherv1.NewIngestServiceClient(conn).Ingest(ctx, &logbatcherv1.IngestRequest{Entries: []*logbatcherv1.Entry{
		{Body: "kept"}, {Body: base64.StdEncoding.EncodeToString(text)}, {Body: "kept too"},
	}})
	if err != nil {
		t.Fatalf("the request is not settled: %v", err)
	}
	if rows := b.clickhouse.Query(t, "SELECT groupArray(a) FROM wide"); rows != "['kept','kept too']" {
		t.Errorf("the table has %.200s, want the two short rows", rows)
	}
	stored := b.stored(t)
	if len(stored) != 1 || stored[0].Letter.Format != sink.FormatNone || stored[0].Letter.Code != 469 || len(stored[0].Letter.Origins) != 1 {
		t.Fatalf("%d dead letters, want one without its row", len(stored))
	}
	if told := answer.GetDeadLettered(); len(told) != 1 || told[0].GetRows() != 1 || !strings.Contains(told[0].GetMessage(), "the row is left out") ||
		!strings.Contains(told[0].GetMessage(), "short") {
		t.Errorf("the producer was told %v", told)
	}
	if n := i.metric(t, "logbatcher_sink_dead_letter_rows_left_out_total"); n != 1 {
		t.Errorf("%v rows counted as left out, want 1", n)
	}
	eventually(t, "the table holds nothing of the budget", func() bool { return i.metric(t, "logbatcher_table_bytes_in_flight") == 0 })
}
