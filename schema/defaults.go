package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The firehose's defaults.
const (
	// DefaultTableName is the table of the firehose.
	DefaultTableName = "otel_logs"
	// DefaultMaxAge lets a producer catch up that was cut off for a week. It must be below
	// the retention, because dropping a partition forgets the tokens of its batches.
	DefaultMaxAge = 7 * 24 * time.Hour
	// DefaultMaxAhead allows for a clock that is fast, or an hour off after a change to or from summer time. It keeps a broken clock from
	// opening partitions years ahead, which retention would keep for as long.
	DefaultMaxAhead = time.Hour
	// DefaultRetention is long enough for most questions to logs, and short enough that the default configuration does not fill
	// a disk.
	DefaultRetention = 30 * 24 * time.Hour
	// DefaultRetentionInterval is a day, like a partition of the firehose: each run drops one partition and rewrites the rest of
	// one. Hourly precise runs would rewrite that partition 24 times.
	DefaultRetentionInterval = 24 * time.Hour
	// DefaultIndexSet is the collector's own, so queries that rely on its indexes are as fast here. It doubles
	// the cost of an insert to ClickHouse (3.9 s instead of 1.8 s for a million rows) and adds a tenth of disk space; the text
	// indexes cost six times as much, more than double the space, and need ClickHouse 26.2. For few reads, "none" is best.
	DefaultIndexSet = "bloom"
)

// A Layout is a set of columns that a route chooses by one name, and what a table with these columns has unless the route writes
// something else.
type Layout struct {
	// Name stands for the columns in a route's list.
	Name string
	// Columns are in the order of the table, the batch id last.
	Columns []Column
	// PartitionBy, PrimaryKey and OrderBy are the table's keys.
	PartitionBy, PrimaryKey, OrderBy string
	// IndexSet is the name of its index set.
	IndexSet string
}

// NewerLayoutName is the name of the layout that the collector's exporter makes since its version 0.152.
const NewerLayoutName = "otel_logs_v2"

// Layouts returns the two layouts of the OpenTelemetry Collector's otel_logs: the firehose's, which the exporter made from version 0.103
// to 0.150, and the newer one. The newer one's indexes depend on the exporter's version and ClickHouse's, so it has none by default: a
// table that the exporter made is not given a second set.
func Layouts() []Layout {
	columns := DefaultColumns()
	newer := slices.DeleteFunc(slices.Clone(columns), func(c Column) bool { return c.Name == "TimestampTime" })
	return []Layout{
		{
			Name: DefaultTableName, Columns: columns, IndexSet: DefaultIndexSet,
			PartitionBy: "toDate(TimestampTime)", PrimaryKey: "(ServiceName, TimestampTime)", OrderBy: "(ServiceName, TimestampTime, Timestamp)",
		},
		{
			Name: NewerLayoutName, Columns: newer, IndexSet: "none",
			PartitionBy: "toDate(Timestamp)", OrderBy: "(toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)",
		},
	}
}

// LayoutOf returns the first layout whose columns are all among a table's, by their names, or nil.
func LayoutOf(columns []Column) *Layout {
	layouts := Layouts()
	i := slices.IndexFunc(layouts, func(l Layout) bool {
		return !slices.ContainsFunc(l.Columns, func(want Column) bool {
			return !slices.ContainsFunc(columns, func(c Column) bool { return c.Name == want.Name })
		})
	})
	if i < 0 {
		return nil
	}
	return &layouts[i]
}

// HasDefaultCodec reports whether a column has the codec that the firehose's column of that name has by default. Such a codec is
// for tables that are created: nobody asked to change that of an existing one.
func (c *Column) HasDefaultCodec() bool {
	return slices.ContainsFunc(DefaultColumns(), func(d Column) bool { return d.Name == c.Name && SameCodec(d.Codec, c.Codec) })
}

// DefaultColumns returns the columns of the OpenTelemetry Collector's otel_logs, in its order and with its
// codecs, and the batch id.
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
		// The collector's table computes this column from Timestamp. The gateway sends it, because it computes the
		// row's partition from the same value.
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

// BatchColumn returns the column that every table has, BatchIDColumn. A batch is one part, so the column has one value in a new part
// and costs almost nothing.
func BatchColumn() Column {
	return Column{
		Name:   BatchIDColumn,
		Type:   Type{Kind: KindString, LowCardinality: true},
		Codec:  "ZSTD(1)",
		Source: Source{Field: FieldBatchID},
	}
}

// DefaultRoute returns the firehose: every entry, in a table that works with dashboards made for the collector's otel_logs.
func DefaultRoute(database string) *Route {
	layout := Layouts()[0]
	indexes, err := IndexSet(layout.IndexSet)
	if err != nil {
		panic(err) // the name is a constant of this file
	}
	return &Route{
		Name: "firehose",
		Table: &Table{
			Database:    database,
			Name:        DefaultTableName,
			Columns:     layout.Columns,
			Indexes:     indexes,
			PartitionBy: layout.PartitionBy,
			PrimaryKey:  layout.PrimaryKey,
			OrderBy:     layout.OrderBy,
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

// indexSets has the indexes of each named set, for tables with the firehose's columns.
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
	// The names differ from those above, so that a table can change from one set to the other.
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

// IndexSet returns the indexes of a named set: "none", "bloom" (those of the collector's otel_logs) or "text" (full text, from
// ClickHouse 26.2 on).
func IndexSet(name string) ([]Index, error) {
	set, ok := indexSets[name]
	if !ok {
		return nil, fmt.Errorf("unknown index set %q: it is one of %s", name, strings.Join(slices.Sorted(maps.Keys(indexSets)), ", "))
	}
	return slices.Clone(set), nil
}
