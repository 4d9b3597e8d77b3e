package server

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

func testIntake(t testing.TB, adjust func(*Config)) (*intake, *fakeBudget) {
	t.Helper()
	c := testConfig()
	if adjust != nil {
		adjust(&c)
	}
	m := newMetrics(prometheus.NewRegistry())
	budget := &fakeBudget{}
	return newIntake(protocolProtobuf, &c, budget, m, newProtobufDecoder(&c)), budget
}

var testReceived = time.Unix(1_700_000_000, 42)

// decodeBytes admits and decodes an encoded request.
func decodeBytes(t testing.TB, in *intake, data []byte, values defaults) (*request, error) {
	t.Helper()
	r, err := in.admit(t.Context(), frameOf(data), testReceived, nil)
	if err != nil {
		return nil, err
	}
	if err := r.decode(t.Context(), &values); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

func decodeRequest(t testing.TB, in *intake, m *pb.IngestStreamRequest, values defaults) *request {
	t.Helper()
	data, err := m.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	r, err := decodeBytes(t, in, data, values)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEntryValidation(t *testing.T) {
	at := func(a *pb.Attribute) *pb.Entry { return &pb.Entry{Attributes: []*pb.Attribute{{Key: "first"}, a}} }
	many := &pb.Entry{}
	for range 1025 {
		many.Attributes = append(many.Attributes, &pb.Attribute{Key: "k"})
	}
	for name, c := range map[string]struct {
		entry  *pb.Entry
		field  string // empty with no reason: the entry is valid
		reason schema.Reason
	}{
		"empty":                 {&pb.Entry{}, "", 0},
		"largest":               {&pb.Entry{Body: strings.Repeat("x", 256<<10-4)}, "", 0},
		"too large":             {&pb.Entry{Body: strings.Repeat("x", 256<<10)}, "", schema.TooLarge},
		"too many attributes":   {many, "attributes", schema.TooLarge},
		"severity 24":           {&pb.Entry{SeverityNumber: 24}, "", 0},
		"severity 25":           {&pb.Entry{SeverityNumber: 25}, "severity_number", schema.InvalidField},
		"severity 256":          {&pb.Entry{SeverityNumber: 256}, "severity_number", schema.InvalidField},
		"flags 255":             {&pb.Entry{TraceFlags: 255}, "", 0},
		"flags 256":             {&pb.Entry{TraceFlags: 256}, "trace_flags", schema.InvalidField},
		"time":                  {&pb.Entry{TimeUnixNano: 1 << 63}, "time_unix_nano", schema.InvalidField},
		"observed time":         {&pb.Entry{ObservedTimeUnixNano: math.MaxUint64}, "observed_time_unix_nano", schema.InvalidField},
		"trace id":              {&pb.Entry{TraceId: strings.Repeat("aF09", 8)}, "", 0},
		"trace id length":       {&pb.Entry{TraceId: strings.Repeat("a", 31)}, "trace_id", schema.InvalidField},
		"trace id character":    {&pb.Entry{TraceId: strings.Repeat("g", 32)}, "trace_id", schema.InvalidField},
		"trace id near a digit": {&pb.Entry{TraceId: strings.Repeat("\x10", 32)}, "trace_id", schema.InvalidField},
		"span id":               {&pb.Entry{SpanId: strings.Repeat("0", 16)}, "", 0},
		"span id length":        {&pb.Entry{SpanId: strings.Repeat("0", 32)}, "span_id", schema.InvalidField},
		"colo":                  {&pb.Entry{Colo: "EWR_1.b"}, "", 0},
		"colo character":        {&pb.Entry{Colo: "EWR-1"}, "colo", schema.InvalidField},
		"colo length":           {&pb.Entry{Colo: strings.Repeat("a", 33)}, "colo", schema.InvalidField},
		"empty key":             {at(&pb.Attribute{}), `attributes[""]`, schema.InvalidField},
		"unknown type":          {at(&pb.Attribute{Key: "x\"\xff", Type: 7}), `attributes["x\"\xff"].type`, schema.InvalidField},
		"negative type":         {at(&pb.Attribute{Key: "x", Type: -1}), `attributes["x"].type`, schema.InvalidField},
		"long key": {
			at(&pb.Attribute{Key: strings.Repeat("k", 500), Type: 7}), `attributes["` + strings.Repeat("k", 128) + `..."].type`, schema.InvalidField,
		},
	} {
		t.Run(name, func(t *testing.T) {
			in, budget := testIntake(t, nil)
			good := &pb.Entry{Body: "good"}
			r := decodeRequest(t, in, &pb.IngestStreamRequest{Entries: []*pb.Entry{good, c.entry, good}}, defaults{})
			if c.reason == schema.NoReason {
				if len(r.Entries) != 3 || r.refusals != nil || r.Place(2) != 2 {
					t.Fatalf("refused: %+v", r.refusals)
				}
			} else {
				if len(r.Entries) != 2 || r.Place(0) != 0 || r.Place(1) != 2 || len(r.refusals) != 1 {
					t.Fatalf("%d entries, refused: %+v", len(r.Entries), r.refusals)
				}
				if got := r.refusals[0]; got.Index != 1 || got.Field != c.field || got.Reason != c.reason || got.Message == "" {
					t.Fatalf("refused: %+v", got)
				}
			}
			r.free()
			if used, _ := budget.now(); used != 0 {
				t.Errorf("%d bytes are still charged", used)
			}
		})
	}
}

const (
	typeString = pb.AttributeType_ATTRIBUTE_TYPE_STRING
	typeInt    = pb.AttributeType_ATTRIBUTE_TYPE_INT
	typeDouble = pb.AttributeType_ATTRIBUTE_TYPE_DOUBLE
	typeBool   = pb.AttributeType_ATTRIBUTE_TYPE_BOOL
	typeBytes  = pb.AttributeType_ATTRIBUTE_TYPE_BYTES
	typeJSON   = pb.AttributeType_ATTRIBUTE_TYPE_JSON
)

// Whatever value a producer sets is stored, or refused by the name of its field.
func TestAttributeValues(t *testing.T) {
	negativeZero := math.Copysign(0, -1)
	withUnknown := func() *pb.Attribute {
		a := &pb.Attribute{Key: "k", StringValue: "v"}
		a.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 17, protowire.VarintType), 1))
		return a
	}
	for name, c := range map[string]struct {
		attribute *pb.Attribute
		want      schema.Attribute
		field     string // of the refusal; empty: none
	}{
		"nothing":         {&pb.Attribute{}, schema.StringAttribute("k", ""), ""},
		"string":          {&pb.Attribute{StringValue: "v"}, schema.StringAttribute("k", "v"), ""},
		"int":             {&pb.Attribute{IntValue: -3}, schema.IntAttribute("k", -3), ""},
		"double":          {&pb.Attribute{DoubleValue: 0.5}, schema.DoubleAttribute("k", 0.5), ""},
		"double -0":       {&pb.Attribute{DoubleValue: negativeZero}, schema.DoubleAttribute("k", negativeZero), ""},
		"bool":            {&pb.Attribute{BoolValue: true}, schema.BoolAttribute("k", true), ""},
		"bytes":           {&pb.Attribute{BytesValue: []byte("\x00")}, schema.BytesAttribute("k", "\x00"), ""},
		"typed zero":      {&pb.Attribute{Type: typeInt}, schema.IntAttribute("k", 0), ""},
		"typed bytes":     {&pb.Attribute{Type: typeBytes}, schema.BytesAttribute("k", ""), ""},
		"json":            {&pb.Attribute{Type: typeJSON, StringValue: "{}"}, schema.JSONAttribute("k", "{}"), ""},
		"two values":      {&pb.Attribute{StringValue: "v", IntValue: 3}, schema.Attribute{}, "int_value"},
		"two others":      {&pb.Attribute{BoolValue: true, BytesValue: []byte("b")}, schema.Attribute{}, "bytes_value"},
		"all values":      {&pb.Attribute{StringValue: "v", IntValue: 1, DoubleValue: 1, BoolValue: true, BytesValue: []byte("b")}, schema.Attribute{}, "int_value"},
		"int as string":   {&pb.Attribute{Type: typeString, IntValue: 3}, schema.Attribute{}, "int_value"},
		"string as int":   {&pb.Attribute{Type: typeInt, StringValue: "3"}, schema.Attribute{}, "string_value"},
		"int as double":   {&pb.Attribute{Type: typeDouble, IntValue: 3}, schema.Attribute{}, "int_value"},
		"bytes as bool":   {&pb.Attribute{Type: typeBool, BytesValue: []byte("b")}, schema.Attribute{}, "bytes_value"},
		"string as bytes": {&pb.Attribute{Type: typeBytes, StringValue: "b"}, schema.Attribute{}, "string_value"},
		"bool as json":    {&pb.Attribute{Type: typeJSON, BoolValue: true}, schema.Attribute{}, "bool_value"},
		"one too many":    {&pb.Attribute{Type: typeInt, IntValue: 3, DoubleValue: negativeZero}, schema.Attribute{}, "double_value"},
		"unknown field":   {withUnknown(), schema.Attribute{}, "17"},
	} {
		t.Run(name, func(t *testing.T) {
			c.attribute.Key = "k"
			in, _ := testIntake(t, nil)
			data, err := proto.Marshal(&pb.IngestStreamRequest{Entries: []*pb.Entry{{Attributes: []*pb.Attribute{c.attribute}}}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := decodeBytes(t, in, data, defaults{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.free()
			config := testConfig()
			o, openingErr := config.checkOpening(&pb.Open{ResourceAttributes: []*pb.Attribute{c.attribute}})
			if c.field != "" {
				if len(r.refusals) != 1 || r.refusals[0].Field != `attributes["k"].`+c.field || r.refusals[0].Reason != schema.InvalidField {
					t.Errorf("refused %+v", r.refusals)
				}
				wantField(t, openingErr, "INVALID_OPENING", `open.resource_attributes["k"].`+c.field)
				return
			}
			if len(r.Entries) != 1 || r.Entries[0].Attributes[0] != c.want {
				t.Errorf("got %+v, refused %+v, want %+v", r.Entries, r.refusals, c.want)
			}
			if openingErr != nil || o.defaults.stream.ResourceAttributes[0] != c.want {
				t.Errorf("opening: got %+v, %v", o, openingErr)
			}
		})
	}
}

// wantField checks the reason of a refused request and the first field that it names.
func wantField(t *testing.T, err error, reason, field string) {
	t.Helper()
	wantStatus(t, err, codes.InvalidArgument, reason)
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			if got := bad.FieldViolations[0].Field; got != field {
				t.Errorf("the field is %q, want %q", got, field)
			}
		}
	}
}

func TestEntryFills(t *testing.T) {
	c := testConfig()
	o, err := c.checkOpening(&pb.Open{
		Colo: "EWR", ResourceSchemaUrl: "rs", ScopeName: "sn", ScopeVersion: "sv", ScopeSchemaUrl: "ss",
		ResourceAttributes: []*pb.Attribute{{Key: "service.name", StringValue: "api"}, {Key: "n", Type: pb.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: -4}},
		ScopeAttributes:    []*pb.Attribute{{Key: "s", Type: pb.AttributeType_ATTRIBUTE_TYPE_BOOL, BoolValue: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	in, _ := testIntake(t, nil)
	full := &pb.Entry{
		TimeUnixNano: 5, ObservedTimeUnixNano: 6, SeverityNumber: 9, SeverityText: "INFO", Body: "b\xff", Service: "own", TraceId: strings.Repeat("a", 32),
		SpanId: strings.Repeat("b", 16), TraceFlags: 1, EventName: "e", Colo: "LHR", ScopeName: "1", ScopeVersion: "2", ScopeSchemaUrl: "3", ResourceSchemaUrl: "4",
		Attributes: []*pb.Attribute{
			{Key: "string", StringValue: "v"}, {Key: "explicit", Type: pb.AttributeType_ATTRIBUTE_TYPE_STRING, StringValue: "w"},
			{Key: "int", Type: pb.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: -7}, {Key: "double", Type: pb.AttributeType_ATTRIBUTE_TYPE_DOUBLE, DoubleValue: 1.5},
			{Key: "bool", Type: pb.AttributeType_ATTRIBUTE_TYPE_BOOL, BoolValue: true}, {Key: "no", Type: pb.AttributeType_ATTRIBUTE_TYPE_BOOL},
			{Key: "bytes", Type: pb.AttributeType_ATTRIBUTE_TYPE_BYTES, BytesValue: []byte{0, 255}}, {Key: "json", Type: pb.AttributeType_ATTRIBUTE_TYPE_JSON, StringValue: "{}"},
		},
	}
	r := decodeRequest(t, in, &pb.IngestStreamRequest{Entries: []*pb.Entry{{}, full}}, withReceived(o.defaults))
	stream := o.defaults.stream
	want := []schema.Entry{
		{
			Time: testReceived.UnixNano(), ObservedTime: testReceived.UnixNano(), Service: "api", Colo: "EWR", Stream: stream,
			ScopeName: "sn", ScopeVersion: "sv", ScopeSchemaURL: "ss", ResourceSchemaURL: "rs",
		},
		{
			Time: 5, ObservedTime: 6, SeverityNumber: 9, SeverityText: "INFO", Body: "b\xff", Service: "own", TraceID: strings.Repeat("a", 32),
			SpanID: strings.Repeat("b", 16), TraceFlags: 1, EventName: "e", Colo: "LHR", Stream: stream,
			ScopeName: "1", ScopeVersion: "2", ScopeSchemaURL: "3", ResourceSchemaURL: "4",
			Attributes: []schema.Attribute{
				schema.StringAttribute("string", "v"), schema.StringAttribute("explicit", "w"), schema.IntAttribute("int", -7),
				schema.DoubleAttribute("double", 1.5), schema.BoolAttribute("bool", true), schema.BoolAttribute("no", false),
				schema.BytesAttribute("bytes", "\x00\xff"), schema.JSONAttribute("json", "{}"),
			},
		},
	}
	if !reflect.DeepEqual(r.Entries, want) {
		t.Errorf("got  %+v\nwant %+v", r.Entries, want)
	}
	if got := stream.ResourceAttributes[1]; got != schema.IntAttribute("n", -4) {
		t.Errorf("resource attribute %+v", got)
	}
	if got := stream.ScopeAttributes[0]; got != schema.BoolAttribute("s", true) {
		t.Errorf("scope attribute %+v", got)
	}
}

func withReceived(d defaults) defaults {
	d.received = testReceived.UnixNano()
	return d
}

// However small its entries and attributes, no request needs more memory than RequestMemory.
func TestRequestMemory(t *testing.T) {
	entry := &pb.Entry{}
	for range 1000 {
		entry.Attributes = append(entry.Attributes, &pb.Attribute{Key: "k"})
	}
	dense := &pb.IngestStreamRequest{}
	for range 830 {
		dense.Entries = append(dense.Entries, entry)
	}
	in, budget := testIntake(t, func(c *Config) { c.MaxRequestBytes, c.MaxRequestEntries = 5<<20, 1_000_000 })
	for name, m := range map[string]*pb.IngestStreamRequest{"attributes": dense, "entries": {Entries: make([]*pb.Entry, 1_000_000)}} {
		for i := range m.Entries {
			if m.Entries[i] == nil {
				m.Entries[i] = &pb.Entry{}
			}
		}
		r := decodeRequest(t, in, m, defaults{})
		entries := 0
		for more := true; more; more = r.Next() {
			entries += len(r.Entries)
		}
		if _, peak := budget.now(); entries != len(m.Entries) || peak > in.config.RequestMemory() {
			t.Errorf("%s: %d entries in %d bytes, want %d in at most %d", name, entries, peak, len(m.Entries), in.config.RequestMemory())
		}
		r.free()
	}
}

// Memory that a few bytes on the wire expand to is charged before decoding.
func TestDenseRequestsAreCharged(t *testing.T) {
	var entries []*pb.Entry
	for range 4000 {
		e := &pb.Entry{}
		for range 12 {
			e.Attributes = append(e.Attributes, &pb.Attribute{Key: "k"})
		}
		entries = append(entries, e)
	}
	in, budget := testIntake(t, nil)
	for name, m := range map[string]*pb.IngestStreamRequest{
		"attributes": {Entries: entries}, "entries": {Entries: make10000()}, "refused": {Entries: refused10000()}, "one": {Entries: entriesOf("x")}, "none": {},
	} {
		r := decodeRequest(t, in, m, defaults{})
		places, attributes := make([]bool, len(m.Entries)), 0
		for more := true; more; more = r.Next() {
			used, _ := budget.now()
			if held := cap(*r.buffer) + r.arena.bytes(); used != r.Bytes || held > used {
				t.Errorf("%s: charged %d, Bytes %d, holds %d", name, used, r.Bytes, held)
			}
			for i := range r.Entries {
				if places[r.Place(i)] {
					t.Errorf("%s: place %d twice", name, r.Place(i))
				}
				places[r.Place(i)] = true
				attributes += len(r.Entries[i].Attributes)
			}
		}
		for i := range r.refusals {
			if places[r.refusals[i].Index] {
				t.Errorf("%s: place %d is refused and taken, or refused twice", name, r.refusals[i].Index)
			}
			places[r.refusals[i].Index] = true
		}
		if at := slices.Index(places, false); at >= 0 {
			t.Errorf("%s: entry %d is neither taken nor refused", name, at)
		}
		if name == "attributes" && attributes != 4000*12 {
			t.Errorf("%d attributes", attributes)
		}
		// A suspended request holds nothing, and resumes where it was.
		r.Suspend()
		if used, _ := budget.now(); used != 0 {
			t.Errorf("%s: %d bytes charged while suspended", name, used)
		}
		if err := r.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(m.Entries) > 0 && len(r.Entries) > 0 && r.Place(0) > uint32(len(r.refusals)) {
			t.Errorf("%s: resumed at place %d", name, r.Place(0))
		}
		r.free()
		if used, _ := budget.now(); used != 0 {
			t.Errorf("%s: %d bytes are still charged", name, used)
		}
	}
}

func make10000() []*pb.Entry { return make2(10_000, 0) }

func refused10000() []*pb.Entry { return make2(10_000, 25) }

func make2(n int, severity uint32) []*pb.Entry {
	entries := make([]*pb.Entry, n)
	for i := range entries {
		entries[i] = &pb.Entry{SeverityNumber: severity}
	}
	return entries
}

// designEntry is the entry of the measurements in design.md: 338 bytes, eight attributes.
func designEntry(i int) *pb.Entry {
	e := &pb.Entry{
		TimeUnixNano: 1_700_000_000_000_000_000 + uint64(i), SeverityNumber: 9, SeverityText: "INFO", Service: "checkout",
		Body:    fmt.Sprintf("request %06d finished", i),
		TraceId: "4bf92f3577b34da6a3ce929d0e0e4736", SpanId: "00f067aa0ba902b7", TraceFlags: 1,
	}
	for _, kv := range [][2]string{
		{"http.request.method", "GET"}, {"url.path", "/cart/items"}, {"host.name", "node-17"}, {"k8s.pod.name", "checkout-7d"},
		{"user_agent", "curl"}, {"region", "eu-west"},
	} {
		e.Attributes = append(e.Attributes, &pb.Attribute{Key: kv[0], StringValue: kv[1]})
	}
	e.Attributes = append(e.Attributes,
		&pb.Attribute{Key: "http.response.status_code", Type: pb.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: 200},
		&pb.Attribute{Key: "duration_ms", Type: pb.AttributeType_ATTRIBUTE_TYPE_DOUBLE, DoubleValue: 12.5})
	return e
}

func designRequest(n int) []byte {
	m := &pb.IngestStreamRequest{Sequence: 1}
	for i := range n {
		m.Entries = append(m.Entries, designEntry(i))
	}
	data, err := m.MarshalVT()
	if err != nil {
		panic(err)
	}
	return data
}

// TestDecodeAllocations: a request may allocate a few times, an entry never.
func TestDecodeAllocations(t *testing.T) {
	in, _ := testIntake(t, nil)
	data := designRequest(1000)
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
	if allocations := testing.AllocsPerRun(50, run); allocations > 30 {
		t.Errorf("%v allocations for 1000 entries", allocations)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in, _ := testIntake(b, nil)
			benchmarkDecode(b, in, designRequest(n), n)
		})
	}
}

// benchmarkDecode measures the decoding of a request with n entries.
func benchmarkDecode(b *testing.B, in *intake, data []byte, n int) {
	values := defaults{received: 1, stream: &schema.Stream{}, colo: "EWR"}
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		r, err := in.admit(b.Context(), frameOf(data), testReceived, nil)
		if err == nil {
			err = r.decode(b.Context(), &values)
		}
		if err != nil {
			b.Fatal(err)
		}
		r.free()
	}
	// CPU time, not elapsed time: it does not depend on what else the machine does.
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/entry")
	b.ReportMetric(float64(len(data))/float64(n), "bytes/entry")
}

// cpuTime returns the CPU time that the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reference decodes with protobuf-go, message by message.
func reference(c *Config, data []byte, values defaults) (entries []schema.Entry, refused []uint32, ok bool) {
	var m pb.IngestStreamRequest
	if err := proto.Unmarshal(data, &m); err != nil {
		return nil, nil, false
	}
	for i, e := range m.Entries {
		if c.refuse(0, len(e.Attributes)) != nil || check(e) != nil {
			refused = append(refused, uint32(i))
			continue
		}
		v := schema.Entry{}
		view(e, &values, &v)
		v.Attributes = ownAttributes(e.Attributes)
		entries = append(entries, v)
	}
	return entries, refused, true
}

func FuzzDecode(f *testing.F) {
	f.Add(designRequest(3))
	f.Add([]byte{})
	f.Add([]byte{0x12, 0x00, 0x12, 0x02, 0x42, 0x00, 0x08, 0x05})
	odd, _ := (&pb.IngestStreamRequest{Entries: []*pb.Entry{{SeverityNumber: 77}, {Body: "x"}, {Attributes: []*pb.Attribute{{Key: "b", Type: 5, BytesValue: []byte("y")}}}}}).MarshalVT()
	f.Add(odd)
	f.Fuzz(func(t *testing.T, data []byte) {
		in, budget := testIntake(t, func(c *Config) { c.MaxRequestEntries = 1 << 20; c.MaxEntryAttributes = 8 })
		values := defaults{service: "s", colo: "C", stream: &schema.Stream{}}
		r, err := decodeBytes(t, in, data, values)
		entries, refused, ok := reference(in.config, data, withReceived(values))
		switch {
		case err != nil:
			// Stricter than protobuf-go is allowed: it takes a known field of another wire type for an unknown one.
		case ok:
			if len(entries)+len(r.Entries) > 0 && !reflect.DeepEqual(sameEmpty(entries), sameEmpty(cloneEntries(r.Entries))) {
				t.Errorf("got  %+v\nwant %+v", r.Entries, entries)
			}
			if len(refused) != len(r.refusals) {
				t.Fatalf("refused %+v, want %v", r.refusals, refused)
			}
			for i := range refused {
				if r.refusals[i].Index != refused[i] {
					t.Errorf("refused %+v, want %v", r.refusals, refused)
				}
			}
		}
		if r != nil {
			r.free()
		}
		if used, _ := budget.now(); used != 0 {
			t.Errorf("%d bytes are still charged", used)
		}
	})
}

// sameEmpty makes empty lists nil.
func sameEmpty(entries []schema.Entry) []schema.Entry {
	for i := range entries {
		if len(entries[i].Attributes) == 0 {
			entries[i].Attributes = nil
		}
	}
	return entries
}
