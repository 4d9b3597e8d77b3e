package batch

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

func mustRead(tb testing.TB, native []byte) *Rows {
	tb.Helper()
	rows, err := ReadRows(native)
	if err != nil {
		tb.Fatal(err)
	}
	return rows
}

// allTypes has a column of each type beside the batch id.
func allTypes(tb testing.TB) (*schema.Table, []schema.Entry) {
	table := tableOf(tb,
		"_batch_id|LowCardinality(String)|batch_id", "s|String|body", "f|FixedString(4)|attributes[\"f\"]", "lc|LowCardinality(String)|service",
		"lcn|LowCardinality(Nullable(String))|attributes[\"lcn\"]", "i8|Int8|attributes[\"n\"]", "i16|Int16|attributes[\"n\"]",
		"i32|Int32|attributes[\"n\"]", "i64|Int64|attributes[\"n\"]", "u64|UInt64|attributes[\"u\"]", "f32|Float32|attributes[\"x\"]",
		"f64|Float64|attributes[\"x\"]", "b|Bool|attributes[\"b\"]", "d|Date|time", "dt|DateTime('Asia/Tokyo')|time",
		"dt3|DateTime64(3, 'America/New_York')|time", "dt9|Nullable(DateTime64(9))|attributes[\"t\"]", "uuid|UUID|attributes[\"uuid\"]",
		"ip4|IPv4|attributes[\"ip4\"]", "ip6|IPv6|attributes[\"ip6\"]", "e8|Enum8('low' = -5, 'high' = 5)|attributes[\"e\"]",
		"a|Array(String)|attributes[\"a\"]", "m|Map(LowCardinality(String), String)|attributes", "r|Map(String, String)|resource_attributes")
	stream := &schema.Stream{ResourceAttributes: []schema.Attribute{named("host", text("h\"1"))}}
	full := withAttributes(
		named("f", text("ab")), named("lcn", text("word")), named("n", whole(-8)), named("u", text("18446744073709551615")),
		named("x", double(0.1)), named("b", truth(true)), named("t", text("1969-12-31T23:59:59.999999999Z")),
		named("uuid", text("00112233-4455-6677-8899-aabbccddeeff")), named("ip4", text("10.1.2.3")), named("ip6", text("2001:db8::1")),
		named("e", text("high")), named("a", object(`["x","y\n"]`)), named("left", text("over")), named("more", text("\xff")))
	full.Body, full.Service, full.Time, full.Stream = "b\x00\xff", "api", 1_800_000_000_123_456_789, stream
	bare := withAttributes()
	bare.Time = 1_800_000_000_000_000_000
	return table, []schema.Entry{full, bare, full}
}

// TestValues reads a row of each type back as text.
func TestValues(t *testing.T) {
	table, entries := allTypes(t)
	b := mustLayout(t, table).NewBatch("the id", nil)
	mustAppend(t, b, entries...)
	rows := mustRead(t, encode(t, b))
	want := []string{
		"the id", "b\x00\xff", "ab", "api", "word", "-8", "-8", "-8", "-8", "18446744073709551615", "0.1", "0.1", "true", "2027-01-15",
		"2027-01-15T08:00:00Z", "2027-01-15T08:00:00.123Z", "1969-12-31T23:59:59.999999999Z", "00112233-4455-6677-8899-aabbccddeeff", "10.1.2.3",
		"2001:db8::1", "high", `["x","y\u000a"]`, "{\"left\":\"over\",\"more\":\"\xff\"}", `{"host":"h\"1"}`,
	}
	absent := map[string]string{"lcn": "NULL", "dt9": "NULL", "a": "[]", "m": "{}", "r": "{}"}
	for i, c := range rows.Columns() {
		values, err := rows.Values(i)
		if err != nil || len(values) != 3 {
			t.Fatalf("%s: %d values, %v", c.Name, len(values), err)
		}
		if values[0].Text != want[i] || values[2] != values[0] {
			t.Errorf("%s is %q and %q, want %q", c.Name, values[0].Text, values[2].Text, want[i])
		}
		if values[1].Null != (absent[c.Name] == "NULL") || !values[1].Null && absent[c.Name] != "" && values[1].Text != absent[c.Name] {
			t.Errorf("absent %s is %+v, want %q", c.Name, values[1], absent[c.Name])
		}
	}
}

// TestRowsBecomeTheSameBlock writes rows that were read, as they are and each column from its texts.
func TestRowsBecomeTheSameBlock(t *testing.T) {
	table, entries := allTypes(t)
	layout := mustLayout(t, table)
	batch := layout.NewBatch("first", nil)
	mustAppend(t, batch, entries...)
	rows := mustRead(t, encode(t, batch))
	other := layout.NewBatch("second", nil)
	mustAppend(t, other, entries...)
	want := encode(t, other)
	block, err := rows.Block("second", table, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if got := native(t, block); !bytes.Equal(got, want) {
		t.Errorf("rows that nothing was changed of:\n%q\nwant\n%q", got, want)
	}
	if cut := native(t, mustCut(t, block, "third", RowSet{{1, 2}})); len(decode(t, cut)) != 1 {
		t.Error("a cut of the block is not one row")
	}
	for i, c := range rows.Columns() {
		if c.Name == schema.BatchIDColumn || c.Type.Kind == schema.KindMap {
			continue
		}
		values, err := rows.Values(i)
		if err != nil {
			t.Fatal(err)
		}
		body, err := valuesColumn(c, &c.Type, values, time.UTC)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		w := newBlockWriter(Uncompressed)
		body(w)
		w.finish()
		if got := bytes.Join(w.frames, nil); !bytes.Equal(got, rows.columns[i].data) {
			t.Errorf("%s: %q, want %q", c.Name, got, rows.columns[i].data)
		}
	}
}

func TestRowsAreChanged(t *testing.T) {
	was := tableOf(t, "_batch_id|LowCardinality(String)|batch_id", "body|String|body", "status|String|attributes[\"k\"]", "old|String|service")
	now := tableOf(t, "_batch_id|LowCardinality(String)|batch_id", "body|String|body", "status|Nullable(UInt16)|attributes[\"k\"]", "colo|LowCardinality(String)|colo")
	batch := mustLayout(t, was).NewBatch("b", nil)
	for i := range 3 {
		e := withAttributes(text(fmt.Sprint(200 + i)))
		e.Body = fmt.Sprint("body", i)
		mustAppend(t, batch, e)
	}
	rows := mustRead(t, encode(t, batch))
	set := func(column, value string) schema.Edit {
		return schema.Edit{Column: column, Value: schema.Value{Text: value}}
	}
	for _, c := range []struct {
		name  string
		edits []schema.Edit
		want  string // the rows, or the error
	}{
		{"converted", nil, "[[id body0 200 ] [id body1 201 ] [id body2 202 ]]"},
		{"set", []schema.Edit{set("body", "new"), set("status", "7")}, "[[id new 7 ] [id new 7 ] [id new 7 ]]"},
		{"added and omitted", []schema.Edit{set("colo", "EWR"), {Column: "old", Omit: true}}, "[[id body0 200 EWR] [id body1 201 EWR] [id body2 202 EWR]]"},
		{"NULL", []schema.Edit{{Column: "status", Value: schema.Value{Null: true}}}, "[[id body0 <nil> ] [id body1 <nil> ] [id body2 <nil> ]]"},
		{"NULL for a String", []schema.Edit{{Column: "body", Value: schema.Value{Null: true}}}, `column "body": it can't be NULL, it is a String`},
		{"not a number", []schema.Edit{set("status", "many")}, `column "status": string "many" can't become UInt16`},
		{"too large", []schema.Edit{set("status", "65536")}, `column "status": string "65536" is out of range of UInt16`},
		{"unknown", []schema.Edit{set("stauts", "1")}, `unknown column "stauts"; did you mean status?`},
		{"unknown and omitted", []schema.Edit{{Column: "colo", Omit: true}}, `unknown column "colo"`},
		{"identity", []schema.Edit{set("_batch_id", "1")}, "_batch_id can't be changed"},
	} {
		block, err := rows.Block("id", now, c.edits, time.UTC)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
			continue
		}
		if got := fmt.Sprint(decode(t, native(t, block))); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	now.Columns[1].Type = schema.Type{Kind: schema.KindUInt8}
	if _, err := rows.Block("id", now, nil, time.UTC); err == nil || !strings.Contains(err.Error(), `row 0, column "body", formerly String: string "body0" can't become UInt8`) {
		t.Errorf("a value that does not fit: %v", err)
	}
	// The server widens a column itself, so it stays as it is.
	wider := tableOf(t, "body|Nullable(String)|body")
	if block, err := rows.Block("id", wider, nil, time.UTC); err != nil || block.Layout().Table().Columns[1].Type.Nullable {
		t.Errorf("a column that the server widens: %v", err)
	}
}

// TestRowsKnowTheirPartition compares the partition of rows that were read with that of the entry that they were made of.
func TestRowsKnowTheirPartition(t *testing.T) {
	table, entries := allTypes(t)
	for _, by := range []string{"", "toDate(dt)", "toYYYYMM(dt3)", "(toStartOfHour(dt), lc)", "u64", "i8", "d", "uuid", "ip4", "ip6", "e8", "s", "f", "toMonday(d)"} {
		table.PartitionBy = by
		layout := mustLayout(t, table)
		want, problem := layout.NewPartitioner().Of(&entries[0], &Origin{})
		if problem != nil {
			t.Fatalf("%s: %v", by, problem)
		}
		b := layout.NewBatch("b", nil)
		mustAppend(t, b, entries[0])
		rows := mustRead(t, encode(t, b))
		block, err := rows.Block("b", table, nil, time.UTC)
		if err != nil || block.Partition() == nil || *block.Partition() != *want {
			t.Errorf("%s: partition %+v, %v, want %+v", by, block.Partition(), err, want)
		}
		if bare, err := rows.Block("b", &schema.Table{}, nil, time.UTC); err != nil || bare.Partition() != nil {
			t.Errorf("%s: a table without columns has partitions: %v", by, err)
		}
	}
	table.PartitionBy = "toDate(dt)"
	b := mustLayout(t, table).NewBatch("b", nil)
	mustAppend(t, b, entries[0])
	moved := []schema.Edit{{Column: "dt", Value: schema.Value{Text: "2026-11-25 03:00:00"}}}
	block, err := mustRead(t, encode(t, b)).Block("b", table, moved, time.UTC)
	if err != nil || block.Partition().ID != "20261125" || block.Anywhere("c").Partition() != nil || block.Anywhere("c").ID() != "c" {
		t.Errorf("a row that was moved: %+v, %v", block, err)
	}
	for column, want := range map[string]bool{"dt": true, "s": false} {
		if got, err := Moves(table, []schema.Edit{{Column: column}}); got != want || err != nil {
			t.Errorf("an edit of %s moves rows: %v, %v", column, got, err)
		}
	}
}

// FuzzReadRows reads damaged blocks: what is read without an error has all rows and can be written again.
func FuzzReadRows(f *testing.F) {
	table, entries := allTypes(f)
	b := mustLayout(f, table).NewBatch("b", nil)
	mustAppend(f, b, entries...)
	whole := encode(f, b)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	small := mustLayout(f, tableOf(f, "s|String|body", "m|Map(LowCardinality(String), String)|attributes")).NewBatch("b", nil)
	mustAppend(f, small, entries...)
	f.Add(encode(f, small))
	f.Add([]byte{1, 1, 1, 's', 6, 'S', 't', 'r', 'i', 'n', 'g', 1, 'x'})
	f.Fuzz(func(t *testing.T, native []byte) {
		rows, err := ReadRows(native)
		if err != nil {
			return
		}
		for i := range rows.Columns() {
			if values, err := rows.Values(i); err == nil && len(values) != rows.Count() {
				t.Fatalf("column %d has %d values for %d rows", i, len(values), rows.Count())
			}
		}
		block, err := rows.Block("id", &schema.Table{Database: "d", Name: "t"}, nil, time.UTC)
		if err != nil {
			t.Fatalf("read, and not written: %v", err)
		}
		if block.Rows() != rows.Count() {
			t.Fatalf("%d rows became %d", rows.Count(), block.Rows())
		}
	})
}
