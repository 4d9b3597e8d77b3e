package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"github.com/logbatcher/logbatcher/schema"
)

// tableOf makes a table; each column is "name|type|source", with an optional "|on_error".
func tableOf(tb testing.TB, columns ...string) *schema.Table {
	tb.Helper()
	table := &schema.Table{Database: "logs", Name: "t"}
	for _, text := range columns {
		parts := strings.Split(text, "|")
		parsed, err := schema.ParseType(parts[1])
		if err != nil {
			tb.Fatal(err)
		}
		c := schema.Column{Name: parts[0], Type: parsed}
		if parts[2] != "" {
			if c.Source, err = schema.ParseSource(parts[2]); err != nil {
				tb.Fatal(err)
			}
		}
		if len(parts) > 3 {
			for _, o := range []schema.OnError{schema.Refuse, schema.UseDefault, schema.DeadLetter} {
				if o.String() == parts[3] {
					c.OnError = o
				}
			}
		}
		table.Columns = append(table.Columns, c)
	}
	return table
}

// decode reads a block and writes each row's values as text.
func decode(tb testing.TB, block []byte) [][]string {
	tb.Helper()
	decoded := proto.NewBlock()
	reader := bytes.NewReader(block)
	if err := decoded.Decode(chproto.NewReader(reader), 0); err != nil {
		tb.Fatalf("decode: %v", err)
	}
	rows := make([][]string, decoded.Rows())
	for i := range rows {
		for _, c := range decoded.Columns {
			v := c.Row(i, false)
			if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && !r.IsNil() {
				v = r.Elem().Interface()
			}
			if at, ok := v.(time.Time); ok {
				v = at.UTC().Format(time.RFC3339Nano)
			}
			rows[i] = append(rows[i], fmt.Sprint(v))
		}
	}
	return rows
}

// encode returns the rows of an open batch as a Native block.
func encode(tb testing.TB, b *Batch) []byte {
	tb.Helper()
	w := newBlockWriter(Uncompressed)
	b.write(w)
	w.finish()
	block := bytes.Join(w.frames, nil)
	if len(block) != w.plainBytes {
		tb.Fatalf("%d bytes were written, the writer has counted %d", len(block), w.plainBytes)
	}
	w.release(Uncompressed)
	if len(block) > b.Bytes() {
		tb.Fatalf("a block of %d bytes of a batch of %d", len(block), b.Bytes())
	}
	return block
}

// native reads all of a block.
func native(tb testing.TB, b *Block) []byte {
	tb.Helper()
	block, err := io.ReadAll(b.Native())
	if err != nil {
		tb.Fatal(err)
	}
	return block
}

// mustCut cuts rows out of a block.
func mustCut(tb testing.TB, b *Block, id string, rows RowSet) *Block {
	tb.Helper()
	cut, err := b.Cut(id, rows)
	if err != nil {
		tb.Fatal(err)
	}
	return cut
}

func mustAppend(tb testing.TB, b *Batch, entries ...schema.Entry) {
	tb.Helper()
	for i := range entries {
		if err := b.Append(&entries[i]); err != nil {
			tb.Fatalf("append %d: %v", i, err)
		}
	}
}

var noStream = &schema.Stream{}

// withAttributes returns an entry with nothing but these.
func withAttributes(attributes ...schema.Attribute) schema.Entry {
	return schema.Entry{Time: 1e18, Stream: noStream, Attributes: attributes}
}

func named(key string, a schema.Attribute) schema.Attribute {
	a.Key = key
	return a
}

// TestEveryTypeDecodes appends a value, nothing, and the value again to a column of each type.
func TestEveryTypeDecodes(t *testing.T) {
	for _, c := range []struct {
		typeText     string
		in           schema.Attribute
		want, absent string
	}{
		{"String", text("wörd"), "wörd", ""},
		{"FixedString(4)", text("ab"), "ab\x00\x00", "\x00\x00\x00\x00"},
		{"LowCardinality(String)", text("word"), "word", ""},
		{"LowCardinality(Nullable(String))", text(""), "", "<nil>"},
		{"Int8", whole(-8), "-8", "0"},
		{"Int16", whole(-1600), "-1600", "0"},
		{"Int32", whole(-320000), "-320000", "0"},
		{"Int64", whole(-64e9), "-64000000000", "0"},
		{"UInt8", text("200"), "200", "0"},
		{"UInt16", whole(60000), "60000", "0"},
		{"UInt32", whole(4e9), "4000000000", "0"},
		{"UInt64", text("18446744073709551615"), "18446744073709551615", "0"},
		{"Float32", double(0.5), "0.5", "0"},
		{"Float64", double(-1e-7), "-1e-07", "0"},
		{"Bool", truth(true), "true", "false"},
		{"Date", text("2026-11-24"), "2026-11-24T00:00:00Z", "1970-01-01T00:00:00Z"},
		{"DateTime('UTC')", text("2026-11-24T12:00:01Z"), "2026-11-24T12:00:01Z", "1970-01-01T00:00:00Z"},
		{"DateTime64(6, 'UTC')", text("2026-11-24T12:00:01.123456789Z"), "2026-11-24T12:00:01.123456Z", "1970-01-01T00:00:00Z"},
		{"DateTime64(9, 'UTC')", whole(1e18 + 1), "2001-09-09T01:46:40.000000001Z", "1970-01-01T00:00:00Z"},
		{"UUID", text("00112233-4455-6677-8899-aabbccddeeff"), "00112233-4455-6677-8899-aabbccddeeff", "00000000-0000-0000-0000-000000000000"},
		{"IPv4", text("10.1.2.3"), "10.1.2.3", "0.0.0.0"},
		{"IPv6", text("2001:db8::1"), "2001:db8::1", "::"},
		{"Enum8('low' = -5, 'high' = 5)", text("high"), "high", "low"},
		{"Enum16('low' = -500, 'high' = 500)", whole(500), "high", "low"},
		{"Array(String)", object(`["a","b\n",3]`), "[a b\n 3]", "[]"},
	} {
		types := []string{c.typeText}
		if !strings.HasPrefix(c.typeText, "LowCardinality") && !strings.HasPrefix(c.typeText, "Array") {
			types = append(types, "Nullable("+c.typeText+")")
		}
		for _, typeText := range types {
			absent := c.absent
			if strings.HasPrefix(typeText, "Nullable") {
				absent = "<nil>"
			}
			layout := mustLayout(t, tableOf(t, `c|`+typeText+`|attributes["k"]`))
			batch := layout.NewBatch("b", nil)
			mustAppend(t, batch, withAttributes(c.in), withAttributes(), withAttributes(c.in))
			got := decode(t, encode(t, batch))
			if want := [][]string{{c.want}, {absent}, {c.want}}; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %q, want %q", typeText, got, want)
			}
			batch.Release()
		}
	}
}

// firehose returns a table with a column for each way of filling one.
func firehose(tb testing.TB) *schema.Table {
	table := tableOf(tb,
		"ts|DateTime64(9, 'UTC')|time", "seconds|DateTime('UTC')|time", "observed|DateTime64(3, 'UTC')|observed_time",
		"day|Date|time", "received|DateTime64(6, 'UTC')|received_time",
		"severity|UInt8|severity_number", "severity_text|LowCardinality(String)|severity_text", "flags|UInt8|trace_flags",
		"body|String|body", "service|LowCardinality(String)|service", "trace|FixedString(32)|trace_id", "trace_uuid|Nullable(UUID)|trace_id",
		"status|Int64|attributes[\"status\"]", "status16|Nullable(UInt16)|attributes[\"status\"]|default",
		"route|LowCardinality(Nullable(String))|attributes[\"route\"]", "user|String|attributes[\"user\"]|dead_letter",
		"tags|Array(String)|attributes[\"tags\"]", "level|Enum8('debug' = -1, 'info' = 2)|attributes[\"level\"]",
		"pod|LowCardinality(String)|resource[\"pod\"]", "client|IPv6|attributes[\"client\"]",
		"attributes|Map(LowCardinality(String), String)|attributes", "resource|Map(LowCardinality(String), String)|resource_attributes",
		"scope|Map(String, String)|scope_attributes", "nothing|Map(String, String)|", "constant|Nullable(Int32)|",
		"producer|LowCardinality(String)|producer", "sequence|UInt64|sequence", "shard|String|shard_id",
		"_batch_id|LowCardinality(String)|batch_id")
	return table
}

// randomEntry returns an entry; many can't become rows of firehose.
func randomEntry(r *rand.Rand, streams []*schema.Stream) schema.Entry {
	pick := func(options ...string) string { return options[r.IntN(len(options))] }
	e := schema.Entry{
		Time: 1e18 + r.Int64N(1e15), ObservedTime: r.Int64N(2e18), Body: strings.Repeat("x", r.IntN(300)),
		SeverityNumber: uint8(r.IntN(25)), SeverityText: pick("", "INFO", "WARN"), TraceFlags: uint8(r.IntN(2)),
		Service: fmt.Sprintf("service-%d", r.IntN(400)), Stream: streams[r.IntN(len(streams))],
		TraceID: pick("", "00112233445566778899aabbccddeeff"),
	}
	if r.IntN(20) == 0 {
		e.TraceID = strings.Repeat("0", 33)
	}
	keys := []string{"status", "route", "user", "tags", "level", "client", "a", "b", "c", fmt.Sprintf("key-%d", r.IntN(500))}
	for range r.IntN(12) {
		key := keys[r.IntN(len(keys))]
		a := []schema.Attribute{
			text(pick("", "1", "info", "10.0.0.1", "long "+strings.Repeat("y", r.IntN(200)))), whole(r.Int64N(1e5) - 5e4), double(r.NormFloat64()),
			truth(r.IntN(2) == 0), octets("\x00\xff"), object(pick(`["a","b"]`, `{"a":1}`, `[]`)),
		}[r.IntN(6)]
		e.Attributes = append(e.Attributes, named(key, a))
	}
	return e
}

func randomStreams(r *rand.Rand) []*schema.Stream {
	streams := []*schema.Stream{noStream}
	for i := range 5 {
		s := &schema.Stream{ScopeAttributes: []schema.Attribute{named("x", whole(int64(i)))}}
		for j := range r.IntN(4) {
			s.ResourceAttributes = append(s.ResourceAttributes, named(fmt.Sprintf("r%d", j), text(strings.Repeat("z", i))), named("pod", text(fmt.Sprint("pod-", i))))
		}
		streams = append(streams, s)
	}
	return streams
}

// expectedMap returns what a Map holds of the attributes, computed the simplest way. The keys of own have their own columns.
func expectedMap(attributes []schema.Attribute, own ...string) map[string]string {
	expected := make(map[string]string)
	for i := range attributes {
		a := attributes[i]
		value := appendAttribute(nil, &a)
		_, lengthBytes := binary.Uvarint(value)
		expected[a.Key] = string(value[lengthBytes:])
	}
	for _, key := range own {
		delete(expected, key)
	}
	return expected
}

// TestFailedRowsLeaveNoTrace compares a batch that has rejected rows with one that never saw them, and cuts of it with batches of the
// same rows.
func TestFailedRowsLeaveNoTrace(t *testing.T) {
	layout := mustLayout(t, firehose(t))
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		streams := randomStreams(r)
		var entries []schema.Entry
		for range 400 {
			entries = append(entries, randomEntry(r, streams))
		}
		checkFailedRows(t, layout, entries, r)
	}
}

func checkFailedRows(t *testing.T, layout *Layout, entries []schema.Entry, r *rand.Rand) {
	t.Helper()
	origins := []Origin{{Producer: "p", Epoch: 1, Sequence: 1, ShardID: "a-1"}, {Producer: "q", Sequence: 9, ShardID: "a-1"}}
	mixed, good := layout.NewBatch("id", nil), layout.NewBatch("id", nil)
	var kept []schema.Entry
	var keptOrigins []Origin
	for i := range entries {
		origin := origins[i/7%2]
		mixed.Begin(origin, time.Unix(5, 0))
		memory := mixed.Rows()
		if err := mixed.Append(&entries[i]); err != nil {
			if mixed.Rows() != memory {
				t.Fatalf("a failed row counts")
			}
			continue
		}
		kept, keptOrigins = append(kept, entries[i]), append(keptOrigins, origin)
		good.Begin(origin, time.Unix(5, 0))
		mustAppend(t, good, entries[i])
	}
	if len(kept) == len(entries) && len(entries) > 100 {
		t.Fatal("no entry failed: the test shows nothing")
	}
	rows := decode(t, encode(t, mixed))
	if !reflect.DeepEqual(rows, decode(t, encode(t, good))) || !reflect.DeepEqual(mixed.origins, good.origins) {
		t.Fatal("failed rows left a trace")
	}
	checkMaps(t, layout, kept, rows)
	good.Release()
	block := mixed.Seal(Compressions()[r.IntN(3)])
	wanted, direct := randomSet(r, len(kept)), layout.NewBatch("other", nil)
	for i := range kept {
		if wanted.Has(i) {
			direct.Begin(keptOrigins[i], time.Unix(5, 0))
			mustAppend(t, direct, kept[i])
		}
	}
	if len(wanted) == 0 {
		return
	}
	cut := mustCut(t, block, "other", wanted)
	if !bytes.Equal(native(t, cut), encode(t, direct)) {
		t.Fatalf("rows %v cut out are other bytes than as a batch", wanted)
	}
	if cut.Rows() != wanted.Size() || !reflect.DeepEqual(perRow(cut.Origins()), perRow(direct.origins)) {
		t.Fatalf("origins of the cut: %v, want %v", cut.Origins(), direct.origins)
	}
	direct.Release()
}

// perRow returns the origin of each row.
func perRow(origins []Origin) []Origin {
	var all []Origin
	for _, o := range origins {
		rows := o.Rows
		o.Rows = 1
		for range rows {
			all = append(all, o)
		}
	}
	return all
}

// checkMaps compares the maps of rows with those computed the simplest way.
func checkMaps(t *testing.T, layout *Layout, entries []schema.Entry, rows [][]string) {
	t.Helper()
	for column, c := range layout.Table().Columns {
		for i := range entries {
			var want map[string]string
			switch c.Name {
			case "attributes":
				want = expectedMap(entries[i].Attributes, "status", "route", "user", "tags", "level", "client")
			case "resource":
				want = expectedMap(entries[i].Stream.ResourceAttributes, "pod")
			case "scope":
				want = expectedMap(entries[i].Stream.ScopeAttributes)
			case "nothing":
				want = map[string]string{}
			default:
				continue
			}
			if got := rows[i][column]; got != fmt.Sprint(want) {
				t.Fatalf("row %d, column %s: %s, want %v", i, c.Name, got, want)
			}
		}
	}
}

// FuzzAppend does the same with the fuzzer's entries.
func FuzzAppend(f *testing.F) {
	f.Add(uint64(1), uint16(10), "key", "value")
	f.Add(uint64(2), uint16(300), "status", "17")
	layout := mustLayout(f, firehose(f))
	f.Fuzz(func(t *testing.T, seed uint64, count uint16, key, word string) {
		r := rand.New(rand.NewPCG(seed, 2))
		streams := randomStreams(r)
		entries := []schema.Entry{withAttributes()}
		for range count % 512 {
			e := randomEntry(r, streams)
			if key != "" {
				e.Attributes = append(e.Attributes, named(key, text(word)))
			}
			entries = append(entries, e)
		}
		checkFailedRows(t, layout, entries, r)
	})
}

// TestEntriesAreCopied overwrites the texts of an entry after its Append.
func TestEntriesAreCopied(t *testing.T) {
	layout := mustLayout(t, firehose(t))
	r := rand.New(rand.NewPCG(3, 3))
	streams := randomStreams(r)
	plain, scribbled := layout.NewBatch("id", nil), layout.NewBatch("id", nil)
	for range 500 {
		e := randomEntry(r, streams)
		if err := plain.Append(&e); err != nil {
			_ = scribbledAppend(scribbled, e)
			continue
		}
		if err := scribbledAppend(scribbled, e); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(encode(t, plain), encode(t, scribbled)) {
		t.Fatal("the batch has text that aliases an entry")
	}
}

// scribbledAppend appends a copy of the entry with all texts in one buffer, and overwrites the buffer.
func scribbledAppend(b *Batch, e schema.Entry) error {
	var buffer []byte
	texts := []*string{&e.Body, &e.SeverityText, &e.Service, &e.TraceID}
	e.Attributes = append([]schema.Attribute(nil), e.Attributes...)
	for i := range e.Attributes {
		texts = append(texts, &e.Attributes[i].Key, &e.Attributes[i].Text)
	}
	for _, s := range texts {
		buffer = append(buffer, *s...)
	}
	at := 0
	for _, s := range texts {
		size := len(*s)
		var v value
		v.setText(buffer[at : at+size])
		*s = v.text
		at += size
	}
	var err error
	if rowError := b.Append(&e); rowError != nil {
		err = rowError
	}
	for i := range buffer {
		buffer[i] = '#'
	}
	return err
}

// TestResourcesInAnyOrder checks that the same attributes make the same map in any order.
func TestResourcesInAnyOrder(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "resource|Map(LowCardinality(String), String)|resource_attributes", "scope|Map(String, String)|scope_attributes"))
	attributes := []schema.Attribute{named("z", text("1")), named("a", whole(2)), named("m", text("old")), named("m", text("3")), named("A", text("4"))}
	var blocks [][]byte
	for range 2 {
		batch := layout.NewBatch("b", nil)
		mustAppend(t, batch, schema.Entry{Time: 1e18, Stream: &schema.Stream{ResourceAttributes: attributes, ScopeAttributes: attributes}})
		blocks = append(blocks, encode(t, batch))
		attributes = []schema.Attribute{attributes[4], attributes[2], attributes[3], attributes[1], attributes[0]}
	}
	if !bytes.Equal(blocks[0], blocks[1]) {
		t.Errorf("the blocks are %q and %q", blocks[0], blocks[1])
	}
}

func TestWideDictionaries(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "word|LowCardinality(String)|body", "attributes|Map(LowCardinality(String), String)|attributes",
		"resource|Map(LowCardinality(String), String)|resource_attributes"))
	for _, count := range []int{1, 256, 257, 65536, 65537} {
		batch := layout.NewBatch("b", nil)
		for i := range count {
			e := withAttributes(named(fmt.Sprint("k", i), whole(int64(i))))
			e.Body = fmt.Sprint("word ", i)
			e.Stream = &schema.Stream{ResourceAttributes: e.Attributes}
			mustAppend(t, batch, e)
		}
		for i, row := range decode(t, encode(t, batch)) {
			number := strconv.Itoa(i)
			pair := "map[k" + number + ":" + number + "]"
			if want := []string{"word " + number, pair, pair}; !slices.Equal(row, want) {
				t.Fatalf("%d words: row %d is %q, want %q", count, i, row, want)
			}
		}
		cut := mustCut(t, batch.Seal(LZ4), "s", RowSet{{count / 2, count}})
		if got := decode(t, native(t, cut)); len(got) != count-count/2 || got[0][0] != fmt.Sprint("word ", count/2) {
			t.Fatalf("%d words: the cut begins with %q", count, got[0])
		}
	}
}

func TestReleasedMemoryIsBounded(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "body|String|body", "word|LowCardinality(String)|service", "attributes|Map(String, String)|attributes"))
	batch := layout.NewBatch("b", nil)
	large := strings.Repeat("x", 1<<20)
	for i := range 40 {
		e := withAttributes()
		e.Body = large
		mustAppend(t, batch, e)
		for j := range 300 {
			e := withAttributes(named(fmt.Sprint("key", i, "/", j), text("v")))
			e.Service = fmt.Sprint("service", i, "/", j)
			mustAppend(t, batch, e)
		}
	}
	c := batch.columns
	if batch.Bytes() < 40<<20 {
		t.Errorf("Bytes is %d", batch.Bytes())
	}
	batch.Release()
	if size := cap(c.list[0].(*stringColumn).bytes); size > keptAtMost {
		t.Errorf("%d bytes are kept", size)
	}
	if n := len(c.list[1].(*lowCardinalityColumn).texts.texts) + len(c.reader.names.texts) + len(c.reader.marks); n != 0 {
		t.Errorf("%d texts are kept", n)
	}
	batch.Release() // does nothing
}

func TestWarmBatchesAllocateNothing(t *testing.T) {
	layout := mustLayout(t, benchmarkTable())
	entries := benchmarkEntries(2000)
	batch := layout.NewBatch("b", nil)
	mustAppend(t, batch, entries...)
	columns := batch.columns
	columns.reset() // like Release, but the pool can't lose them
	batch.origins = batch.origins[:0]
	batch.begun = false
	origin := Origin{Producer: "p", Sequence: 1}
	partitioner := layout.NewPartitioner()
	i := 0
	allocations := testing.AllocsPerRun(len(entries)-1, func() {
		batch.Begin(origin, time.Unix(1, 0))
		if _, err := partitioner.Of(&entries[i], &origin); err != nil {
			t.Error(err)
		}
		if err := batch.Append(&entries[i]); err != nil {
			t.Error(err)
		}
		i++
	})
	if allocations != 0 {
		t.Errorf("%v allocations an entry", allocations)
	}
}

func TestOrigins(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "body|String|body", "user|Int64|attributes[\"user\"]"))
	batch := layout.NewBatch("b", nil)
	a, b := Origin{Producer: "p", Epoch: 1, Sequence: 1, ShardID: "EWR-1"}, Origin{Producer: "p", Epoch: 1, Sequence: 2, ShardID: "EWR-1", Rows: 7}
	add := func(o Origin, rows int) {
		batch.Begin(o, time.Now())
		for range rows {
			mustAppend(t, batch, withAttributes())
		}
	}
	add(a, 2)
	add(b, 0)
	add(a, 1)
	add(b, 3)
	bad := withAttributes(named("user", text("x")))
	batch.Begin(a, time.Now())
	if err := batch.Append(&bad); err == nil {
		t.Fatal("no error")
	}
	add(b, 1)
	b.Rows = 0
	with := func(o Origin, rows int) Origin { o.Rows = rows; return o }
	block := batch.Seal(Uncompressed)
	if got, want := block.Origins(), []Origin{with(a, 3), with(b, 4)}; !reflect.DeepEqual(got, want) {
		t.Errorf("Origins() = %v, want %v", got, want)
	}
	for _, c := range []struct {
		from, to int
		want     []Origin
	}{
		{0, 7, []Origin{with(a, 3), with(b, 4)}}, {1, 2, []Origin{with(a, 1)}}, {2, 4, []Origin{with(a, 1), with(b, 1)}}, {3, 7, []Origin{with(b, 4)}}, {4, 4, nil},
	} {
		if got := block.OriginsOf(RowSet{{c.from, c.to}}); !reflect.DeepEqual(got, c.want) {
			t.Errorf("OriginsOf(%d, %d) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func TestEmptyBatch(t *testing.T) {
	layout := mustLayout(t, firehose(t))
	batch := layout.NewBatch("b", nil)
	if rows := decode(t, encode(t, batch)); len(rows) != 0 {
		t.Errorf("%d rows", len(rows))
	}
	want := encode(t, batch)
	block := batch.Seal(Uncompressed)
	if got := native(t, block); !bytes.Equal(got, want) {
		t.Error("sealed, it is another block")
	}
}

// A key may be empty: OTLP allows it.
func TestEmptyKeys(t *testing.T) {
	layout := mustLayout(t, tableOf(t, `k|String|attributes["k"]`, "attributes|Map(LowCardinality(String), String)|attributes", "scope|Map(String, String)|scope_attributes"))
	b := layout.NewBatch("id", nil)
	stream := &schema.Stream{ScopeAttributes: []schema.Attribute{named("", text("s"))}}
	lists := [][]schema.Attribute{
		{named("", text("1"))}, {named("k", text("2")), named("", whole(3))}, {}, {named("", text("4")), named("a", text("5")), named("", text("6"))},
	}
	for range 2 {
		b.Begin(Origin{}, time.Unix(1, 0))
		for _, list := range lists {
			e := withAttributes(list...)
			e.Stream = stream
			mustAppend(t, b, e)
		}
	}
	for i, row := range decode(t, encode(t, b)) {
		want := expectedMap(lists[i%len(lists)], "k")
		if row[1] != fmt.Sprint(want) || row[2] != "map[:s]" {
			t.Errorf("row %d is %v, want %v", i, row, want)
		}
	}
}
