package server

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/logbatcher/logbatcher/schema"
)

func otlpIntake(t testing.TB, adjust func(*Config)) (*intake, *fakeBudget) {
	t.Helper()
	c := testConfig()
	if adjust != nil {
		adjust(&c)
	}
	budget := &fakeBudget{}
	return newOTLPIntake(&c, budget, newMetrics(prometheus.NewRegistry()), newOTLPDecoder(&c)), budget
}

func str(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

func integer(n int64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}}
}

func double(x float64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: x}}
}

func boolean(b bool) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: b}}
}

func octets(b string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte(b)}}
}

func strindex(i int32) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValueStrindex{StringValueStrindex: i}}
}

func array(values ...*commonpb.AnyValue) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: values}}}
}

// kv returns a list of keys and values in turn.
func kv(pairs ...any) []*commonpb.KeyValue {
	var list []*commonpb.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		v, _ := pairs[i+1].(*commonpb.AnyValue)
		list = append(list, &commonpb.KeyValue{Key: pairs[i].(string), Value: v})
	}
	return list
}

func kvlist(pairs ...any) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: kv(pairs...)}}}
}

// richLogs has two resources, three scopes and all kinds of values.
func richLogs() *logspb.LogsData {
	return &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{
		{
			SchemaUrl: "https://resource/1.0",
			Resource: &resourcepb.Resource{
				Attributes:             kv("service.name", str("checkout"), "replicas", integer(-3), "tags", array(str("a"), str("b")), "id", octets("\x00\xff")),
				DroppedAttributesCount: 1,
			},
			ScopeLogs: []*logspb.ScopeLogs{
				{
					SchemaUrl: "https://scope/1.0",
					Scope: &commonpb.InstrumentationScope{
						Name: "net/http", Version: "1.2.3", Attributes: kv("library", str("x"), "n", double(0.5)), DroppedAttributesCount: 2,
					},
					LogRecords: []*logspb.LogRecord{
						{
							TimeUnixNano: 1_700_000_000_000_000_001, ObservedTimeUnixNano: 1_700_000_001_000_000_002,
							SeverityNumber: logspb.SeverityNumber_SEVERITY_NUMBER_WARN, SeverityText: "warning", Body: str("a message"),
							TraceId: []byte("0123456789abcdef"), SpanId: []byte("\x00\x01\x02\x03\xfc\xfd\xfe\xff"), Flags: 0x301,
							EventName: "checkout.failed", DroppedAttributesCount: 3,
							Attributes: kv("string", str("value"), "int", integer(math.MinInt64), "double", double(1e6), "bool", boolean(true),
								"false", boolean(false), "bytes", octets("\xfa\xfb\xfc\xfd"), "array", array(integer(1), str("<&>\"\n\u2028"), array(), nil, boolean(false)),
								"map", kvlist("z", integer(1), "a", kvlist("x", double(1e21), "y", octets("b")), "z", str("last"), "nan", double(math.NaN())),
								"empty", &commonpb.AnyValue{}, "none", nil, "reference", strindex(3), "", str("no key"), "small", double(1e-7), "infinite", double(math.Inf(-1))),
						},
						{Body: kvlist("b", integer(1), "a", array(double(0.1))), ObservedTimeUnixNano: 7},
						{},
					},
				},
				{LogRecords: []*logspb.LogRecord{{Body: octets("bytes")}, {Body: integer(12)}, {Body: double(1e20)}, {Body: boolean(true)}, {Body: strindex(1)}}},
			},
		},
		{}, {ScopeLogs: []*logspb.ScopeLogs{{}}},
		{
			Resource:  &resourcepb.Resource{Attributes: kv("service.name", integer(7), "service.name", double(2))},
			ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{{Body: str("other"), TraceId: make([]byte, 16), SpanId: make([]byte, 8)}}}},
		},
	}}
}

// plainEntry is a schema.Entry with everything in it, to compare.
type plainEntry struct {
	Entry                       schema.Entry
	Resource, Scope, Attributes []schema.Attribute
}

// wantAnyValue is pcommon.Value.AsRaw, except for numbers that JSON lacks.
func wantRaw(v *commonpb.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_IntValue:
		return v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		if math.IsNaN(v.DoubleValue) || math.IsInf(v.DoubleValue, 0) {
			return doubleText(v.DoubleValue)
		}
		return v.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return append([]byte{}, v.BytesValue...)
	case *commonpb.AnyValue_ArrayValue:
		list := []any{}
		for _, element := range v.ArrayValue.GetValues() {
			list = append(list, wantRaw(element))
		}
		return list
	case *commonpb.AnyValue_KvlistValue:
		m := map[string]any{}
		for _, pair := range v.KvlistValue.GetValues() {
			m[pair.GetKey()] = wantRaw(pair.GetValue())
		}
		return m
	}
	return nil
}

// doubleText is the Collector's float64AsString.
func doubleText(x float64) string {
	switch {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 1):
		return "Infinity"
	case math.IsInf(x, -1):
		return "-Infinity"
	}
	text, _ := json.Marshal(x)
	return string(text)
}

// wantText is pcommon.Value.AsString.
func wantText(v *commonpb.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		return doubleText(v.DoubleValue)
	case *commonpb.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(v.BytesValue)
	case *commonpb.AnyValue_ArrayValue, *commonpb.AnyValue_KvlistValue:
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(wantRaw(&commonpb.AnyValue{Value: v})); err != nil {
			panic(err)
		}
		return strings.TrimSuffix(b.String(), "\n")
	}
	return ""
}

func wantAttributes(list []*commonpb.KeyValue) []schema.Attribute {
	var want []schema.Attribute
	for _, pair := range list {
		a := schema.StringAttribute(pair.GetKey(), wantText(pair.GetValue()))
		switch v := pair.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_BoolValue:
			a = schema.BoolAttribute(a.Key, v.BoolValue)
		case *commonpb.AnyValue_IntValue:
			a = schema.IntAttribute(a.Key, v.IntValue)
		case *commonpb.AnyValue_DoubleValue:
			a = schema.DoubleAttribute(a.Key, v.DoubleValue)
		case *commonpb.AnyValue_ArrayValue, *commonpb.AnyValue_KvlistValue:
			a.Type = schema.JSON
		}
		want = append(want, a)
	}
	return want
}

func nesting(v *commonpb.AnyValue) int {
	deepest := -1
	for _, element := range v.GetArrayValue().GetValues() {
		deepest = max(deepest, nesting(element))
	}
	for _, pair := range v.GetKvlistValue().GetValues() {
		deepest = max(deepest, nesting(pair.GetValue()))
	}
	if v.GetArrayValue() != nil || v.GetKvlistValue() != nil {
		deepest = max(deepest, 0)
	}
	return deepest + 1
}

func tooDeep(list []*commonpb.KeyValue) bool {
	return slices.ContainsFunc(list, func(pair *commonpb.KeyValue) bool { return nesting(pair.GetValue()) > maxNesting })
}

// wantEntries returns what the generated messages make of a request, with nil for records that must be refused.
func wantEntries(logs *logspb.LogsData, values *defaults) []*plainEntry {
	var want []*plainEntry
	for _, r := range logs.ResourceLogs {
		resource := wantAttributes(r.GetResource().GetAttributes())
		service := ""
		for _, pair := range r.GetResource().GetAttributes() {
			if pair.GetKey() == "service.name" {
				service = wantText(pair.GetValue())
			}
		}
		for _, s := range r.GetScopeLogs() {
			for _, o := range s.GetLogRecords() {
				if o.TimeUnixNano > math.MaxInt64 || o.ObservedTimeUnixNano > math.MaxInt64 || o.SeverityNumber < 0 || o.SeverityNumber > 24 ||
					len(o.TraceId) != 0 && len(o.TraceId) != 16 || len(o.SpanId) != 0 && len(o.SpanId) != 8 ||
					nesting(o.Body) > maxNesting || tooDeep(o.Attributes) || tooDeep(r.GetResource().GetAttributes()) || tooDeep(s.GetScope().GetAttributes()) {
					want = append(want, nil)
					continue
				}
				id := func(id []byte) string { return strings.TrimLeft(hex.EncodeToString(id), "0") }
				trace, span := hex.EncodeToString(o.TraceId), hex.EncodeToString(o.SpanId)
				if id(o.TraceId) == "" {
					trace = ""
				}
				if id(o.SpanId) == "" {
					span = ""
				}
				e := schema.Entry{
					Time: int64(o.TimeUnixNano), ObservedTime: int64(o.ObservedTimeUnixNano), Body: wantText(o.Body),
					SeverityText: o.SeverityText, SeverityNumber: uint8(o.SeverityNumber), Service: service, TraceID: trace, SpanID: span,
					TraceFlags: uint8(o.Flags), EventName: o.EventName, Colo: values.colo, ResourceSchemaURL: r.SchemaUrl,
					ScopeSchemaURL: s.SchemaUrl, ScopeName: s.GetScope().GetName(), ScopeVersion: s.GetScope().GetVersion(),
				}
				if e.Time == 0 {
					e.Time = e.ObservedTime
				}
				if e.Time == 0 {
					e.Time = values.received
				}
				if e.ObservedTime == 0 {
					e.ObservedTime = values.received
				}
				want = append(want, &plainEntry{
					Entry: e, Resource: resource, Scope: wantAttributes(s.GetScope().GetAttributes()), Attributes: wantAttributes(o.Attributes),
				})
			}
		}
	}
	return want
}

// allEntries copies the entries of all pieces of a request, with nil for refused ones.
func allEntries(t testing.TB, r *request) (got []*plainEntry, pieces int) {
	t.Helper()
	got = make([]*plainEntry, r.outline.entries)
	for more := true; more; more = r.Next() {
		pieces++
		for i, e := range r.Entries {
			if got[r.Place(i)] != nil {
				t.Fatalf("entry %d comes twice", r.Place(i))
			}
			e = cloneEntries(r.Entries[i : i+1])[0]
			p := &plainEntry{Entry: e, Resource: e.Stream.ResourceAttributes, Scope: e.Stream.ScopeAttributes, Attributes: e.Attributes}
			p.Entry.Stream, p.Entry.Attributes = nil, nil
			got[r.Place(i)] = p
		}
		if !r.pieces {
			break
		}
	}
	for _, refusal := range r.refusals {
		if got[refusal.Index] != nil || refusal.Message == "" || refusal.Reason == schema.NoReason {
			t.Fatalf("refusal %+v", refusal)
		}
	}
	return got, pieces
}

// sameEntries reports the first difference. Doubles are compared by their bits.
func sameEntries(got, want []*plainEntry) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d entries, want %d", len(got), len(want))
	}
	for i := range got {
		if (got[i] == nil) != (want[i] == nil) {
			return fmt.Errorf("entry %d: refused %v, want %v", i, got[i] == nil, want[i] == nil)
		}
		if got[i] == nil {
			continue
		}
		for _, list := range []*[]schema.Attribute{&got[i].Resource, &got[i].Scope, &got[i].Attributes} {
			if len(*list) == 0 {
				*list = nil
			}
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			return fmt.Errorf("entry %d:\n%+v, want\n%+v", i, got[i], want[i])
		}
	}
	return nil
}

var otlpDefaults = defaults{colo: "EWR"}

func TestOTLPRequest(t *testing.T) {
	in, budget := otlpIntake(t, nil)
	data, err := proto.Marshal(richLogs())
	if err != nil {
		t.Fatal(err)
	}
	r, err := decodeBytes(t, in, data, otlpDefaults)
	if err != nil {
		t.Fatal(err)
	}
	got, pieces := allEntries(t, r)
	values := r.values
	if err := sameEntries(got, wantEntries(richLogs(), &values)); err != nil || pieces != 1 {
		t.Errorf("%d pieces: %v", pieces, err)
	}
	if want := (droppedAttributes{resource: 1, scope: 2, record: 3}); r.dropped != want {
		t.Errorf("dropped %+v, want %+v", r.dropped, want)
	}
	// What is compared above is computed like this, so some of it in letters.
	for key, want := range map[string]string{
		"double": "1000000", "bytes": "+vv8/Q==", "array": `[1,"<&>\"\n\u2028",[],null,false]`, "reference": "", "none": "", "": "no key",
		"map": `{"a":{"x":1e+21,"y":"Yg=="},"nan":"NaN","z":"last"}`, "small": "1e-7", "infinite": "-Infinity", "int": "-9223372036854775808", "false": "false",
	} {
		if a := schema.Lookup(got[0].Attributes, key); a == nil || string(a.AppendText(nil)) != want {
			t.Errorf("attribute %q is %v, want %q", key, a, want)
		}
	}
	e := got[0].Entry
	if e.TraceID != "30313233343536373839616263646566" || e.SpanID != "00010203fcfdfeff" || e.TraceFlags != 1 || e.Service != "checkout" || e.ScopeName != "net/http" {
		t.Errorf("%+v", e)
	}
	if got[1].Entry.Time != 7 || got[1].Entry.Body != `{"a":[0.1],"b":1}` || got[2].Entry.Time != testReceived.UnixNano() || got[8].Entry.Service != "2" {
		t.Errorf("%+v, %+v, %+v", got[1], got[2], got[8])
	}
	r.free()
	if used, _ := budget.now(); used != 0 {
		t.Errorf("%d bytes are still charged", used)
	}
}

func TestOTLPRefusals(t *testing.T) {
	deep := str("x")
	for range maxNesting {
		deep = array(deep)
	}
	deeper := kvlist("k", deep)
	var many []*commonpb.KeyValue
	for range 1025 {
		many = append(many, kv("k", nil)...)
	}
	for name, c := range map[string]struct {
		record *logspb.LogRecord
		field  string
		reason schema.Reason // NoReason: not refused
	}{
		"empty":             {&logspb.LogRecord{}, "", 0},
		"time":              {&logspb.LogRecord{TimeUnixNano: 1 << 63}, "time_unix_nano", schema.InvalidField},
		"observed time":     {&logspb.LogRecord{ObservedTimeUnixNano: 1 << 63}, "observed_time_unix_nano", schema.InvalidField},
		"severity 24":       {&logspb.LogRecord{SeverityNumber: 24}, "", 0},
		"severity 25":       {&logspb.LogRecord{SeverityNumber: 25}, "severity_number", schema.InvalidField},
		"severity negative": {&logspb.LogRecord{SeverityNumber: -1}, "severity_number", schema.InvalidField},
		"trace id":          {&logspb.LogRecord{TraceId: make([]byte, 15)}, "trace_id", schema.InvalidField},
		"span id":           {&logspb.LogRecord{SpanId: make([]byte, 16)}, "span_id", schema.InvalidField},
		"all flags":         {&logspb.LogRecord{Flags: math.MaxUint32}, "", 0},
		"deep":              {&logspb.LogRecord{Body: deep}, "", 0},
		"deeper body":       {&logspb.LogRecord{Body: deeper}, "body", schema.InvalidField},
		"deeper attribute":  {&logspb.LogRecord{Attributes: kv("a", str("x"), "b", deeper)}, `attributes["b"]`, schema.InvalidField},
		"largest":           {&logspb.LogRecord{Body: str(strings.Repeat("x", 256<<10-8))}, "", 0},
		"too large":         {&logspb.LogRecord{Body: str(strings.Repeat("x", 256<<10))}, "", schema.TooLarge},
		"attributes":        {&logspb.LogRecord{Attributes: many[1:]}, "", 0},
		"too many":          {&logspb.LogRecord{Attributes: many}, "attributes", schema.TooLarge},
		"large as JSON":     {&logspb.LogRecord{Attributes: kv("k", array(str(strings.Repeat("\x01", 50<<10))))}, `attributes["k"]`, schema.TooLarge},
		"JSON":              {&logspb.LogRecord{Attributes: kv("k", array(str(strings.Repeat("\x01", 40<<10))))}, "", 0},
		"large together":    {&logspb.LogRecord{Attributes: kv("k", octets(strings.Repeat("\x01", 100<<10))), Body: octets(strings.Repeat("\x01", 100<<10))}, "body", schema.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			in, budget := otlpIntake(t, nil)
			good := &logspb.LogRecord{Body: str("good"), Attributes: kv("k", integer(1))}
			filler := &logspb.LogRecord{Body: str(strings.Repeat("x", 200<<10))} // so that the size of the request bounds nothing
			data, _ := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{
				{LogRecords: []*logspb.LogRecord{good, c.record, good, filler}},
			}}}})
			r, err := decodeBytes(t, in, data, otlpDefaults)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := allEntries(t, r)
			if got[0] == nil || got[2] == nil || got[3] == nil || (got[1] == nil) != (c.reason != schema.NoReason) {
				t.Errorf("entries %v, refusals %+v", got, r.refusals)
			}
			if got[1] == nil && (len(r.refusals) != 1 || r.refusals[0].Field != c.field || r.refusals[0].Reason != c.reason) {
				t.Errorf("refused: %+v", r.refusals)
			}
			r.free()
			if used, _ := budget.now(); used != 0 {
				t.Errorf("%d bytes are still charged", used)
			}
		})
	}
}

// What is wrong with a resource or a scope refuses its records and no others.
func TestOTLPResourceRefusals(t *testing.T) {
	deeper := str("x")
	for range maxNesting + 1 {
		deeper = array(deeper)
	}
	records := []*logspb.LogRecord{{Body: str("1")}, {Body: str("2")}}
	for field, bad := range map[string]*logspb.ResourceLogs{
		`resource_attributes["k"]`: {
			Resource: &resourcepb.Resource{Attributes: kv("k", deeper)}, ScopeLogs: []*logspb.ScopeLogs{{LogRecords: records[:1]}, {LogRecords: records[1:]}},
		},
		"resource_attributes": {
			Resource: &resourcepb.Resource{Attributes: kv("k", str(strings.Repeat("x", 64<<10)))}, ScopeLogs: []*logspb.ScopeLogs{{LogRecords: records}},
		},
		`scope_attributes["s"]`: {
			ScopeLogs: []*logspb.ScopeLogs{{Scope: &commonpb.InstrumentationScope{Attributes: kv("s", deeper)}, LogRecords: records}},
		},
	} {
		in, _ := otlpIntake(t, nil)
		good := &logspb.ResourceLogs{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: records}}}
		data, _ := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{good, bad, good}})
		r, err := decodeBytes(t, in, data, otlpDefaults)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := allEntries(t, r); len(got) != 6 || got[1] == nil || got[2] != nil || got[3] != nil || got[4] == nil || len(r.refusals) != 2 {
			t.Errorf("%s: %v", field, got)
		}
		for i, refusal := range r.refusals {
			if refusal.Field != field || refusal.Index != uint32(2+i) {
				t.Errorf("%s: refused %+v", field, refusal)
			}
		}
		r.free()
	}
}

// Whatever the size of a request, one record fits with its resource and scope.
func TestOTLPOneRecordFits(t *testing.T) {
	attributes := func(n int, v *commonpb.AnyValue) (list []*commonpb.KeyValue) {
		for i := range n {
			list = append(list, &commonpb.KeyValue{Key: strconv.Itoa(i), Value: v})
		}
		return list
	}
	for _, resource := range []int{0, 1, 30, 1024} {
		for _, own := range []int{0, 1, 30, 1024} {
			for _, text := range []int{0, 1, 100, 3000, 41_000} {
				record := &logspb.LogRecord{
					Body: array(str(strings.Repeat("\x02", text))), Attributes: attributes(own, octets("x")), TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"),
				}
				data, _ := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
					Resource: &resourcepb.Resource{Attributes: attributes(resource, str("v"))},
					ScopeLogs: []*logspb.ScopeLogs{{
						Scope: &commonpb.InstrumentationScope{Name: "s", Attributes: attributes(resource, integer(1))}, LogRecords: []*logspb.LogRecord{record},
					}},
				}}})
				in, _ := otlpIntake(t, nil)
				r, err := decodeBytes(t, in, data, otlpDefaults)
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Entries) != 1 {
					t.Errorf("%d and %d attributes, %d bytes of text: %+v", resource, own, text, r.refusals)
				}
				if limit := in.config.RequestMemory(); r.Bytes > limit {
					t.Errorf("%d bytes, and at most %d are foreseen", r.Bytes, limit)
				}
				r.free()
			}
		}
	}
}

// Requests come in pieces when their records, or what these refer to, take more memory than their bytes pay for.
func TestOTLPPieces(t *testing.T) {
	small := &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{SchemaUrl: "url"}}}
	scope := &logspb.ScopeLogs{SchemaUrl: "scope", Scope: &commonpb.InstrumentationScope{Name: "s", DroppedAttributesCount: 5}}
	for i := range 9000 {
		scope.LogRecords = append(scope.LogRecords, &logspb.LogRecord{TimeUnixNano: uint64(i + 1)})
	}
	small.ResourceLogs[0].ScopeLogs = []*logspb.ScopeLogs{scope}
	attributes := &logspb.LogsData{}
	for i := range 1000 {
		list := kv("i", integer(int64(i)), "", nil, "", nil, "", nil, "", nil, "", nil, "", nil, "", nil, "", nil, "", nil, "", nil, "", nil)
		attributes.ResourceLogs = append(attributes.ResourceLogs, &logspb.ResourceLogs{
			Resource:  &resourcepb.Resource{Attributes: list, DroppedAttributesCount: 1},
			ScopeLogs: []*logspb.ScopeLogs{{Scope: &commonpb.InstrumentationScope{Version: "v", Attributes: list}, LogRecords: []*logspb.LogRecord{{Attributes: list}}}},
		})
	}
	texts := &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{}}}}}
	for i := range 20 {
		texts.ResourceLogs[0].ScopeLogs[0].LogRecords = append(texts.ResourceLogs[0].ScopeLogs[0].LogRecords,
			&logspb.LogRecord{Body: array(integer(int64(i)), str(strings.Repeat("\x02", 30<<10)))})
	}
	for name, c := range map[string]struct {
		logs    *logspb.LogsData
		dropped droppedAttributes
	}{
		"small": {small, droppedAttributes{scope: 5}}, "attributes": {attributes, droppedAttributes{resource: 1000}}, "texts": {texts, droppedAttributes{}},
	} {
		in, budget := otlpIntake(t, nil)
		data, _ := proto.Marshal(c.logs)
		r, err := decodeBytes(t, in, data, otlpDefaults)
		if err != nil {
			t.Fatal(name, err)
		}
		if r.dropped != c.dropped {
			t.Errorf("%s: dropped %+v, want %+v", name, r.dropped, c.dropped)
		}
		for range 2 {
			got, pieces := allEntries(t, r)
			if err := sameEntries(got, wantEntries(c.logs, &r.values)); err != nil || pieces < 2 || pieces > 20 {
				t.Errorf("%s: %d pieces: %v", name, pieces, err)
			}
			r.Suspend()
			if err := r.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r.free()
		if used, most := budget.now(); used != 0 || most > in.config.RequestMemory() {
			t.Errorf("%s: %d bytes are still charged, there were %d", name, used, most)
		}
	}
}

// The resources and scopes of requests keep their address, as long as there are not too many of them.
func TestOTLPStreamsAreKept(t *testing.T) {
	c := testConfig()
	streams := &otlpStreams{bound: 64 << 10}
	in := newOTLPIntake(&c, &fakeBudget{}, newMetrics(prometheus.NewRegistry()), func() decoder {
		return &otlpDecoder{config: &c, streams: streams, text: otlpText{limit: int(c.MaxEntryBytes)}}
	})
	stream := func(resource, scope string) *schema.Stream {
		data, _ := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
			Resource: &resourcepb.Resource{Attributes: kv("service.name", str(resource))},
			ScopeLogs: []*logspb.ScopeLogs{{
				Scope: &commonpb.InstrumentationScope{Name: scope, Attributes: kv("scope", str(scope))}, LogRecords: []*logspb.LogRecord{{Body: str("x")}},
			}},
		}}})
		r, err := decodeBytes(t, in, data, otlpDefaults)
		if err != nil {
			t.Fatal(err)
		}
		defer r.free()
		e := r.Entries[0]
		if e.Service != resource || e.ScopeName != scope || e.Stream.ScopeAttributes[0].Text != scope || e.Stream.ResourceAttributes[0].Text != resource {
			t.Fatalf("resource %q, scope %q are %+v, %+v", resource, scope, e, e.Stream)
		}
		return e.Stream
	}
	first := stream("a", "1")
	if stream("a", "1") != first || stream("a", "2") == first || stream("b", "1") == first {
		t.Error("streams are confused")
	}
	for i := range 1000 { // too many to keep, but this one is needed again and again
		stream("r"+strconv.Itoa(i), "")
		if stream("a", "1") != first {
			t.Fatalf("not kept after %d others", i)
		}
	}
	for i := range 1000 {
		stream("a", strconv.Itoa(i))
		streams.mu.Lock()
		if kept := streams.bytes; kept > streams.bound+1024 {
			t.Fatalf("%d bytes are kept", kept)
		}
		streams.mu.Unlock()
	}
	for range 3 {
		stream("b", "")
	}
	if len(streams.young)+len(streams.old) > 2*streams.bound/streamOverhead || streams.young == nil && streams.old == nil {
		t.Error("too much is kept")
	}
}

// Protobuf merges repeated occurrences of a field that is not repeated.
func TestOTLPMerges(t *testing.T) {
	marshal := func(m proto.Message) []byte { data, _ := proto.Marshal(m); return data }
	field := func(number protowire.Number, values ...[]byte) (out []byte) {
		for _, v := range values {
			out = protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), v)
		}
		return out
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	unknown := join([]byte{0x7b}, field(1, []byte("in a group")), []byte{0x7c}, field(999, []byte("x")))
	keyValue := join(unknown, field(1, []byte("old"), []byte("key")), field(2, marshal(array(str("a"))), marshal(array(str("b")))))
	record := join(field(5, marshal(kvlist("a", integer(1))), marshal(kvlist("b", integer(2)))), field(6, keyValue), field(3, []byte("old"), []byte("new")),
		protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), 3), // another wire type: unknown
		field(6, join(field(1, []byte("o")), field(2, join(marshal(array(str("gone"))), marshal(integer(1)), marshal(array(str("kept"))))))))
	scopeLogs := join(field(2, record), field(1, marshal(&commonpb.InstrumentationScope{Name: "s", Attributes: kv("1", nil)})),
		field(1, marshal(&commonpb.InstrumentationScope{Version: "v", Attributes: kv("2", nil)})), field(3, []byte("x"), []byte("y")))
	data := field(1, join(field(3, []byte("z")), field(2, scopeLogs), unknown, field(1, marshal(&resourcepb.Resource{Attributes: kv("r", str("1"))})),
		field(1, marshal(&resourcepb.Resource{Attributes: kv("r", str("2"))}))))
	got, err := compareOTLP(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if e := got[0]; e.Entry.Body != `{"a":1,"b":2}` || e.Attributes[0].Text != `["a","b"]` || e.Attributes[1].Text != `["kept"]` || len(e.Resource) != 2 || len(e.Scope) != 2 {
		t.Errorf("%+v", e)
	}
	// What scope_logs was called before OTLP 0.15 counts where there is nothing else.
	in, _ := otlpIntake(t, nil)
	for name, c := range map[string]struct {
		resourceLogs []byte
		bodies       []string
	}{
		"old":  {field(1000, field(2, marshal(&logspb.LogRecord{Body: str("old")}))), []string{"old"}},
		"both": {join(field(1000, field(2, marshal(&logspb.LogRecord{Body: str("old")}))), field(2, field(2, marshal(&logspb.LogRecord{Body: str("new")})))), []string{"new"}},
	} {
		r, err := decodeBytes(t, in, field(1, c.resourceLogs), otlpDefaults)
		if err != nil {
			t.Fatal(err)
		}
		var bodies []string
		for _, e := range r.Entries {
			bodies = append(bodies, e.Body)
		}
		if !slices.Equal(bodies, c.bodies) {
			t.Errorf("%s: %q", name, bodies)
		}
		r.free()
	}
}

var errTheirs = errors.New("the generated messages refuse it")

// compareOTLP decodes a request and compares the entries with those of the generated messages.
func compareOTLP(t testing.TB, data []byte) ([]*plainEntry, error) {
	in, budget := otlpIntake(t, nil)
	in.config.MaxRequestEntries = math.MaxInt
	var logs logspb.LogsData
	theirs := proto.Unmarshal(data, &logs)
	r, err := decodeBytes(t, in, data, otlpDefaults)
	switch {
	case theirs != nil && err == nil:
		r.free()
		return nil, errTheirs
	case theirs != nil:
		return nil, errTheirs
	case err != nil:
		return nil, fmt.Errorf("refused: %w", err)
	}
	got, _ := allEntries(t, r)
	values := r.values
	tooLarge := map[uint32]bool{}
	for _, refusal := range r.refusals {
		tooLarge[refusal.Index] = refusal.Reason == schema.TooLarge
	}
	r.free()
	if used, _ := budget.now(); used != 0 {
		return nil, fmt.Errorf("%d bytes are still charged", used)
	}
	want := wantEntries(&logs, &values)
	for i := range want {
		if tooLarge[uint32(i)] { // bounds that the messages do not have
			want[i] = nil
		}
	}
	return got, sameEntries(got, want)
}

// FuzzOTLP compares with the generated messages. These refuse texts that are not UTF-8, and look into what does not count.
func FuzzOTLP(f *testing.F) {
	rich, _ := proto.Marshal(richLogs())
	f.Add(rich)
	for _, v := range []*commonpb.AnyValue{array(array(kvlist("k", array()))), kvlist("b", nil, "a", octets("x")), double(math.Inf(1)), str("\u2028\x7f<\\")} {
		data, _ := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
			Resource: &resourcepb.Resource{Attributes: kv("a", v)}, ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{{Body: v, Attributes: kv("a", v, "a", v)}}}},
		}}})
		f.Add(data)
	}
	f.Add([]byte("\n\x06\xc2>\x03\x12\x01\x2a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, protowire.AppendTag(nil, 1000, protowire.BytesType)) { // the messages do not know this field
			return
		}
		if _, err := compareOTLP(t, data); err != nil && err != errTheirs {
			t.Fatal(err)
		}
	})
}

// designLogs has the entries of designRequest as OTLP, with a scope for each of so many. The resource is one of many.
func designLogs(n, perScope, resource int) []byte {
	logs := &logspb.ResourceLogs{Resource: &resourcepb.Resource{Attributes: kv("service.name", str("checkout"), "host.name", str("node-17"),
		"k8s.pod.name", str("checkout-7d"), "k8s.namespace.name", str("shop"), "resource", integer(int64(resource)))}}
	for i := range n {
		e := designEntry(i)
		if i%perScope == 0 {
			logs.ScopeLogs = append(logs.ScopeLogs, &logspb.ScopeLogs{Scope: &commonpb.InstrumentationScope{Name: fmt.Sprintf("logger-%d", i/perScope%100)}})
		}
		trace, _ := hex.DecodeString(e.TraceId)
		span, _ := hex.DecodeString(e.SpanId)
		record := &logspb.LogRecord{
			TimeUnixNano: e.TimeUnixNano, SeverityNumber: logspb.SeverityNumber(e.SeverityNumber), SeverityText: e.SeverityText,
			Body: str(e.Body), TraceId: trace, SpanId: span, Flags: e.TraceFlags,
		}
		for _, a := range e.Attributes {
			v := str(a.StringValue)
			switch typeOf(a) {
			case typeInt:
				v = integer(a.IntValue)
			case typeDouble:
				v = double(a.DoubleValue)
			}
			record.Attributes = append(record.Attributes, kv(a.Key, v)...)
		}
		s := logs.ScopeLogs[len(logs.ScopeLogs)-1]
		s.LogRecords = append(s.LogRecords, record)
	}
	data, err := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{logs}})
	if err != nil {
		panic(err)
	}
	return data
}

// TestOTLPAllocations: a request may allocate a few times, a record never.
func TestOTLPAllocations(t *testing.T) {
	in, _ := otlpIntake(t, nil)
	data := designLogs(1000, 1000, 1)
	run := func() {
		r, err := decodeBytes(t, in, data, defaults{})
		if err != nil {
			t.Fatal(err)
		}
		r.free()
	}
	run()
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	if allocations := testing.AllocsPerRun(50, run); allocations > 40 {
		t.Errorf("%v allocations for 1000 records", allocations)
	}
}

// BenchmarkDecodeOTLP decodes the entries of BenchmarkDecode. What differs between the last two is that resources are known.
func BenchmarkDecodeOTLP(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in, _ := otlpIntake(b, nil)
			benchmarkDecode(b, in, designLogs(n, n, 1), n)
		})
	}
	b.Run("100/10_a_scope", func(b *testing.B) {
		in, _ := otlpIntake(b, nil)
		benchmarkDecode(b, in, designLogs(100, 10, 1), 100)
	})
	b.Run("100/10_a_scope/not_kept", func(b *testing.B) {
		c := testConfig()
		ofOTLP := newOTLPDecoder(&c)
		in := newOTLPIntake(&c, &fakeBudget{}, newMetrics(prometheus.NewRegistry()), func() decoder { return forgetful{ofOTLP().(*otlpDecoder)} })
		benchmarkDecode(b, in, designLogs(100, 10, 1), 100)
	})
}

// forgetful knows no resource from an earlier request.
type forgetful struct{ *otlpDecoder }

func (d forgetful) decode(data []byte, from cut, values *defaults, into *arena) (cut, error) {
	d.streams = &otlpStreams{bound: otlpStreamBytes}
	return d.otlpDecoder.decode(data, from, values, into)
}
