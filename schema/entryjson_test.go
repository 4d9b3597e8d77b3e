package schema

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// sameEntry compares entries, doubles by their bits and an empty list as none.
func sameEntry(a, b *Entry) bool {
	list := func(attributes []Attribute) []Attribute {
		if len(attributes) == 0 {
			return nil
		}
		return attributes
	}
	x, y := *a, *b
	for _, e := range []*Entry{&x, &y} {
		stream := Stream{}
		if e.Stream != nil {
			stream = Stream{list(e.Stream.ResourceAttributes), list(e.Stream.ScopeAttributes)}
		}
		e.Stream, e.Attributes = &stream, list(e.Attributes)
	}
	return reflect.DeepEqual(x, y)
}

func TestEntryJSON(t *testing.T) {
	full := sampleEntry()
	full.Attributes = append(full.Attributes,
		IntAttribute("least", math.MinInt64), IntAttribute("most", math.MaxInt64), DoubleAttribute("nan", math.NaN()),
		DoubleAttribute("inf", math.Inf(1)),
		DoubleAttribute("-inf", math.Inf(-1)), DoubleAttribute("-0", math.Copysign(0, -1)), DoubleAttribute("small", 5e-324),
		StringAttribute("bad\xff", "\xc3\x28"), BytesAttribute("bytes", "\x00\xff"), JSONAttribute("json", "{\"a\": \xff"),
		StringAttribute("control", "\x00\x1f\"\\\n\r\t\u2028\ufffd"))
	full.Time, full.ObservedTime = math.MinInt64, math.MaxInt64
	full.SeverityNumber, full.TraceFlags = 24, 255
	full.TraceID, full.SpanID, full.EventName, full.ScopeName = "t", "s", "e", "n"
	full.ScopeVersion, full.ScopeSchemaURL, full.ResourceSchemaURL = "v", "u", "r"
	bad := Entry{Body: "\xff\xfe", Stream: &Stream{}}
	for _, e := range []Entry{full, bad, {}, {Stream: &Stream{}}, {Time: 1}} {
		line := AppendJSON([]byte("before"), &e)[len("before"):]
		if !json.Valid(line) || strings.ContainsRune(string(line), '\n') {
			t.Errorf("not a line of JSON: %s", line)
		}
		got, err := ParseEntryJSON(line)
		if err != nil || !sameEntry(&e, &got) {
			t.Errorf("%s\nbecame %+v, %v", line, got, err)
		}
	}
}

func TestEntryJSONForm(t *testing.T) {
	e := Entry{
		Time: 1_800_000_000_000_000_001, SeverityNumber: 9, Body: "a\xff", Service: "api",
		Attributes: []Attribute{StringAttribute("route", "/"), IntAttribute("status", 200)},
		Stream:     &Stream{ResourceAttributes: []Attribute{BytesAttribute("b", "x")}},
	}
	want := `{"time":"2027-01-15T08:00:00.000000001Z","severity_number":9,"body":{"base64":"Yf8="},"service":"api",` +
		`"attributes":[{"key":"route","value":"/"},{"key":"status","type":"int","value":200}],` +
		`"resource_attributes":[{"key":"b","type":"bytes","value":"eA=="}]}`
	if got := string(AppendJSON(nil, &e)); got != want {
		t.Errorf("got %s", got)
	}
}

func FuzzEntryJSON(f *testing.F) {
	f.Add("body", "\xff", int64(1), math.NaN(), uint64(7))
	f.Fuzz(func(t *testing.T, text, other string, n int64, x float64, seed uint64) {
		if math.IsNaN(x) {
			x = math.NaN() // JSON drops the payload
		}
		e := randomEntry(rand.New(rand.NewPCG(seed, 1)))
		e.Body, e.EventName, e.Time = text, other, n
		e.Attributes = append(e.Attributes, StringAttribute(other, text), IntAttribute(text, n), DoubleAttribute("x", x),
			BytesAttribute("y", other), JSONAttribute("z", text))
		line := AppendJSON(nil, &e)
		got, err := ParseEntryJSON(line)
		if err != nil || !sameEntry(&e, &got) {
			t.Fatalf("%s became %+v, %v", line, got, err)
		}
	})
}

// FuzzParseEntryJSON reads lines that AppendJSON may not have written: what is read is written and read again as the same entry.
func FuzzParseEntryJSON(f *testing.F) {
	full := sampleEntry()
	full.Attributes = append(full.Attributes, DoubleAttribute("nan", math.NaN()), BytesAttribute("b", "\xff"), JSONAttribute("j", "{}"), BoolAttribute("t", true))
	f.Add(AppendJSON(nil, &full))
	f.Add([]byte(`{"time":"2026-01-31T08:00:00Z","body":{"base64":"/w=="},"attributes":[{"key":"a","type":"int","value":1}]}`))
	f.Add([]byte(`{"time":"0001-01-01T00:00:00Z","attributes":[{"key":"","type":"double","value":"NaN"}]}`))
	f.Add([]byte(`{"body":null,"attributes":null,"scope_attributes":[{}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		first, err := ParseEntryJSON(line)
		if err != nil {
			return
		}
		again, err := ParseEntryJSON(AppendJSON(nil, &first))
		if err != nil || !sameEntry(&first, &again) {
			t.Fatalf("%s\nbecame %+v\nand then %+v, %v", line, first, again, err)
		}
	})
}
