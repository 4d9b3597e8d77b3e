package server

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// otlpJSONOf returns a request as OTLP's JSON: as protobuf's, but with ids in hexadecimal.
func otlpJSONOf(logs *logspb.LogsData, options protojson.MarshalOptions) []byte {
	logs = proto.CloneOf(logs)
	for _, r := range logs.ResourceLogs {
		for _, s := range r.ScopeLogs {
			for _, o := range s.LogRecords {
				// What is written in base64 is then the hexadecimal text.
				for _, id := range []*[]byte{&o.TraceId, &o.SpanId} {
					*id, _ = base64.StdEncoding.DecodeString(hex.EncodeToString(*id))
				}
			}
		}
	}
	options.UseEnumNumbers = true
	data, err := options.Marshal(logs)
	if err != nil {
		panic(err)
	}
	return data
}

// otlpOfJSON converts a request and decodes the result.
func otlpOfJSON(t testing.TB, data []byte) (*logspb.LogsData, error) {
	t.Helper()
	converted, err := appendOTLP(nil, data)
	if err != nil {
		return nil, err
	}
	if len(converted) > len(data) {
		t.Fatalf("%d bytes have become %d: %s", len(data), len(converted), data)
	}
	logs := &logspb.LogsData{}
	if err := proto.Unmarshal(converted, logs); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return logs, nil
}

func TestOTLPJSON(t *testing.T) {
	want := richLogs()
	want.ResourceLogs[0].ScopeLogs[0].LogRecords[0].Attributes = append(want.ResourceLogs[0].ScopeLogs[0].LogRecords[0].Attributes,
		kv("long", str(strings.Repeat("\"x\\\x01", 30_000)), "deep", array(array(kvlist("k", str(strings.Repeat("y", 127))))))...)
	strip := func(list []*commonpb.KeyValue) { // JSON has no form for a value without a value
		for _, pair := range list {
			if pair.GetValue().GetValue() == nil {
				pair.Value = nil
			}
		}
	}
	strip(want.ResourceLogs[0].ScopeLogs[0].LogRecords[0].Attributes)
	for _, o := range want.ResourceLogs[0].ScopeLogs[0].LogRecords {
		for i, pair := range o.Attributes {
			switch pair.Key {
			case "array": // nor for none among others
				o.Attributes[i].Value.GetArrayValue().Values[3] = &commonpb.AnyValue{}
			case "reference":
				o.Attributes[i].Value = nil
			}
		}
	}
	want.ResourceLogs[0].ScopeLogs[1].LogRecords[4].Body = nil
	for name, options := range map[string]protojson.MarshalOptions{
		"compact": {}, "with white space": {Multiline: true, Indent: "\t"}, "protobuf's names": {UseProtoNames: true},
	} {
		got, err := otlpOfJSON(t, otlpJSONOf(want, options))
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v, got\n%v, want\n%v", name, err, got, want)
		}
	}
}

func TestOTLPJSONForms(t *testing.T) {
	record := func(fields string) string {
		return `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{` + fields + `}]}]}]}`
	}
	value := func(v string) string { return record(`"body":{` + v + `}`) }
	id := bytes.Repeat([]byte{0xAB}, 16)
	for in, want := range map[string]*logspb.LogRecord{
		record(`"timeUnixNano":"1","observedTimeUnixNano":18446744073709551615`): {TimeUnixNano: 1, ObservedTimeUnixNano: 1<<64 - 1},
		record(`"traceId":"abABabABabABabABabABabABabABabAB","spanId":""`):       {TraceId: id},
		record(`"traceId":"xyz"`):                                                 {TraceId: []byte{0}}, // refused by the decoder
		record(`"severityNumber":9,"flags":257`):                                  {SeverityNumber: 9, Flags: 257},
		record(`"body":null,"attributes":null,"x":[{"y":"]}\"["},null,1e9,true]`): {},
		record(`"attributes":[{"key":"a"},null,{}]`):                              {Attributes: []*commonpb.KeyValue{{Key: "a"}, {}, {}}},
		record(`"body":{"stringValue":"a"},"body":{}`):                            {Body: str("a")},
		value(`"intValue":"-9223372036854775808"`):                                {Body: integer(-1 << 63)},
		value(`"intValue":-5`):                                                    {Body: integer(-5)},
		value(`"doubleValue":1e3`):                                                {Body: double(1000)},
		value(`"doubleValue":"0.5"`):                                              {Body: double(0.5)},
		value(`"bytesValue":"_-8"`):                                               {Body: octets("\xff\xef")},
		value(`"bytesValue":"/+8="`):                                              {Body: octets("\xff\xef")},
		value(`"stringValue":"\ud83d\ude00\ud800\u0041\/"`):                       {Body: str("😀\uFFFDA/")},
		value(`"arrayValue":{"values":[{},null,{"boolValue":false}]}`):            {Body: array(&commonpb.AnyValue{}, &commonpb.AnyValue{}, boolean(false))},
		value(`"kvlistValue":{}`):                                                 {Body: kvlist()},
	} {
		got, err := otlpOfJSON(t, []byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if o := got.ResourceLogs[0].ScopeLogs[0].LogRecords[0]; !proto.Equal(o, want) {
			t.Errorf("%s is %v, want %v", in, o, want)
		}
	}
	for in, problem := range map[string]string{
		``:                                "not valid JSON: unexpected end of JSON input",
		`{"resourceLogs":[}`:              "not valid JSON: invalid character '}'",
		"{\"resourceLogs\":\"\xff\"}":     "not valid UTF-8",
		`[]`:                              "it must be an object",
		`{"resourceLogs":{}}`:             "resourceLogs: it must be an array",
		`{"resourceLogs":[{},7]}`:         "resourceLogs[1]: it must be an object",
		record(`"timeUnixNano":"soon"`):   "resourceLogs[0].scopeLogs[0].logRecords[0].timeUnixNano: it must be a whole number from 0",
		record(`"timeUnixNano":1.5`):      "it must be a whole number",
		record(`"timeUnixNano":-1`):       "it must be a whole number from 0",
		record(`"severityNumber":"INFO"`): "severityNumber: it must be a whole number",
		record(`"traceId":7`):             "traceId: it must be a string in hexadecimal",
		record(`"severityText":{}`):       "severityText: it must be a string",
		record(`"attributes":[{"key":"a"},{"key":1}]`): "attributes[1].key: it must be a string",
		value(`"boolValue":"true"`):                    "body.boolValue: it must be true or false",
		value(`"doubleValue":"0x1p3"`):                 "body.doubleValue: it must be a number",
		value(`"doubleValue":true`):                    "body.doubleValue: it must be a number",
		value(`"bytesValue":"*"`):                      "body.bytesValue: it must be a string in base64",
		value(`"intValue":"9223372036854775808"`):      "body.intValue: it must be a whole number of 64 bits",
		value(strings.Repeat(`"arrayValue":{"values":[{`, 200) + strings.Repeat(`}]}`, 200)): "it is nested too deep",
	} {
		_, err := appendOTLP(nil, []byte(in))
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v, want %s", in, err, problem)
		}
	}
}

// FuzzOTLPJSON compares with protobuf's own reader of JSON, which has ids in base64. What both accept is the same.
func FuzzOTLPJSON(f *testing.F) {
	f.Add(otlpJSONOf(richLogs(), protojson.MarshalOptions{}))
	f.Add([]byte(`{"resourceLogs":[{"resource":null,"x":{"y":[1,"\""]},"scopeLogs":[{"logRecords":[{"body":{"arrayValue":{"values":[{}]}}}]}]}]}`))
	f.Add([]byte(`{ "resource_logs" : [ { "scope_logs" : [ { "log_records" : [ { "flags" : "1" , "body":{"kvlistValue":{"values":[]}} } ] } ] } ] }`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := otlpOfJSON(t, data)
		if err != nil || bytes.Contains(data, []byte("trindex")) { // of the profiling signal: ignored
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%s is no JSON", data)
		}
		want := &logspb.LogsData{}
		if theirs := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, want); theirs != nil {
			return
		}
		for _, logs := range []*logspb.LogsData{got, want} {
			for _, r := range logs.ResourceLogs {
				if r.Resource != nil {
					r.Resource.EntityRefs = nil
				}
				for _, s := range r.ScopeLogs {
					for _, o := range s.LogRecords {
						o.TraceId, o.SpanId = nil, nil
					}
				}
			}
		}
		if a, b := compactJSON(got), compactJSON(want); a != b {
			t.Fatalf("%s is\n%s, want\n%s", data, a, b)
		}
	})
}

// compactJSON is a form of a request in which NaN equals itself.
func compactJSON(logs *logspb.LogsData) string {
	data, err := protojson.Marshal(logs)
	if err != nil {
		return err.Error()
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, data)
	return compact.String()
}
