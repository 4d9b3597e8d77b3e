package batch

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// documentedKinds are the columns of the table in docs/coercions.md.
var documentedKinds = []struct {
	name  string
	kinds []schema.Kind
}{
	{"String", []schema.Kind{schema.KindString}},
	{"FixedString", []schema.Kind{schema.KindFixedString}},
	{"Int8–32, UInt8–32", []schema.Kind{
		schema.KindInt8, schema.KindInt16, schema.KindInt32, schema.KindUInt8, schema.KindUInt16, schema.KindUInt32,
	}},
	{"Int64, UInt64", []schema.Kind{schema.KindInt64, schema.KindUInt64}},
	{"Float32, Float64", []schema.Kind{schema.KindFloat32, schema.KindFloat64}},
	{"Bool", []schema.Kind{schema.KindBool}},
	{"Date", []schema.Kind{schema.KindDate}},
	{"DateTime", []schema.Kind{schema.KindDateTime}},
	{"DateTime64", []schema.Kind{schema.KindDateTime64}},
	{"UUID", []schema.Kind{schema.KindUUID}},
	{"IPv4", []schema.Kind{schema.KindIPv4}},
	{"IPv6", []schema.Kind{schema.KindIPv6}},
	{"Enum8, Enum16", []schema.Kind{schema.KindEnum8, schema.KindEnum16}},
	{"Array(String)", []schema.Kind{schema.KindArray}},
	{"Map", []schema.Kind{schema.KindMap}},
}

// TestCoercionsAreDocumented compares each cell of the table in docs/coercions.md with the code.
func TestCoercionsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/coercions.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) == valueTypes+1 && strings.HasPrefix(line, "|") {
			documented[cells[0]] = cells[1:]
		}
	}
	header := documented["column"]
	seen := make(map[schema.Kind]bool)
	for _, row := range documentedKinds {
		cells := documented[row.name]
		if cells == nil {
			t.Errorf("no row for %s", row.name)
			continue
		}
		for _, kind := range row.kinds {
			seen[kind] = true
			for of := range valueTypes {
				rule := "–"
				if c := coercions[kind][of]; c.apply != nil {
					rule = c.rule
				}
				if header[of] != schema.AttributeType(of).String() || cells[of] != rule {
					t.Errorf("%s from %s: the document says %q under %q, the code %q",
						kind, schema.AttributeType(of), cells[of], header[of], rule)
				}
			}
		}
	}
	for kind := schema.KindString; kind <= schema.KindMap; kind++ {
		if !seen[kind] {
			t.Errorf("%s is not documented", kind)
		}
	}
}

// projectionOf compiles a column of the type.
func projectionOf(tb testing.TB, typeText string) *projection {
	tb.Helper()
	parsed, err := schema.ParseType(typeText)
	if err != nil {
		tb.Fatal(err)
	}
	p, problems := newProjection(&schema.Column{
		Name: "c", Type: parsed, Source: schema.Source{Field: schema.FieldAttribute, Key: "k"},
	}, time.UTC)
	if problems != nil {
		tb.Fatal(problems)
	}
	return &p
}

// coerced applies a cell of the table and returns the result as text.
func coerced(p *projection, in schema.Attribute) (string, schema.Reason) {
	var out value
	c := coercions[p.target.Kind][in.Type]
	if c.apply == nil {
		return "", schema.TypeMismatch
	}
	if reason := c.apply(&p.target, &in, &out); reason != schema.NoReason {
		return "", reason
	}
	switch p.target.Kind {
	case schema.KindString, schema.KindFixedString:
		return out.text, schema.NoReason
	case schema.KindArray:
		return fmt.Sprintf("%q", out.elements), schema.NoReason
	case schema.KindUUID, schema.KindIPv6:
		halves := binary.LittleEndian.AppendUint64(nil, out.bits)
		return hex.EncodeToString(binary.LittleEndian.AppendUint64(halves, out.high)), schema.NoReason
	case schema.KindFloat32:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(out.bits))), 'g', -1, 32), schema.NoReason
	case schema.KindFloat64:
		return strconv.FormatFloat(math.Float64frombits(out.bits), 'g', -1, 64), schema.NoReason
	case schema.KindUInt64:
		return strconv.FormatUint(out.bits, 10), schema.NoReason
	}
	return strconv.FormatInt(int64(out.bits), 10), schema.NoReason
}

const (
	mismatch   = "type_mismatch"
	outOfRange = "out_of_range"
)

// coercionExamples maps values to their results by column type, or to the reason of their refusal.
var coercionExamples = map[string][]struct {
	in   schema.Attribute
	want string
}{
	"String": {
		{text("a\xff"), "a\xff"}, {text(""), ""}, {whole(-9223372036854775808), "-9223372036854775808"}, {double(0.1), "0.1"},
		{double(math.Inf(-1)), "-Infinity"}, {double(1e300), "1e+300"}, {truth(true), "true"}, {truth(false), "false"},
		{octets("\x00\x01"), "\x00\x01"}, {object(`{"a":1}`), `{"a":1}`}, {instant(1e18 + 1), "2001-09-09T01:46:40.000000001Z"},
	},
	"FixedString(4)": {
		{text("abcd"), "abcd"}, {text("ab"), "ab"}, {text("abcde"), outOfRange}, {octets("\x00"), "\x00"},
		{octets("12345"), outOfRange}, {whole(1), mismatch}, {double(1), mismatch}, {truth(true), mismatch},
		{object("1"), mismatch}, {instant(1), mismatch},
	},
	"Int8": {
		{text("127"), "127"}, {text("-128"), "-128"}, {text("-0"), "0"}, {text("007"), "7"}, {text("128"), outOfRange},
		{text("-129"), outOfRange}, {text(""), mismatch}, {text("-"), mismatch}, {text("+1"), mismatch}, {text(" 1"), mismatch},
		{text("1.0"), mismatch}, {text("0x1"), mismatch}, {text("1_0"), mismatch}, {text("99999999999999999999999"), outOfRange},
		{whole(-128), "-128"}, {whole(128), outOfRange}, {double(-128), "-128"}, {double(127), "127"}, {double(128), outOfRange},
		{double(0.5), mismatch}, {double(math.NaN()), mismatch}, {double(math.Inf(1)), outOfRange}, {truth(true), "1"},
		{truth(false), "0"}, {octets("1"), mismatch}, {object("1"), mismatch}, {instant(1), mismatch},
	},
	"UInt8": {
		{text("255"), "255"}, {text("256"), outOfRange}, {text("-1"), outOfRange}, {text("-0"), "0"}, {whole(255), "255"},
		{whole(-1), outOfRange}, {whole(256), outOfRange}, {double(255), "255"}, {double(-1), outOfRange},
		{double(math.Copysign(0, -1)), "0"}, {truth(true), "1"},
	},
	"Int16":  {{text("-32768"), "-32768"}, {whole(-32768), "-32768"}, {double(32767), "32767"}, {whole(32768), outOfRange}, {double(-32769), outOfRange}, {truth(true), "1"}},
	"UInt16": {{text("65535"), "65535"}, {whole(65535), "65535"}, {double(65535), "65535"}, {whole(65536), outOfRange}, {double(65536), outOfRange}, {truth(true), "1"}},
	"Int32": {
		{text("-2147483648"), "-2147483648"}, {whole(-2147483648), "-2147483648"}, {whole(1 << 31), outOfRange}, {double(1<<31 - 1), "2147483647"}, {truth(true), "1"},
		{instant(1), mismatch},
	},
	"UInt32": {{text("4294967295"), "4294967295"}, {whole(4294967295), "4294967295"}, {double(4294967295), "4294967295"}, {whole(1 << 32), outOfRange}, {double(1 << 32), outOfRange}, {truth(true), "1"}},
	"Int64": {
		{text("-9223372036854775808"), "-9223372036854775808"}, {text("9223372036854775808"), outOfRange},
		{text("-9223372036854775809"), outOfRange}, {whole(math.MinInt64), "-9223372036854775808"},
		{double(-(1 << 63)), "-9223372036854775808"}, {double(1 << 63), outOfRange}, {truth(true), "1"}, {instant(-5), "-5"},
	},
	"UInt64": {
		{text("18446744073709551615"), "18446744073709551615"}, {text("18446744073709551616"), outOfRange},
		{whole(math.MaxInt64), "9223372036854775807"}, {whole(-1), outOfRange}, {double(1 << 63), "9223372036854775808"},
		{double(1 << 64), outOfRange}, {truth(false), "0"}, {instant(7), "7"}, {instant(-7), outOfRange},
	},
	"Float32": {
		{text("0.1"), "0.1"}, {text("1e39"), outOfRange}, {text("-inf"), "-Inf"}, {text("0x1p3"), mismatch}, {whole(1 << 24), "1.6777216e+07"},
		{whole(1<<24 + 1), outOfRange}, {double(0.1), "0.1"}, {double(1e39), outOfRange}, {double(math.Inf(1)), "+Inf"},
		{truth(true), mismatch}, {octets("1"), mismatch}, {object("1"), mismatch}, {instant(1), mismatch},
	},
	"Float64": {
		{text("1e308"), "1e+308"}, {text("1e309"), outOfRange}, {text("nan"), "NaN"}, {text("1_0"), mismatch}, {text(""), mismatch},
		{text("1 "), mismatch}, {whole(1 << 53), "9.007199254740992e+15"}, {whole(1<<53 + 1), outOfRange},
		{whole(math.MaxInt64), outOfRange}, {whole(math.MinInt64), "-9.223372036854775808e+18"}, {double(0.1), "0.1"}, {truth(true), mismatch},
	},
	"Bool": {
		{text("true"), "1"}, {text("false"), "0"}, {text("1"), "1"}, {text("0"), "0"}, {text("True"), mismatch}, {text(""), mismatch},
		{whole(1), "1"}, {whole(0), "0"}, {whole(2), outOfRange}, {whole(-1), outOfRange}, {truth(true), "1"}, {truth(false), "0"},
		{double(1), mismatch}, {octets("1"), mismatch}, {object("true"), mismatch},
	},
	"Date": {
		{text("1970-01-02"), "1"}, {text("2149-06-06"), "65535"}, {text("2149-06-07"), outOfRange}, {text("1969-12-31"), outOfRange},
		{text("2026-02-30"), mismatch}, {text("26-02-03"), mismatch}, {text("1970-01-03T00:30:00+01:00"), "1"},
		{text("1970-01-01 23:59:59"), "0"}, {text("1970-01-02 00:00:00.5"), "1"}, {text("1970-01-02 24:00:00"), mismatch}, {text("1970-01-02x00:00:00Z"), mismatch},
		{instant(86400e9), "1"}, {instant(-1), outOfRange}, {whole(1), mismatch}, {double(1), mismatch},
		{truth(true), mismatch}, {octets("1970-01-02"), mismatch}, {object("1"), mismatch},
	},
	"DateTime": {
		{text("1970-01-01T00:00:01Z"), "1"}, {text("1970-01-01T01:00:01.9+01:00"), "1"}, {text("2106-02-07 06:28:15"), "4294967295"},
		{text("2106-02-07 06:28:16"), outOfRange}, {text("1969-12-31T23:59:59Z"), outOfRange}, {text("12"), mismatch},
		{text("1970-01-01"), mismatch}, {whole(4294967295), "4294967295"}, {whole(4294967296), outOfRange}, {whole(-1), outOfRange},
		{instant(1999999999), "1"}, {instant(-1), outOfRange}, {double(1), mismatch}, {truth(true), mismatch}, {octets(""), mismatch},
	},
	"DateTime('UTC')": {
		// RFC 3339, and nothing that merely resembles it
		{text("1970-01-01t00:00:01z"), "1"}, {text("1970-01-01T00:00:01-00:00"), "1"}, {text("1970-01-02T23:59:00+23:59"), "86400"}, {text("1970-01-01T00:00:01.1234567890123Z"), "1"},
		{text("1970-01-02T10:11:12+24:00"), mismatch}, {text("1970-01-02T10:11:12+10:60"), mismatch}, {text("1970-01-02T10:11:12,5Z"), mismatch}, {text("1970-01-02T1:11:12Z"), mismatch},
		{text("1970-01-02T01:1:12Z"), mismatch}, {text("1970-01-02T01:11:60Z"), mismatch}, {text("1970-01-02T24:00:00Z"), mismatch}, {text("1970-01-02T01:60:00Z"), mismatch},
		{text("1970-01-02T10:11:12"), mismatch}, {text("1970-01-02T10:11:12+0100"), mismatch}, {text("1970-01-02T10:11:12+01"), mismatch}, {text("1970-01-02T10:11:12.Z"), mismatch},
		{text("1970-01-02T10:11:12Z "), mismatch}, {text(" 1970-01-02T10:11:12Z"), mismatch}, {text("1970-1-02T10:11:12.5Z"), mismatch}, {text("1970-02-29T10:11:12Z"), mismatch},
		{text("1970-00-10T10:11:12Z"), mismatch}, {text("1970-13-10T10:11:12Z"), mismatch}, {text("1970-01-00T10:11:12Z"), mismatch}, {text("+970-01-02T10:11:12Z"), mismatch},
		{text("1970-01-02T10:11:1２Z"), mismatch}, {text("1970-01-02T10:11:12ZZ"), mismatch}, {text("1970/01/02 10:11:12"), mismatch}, {text("1970-01-02 10:11:12Z"), mismatch},
		{text("1970-01-02 10:11:12 "), mismatch}, {text("1970-01-01 00:00:01,5"), mismatch}, {text("1970-01-01 00:00:01."), mismatch}, {text("1970-01-01 00:00:01.9"), "1"},
		{text("1970-01-01  0:00:01"), mismatch}, {text("1972-02-29 00:00:00"), "68169600"},
	},
	"DateTime('Europe/Berlin')": {
		// An hour that occurs twice is the first one, and one that is skipped lies before the change.
		{text("2026-10-25 02:30:00"), "1792888200"}, {text("2026-10-25 03:00:00"), "1792893600"}, {text("2026-03-29 02:30:00"), "1774744200"}, {text("2026-03-29 03:00:00"), "1774746000"},
		{text("1970-01-01 01:00:01"), "1"}, {text("1970-01-01T01:00:01Z"), "3601"}, {whole(5), "5"}, {instant(5e9), "5"},
	},
	"DateTime64(3)": {
		{text("1970-01-01T00:00:00.0019Z"), "1"}, {text("1969-12-31T23:59:59.9999Z"), "-1"}, {text("2299-12-31 23:59:59.999"), "10413791999999"},
		{text("2300-01-01 00:00:00"), outOfRange}, {text("1899-12-31 23:59:59"), outOfRange}, {text("yesterday, at noon!"), mismatch},
		{whole(1999999), "1"}, {whole(-1), "-1"}, {instant(1999999), "1"}, {instant(-2208988800000000001), outOfRange},
		{double(1), mismatch}, {truth(true), mismatch}, {octets(""), mismatch}, {object("1"), mismatch},
	},
	"DateTime64(9)": {
		{text("2262-04-11T23:47:15.9Z"), "9223372035900000000"}, {text("2262-04-11T23:47:16Z"), outOfRange}, {whole(math.MaxInt64), "9223372036854775807"},
		{instant(math.MaxInt64), "9223372036854775807"}, {text("1900-01-01T00:00:00.000000001Z"), "-2208988799999999999"},
	},
	"DateTime64(0)": {{instant(1999999999), "1"}, {text("2299-12-31 23:59:59"), "10413791999"}, {whole(-1), "-1"}},
	"UUID": {
		{text("00112233-4455-6677-8899-aabbccddeeff"), "7766554433221100ffeeddccbbaa9988"},
		{text("00112233445566778899AABBCCDDEEFF"), "7766554433221100ffeeddccbbaa9988"},
		{text("{00112233-4455-6677-8899-aabbccddeeff}"), mismatch}, {text("zz112233445566778899aabbccddeeff"), mismatch}, {text(""), mismatch},
		{octets("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"), "7766554433221100ffeeddccbbaa9988"},
		{octets("short"), mismatch}, {whole(1), mismatch}, {double(1), mismatch}, {truth(true), mismatch}, {object(`""`), mismatch},
	},
	"IPv4": {
		{text("1.2.3.4"), "16909060"}, {text("::ffff:1.2.3.4"), "16909060"}, {text("::1"), mismatch}, {text("1.2.3"), mismatch},
		{text("01.2.3.4"), mismatch}, {octets("\x01\x02\x03\x04"), "16909060"}, {octets("123"), mismatch}, {whole(1), mismatch}, {truth(true), mismatch},
	},
	"IPv6": {
		{text("::1"), "00000000000000000000000000000001"}, {text("1.2.3.4"), "00000000000000000000ffff01020304"}, {text("fe80::1%eth0"), mismatch},
		{octets("\x01\x02\x03\x04"), "00000000000000000000ffff01020304"}, {octets("0123456789abcdef"), "30313233343536373839616263646566"},
		{octets("0"), mismatch}, {whole(1), mismatch},
	},
	"Enum8('a' = -1, 'b' = 2)": {
		{text("a"), "-1"}, {text("b"), "2"}, {text("c"), outOfRange}, {text("2"), outOfRange}, {whole(2), "2"}, {whole(-1), "-1"}, {whole(1), outOfRange},
		{whole(65535), outOfRange}, {double(2), mismatch}, {truth(true), mismatch}, {octets("a"), mismatch},
	},
	"Enum16('a' = 300)": {{text("a"), "300"}, {text(""), outOfRange}, {whole(300), "300"}, {whole(65836), outOfRange}},
	"Array(String)": {
		{text("a,b"), `["a,b"]`}, {text(""), `[""]`}, {whole(1), `["1"]`}, {double(0.5), `["0.5"]`}, {truth(true), `["true"]`}, {octets("\xff"), `["\xff"]`},
		{instant(0), `["1970-01-01T00:00:00Z"]`}, {object(`["a", 1]`), `["a" "1"]`}, {object(`[]`), `[]`}, {object(`[null]`), mismatch},
		{object(`["\ud800"]`), mismatch}, {object(`["\ud83dx"]`), mismatch}, {object(`["\ude00"]`), mismatch}, {object(`["\ud83d\ude00"]`), `["😀"]`},
		{object(`[[]]`), mismatch}, {object(`{}`), mismatch}, {object(`["a"`), mismatch}, {object(`"a"`), mismatch}, {object(``), mismatch},
	},
}

func text(s string) schema.Attribute    { return schema.StringAttribute("k", s) }
func whole(n int64) schema.Attribute    { return schema.IntAttribute("k", n) }
func double(x float64) schema.Attribute { return schema.DoubleAttribute("k", x) }
func truth(b bool) schema.Attribute     { return schema.BoolAttribute("k", b) }
func octets(s string) schema.Attribute  { return schema.BytesAttribute("k", s) }
func object(s string) schema.Attribute  { return schema.JSONAttribute("k", s) }
func instant(ns int64) schema.Attribute {
	a := schema.IntAttribute("k", ns)
	a.Type = schema.Time
	return a
}

// TestCoercions tries the examples, and checks that each cell of the table has one that succeeds.
func TestCoercions(t *testing.T) {
	shown := make(map[string]bool)
	for typeText, examples := range coercionExamples {
		p := projectionOf(t, typeText)
		for _, example := range examples {
			got, reason := coerced(p, example.in)
			if reason == schema.NoReason {
				shown[fmt.Sprint(p.target.Kind, example.in.Type)] = true
			} else {
				got = reason.String()
				if message := p.rowError(&example.in, reason).Message; message == "" {
					t.Errorf("%s from %s: no message", typeText, &example.in)
				}
			}
			if want := example.want; got != want {
				if a, err := strconv.ParseFloat(got, 64); err == nil {
					if b, err := strconv.ParseFloat(want, 64); err == nil && a == b {
						continue
					}
				}
				t.Errorf("%s from %s = %q, want %q", typeText, &example.in, got, want)
			}
		}
	}
	for kind := schema.KindString; kind <= schema.KindMap; kind++ {
		for of := range valueTypes {
			if coercions[kind][of].apply != nil && !shown[fmt.Sprint(kind, schema.AttributeType(of))] {
				t.Errorf("no example of %s from %s", kind, schema.AttributeType(of))
			}
		}
	}
}

// FuzzTextToNumber compares with strconv, whose grammars are wider in known ways.
func FuzzTextToNumber(f *testing.F) {
	for _, seed := range []string{"0", "-1", "255", "256", "-128", "9223372036854775808", "1e3", "nan", "0x10", "+5", "1_000", "", "-"} {
		f.Add(seed)
	}
	kinds := map[string]int{"Int8": -8, "Int16": -16, "Int32": -32, "Int64": -64, "UInt8": 8, "UInt16": 16, "UInt32": 32, "UInt64": 64}
	projections := make(map[string]*projection)
	for kind := range kinds {
		projections[kind] = projectionOf(f, kind)
	}
	floats := map[int]*projection{32: projectionOf(f, "Float32"), 64: projectionOf(f, "Float64")}
	f.Fuzz(func(t *testing.T, s string) {
		for kind, bits := range kinds {
			got, reason := coerced(projections[kind], text(s))
			want, err := "", error(nil)
			if bits < 0 {
				var n int64
				n, err = strconv.ParseInt(s, 10, -bits)
				want = strconv.FormatInt(n, 10)
			} else {
				var n uint64
				n, err = strconv.ParseUint(strings.TrimPrefix(s, "-"), 10, bits)
				if err == nil && n > 0 && strings.HasPrefix(s, "-") {
					err = strconv.ErrRange
				}
				want = strconv.FormatUint(n, 10)
			}
			if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-+") {
				err = strconv.ErrSyntax
			}
			if (err == nil) != (reason == schema.NoReason) || err == nil && got != want {
				t.Errorf("%s from %q = %q, %s; strconv has %q, %v", kind, s, got, reason, want, err)
			}
		}
		for bits, p := range floats {
			got, reason := coerced(p, text(s))
			x, err := strconv.ParseFloat(s, bits)
			if strings.ContainsAny(s, "xX_pP") {
				err = strconv.ErrSyntax
			}
			if want := strconv.FormatFloat(x, 'g', -1, bits); (err == nil) != (reason == schema.NoReason) || err == nil && got != want {
				t.Errorf("Float%d from %q = %q, %s; strconv has %q, %v", bits, s, got, reason, want, err)
			}
		}
	})
}

// FuzzNumberToNumber checks that an accepted number is the same number in the column.
func FuzzNumberToNumber(f *testing.F) {
	f.Add(int64(0), 0.0)
	f.Add(int64(math.MaxInt64), 1e300)
	f.Add(int64(math.MinInt64), -0.5)
	f.Add(int64(1<<24+1), float64(1<<63))
	types := []string{"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64"}
	projections := make(map[string]*projection)
	for _, typeText := range types {
		projections[typeText] = projectionOf(f, typeText)
	}
	f.Fuzz(func(t *testing.T, n int64, x float64) {
		for typeText, p := range projections {
			if got, reason := coerced(p, whole(n)); reason == schema.NoReason {
				if strings.HasPrefix(typeText, "Float") {
					bits, _ := strconv.Atoi(strings.TrimPrefix(typeText, "Float"))
					if back, _ := strconv.ParseFloat(got, bits); back >= 1<<63 || int64(back) != n {
						t.Errorf("%s from %d = %s", typeText, n, got)
					}
				} else if got != strconv.FormatInt(n, 10) {
					t.Errorf("%s from %d = %s", typeText, n, got)
				}
			}
			got, reason := coerced(p, double(x))
			if reason != schema.NoReason || strings.HasPrefix(typeText, "Float") {
				continue
			}
			if back, err := strconv.ParseFloat(got, 64); err != nil || back != x {
				t.Errorf("%s from %g = %s", typeText, x, got)
			}
		}
	})
}
