package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// everyType is a row of all the types that a log table is made of.
type everyType struct {
	Number  uint64                       `ch:"number"`
	Signed  int32                        `ch:"signed"`
	Flag    bool                         `ch:"flag"`
	Ratio   float64                      `ch:"ratio"`
	Text    string                       `ch:"text"`
	Fixed   string                       `ch:"fixed"`
	Low     string                       `ch:"low"`
	LowNull *string                      `ch:"low_null"`
	Maybe   *int64                       `ch:"maybe"`
	None    *string                      `ch:"none"`
	Labels  map[string]string            `ch:"labels"`
	Plain   map[string]string            `ch:"plain"`
	Deep    map[string][]string          `ch:"deep"`
	List    []string                     `ch:"list"`
	Lists   [][]uint8                    `ch:"lists"`
	Lows    []string                     `ch:"lows"`
	Day     time.Time                    `ch:"day"`
	Second  time.Time                    `ch:"second"`
	Nano    time.Time                    `ch:"nano"`
	Zoned   time.Time                    `ch:"zoned"`
	Level   string                       `ch:"level"`
	ID      uuid.UUID                    `ch:"id"`
	V4      net.IP                       `ch:"v4"`
	V6      net.IP                       `ch:"v6"`
	Pair    []any                        `ch:"pair"`
	Nested  map[string]map[string]uint32 `ch:"nested"`
}

const everyTypeTable = `CREATE TABLE every (
	number UInt64 CODEC(Delta, ZSTD(1)), signed Int32, flag Bool, ratio Float64, text String, fixed FixedString(4),
	low LowCardinality(String), low_null LowCardinality(Nullable(String)), maybe Nullable(Int64), none Nullable(String),
	labels Map(LowCardinality(String), String), plain Map(String, String), deep Map(LowCardinality(String), Array(String)),
	list Array(String), lists Array(Array(UInt8)), lows Array(LowCardinality(String)),
	day Date, second DateTime, nano DateTime64(9), zoned DateTime64(3, 'Europe/Berlin'),
	level Enum8('info' = 1, 'warn' = 2), id UUID, v4 IPv4, v6 IPv6, pair Tuple(String, UInt8),
	nested Map(String, Map(String, UInt32))
) ENGINE = MergeTree PARTITION BY toDate(second) ORDER BY number TTL second + INTERVAL 10 YEAR`

func everyRow(number uint64) everyType {
	low, maybe := "maybe low", int64(-5)
	moment := time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.UTC)
	return everyType{
		Number: number, Signed: -7, Flag: true, Ratio: 0.25, Text: "text \x00 \xff 日本", Fixed: "abcd", Low: "low", LowNull: &low, Maybe: &maybe,
		Labels: map[string]string{"host": "a", "zone": "b"}, Plain: map[string]string{"": "empty key"}, Deep: map[string][]string{"x": {"1", "2"}},
		List: []string{"a", ""}, Lists: [][]uint8{{1}, {}, {2, 3}}, Lows: []string{"x", "y", "x"},
		Day: moment.Truncate(24 * time.Hour), Second: moment.Truncate(time.Second), Nano: moment, Zoned: moment.Truncate(time.Millisecond),
		Level: "warn", ID: uuid.MustParse("0c9e1a0e-0d61-4ab1-8a36-6b6e3ed5ed2d"), V4: net.IPv4(10, 1, 2, 3).To4(), V6: net.ParseIP("2001:db8::1"),
		Pair: []any{"left", uint8(9)}, Nested: map[string]map[string]uint32{"a": {"b": 1}},
	}
}

func TestDriver(t *testing.T) {
	for name, method := range map[string]clickhouse.CompressionMethod{
		"plain": clickhouse.CompressionNone, "LZ4": clickhouse.CompressionLZ4, "ZSTD": clickhouse.CompressionZSTD,
	} {
		t.Run(name, func(t *testing.T) { testDriver(t, method) })
	}
}

func testDriver(t *testing.T, method clickhouse.CompressionMethod) {
	server := embeddedtest.ClickHouse(t)
	options := server.Options()
	options.Compression = &clickhouse.Compression{Method: method}
	connection, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	ctx := t.Context()
	if err := connection.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if version, err := connection.ServerVersion(); err != nil || version.Version.Major < 26 {
		t.Fatalf("%v, %v", version, err)
	}
	if err := connection.Exec(ctx, everyTypeTable); err != nil {
		t.Fatal(err)
	}
	batch, err := connection.PrepareBatch(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0})), "INSERT INTO every")
	if err != nil {
		t.Fatal(err)
	}
	want := []everyType{everyRow(0), everyRow(1), everyRow(2)}
	want[1].LowNull, want[1].Maybe, want[1].Labels = nil, nil, map[string]string{}
	for i := range want {
		if err := batch.AppendStruct(&want[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}

	var got []everyType
	if err := connection.Select(ctx, &got, "SELECT * FROM every ORDER BY number"); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d; %s are in the table", len(got), len(want), server.Query(t, "SELECT count() FROM every"))
	}
	for i := range want {
		compareRows(t, want[i], got[i])
	}
	var none []everyType
	if err := connection.Select(ctx, &none, "SELECT * FROM every WHERE number > 100"); err != nil || len(none) > 0 {
		t.Errorf("no rows: %d, %v", len(none), err)
	}
	var count uint64
	if err := connection.QueryRow(ctx, "SELECT count() FROM numbers(300000) WHERE number >= {from:UInt64}",
		clickhouse.Named("from", 100)).Scan(&count); err != nil || count != 299_900 {
		t.Errorf("count %d, %v", count, err)
	}
	if err := connection.Exec(ctx, "SELECT * FROM nowhere"); !isException(err, 60) {
		t.Errorf("unknown table: %v", err)
	}
	var x int
	if err := connection.QueryRow(ctx, "SELECT throwIf(number = 2) FROM numbers(10)").Scan(&x); !isException(err, 395) {
		t.Errorf("throwIf: %v", err)
	}
}

func isException(err error, code int32) bool {
	var exception *clickhouse.Exception
	return errors.As(err, &exception) && exception.Code == code
}

func compareRows(t *testing.T, want, got everyType) {
	t.Helper()
	w, g := reflect.ValueOf(want), reflect.ValueOf(got)
	for i := range w.NumField() {
		a, b := w.Field(i).Interface(), g.Field(i).Interface()
		if moment, ok := a.(time.Time); ok {
			if !moment.Equal(b.(time.Time)) {
				t.Errorf("%s: %v, want %v", w.Type().Field(i).Name, b, a)
			}
			continue
		}
		if ip, ok := a.(net.IP); ok {
			if !ip.Equal(b.(net.IP)) {
				t.Errorf("%s: %v, want %v", w.Type().Field(i).Name, b, a)
			}
			continue
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %v, want %v", w.Type().Field(i).Name, b, a)
		}
	}
}

func TestInsertFormatNative(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	server.Exec(t, "CREATE TABLE t (a UInt64, s LowCardinality(String)) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 10")
	connection := server.Open(t)
	var number chproto.ColUInt64
	text := new(chproto.ColStr).LowCardinality()
	const rows = 100_000
	for i := range rows {
		number.Append(uint64(i))
		text.Append(fmt.Sprint("value ", i%10))
	}
	columns := []chproto.InputColumn{{Name: "a", Data: number}, {Name: "s", Data: text}}
	if err := text.Prepare(); err != nil {
		t.Fatal(err)
	}
	var buffer chproto.Buffer
	block := chproto.Block{Columns: len(columns), Rows: rows}
	if err := block.EncodeRawBlock(&buffer, 0, columns); err != nil {
		t.Fatal(err)
	}
	for attempt := range 2 {
		ctx := clickhouse.Context(t.Context(), clickhouse.WithQueryID(fmt.Sprint("attempt-", attempt)), clickhouse.WithSettings(clickhouse.Settings{
			"async_insert": 0, "insert_deduplication_token": "once",
			"max_partitions_per_insert_block": 1, "throw_on_max_partitions_per_insert_block": 1,
		}))
		if err := connection.InsertFormat(ctx, "Native", "INSERT INTO t", bytes.NewReader(buffer.Buf)); err != nil {
			t.Fatal(err)
		}
	}
	if got := server.Query(t, "SELECT count(), sum(a), uniqExact(_part), uniqExact(s) FROM t"); got != "100000\t4999950000\t1\t10" {
		t.Error(got)
	}
}

// TestSelectedTypes reads what a query may return besides a log table's types.
func TestSelectedTypes(t *testing.T) {
	connection := embeddedtest.ClickHouse(t).Open(t)
	for _, expression := range []string{
		"toDecimal64('1.25', 4)", "toInt128(-5)", "toUInt256(7)", "toInt8(-1)", "toFloat32(0.5)", "toDate32('2100-01-01')",
		"toDateTime('2026-01-02 03:04:05', 'Asia/Tokyo')", "CAST('b', 'Enum16(\\'a\\' = 1, \\'b\\' = 300)')",
		"[]", "[NULL, 1]", "map()", "tuple(1, 'a', [2])", "CAST((1, 'x'), 'Tuple(a UInt8, b String)')",
		"[CAST((1, 'x'), 'Tuple(a UInt8, b String)')]", "toIPv6('::1')", "toFixedString('ab', 4)", "true",
		"toLowCardinality('x')", "[toLowCardinality(toNullable('x')), NULL]", "CAST(map('a', [1, 2]), 'Map(LowCardinality(String), Array(Nullable(UInt8)))')",
		"(1.5, 2.5)::Point", "'{\"a\": {\"b\": 1}, \"c\": \"x\"}'::JSON", "1::Variant(UInt8, String)", "'x'::Dynamic",
	} {
		rows, err := connection.Query(t.Context(), "SELECT number, "+expression+" FROM numbers(3)")
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		count := 0
		for ; rows.Next(); count++ {
			var number uint64
			value := reflect.New(rows.ColumnTypes()[1].ScanType())
			if err := rows.Scan(&number, value.Interface()); err != nil || number != uint64(count) {
				t.Errorf("%s: row %d: number %d, %v", expression, count, number, err)
			}
		}
		if err := rows.Err(); err != nil || count != 3 {
			t.Errorf("%s: %d rows, %v", expression, count, err)
		}
		_ = rows.Close()
	}
}

func TestTypesThatCannotBeSent(t *testing.T) {
	connection := embeddedtest.ClickHouse(t).Open(t)
	for _, expression := range []string{"NULL", "[NULL]", "toIntervalDay(1)"} {
		if rows, err := connection.Query(t.Context(), "SELECT "+expression); !isException(err, 48) {
			t.Errorf("%s: %v, %v", expression, rows, err)
		}
	}
}
