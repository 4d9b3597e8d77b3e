package clickhouse_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// This file and partitions_test.go compare batch.Batch and batch.Partitioner with the engine itself. They are not in package batch because
// its tests start no server.

// insertBlock sends a batch as FORMAT Native over plain HTTP.
func insertBlock(t *testing.T, server *embeddedtest.Server, table string, b *batch.Block) {
	t.Helper()
	query := url.Values{
		"query":                           {"INSERT INTO " + table + " FORMAT Native"},
		"database":                        {server.Database},
		"async_insert":                    {"0"},
		"max_partitions_per_insert_block": {"1"},
		"throw_on_max_partitions_per_insert_block": {"1"},
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.Address+"/?"+query.Encode(), b.Native())
	if err != nil {
		t.Fatal(err)
	}
	if server.Username != "" {
		request.SetBasicAuth(server.Username, server.Password)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("insert into %s: %s, %v", table, answer, err)
	}
}

// column returns a column that takes the attribute "value".
func column(t *testing.T, name, typeText, source string) schema.Column {
	t.Helper()
	parsed, err := schema.ParseType(typeText)
	if err != nil {
		t.Fatal(err)
	}
	from, err := schema.ParseSource(source)
	if err != nil {
		t.Fatal(err)
	}
	return schema.Column{Name: name, Type: parsed, Source: from}
}

func entry(attributes ...schema.Attribute) schema.Entry {
	return schema.Entry{
		Time: time.Date(2026, 11, 24, 12, 30, 0, 123456789, time.UTC).UnixNano(), Attributes: attributes, Stream: &schema.Stream{},
	}
}

// TestEveryTypeIsRead inserts a value and an absent one into a column of each type, and reads both back as text.
func TestEveryTypeIsRead(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	value := func(a schema.Attribute) schema.Attribute { a.Key = "value"; return a }
	textOf := func(s string) schema.Attribute { return schema.StringAttribute("value", s) }
	for i, c := range []struct {
		typeText     string
		in           schema.Attribute
		want, absent string
	}{
		{"String", textOf("wörd"), "wörd", ""},
		{"Nullable(String)", textOf(""), "", `\N`},
		{"FixedString(4)", textOf("ab"), `ab\0\0`, `\0\0\0\0`},
		{"LowCardinality(String)", textOf("word"), "word", ""},
		{"LowCardinality(Nullable(String))", textOf(""), "", `\N`},
		{"Int8", schema.IntAttribute("value", -8), "-8", "0"},
		{"Int16", schema.IntAttribute("value", -1600), "-1600", "0"},
		{"Int32", schema.IntAttribute("value", -320000), "-320000", "0"},
		{"Int64", schema.IntAttribute("value", -64e9), "-64000000000", "0"},
		{"UInt8", textOf("200"), "200", "0"},
		{"UInt16", schema.DoubleAttribute("value", 60000), "60000", "0"},
		{"UInt32", schema.IntAttribute("value", 4e9), "4000000000", "0"},
		{"UInt64", textOf("18446744073709551615"), "18446744073709551615", "0"},
		{"Float32", schema.DoubleAttribute("value", 0.5), "0.5", "0"},
		{"Float64", schema.DoubleAttribute("value", -1e-7), "-1e-7", "0"},
		{"Bool", schema.BoolAttribute("value", true), "true", "false"},
		{"Nullable(Bool)", schema.BoolAttribute("value", false), "false", `\N`},
		{"Date", textOf("2026-11-24"), "2026-11-24", "1970-01-01"},
		{"DateTime('UTC')", textOf("2026-11-24T12:00:01Z"), "2026-11-24 12:00:01", "1970-01-01 00:00:00"},
		{"DateTime('Asia/Kolkata')", textOf("2026-11-24 12:00:01"), "2026-11-24 12:00:01", "1970-01-01 05:30:00"},
		{"DateTime64(6, 'UTC')", textOf("2026-11-24T12:00:01.123456789Z"), "2026-11-24 12:00:01.123456", "1970-01-01 00:00:00.000000"},
		{"DateTime64(3, 'UTC')", textOf("1900-01-01 00:00:00"), "1900-01-01 00:00:00.000", "1970-01-01 00:00:00.000"},
		{"DateTime64(8, 'UTC')", textOf("2299-12-31 23:59:59.99"), "2299-12-31 23:59:59.99000000", "1970-01-01 00:00:00.00000000"},
		{"DateTime64(9, 'UTC')", schema.IntAttribute("value", 1e18+1), "2001-09-09 01:46:40.000000001", "1970-01-01 00:00:00.000000000"},
		{"DateTime64(9, 'UTC')", textOf("2262-04-11T23:47:15.9Z"), "2262-04-11 23:47:15.900000000", "1970-01-01 00:00:00.000000000"},
		{"Nullable(DateTime64(0, 'UTC'))", textOf("1969-12-31T23:59:59.5Z"), "1969-12-31 23:59:59", `\N`},
		{"UUID", textOf("00112233-4455-6677-8899-aabbccddeeff"), "00112233-4455-6677-8899-aabbccddeeff", "00000000-0000-0000-0000-000000000000"},
		{"IPv4", textOf("10.1.2.3"), "10.1.2.3", "0.0.0.0"},
		{"IPv6", textOf("2001:db8::1"), "2001:db8::1", "::"},
		{"IPv6", textOf("10.1.2.3"), "::ffff:10.1.2.3", "::"},
		{"Enum8('low' = -5, 'it\\'s' = 5)", textOf("it's"), `it\'s`, "low"},
		{"Enum16('low' = -500, 'high' = 500)", schema.IntAttribute("value", 500), "high", "low"},
		{"Array(String)", value(schema.JSONAttribute("value", `["a","b\u00e9",3]`)), "['a','bé','3']", "[]"},
		{"Nullable(UInt16)", schema.IntAttribute("value", 0), "0", `\N`},
		{"Nullable(IPv6)", textOf("::1"), "::1", `\N`},
	} {
		name := fmt.Sprintf("t%d", i)
		layout, err := batch.NewLayout(&schema.Table{
			Database: server.Database, Name: name,
			Columns: []schema.Column{column(t, "value", c.typeText, `attributes["value"]`)},
		}, "test", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		server.Exec(t, "CREATE TABLE "+name+" (value "+c.typeText+") ENGINE = MergeTree ORDER BY ()")
		if got := server.Query(t, "SELECT type FROM system.columns WHERE database = currentDatabase() AND table = '"+name+"' FORMAT TSVRaw"); got != c.typeText {
			t.Errorf("system.columns has %s, we have %s", got, c.typeText)
		}
		b := layout.NewBatch("b", nil)
		for _, e := range []schema.Entry{entry(c.in), entry(), entry(c.in)} {
			if err := b.Append(&e); err != nil {
				t.Fatalf("%s: %v", c.typeText, err)
			}
		}
		insertBlock(t, server, name, b.Seal(batch.Uncompressed))
		got := server.Query(t, "SELECT value FROM "+name)
		if want := strings.Join([]string{c.want, c.absent, c.want}, "\n"); got != want {
			t.Errorf("%s: %q, want %q", c.typeText, got, want)
		}
	}
}

// TestOwnFieldsInArrays puts fields of the entry into Arrays, as their only element.
func TestOwnFieldsInArrays(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	columns := []schema.Column{column(t, "body", "Array(String)", "body"), column(t, "time", "Array(String)", "time"), column(t, "number", "Array(String)", "severity_number")}
	layout, err := batch.NewLayout(&schema.Table{Database: server.Database, Name: "arrays", Columns: columns}, "test", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "CREATE TABLE arrays (body Array(String), time Array(String), number Array(String)) ENGINE = MergeTree ORDER BY ()")
	b := layout.NewBatch("b", nil)
	e := entry()
	e.Body, e.SeverityNumber = "text", 9
	if err := b.Append(&e); err != nil {
		t.Fatal(err)
	}
	insertBlock(t, server, "arrays", b.Seal(batch.Uncompressed))
	if got := server.Query(t, "SELECT * FROM arrays"); got != "['text']\t['2026-11-24T12:30:00.123456789Z']\t['9']" {
		t.Errorf("the row is %s", got)
	}
}

// TestFirehoseIsRead inserts rows into the firehose's own columns, with maps of every kind, and a slice of them.
func TestFirehoseIsRead(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	columns := append(schema.DefaultColumns(),
		column(t, "plain", "Map(String, String)", "scope_attributes"), column(t, "shard", "LowCardinality(String)", "shard_id"),
		column(t, "sequence", "UInt64", "sequence"), column(t, "received", "DateTime64(3, 'UTC')", "received_time"))
	for i := range columns {
		if columns[i].Name == "ScopeAttributes" { // the plain one has them
			columns = append(columns[:i], columns[i+1:]...)
			break
		}
	}
	layout, err := batch.NewLayout(&schema.Table{Database: server.Database, Name: "firehose", Columns: columns}, "test", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	definitions := make([]string, len(columns))
	for i, c := range columns {
		definitions[i] = schema.QuoteIdentifier(c.Name) + " " + c.Type.String()
	}
	server.Exec(t, "CREATE TABLE firehose ("+strings.Join(definitions, ", ")+") ENGINE = MergeTree ORDER BY ()")
	b := layout.NewBatch("i-1", nil)
	streams := []*schema.Stream{{}, {
		ResourceAttributes: []schema.Attribute{schema.StringAttribute("host", "n1"), schema.StringAttribute("host", "n2")},
		ScopeAttributes:    []schema.Attribute{schema.IntAttribute("s", 1), schema.BoolAttribute("t", true)},
	}}
	const rows = 3000
	for i := range rows {
		e := entry(schema.IntAttribute("n", int64(i)), schema.StringAttribute("twice", "first"), schema.StringAttribute("twice", fmt.Sprint("k", i%700)))
		e.Attributes = append(e.Attributes, schema.DoubleAttribute(fmt.Sprint("key", i%500), 0.5))
		e.Stream, e.Body, e.Service = streams[i%2], fmt.Sprint("body ", i), fmt.Sprint("s", i%300)
		b.Begin(batch.Origin{Producer: "p", Sequence: uint64(i / 10), ShardID: "EWR-1"}, time.UnixMilli(1e12+5))
		if err := b.Append(&e); err != nil {
			t.Fatal(err)
		}
	}
	whole := b.Seal(batch.LZ4)
	part, err := whole.Cut("i-1.1", batch.RowSet{{From: 1000, To: 2000}})
	if err != nil {
		t.Fatal(err)
	}
	insertBlock(t, server, "firehose", whole)
	insertBlock(t, server, "firehose", part)
	for question, want := range map[string]string{
		"SELECT _batch_id, count() FROM firehose GROUP BY 1 ORDER BY 1":                                                                           "i-1\t3000\ni-1.1\t1000",
		"SELECT min(n), max(n), uniqExact(n) FROM (SELECT toInt64(LogAttributes['n']) n FROM firehose WHERE _batch_id = 'i-1.1')":                 "1000\t1999\t1000",
		"SELECT count() FROM firehose WHERE Body = concat('body ', LogAttributes['n'])":                                                           "4000",
		"SELECT count() FROM firehose WHERE ServiceName = concat('s', toString(toInt64(LogAttributes['n']) % 300))":                               "4000",
		"SELECT count() FROM firehose WHERE mapKeys(LogAttributes) != ['n', 'twice', concat('key', toString(toInt64(LogAttributes['n']) % 500))]": "0",
		"SELECT count() FROM firehose WHERE LogAttributes['twice'] = concat('k', toString(toInt64(LogAttributes['n']) % 700))":                    "4000",
		"SELECT ResourceAttributes, plain, count() FROM firehose GROUP BY 1, 2 ORDER BY 3, 1":                                                     "{}\t{}\t2000\n{'host':'n2'}\t{'s':'1','t':'true'}\t2000",
		"SELECT DISTINCT shard, received, Timestamp, TimestampTime = toDateTime(Timestamp) FROM firehose":                                         "EWR-1\t2001-09-09 01:46:40.005\t2026-11-24 12:30:00.123456789\t1",
		"SELECT count() FROM firehose WHERE sequence != intDiv(toInt64(LogAttributes['n']), 10)":                                                  "0",
	} {
		if got := server.Query(t, question); got != want {
			t.Errorf("%s\n%q, want %q", question, got, want)
		}
	}
}
