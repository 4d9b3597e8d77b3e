//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/logbatcher/logbatcher/bench/internal/rig"
	"github.com/logbatcher/logbatcher/embedded"
)

// A parity case is a request whose rows have to be the same in both tables. The times of its records are set by the test.
type parityCase struct {
	name    string
	request *logs.LogsData
	// raw replaces the encoded request, for what the generated messages can't say.
	raw func([]byte) []byte
	// differs has the columns that are meant to differ: what the Collector stores, and what LogBatcher stores.
	differs map[string][2]string
}

// TestParity sends the same records by OTLP to the Collector with its ClickHouse exporter and to LogBatcher, into tables that the
// exporter made, and compares them column by column.
func TestParity(t *testing.T) {
	ctx := t.Context()
	s := startPeers(t)
	exported, batched := "parity_collector", "parity_logbatcher"
	c, err := startCollector(ctx, s, collectorBinary(t), collectorOptions{
		database: exported, createSchema: true, inserts: 1, batch: 10_000, queue: 1000, linger: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, c.Close) })
	// A table of the exporter's, before LogBatcher takes it over.
	for _, statement := range []string{"CREATE DATABASE " + batched, "CREATE TABLE " + batched + ".otel_logs AS " + exported + ".otel_logs"} {
		if err := s.Conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	g, err := s.StartGateway(ctx, buildGateway(t), batched, gatewayConfiguration(s, gatewayOptions{
		database: batched, batch: 10_000, inserts: 1, linger: 100 * time.Millisecond, streams: 100,
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, g.Close) })

	var sending errgroup.Group
	sending.SetLimit(64)
	cases := parityCases()
	at, sent := time.Now().Add(-time.Hour).Truncate(time.Second), 0
	first := make([]time.Time, len(cases))
	for i, test := range cases {
		first[i] = at
		for _, r := range test.request.ResourceLogs {
			for _, scope := range r.ScopeLogs {
				for _, record := range scope.LogRecords {
					at, sent = at.Add(time.Millisecond), sent+1
					if record.ObservedTimeUnixNano == 0 {
						record.TimeUnixNano = uint64(at.UnixNano())
					} else {
						record.ObservedTimeUnixNano = uint64(at.UnixNano())
					}
				}
			}
		}
		request, err := proto.MarshalOptions{Deterministic: true}.Marshal(test.request)
		if err != nil {
			t.Fatal(test.name, err)
		}
		if test.raw != nil {
			request = test.raw(request)
		}
		for peer, address := range map[string]string{"the Collector": c.address, "LogBatcher": g.GRPC} {
			sending.Go(func() error {
				if err := exportOnce(ctx, address, request); err != nil {
					t.Errorf("%s: %s: %v", test.name, peer, err)
				}
				return nil
			})
		}
	}
	_ = sending.Wait()
	for _, database := range []string{exported, batched} {
		if err := awaitRows(ctx, s, database, uint64(sent)); err != nil {
			t.Error(err)
		}
	}

	columns := columnsOf(t, s, exported)
	if len(columns) < 16 {
		t.Fatalf("the exporter's table has the columns %q", columns)
	}
	want, got := rowsOf(t, s, exported, columns), rowsOf(t, s, batched, columns)
	for i, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			end := at.Add(time.Nanosecond)
			if i+1 < len(cases) {
				end = first[i+1].Add(time.Nanosecond)
			}
			compareRows(t, test.differs, columns, between(want, first[i], end), between(got, first[i], end))
		})
	}
	testOnlyOneTakes(t, s, c, g, exported, batched)
}

// testOnlyOneTakes sends what the two treat differently: LogBatcher refuses what can't be right, and tells the sender.
func testOnlyOneTakes(t *testing.T, s *rig.Rig, c *collector, g *rig.Gateway, exported, batched string) {
	now := time.Now()
	for name, test := range map[string]struct {
		record  *logs.LogRecord
		refusal string // empty: stored with the time of receipt
	}{
		"no time":          {&logs.LogRecord{}, ""},
		"unknown severity": {&logs.LogRecord{TimeUnixNano: uint64(now.UnixNano()), SeverityNumber: 25}, "severity_number"},
		"ten days old":     {&logs.LogRecord{TimeUnixNano: uint64(now.AddDate(0, 0, -10).UnixNano())}, "time"},
		"tomorrow":         {&logs.LogRecord{TimeUnixNano: uint64(now.AddDate(0, 0, 1).UnixNano())}, "time"},
	} {
		t.Run(name, func(t *testing.T) {
			test.record.EventName = name
			request, err := proto.Marshal(one(test.record))
			if err != nil {
				t.Fatal(err)
			}
			if err := exportOnce(t.Context(), c.address, request); err != nil {
				t.Errorf("the Collector: %v", err)
			}
			switch err := exportOnce(t.Context(), g.GRPC, request); {
			case test.refusal == "" && err != nil:
				t.Errorf("LogBatcher: %v", err)
			case test.refusal != "" && (err == nil || !strings.Contains(err.Error(), test.refusal)):
				t.Errorf("LogBatcher: %v, want a refusal that names %s", err, test.refusal)
			}
			if test.refusal != "" {
				return
			}
			var recent uint64
			count := "SELECT countIf(Timestamp > now() - 600) FROM " + batched + ".otel_logs WHERE EventName = '" + name + "'"
			if err := s.Conn.QueryRow(t.Context(), count).Scan(&recent); err != nil || recent != 1 {
				t.Errorf("LogBatcher has %d rows with the time of receipt: %v", recent, err)
			}
		})
	}
	// The Collector stores all of them, the first one as of 1970.
	const patience = 30 * time.Second
	for end := time.Now().Add(patience); ; {
		var stored, old uint64
		err := s.Conn.QueryRow(t.Context(), "SELECT count(), countIf(Timestamp < '1971-01-01') FROM "+exported+".otel_logs "+
			"WHERE EventName IN ('no time', 'unknown severity', 'ten days old', 'tomorrow')").Scan(&stored, &old)
		if err == nil && stored == 4 && old == 1 {
			return
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("the Collector has stored %d rows, %d of 1970: %v", stored, old, err)
		}
		if err := rig.Rest(t.Context(), 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// collectorBinary returns the path of the Collector, or skips the test.
func collectorBinary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "collector"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("not here: %s (make peers builds it)", path)
	}
	return path
}

// buildGateway builds logbatcher from this tree and returns its path.
func buildGateway(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "logbatcher")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../cmd/logbatcher").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, output)
	}
	return path
}

// startPeers starts what both peers need, or skips the test.
func startPeers(t *testing.T) *rig.Rig {
	t.Helper()
	if testing.Short() {
		t.Skip("a long test")
	}
	collectorBinary(t)
	s, err := rig.Start(t.Context(), t.TempDir())
	if _, missing := errors.AsType[*embedded.UnavailableError](err); missing {
		t.Skipf("not here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s.Stop) })
	return s
}

func closed(t *testing.T, close func() error) {
	if err := close(); err != nil {
		t.Error(err)
	}
}

func exportOnce(ctx context.Context, address string, request []byte) error {
	conn, err := newGRPCSender(address, committed, 1)
	if err != nil {
		return err
	}
	return errors.Join(conn.send(ctx, request), conn.close())
}

// columnsOf returns the columns that the exporter made, those that ClickHouse computes included.
func columnsOf(t *testing.T, s *rig.Rig, database string) (columns []string) {
	t.Helper()
	rows, err := s.Conn.Query(t.Context(), "SELECT name FROM system.columns WHERE database = '"+database+"' AND table = 'otel_logs' AND name != '_batch_id' ORDER BY position")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, name)
	}
	return columns
}

// A row is a row's columns as text, its time first.
type row []string

// rowsOf returns all rows in the order of their times.
func rowsOf(t *testing.T, s *rig.Rig, database string, columns []string) (found []row) {
	t.Helper()
	// Hexadecimal, because a text need not be UTF-8. toString of a Map keeps the order of its keys, and those that are there twice.
	query := "SELECT ["
	for i, c := range columns {
		if i > 0 {
			query += ", "
		}
		value := "`" + c + "`"
		if c == "LogAttributes" {
			value = "mapSort(" + value + ")" // the exporter sorts a record's keys, LogBatcher leaves them as they were sent
		}
		query += "hex(toString(" + value + "))"
	}
	rows, err := s.Conn.Query(t.Context(), query+"] FROM "+database+".otel_logs ORDER BY Timestamp")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var values []string
		if err := rows.Scan(&values); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			var text []byte
			if _, err := fmt.Sscanf(v, "%x", &text); err != nil && v != "" {
				t.Fatal(err)
			}
			values[i] = string(text)
		}
		found = append(found, values)
	}
	return found
}

// between returns the rows after one time and up to another.
func between(rows []row, after, until time.Time) (found []row) {
	const layout = "2006-01-02 15:04:05.000000000"
	from, to := after.UTC().Format(layout), until.UTC().Format(layout)
	for _, r := range rows {
		if r[0] > from && r[0] <= to {
			found = append(found, r)
		}
	}
	return found
}

func compareRows(t *testing.T, differs map[string][2]string, columns []string, want, got []row) {
	t.Helper()
	if len(want) != len(got) || len(want) == 0 {
		t.Errorf("the Collector stored %d rows, LogBatcher %d", len(want), len(got))
	}
	for i := range min(len(want), len(got)) {
		for j, c := range columns {
			if d, meant := differs[c]; meant {
				if want[i][j] != d[0] || got[i][j] != d[1] {
					t.Errorf("row %d, %s: %q by the Collector, %q by LogBatcher; want %q", i, c, want[i][j], got[i][j], d)
				}
			} else if want[i][j] != got[i][j] {
				t.Errorf("row %d, %s:\n%q by the Collector\n%q by LogBatcher", i, c, want[i][j], got[i][j])
			}
		}
	}
}

// The cases.

func str(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func integer(n int64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}
}

func double(f float64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: f}}
}

func boolean(b bool) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: b}}
}

func binaryValue(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte(s)}}
}

func list(values ...*common.AnyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: values}}}
}

// pair is a key with its value.
func pair(key string, value *common.AnyValue) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: value}
}

func object(pairs ...*common.KeyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: pairs}}}
}

// values are AnyValues of all kinds.
var values = map[string]*common.AnyValue{
	"nothing": nil, "no kind": {}, "empty text": str(""), "text": str("a line\nand \t \"another\" \\ / <b>&amp;</b> é 日本 \u2028 🙂 \x7f \x00 '`"),
	"true": boolean(true), "false": boolean(false),
	"0": integer(0), "1": integer(1), "-1": integer(-1), "smallest int": integer(math.MinInt64), "largest int": integer(math.MaxInt64),
	"0.0": double(0), "-0.0": double(math.Copysign(0, -1)), "1.0": double(1), "0.1": double(0.1), "1e20": double(1e20), "1e21": double(1e21),
	"1e-6": double(1e-6), "1e-7": double(1e-7), "1.5e-9": double(1.5e-9), "1e100": double(1e100), "pi": double(math.Pi), "1e6": double(1_000_000),
	"largest double": double(math.MaxFloat64), "smallest double": double(math.SmallestNonzeroFloat64),
	"NaN": double(math.NaN()), "inf": double(math.Inf(1)), "-inf": double(math.Inf(-1)),
	"no bytes": binaryValue(""), "bytes": binaryValue("\x00\xff\xfe<&>"), "text as bytes": binaryValue("hello"),
	"empty list": list(), "list": list(str("a<b>"), integer(-3), double(1.5), boolean(false), nil, &common.AnyValue{}, binaryValue("\x00\x01")),
	"list of lists": list(list(), list(list(str("x"))), object()), "empty object": object(),
	"object":         object(pair("z", integer(1)), pair("a", str("é\u2028<>")), pair("m", double(1e21)), pair("", boolean(true))),
	"doubled key":    object(pair("k", integer(1)), pair("k", integer(2)), pair("a", nil)),
	"nested":         object(pair("a", object(pair("b", list(object(pair("c", binaryValue("\xff"))))))), pair("d.e", list(integer(math.MaxInt64), double(0.1)))),
	"nothing in it":  list(nil, nil),
	"quotes in keys": object(pair("a\"b\\c\n", str("x")), pair("日", str("y"))),
	"doubles in it":  list(double(0), double(1), double(1e6), double(1e-7), double(1e21), double(123456789.125), double(math.Copysign(0, -1))),
}

// one returns a request of one resource and scope.
func one(records ...*logs.LogRecord) *logs.LogsData {
	return &logs.LogsData{ResourceLogs: []*logs.ResourceLogs{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{
			pair("service.name", str("checkout")), pair("k8s.pod.name", str("p-1")), pair("k8s.namespace.name", str("shop")), pair("number", integer(7)),
		}},
		SchemaUrl: "https://opentelemetry.io/schemas/1.27.0",
		ScopeLogs: []*logs.ScopeLogs{{
			Scope:     &common.InstrumentationScope{Name: "scope", Version: "1.2.3", Attributes: []*common.KeyValue{pair("a", str("b")), pair("n", double(2))}},
			SchemaUrl: "https://opentelemetry.io/schemas/1.20.0", LogRecords: records,
		}},
	}}}
}

func parityCases() []parityCase {
	var cases []parityCase
	add := func(name string, request *logs.LogsData) {
		cases = append(cases, parityCase{name: name, request: request})
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		add("attribute, "+name, one(&logs.LogRecord{Body: str("b"), Attributes: []*common.KeyValue{pair("first", str("1")), pair("x", value), pair("last", str("2"))}}))
		add("body, "+name, one(&logs.LogRecord{Body: value}))
		add("resource, "+name, withResource(one(&logs.LogRecord{Body: str("b")}), pair("service.name", str("s")), pair("x", value)))
		add("service, "+name, withResource(one(&logs.LogRecord{Body: str("b")}), pair("service.name", value)))
		add("scope, "+name, withScope(one(&logs.LogRecord{Body: str("b")}), &common.InstrumentationScope{Name: "n", Attributes: []*common.KeyValue{pair("x", value)}}))
	}
	for _, key := range []string{"", " ", "a b", "é日", "a'b\"c`d\\e", "\n\t\x00", strings.Repeat("k", 1000), "a.b.c", "A", "{}", "service.name", "_batch_id"} {
		add(fmt.Sprintf("key %.20q", key), one(&logs.LogRecord{Attributes: []*common.KeyValue{pair("z", str("1")), pair(key, str("v")), pair("a", str("2"))}}))
		add(fmt.Sprintf("resource key %.20q", key), withResource(one(&logs.LogRecord{}), pair("z", str("1")), pair(key, str("v"))))
	}
	many := &logs.LogRecord{}
	for i := range 1000 {
		many.Attributes = append(many.Attributes, pair(fmt.Sprintf("key %d", i), integer(int64(i))))
	}
	add("a thousand attributes", one(many))
	add("a large body", one(&logs.LogRecord{Body: str(strings.Repeat("0123456789", 20_000))}))

	for number := range 25 {
		add(fmt.Sprintf("severity %d", number), one(&logs.LogRecord{SeverityNumber: logs.SeverityNumber(number), SeverityText: fmt.Sprint("text ", number)}))
	}
	add("trace", one(&logs.LogRecord{TraceId: bytes.Repeat([]byte{0xab}, 16), SpanId: bytes.Repeat([]byte{0xcd}, 8), Flags: 1}))
	add("trace without a span", one(&logs.LogRecord{TraceId: bytes.Repeat([]byte{1}, 16)}))
	add("span without a trace", one(&logs.LogRecord{SpanId: bytes.Repeat([]byte{1}, 8)}))
	add("ids of zeros", one(&logs.LogRecord{TraceId: make([]byte, 16), SpanId: make([]byte, 8)}))
	add("empty ids", one(&logs.LogRecord{TraceId: []byte{}, SpanId: []byte{}}))
	add("flags beyond eight bits", one(&logs.LogRecord{Flags: 0xfffffe03}))
	add("event", one(&logs.LogRecord{EventName: "user.login", Body: str("b")}))
	add("observed time only", one(&logs.LogRecord{ObservedTimeUnixNano: 1, Body: str("b")}))
	add("dropped attributes", one(&logs.LogRecord{DroppedAttributesCount: 7}))
	add("nothing set", one(&logs.LogRecord{}))

	bare := one(&logs.LogRecord{Body: str("b")})
	bare.ResourceLogs[0].Resource, bare.ResourceLogs[0].SchemaUrl = nil, ""
	bare.ResourceLogs[0].ScopeLogs[0].Scope, bare.ResourceLogs[0].ScopeLogs[0].SchemaUrl = nil, ""
	add("no resource, no scope", bare)
	add("empty resource", withResource(one(&logs.LogRecord{})))
	add("empty scope", withScope(one(&logs.LogRecord{}), &common.InstrumentationScope{}))
	several := one(&logs.LogRecord{Body: str("1")}, &logs.LogRecord{Body: str("2"), Attributes: []*common.KeyValue{pair("a", str("b"))}})
	other := withScope(withResource(one(&logs.LogRecord{Body: str("3")}), pair("service.name", str("other"))), &common.InstrumentationScope{Name: "other"})
	several.ResourceLogs[0].ScopeLogs = append(several.ResourceLogs[0].ScopeLogs, other.ResourceLogs[0].ScopeLogs[0])
	several.ResourceLogs = append(several.ResourceLogs, withResource(one(&logs.LogRecord{Body: str("4")}), pair("service.name", str("third"))).ResourceLogs...)
	add("several resources and scopes", several)

	unknown := protowire.AppendString(protowire.AppendTag(nil, 1999, protowire.BytesType), "from a newer sender")
	newer := one(&logs.LogRecord{Body: str("b")})
	newer.ResourceLogs[0].ScopeLogs[0].LogRecords[0].ProtoReflect().SetUnknown(unknown)
	newer.ResourceLogs[0].ProtoReflect().SetUnknown(unknown)
	add("unknown fields", newer)

	// OTLP forbids a key that is there twice. The exporter stores both, and ClickHouse finds the first; LogBatcher keeps the last one.
	differs := func(name string, request *logs.LogsData, columns map[string][2]string) {
		cases = append(cases, parityCase{name: name, request: request, differs: columns})
	}
	differs("doubled key", one(&logs.LogRecord{Attributes: []*common.KeyValue{pair("k", str("1")), pair("j", nil), pair("k", integer(3))}}),
		map[string][2]string{"LogAttributes": {"{'j':'','k':'1','k':'3'}", "{'j':'','k':'3'}"}})
	differs("doubled service", withResource(one(&logs.LogRecord{}), pair("service.name", str("1")), pair("service.name", str("2"))),
		map[string][2]string{"ServiceName": {"1", "2"}, "ResourceAttributes": {"{'service.name':'1','service.name':'2'}", "{'service.name':'2'}"}})
	// The exporter loses a list or an object that holds a number which JSON can't write.
	differs("NaN in a list", one(&logs.LogRecord{Body: list(double(math.NaN())), Attributes: []*common.KeyValue{pair("x", list(integer(1), double(math.NaN())))}}),
		map[string][2]string{"Body": {"", `["NaN"]`}, "LogAttributes": {"{'x':''}", `{'x':'[1,"NaN"]'}`}})
	differs("infinity in an object", one(&logs.LogRecord{Body: object(pair("x", double(math.Inf(-1))), pair("y", integer(1)))}),
		map[string][2]string{"Body": {"", `{"x":"-Infinity","y":1}`}})

	// A sender that does not check its texts.
	const marker = "N0T-UTF8"
	for name, request := range map[string]*logs.LogsData{
		"body":      one(&logs.LogRecord{Body: str("a" + marker + "z")}),
		"attribute": one(&logs.LogRecord{Attributes: []*common.KeyValue{pair("k", str(marker)), pair(marker, str("v"))}}),
		"nested":    one(&logs.LogRecord{Attributes: []*common.KeyValue{pair("k", list(str(marker)))}}),
		"others":    withResource(one(&logs.LogRecord{SeverityText: marker, EventName: marker}), pair("service.name", str(marker)), pair(marker, str(marker))),
	} {
		cases = append(cases, parityCase{name: "not UTF-8, " + name, request: request, raw: func(request []byte) []byte {
			return bytes.ReplaceAll(request, []byte(marker), []byte("\xff\xfe\xc3\x28\x80\xed\xa0\x80"))
		}})
	}
	return cases
}

func withResource(request *logs.LogsData, attributes ...*common.KeyValue) *logs.LogsData {
	request.ResourceLogs[0].Resource.Attributes = attributes
	return request
}

func withScope(request *logs.LogsData, scope *common.InstrumentationScope) *logs.LogsData {
	request.ResourceLogs[0].ScopeLogs[0].Scope = scope
	return request
}
