package batch

import (
	"fmt"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// benchmarkTable has the firehose's columns.
func benchmarkTable() *schema.Table {
	return &schema.Table{
		Database: "logs", Name: "otel_logs", Columns: schema.DefaultColumns(), PartitionBy: "toDate(TimestampTime)",
	}
}

// benchmarkEntries returns entries of about 338 bytes with eight attributes, from several streams, as the server passes them on.
func benchmarkEntries(count int) []schema.Entry {
	streams := make([]*schema.Stream, 4)
	for i := range streams {
		streams[i] = &schema.Stream{
			ResourceAttributes: []schema.Attribute{
				schema.StringAttribute("service.name", fmt.Sprintf("checkout-%d", i)),
				schema.StringAttribute("k8s.pod.name", fmt.Sprintf("checkout-%d-abcdef", i)),
				schema.StringAttribute("host.name", "node-17"),
			},
		}
	}
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).UnixNano()
	entries := make([]schema.Entry, count)
	for i := range entries {
		entries[i] = schema.Entry{
			Time: start + int64(i)*1e6, ObservedTime: start + int64(i)*1e6,
			Body:         fmt.Sprintf("GET /api/v1/carts/%08x/items answered 200 in %d ms, 3 items, cache hit", i*7919, i%97),
			SeverityText: [...]string{"INFO", "INFO", "WARN", "DEBUG"}[i%4], SeverityNumber: 9, TraceFlags: 1,
			Service: fmt.Sprintf("checkout-%d", i/500%4), Colo: "EWR",
			TraceID: fmt.Sprintf("%032x", i*104729), SpanID: fmt.Sprintf("%016x", i*1299709),
			ScopeName: "github.com/example/checkout", ScopeVersion: "1.4.2",
			Stream: streams[i/500%4],
			Attributes: []schema.Attribute{
				schema.StringAttribute("http.method", "GET"),
				schema.StringAttribute("http.route", "/api/v1/carts/{id}/items"),
				schema.IntAttribute("http.status_code", 200),
				schema.IntAttribute("duration_ms", int64(i%97)),
				schema.StringAttribute("user.id", fmt.Sprintf("u-%06d", i%50000)),
				schema.StringAttribute("region", "us-east-1"),
				schema.StringAttribute("client.address", fmt.Sprintf("10.1.%d.%d", i/250%250, i%250)),
				schema.IntAttribute("bytes", int64(i*13%65536)),
			},
		}
	}
	return entries
}

func mustLayout(tb testing.TB, table *schema.Table) *Layout {
	tb.Helper()
	l, err := NewLayout(table, "firehose", time.UTC)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// BenchmarkAppend appends the design's row to the firehose's columns, in batches of 20 000 rows.
func BenchmarkAppend(b *testing.B) {
	layout := mustLayout(b, benchmarkTable())
	entries := benchmarkEntries(20000)
	partitioner := layout.NewPartitioner()
	origin := Origin{Producer: "p", Epoch: 1, Sequence: 1, ShardID: "EWR-28749445"}
	fill := func(rows int) {
		batch := layout.NewBatch("instance-1", nil)
		batch.Begin(origin, time.Unix(1, 0))
		for i := range rows {
			if err := batch.Append(&entries[i]); err != nil {
				b.Fatal(err)
			}
		}
		batch.Release()
	}
	b.Run("row", func(b *testing.B) {
		fill(len(entries))
		b.ReportAllocs()
		for n := b.N; n > 0; n -= len(entries) {
			fill(min(n, len(entries)))
		}
	})
	b.Run("partition", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			if _, err := partitioner.Of(&entries[i%len(entries)], &origin); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSeal appends the rows of BenchmarkAppend and seals the batch.
func BenchmarkSeal(b *testing.B) {
	layout := mustLayout(b, benchmarkTable())
	entries := benchmarkEntries(20000)
	for _, compression := range Compressions() {
		b.Run(string(compression), func(b *testing.B) {
			bytes := 0
			for n := b.N; n > 0; n -= len(entries) {
				batch := layout.NewBatch("instance-1", nil)
				batch.Begin(Origin{Producer: "p"}, time.Unix(1, 0))
				for i := range min(n, len(entries)) {
					if err := batch.Append(&entries[i]); err != nil {
						b.Fatal(err)
					}
				}
				block := batch.Seal(compression)
				bytes += block.Bytes()
				block.Release()
			}
			b.ReportMetric(float64(bytes)/float64(b.N), "B/row")
		})
	}
}

// BenchmarkAppendKind appends to a table with one column, so only the cost of that column differs. The rest is the cost of a row and of
// finding one attribute.
func BenchmarkAppendKind(b *testing.B) {
	for _, c := range []struct {
		typeText string
		in       []schema.Attribute
	}{
		{"String", []schema.Attribute{text("GET /api/v1/carts"), text("POST /api/v1/carts")}},
		{"FixedString(16)", []schema.Attribute{text("0123456789abcdef")}},
		{"LowCardinality(String)", []schema.Attribute{text("checkout"), text("payment"), text("cart"), text("search")}},
		{"LowCardinality(Nullable(String))", []schema.Attribute{text("checkout"), text("payment")}},
		{"Int64", []schema.Attribute{whole(200), whole(404)}},
		{"UInt16", []schema.Attribute{whole(200), whole(404)}},
		{"UInt32", []schema.Attribute{text("4000000"), text("17")}},
		{"Float64", []schema.Attribute{double(0.5)}},
		{"Bool", []schema.Attribute{truth(true), truth(false)}},
		{"Date", []schema.Attribute{text("2026-11-24")}},
		{"DateTime('UTC')", []schema.Attribute{text("2026-11-24T12:00:00Z")}},
		{"DateTime64(9, 'UTC')", []schema.Attribute{whole(1e18)}},
		{"UUID", []schema.Attribute{text("00112233-4455-6677-8899-aabbccddeeff")}},
		{"IPv4", []schema.Attribute{text("192.0.2.17")}},
		{"IPv6", []schema.Attribute{text("2001:db8::17")}},
		{"Enum8('info' = 1, 'warn' = 2)", []schema.Attribute{text("info"), text("warn")}},
		{"Array(String)", []schema.Attribute{object(`["a","b","c"]`)}},
		{"Nullable(Int64)", []schema.Attribute{whole(200)}},
	} {
		b.Run(c.typeText, func(b *testing.B) {
			layout := mustLayout(b, tableOf(b, `c|`+c.typeText+`|attributes["k"]`))
			entries := make([]schema.Entry, 1024)
			for i := range entries {
				entries[i] = withAttributes(c.in[i%len(c.in)])
			}
			batch := layout.NewBatch("b", nil)
			b.ReportAllocs()
			for i := range b.N {
				if i%20000 == 0 {
					batch.Release()
					batch = layout.NewBatch("b", nil)
				}
				if err := batch.Append(&entries[i%len(entries)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
