package schema

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The firehose's limits and retention, where the configuration says nothing else.
const (
	// DefaultTableName is the table of the firehose.
	DefaultTableName = "otel_logs"
	// DefaultMaxAge lets a producer that was cut off for a week catch up. It must lie below
	// the retention, because dropping a partition forgets the tokens of its batches.
	DefaultMaxAge = 7 * 24 * time.Hour
	// DefaultMaxAhead allows for a clock that runs fast or was set to the wrong side of a
	// change of summer time, and keeps a broken clock from opening partitions years ahead, which
	// retention would keep until their day has come.
	DefaultMaxAhead = time.Hour
	// DefaultRetention is thirty days: long enough for the questions that logs are asked, and
	// short enough that nobody fills a disk by leaving the configuration alone.
	DefaultRetention = 30 * 24 * time.Hour
	// DefaultRetentionInterval is a day, one unit of the firehose's partition key: a run then
	// drops one partition and rewrites what is left of one. Every hour, a precise run would rewrite
	// that partition 24 times.
	DefaultRetentionInterval = 24 * time.Hour
	// DefaultIndexSet is the collector's own: a query that its indexes help is helped here too. It doubles
	// what an insert costs ClickHouse (3.9 s against 1.8 s for a million rows) and adds a tenth to
	// the disk, where the text indexes cost six times as much and more than double
	// the disk, and need ClickHouse 26.2. Whoever reads little takes "none".
	DefaultIndexSet = "bloom"
)

// DefaultColumns are the columns of the OpenTelemetry Collector's otel_logs, in its order and with its
// codecs, and the batch id. They are those of the layout with TimestampTime: the exporter's newer
// layout leaves that one out and adds materialized copies of some resource attributes, so that a query
// written for either layout's own columns finds them here.
func DefaultColumns() []Column {
	text := Type{Kind: KindString}
	word := Type{Kind: KindString, LowCardinality: true}
	attributes := Type{Kind: KindMap, Key: &word, Value: &text}
	octet := Type{Kind: KindUInt8}
	const zstd = "ZSTD(1)"
	column := func(name string, t Type, codec string, field Field) Column {
		return Column{Name: name, Type: t, Codec: codec, Source: Source{Field: field}}
	}
	return []Column{
		column("Timestamp", Type{Kind: KindDateTime64, Precision: 9}, "Delta(8), ZSTD(1)", FieldTime),
		// The collector's table computes this one from Timestamp. The gateway sends it: it computes the
		// row's partition from it, and both must come from the same value.
		column("TimestampTime", Type{Kind: KindDateTime}, "", FieldTime),
		column("TraceId", text, zstd, FieldTraceID),
		column("SpanId", text, zstd, FieldSpanID),
		column("TraceFlags", octet, "", FieldTraceFlags),
		column("SeverityText", word, zstd, FieldSeverityText),
		column("SeverityNumber", octet, "", FieldSeverityNumber),
		column("ServiceName", word, zstd, FieldService),
		column("Body", text, zstd, FieldBody),
		column("ResourceSchemaUrl", word, zstd, FieldResourceSchemaURL),
		column("ResourceAttributes", attributes, zstd, FieldResourceAttributes),
		column("ScopeSchemaUrl", word, zstd, FieldScopeSchemaURL),
		column("ScopeName", text, zstd, FieldScopeName),
		column("ScopeVersion", word, zstd, FieldScopeVersion),
		column("ScopeAttributes", attributes, zstd, FieldScopeAttributes),
		column("LogAttributes", attributes, zstd, FieldAttributes),
		column("EventName", text, zstd, FieldEventName),
		BatchColumn(),
	}
}

// BatchColumn is the column that every table has; see BatchIDColumn. A batch is one part, so that the
// column is one value in a fresh part and costs next to nothing there.
func BatchColumn() Column {
	return Column{
		Name:   BatchIDColumn,
		Type:   Type{Kind: KindString, LowCardinality: true},
		Codec:  "ZSTD(1)",
		Source: Source{Field: FieldBatchID},
	}
}

// DefaultRoute is the firehose: every entry, in a table that dashboards made for the collector's
// otel_logs read unchanged.
func DefaultRoute(database string) *Route {
	indexes, err := IndexSet(DefaultIndexSet)
	if err != nil {
		panic(err) // the name is a constant of this file
	}
	return &Route{
		Name: "firehose",
		Table: &Table{
			Database:    database,
			Name:        DefaultTableName,
			Columns:     DefaultColumns(),
			Indexes:     indexes,
			PartitionBy: "toDate(TimestampTime)",
			PrimaryKey:  "(ServiceName, TimestampTime)",
			OrderBy:     "(ServiceName, TimestampTime, Timestamp)",
			Fsync:       true,
		},
		MaxAge:   DefaultMaxAge,
		MaxAhead: DefaultMaxAhead,
		Retention: Retention{
			MaxAge:   DefaultRetention,
			Interval: DefaultRetentionInterval,
			Precise:  true,
		},
	}
}

// indexSets are the named choices of indexes for tables that have the firehose's columns.
var indexSets = map[string][]Index{
	"none": {},
	"bloom": {
		{Name: "idx_trace_id", Expression: "TraceId", Type: "bloom_filter(0.001)", Granularity: 1},
		{Name: "idx_res_attr_key", Expression: "mapKeys(ResourceAttributes)", Type: "bloom_filter(0.01)", Granularity: 1},
		{Name: "idx_res_attr_value", Expression: "mapValues(ResourceAttributes)", Type: "bloom_filter(0.01)", Granularity: 1},
		{Name: "idx_scope_attr_key", Expression: "mapKeys(ScopeAttributes)", Type: "bloom_filter(0.01)", Granularity: 1},
		{Name: "idx_scope_attr_value", Expression: "mapValues(ScopeAttributes)", Type: "bloom_filter(0.01)", Granularity: 1},
		{Name: "idx_log_attr_key", Expression: "mapKeys(LogAttributes)", Type: "bloom_filter(0.01)", Granularity: 1},
		{Name: "idx_log_attr_value", Expression: "mapValues(LogAttributes)", Type: "bloom_filter(0.01)", Granularity: 1},
		{Name: "idx_body", Expression: "Body", Type: "tokenbf_v1(32768, 3, 0)", Granularity: 8},
	},
	// The names differ where the expression does, so that a table can go from one set to the other
	// without an index that means another thing under the same name.
	"text": {
		{Name: "idx_text_trace_id", Expression: "TraceId", Type: "text(tokenizer = 'array')"},
		{Name: "idx_text_res_attr_key", Expression: "mapKeys(ResourceAttributes)", Type: "text(tokenizer = 'array')"},
		{Name: "idx_text_res_attr_value", Expression: "mapValues(ResourceAttributes)", Type: "text(tokenizer = 'array')"},
		{Name: "idx_text_scope_attr_key", Expression: "mapKeys(ScopeAttributes)", Type: "text(tokenizer = 'array')"},
		{Name: "idx_text_scope_attr_value", Expression: "mapValues(ScopeAttributes)", Type: "text(tokenizer = 'array')"},
		{Name: "idx_text_log_attr_key", Expression: "mapKeys(LogAttributes)", Type: "text(tokenizer = 'array')"},
		{Name: "idx_text_log_attr_value", Expression: "mapValues(LogAttributes)", Type: "text(tokenizer = 'array')"},
		{Name: "idx_text_lower_body", Expression: "lower(Body)", Type: "text(tokenizer = 'splitByNonAlpha')"},
	},
}

// IndexSet returns the indexes of a named set: "none", "bloom" (those of the collector's
// otel_logs) or "text" (full text, from ClickHouse 26.2 on). They are for tables with the firehose's columns.
func IndexSet(name string) ([]Index, error) {
	set, ok := indexSets[name]
	if !ok {
		names := make([]string, 0, len(indexSets))
		for name := range indexSets {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("unknown index set %q: it is one of %s", name, strings.Join(names, ", "))
	}
	return slices.Clone(set), nil
}
