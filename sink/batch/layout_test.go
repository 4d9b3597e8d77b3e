package batch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

func TestLayoutReportsAllProblems(t *testing.T) {
	table := tableOf(t, "a|UUID|time", "a|String|body", "m|String|attributes", "n|Map(String, String)|attributes[\"k\"]", "o|Map(String, String)|attributes",
		"p|Map(String, String)|attributes", "_batch_id|String|batch_id", "q|UInt8|batch_id", "r|Date|severity_number", "s|UInt8|", "t|Enum8('x' = 1)|body",
		"u|Float64|body", "v|DateTime|received_time")
	table.Columns[9].Required = true
	table.Columns[10].HasDefault, table.Columns[10].Default = true, "y"
	table.Columns[11].Default = "1"
	table.PartitionBy = "toDate(v)"
	_, err := NewLayout(table, "r", nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`column "a": "time" is of type time, which can't become UUID`,
		`the name "a" is empty or there twice`,
		`column "m": a Map takes attributes`,
		`column "n": a Map takes attributes`,
		`column "p": attributes go to column "o" already`,
		`column "_batch_id": it has to be the batch id, of type LowCardinality(String)`,
		`column "q": the batch id needs type LowCardinality(String) or String, not UInt8`,
		`column "r": "severity_number" is of type int, which can't become Date`,
		`column "s": a column without a source can't be required`,
		`column "t": the default is wrong: string "y" is out of range of Enum8('x' = 1)`,
		`column "u": there is a default, but HasDefault is not set`,
		`partition by "toDate(v)": column "v" comes from received_time`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not contain %s", err, want)
		}
	}
	if _, err := NewLayout(&schema.Table{}, "r", nil); err == nil {
		t.Error("a table without columns is taken")
	}
}

// TestSchemaHash checks that routes and dead letters have the hash that the history of migrations records.
func TestSchemaHash(t *testing.T) {
	table := tableOf(t, "a|String|body", "b|UInt8|trace_flags")
	if got := mustLayout(t, table).SchemaHash(); got != table.Hash() {
		t.Errorf("the hash is %q, and the table's is %q", got, table.Hash())
	}
}

// TestWhatHappensWithoutAValue covers absence, defaults, required columns and the three actions.
func TestWhatHappensWithoutAValue(t *testing.T) {
	source := schema.Source{Field: schema.FieldAttribute, Key: "k"}
	base := schema.Column{Name: "c", Type: schema.Type{Kind: schema.KindInt16}, Source: source}
	change := func(f func(*schema.Column)) schema.Column { c := base; f(&c); return c }
	withDefault := change(func(c *schema.Column) { c.HasDefault, c.Default = true, "-7" })
	nullable := change(func(c *schema.Column) { c.Type.Nullable = true })
	required := change(func(c *schema.Column) { c.Required, c.OnError = true, schema.DeadLetter })
	useDefault := change(func(c *schema.Column) { c.HasDefault, c.Default, c.OnError = true, "-7", schema.UseDefault })
	for name, c := range map[string]struct {
		column schema.Column
		in     []schema.Attribute
		want   string
	}{
		"absent":                     {base, nil, "0"},
		"absent, default":            {withDefault, nil, "-7"},
		"absent, nullable":           {nullable, nil, "<nil>"},
		"absent, required":           {required, nil, "missing_value dead_letter: a value is required, and there is none"},
		"present, required":          {required, []schema.Attribute{whole(0)}, "0"},
		"zero is a value":            {withDefault, []schema.Attribute{whole(0)}, "0"},
		"wrong":                      {withDefault, []schema.Attribute{text("x")}, `type_mismatch refuse: string "x" can't become Int16; expected string (parsed as a whole number)`},
		"wrong type":                 {base, []schema.Attribute{octets("x")}, `type_mismatch refuse: bytes "x" can't become Int16; expected string (parsed as a whole number), int (in range), double (whole and in range), bool (0 or 1)`},
		"out of range":               {base, []schema.Attribute{whole(40000)}, "out_of_range refuse: int 40000 is out of range of Int16; it has to be -32768 to 32767"},
		"out of range, nullable":     {nullable, []schema.Attribute{whole(40000)}, "out_of_range refuse: int 40000 is out of range of Int16; it has to be -32768 to 32767"},
		"wrong, default":             {useDefault, []schema.Attribute{text("x")}, "-7"},
		"an unknown attribute type":  {base, []schema.Attribute{{Key: "k", Type: 77}}, `type_mismatch`},
		"an unknown attribute time":  {base, []schema.Attribute{{Key: "k", Type: schema.Time}}, `type_mismatch`},
		"missing, required, default": {change(func(c *schema.Column) { c.Required, c.OnError = true, schema.UseDefault }), nil, "0"},
		"wrong, null by default": {
			change(func(c *schema.Column) { c.Type.Nullable, c.OnError = true, schema.UseDefault }), []schema.Attribute{text("x")}, "<nil>",
		},
	} {
		layout := mustLayout(t, &schema.Table{Columns: []schema.Column{c.column}})
		batch := layout.NewBatch("b", nil)
		e := withAttributes(c.in...)
		got := ""
		if err := batch.Append(&e); err != nil {
			if err.Field != `attributes["k"]` || err.Column != "c" {
				t.Errorf("%s: %v", name, err)
			}
			got = err.Reason.String() + " " + err.Action.String() + ": " + err.Message
		} else {
			got = decode(t, encode(t, batch))[0][0]
		}
		if got != c.want && !(strings.HasPrefix(got, c.want) && strings.HasPrefix(name, "an unknown")) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestDefaultsOfEveryKind(t *testing.T) {
	for typeText, c := range map[string][2]string{
		"String": {"it's", "it's"}, "LowCardinality(Nullable(String))": {"x", "x"}, "Array(String)": {`["a", "b"]`, "[a b]"}, "Enum8('a' = 1, 'b' = 2)": {"b", "b"},
		"UUID": {"00112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccddeeff"}, "IPv4": {"1.2.3.4", "1.2.3.4"}, "Float64": {"0.5", "0.5"},
		"DateTime('UTC')": {"2026-01-02 03:04:05", "2026-01-02T03:04:05Z"}, "Nullable(Bool)": {"true", "true"}, "FixedString(2)": {"ab", "ab"},
	} {
		table := tableOf(t, `c|`+typeText+`|attributes["k"]`, `n|`+typeText+`|`)
		for i := range table.Columns {
			table.Columns[i].HasDefault, table.Columns[i].Default = true, c[0]
		}
		batch := mustLayout(t, table).NewBatch("b", nil)
		mustAppend(t, batch, withAttributes())
		if got := decode(t, encode(t, batch))[0]; got[0] != c[1] || got[1] != c[1] {
			t.Errorf("%s: %q, want %q", typeText, got, c[1])
		}
	}
}

func TestPartitioner(t *testing.T) {
	table := tableOf(t, "ts|DateTime64(3, 'Europe/Berlin')|time", "service|LowCardinality(String)|service", "n|Int64|attributes[\"n\"]")
	table.PartitionBy = "(toDate(ts), service)"
	partitioner := mustLayout(t, table).NewPartitioner()
	of := func(at string, service string) *Partition {
		t.Helper()
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		p, rowError := partitioner.Of(&schema.Entry{Time: when.UnixNano(), Service: service, Stream: noStream}, &Origin{})
		if rowError != nil {
			t.Fatal(rowError)
		}
		return p
	}
	first := of("2026-11-24T22:59:59.9999Z", "it's")
	if first.ID != "20261124-it's" || first.Condition != "toDate(`ts`) = toDate('2026-11-24') AND `service` = 'it\\'s'" {
		t.Errorf("%+v", first)
	}
	if next := of("2026-11-24T23:00:00Z", "it's"); next == first || next.ID != "20261125-it's" {
		t.Errorf("%+v", next)
	}
	if again := of("2026-11-23T23:00:00Z", "it's"); again != first {
		t.Error("the same partition has another pointer")
	}
	if other := of("2026-11-23T23:00:00Z", "its"); other == first {
		t.Error("another partition has the same pointer")
	}
	for _, at := range []int64{-1, -3600e9 * 2, 1 << 62} {
		_, err := partitioner.Of(&schema.Entry{Time: at, Stream: noStream}, &Origin{})
		if err == nil || err.Reason != schema.OutOfRange || err.Field != "time" || err.Column != "ts" {
			t.Errorf("at %d: %v", at, err)
		}
	}
	if again := of("2026-11-24T00:00:00Z", "it's"); again != first {
		t.Error("after an error, the same partition has another pointer")
	}
}

// TestPartitionIsOfTheValueInTheRow has columns whose value differs from the source's.
func TestPartitionIsOfTheValueInTheRow(t *testing.T) {
	table := tableOf(t, "ts|DateTime('UTC')|attributes[\"when\"]|default", "n|Int8|attributes[\"n\"]")
	table.Columns[0].HasDefault, table.Columns[0].Default = true, "2026-01-02 00:00:00"
	table.PartitionBy = "(toYYYYMM(ts), n)"
	partitioner := mustLayout(t, table).NewPartitioner()
	for want, attributes := range map[string][]schema.Attribute{
		"202601-0":  {},
		"202601--5": {named("when", text("soon")), named("n", text("-5"))},
		"202412-3":  {named("when", whole(0)), named("when", text("2024-12-31T23:59:59Z")), named("n", whole(3))},
	} {
		e := withAttributes(attributes...)
		p, err := partitioner.Of(&e, &Origin{})
		if err != nil {
			t.Fatal(err)
		}
		if p.ID != want || p.Condition != fmt.Sprintf("toYYYYMM(`ts`) = %s AND `n` = %s", want[:6], want[7:]) {
			t.Errorf("%+v, want %s", p, want)
		}
	}
	e := withAttributes(named("n", whole(300)))
	if _, err := partitioner.Of(&e, &Origin{}); err == nil || err.Field != `attributes["n"]` {
		t.Errorf("%v", err)
	}
}
