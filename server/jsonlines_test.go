package server

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/logline"
)

// jsonIntake returns an intake of JSON lines, of Entries or of loggers.
func jsonIntake(t testing.TB, own bool, adjust func(*Config)) (*intake, *fakeBudget) {
	t.Helper()
	c := testConfig()
	if adjust != nil {
		adjust(&c)
	}
	budget := &fakeBudget{}
	return newIntake(protocolJSONLines, &c, budget, newMetrics(prometheus.NewRegistry()), newJSONDecoder(&c, own)), budget
}

// linesOf returns the entries of JSON lines by their places, and the refusals.
func linesOf(t testing.TB, in *intake, budget *fakeBudget, body string) (map[int]schema.Entry, []schema.Refusal, error) {
	t.Helper()
	values := defaults{stream: &schema.Stream{}, service: "default", colo: "TST", scopeName: "scope"}
	r, err := decodeBytes(t, in, []byte(body), values)
	if err != nil {
		return nil, nil, err
	}
	entries := map[int]schema.Entry{}
	for {
		for i, e := range cloneEntries(r.Entries) {
			entries[int(r.Place(i))] = e
		}
		if used, _ := budget.now(); used < r.Bytes {
			t.Errorf("%d bytes, granted %d", r.Bytes, used)
		}
		if !r.Next() {
			break
		}
	}
	refusals := r.refusals
	r.free()
	if used, _ := budget.now(); used != 0 {
		t.Errorf("%d bytes are not given back", used)
	}
	return entries, refusals, nil
}

func TestJSONLinesOfLoggers(t *testing.T) {
	in, budget := jsonIntake(t, false, nil)
	received, at := testReceived.UnixNano(), time.Date(2026, 3, 1, 10, 15, 0, 5e8, time.UTC).UnixNano()
	for line, want := range map[string]schema.Entry{
		`{"time":"2026-03-01T11:15:00.5+01:00","level":"WARN","msg":"slow","took":1.5,"n":3,"ok":true,"none":null,"o":{"a":[1]}}`: {
			Time: at, SeverityNumber: 13, SeverityText: "WARN", Body: "slow", Service: "default", Attributes: []schema.Attribute{
				schema.DoubleAttribute("took", 1.5), schema.IntAttribute("n", 3), schema.BoolAttribute("ok", true), schema.JSONAttribute("o", `{"a":[1]}`)},
		},
		`{"level":30,"time":1772360100500,"name":"shop","msg":"a\nb","traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","span_id":"00f067aa0ba902b7"}`: {
			Time: at, SeverityNumber: 9, SeverityText: "INFO", Body: "a\nb", Service: "shop",
			TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", SpanID: "00f067aa0ba902b7",
		},
		`{"@timestamp":"2026-03-01 10:15:00.5","user":"ada","k\u00e9y":"v\u00e9"}`: { // without a zone it is UTC's
			Time: at, Body: `{"@timestamp":"2026-03-01 10:15:00.5","user":"ada","k\u00e9y":"v\u00e9"}`, Service: "default",
			Attributes: []schema.Attribute{schema.StringAttribute("user", "ada"), schema.StringAttribute("kéy", "vé")},
		},
		`{}`:        {Time: received, Body: `{}`, Service: "default"},
		`{"":null}`: {Time: received, Body: `{"":null}`, Service: "default"},
		"\ufeff {\"message\":\"x\",\"time\":\"yesterday\"}\t\r": {Time: received, Body: "x", Service: "default",
			Attributes: []schema.Attribute{schema.StringAttribute("time", "yesterday")}},
	} {
		want.ObservedTime, want.Colo, want.Stream, want.ScopeName = received, "TST", &schema.Stream{}, "scope"
		got, refusals, err := linesOf(t, in, budget, line)
		if err != nil || len(refusals) != 0 || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s:\n got %+v, %v, %v\nwant %+v", line, got[0], refusals, err, want)
		}
	}
}

// Whatever is wrong with a line is told with its number; the lines around it are entries, and blank lines are none.
func TestJSONLinesThatAreRefused(t *testing.T) {
	long := `{"msg":"` + strings.Repeat("x", 1<<16) + `"}`
	deep := `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`
	for name, own := range map[string]bool{"log": false, "entry": true} {
		in, budget := jsonIntake(t, own, func(c *Config) { c.MaxEntryBytes, c.MaxEntryAttributes = 1<<16, 10 })
		many := `{` + strings.Repeat(`"a":1,`, 20) + `"b":1}`
		if own {
			many = `{"attributes":[` + strings.Repeat(`{"key":"a"},`, 20) + `{"key":"b"}]}`
		}
		lines := []string{`{"body":"a"}`, "", `plain text`, `{"body":"b"`, `[{"body":"c"}]`, long, " \t\r", many, deep, `{"body":"d"} x`, `{"body":"e"}`, "", ""}
		got, refusals, err := linesOf(t, in, budget, strings.Join(lines, "\n"))
		if err != nil || len(got) != 2 || got[0].Body != "a" || got[10].Body != "e" {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		var told []string
		for _, r := range refusals {
			told = append(told, fmt.Sprintf("%d %s %.40s", r.Index+1, r.Reason, r.Message))
		}
		if want := []string{
			"3 invalid_field the line is not a JSON object",
			"4 invalid_field the line begins like a JSON object but i",
			"5 invalid_field the line is not a JSON object; the eleme",
			"6 too_large the entry has 65546 bytes, max_entry_byt",
			"8 too_large the entry has 21 attributes, max_entry_a",
			"9 invalid_field the line begins like a JSON object but i",
			"10 invalid_field the line begins like a JSON object but i",
		}; !slices.Equal(told, want) {
			t.Errorf("%s: told\n%s\nwant\n%s", name, strings.Join(told, "\n"), strings.Join(want, "\n"))
		}
		if _, _, err := linesOf(t, in, budget, "plain\n\ntext\n"); err == nil {
			t.Errorf("%s: a body of plain text is accepted", name)
		} else {
			wantStatus(t, err, codes.InvalidArgument, "NO_JSON_LINES")
		}
		for _, blank := range []string{"", "\n\n \r\n"} {
			if got, refusals, err := linesOf(t, in, budget, blank); err != nil || len(got)+len(refusals) != 0 {
				t.Errorf("%s: %q: %v, %v, %v", name, blank, got, refusals, err)
			}
		}
	}
	in, budget := jsonIntake(t, false, nil)
	if _, refusals, _ := linesOf(t, in, budget, `{"":1}`); len(refusals) != 1 || refusals[0].Field != `attributes[""]` {
		t.Errorf("an empty key: %v", refusals)
	}
	in, _ = jsonIntake(t, false, func(c *Config) { c.MaxRequestEntries = 2 })
	_, err := decodeBytes(t, in, []byte("{}\n{}\n\n{}"), defaults{})
	wantStatus(t, err, codes.ResourceExhausted, "TOO_LARGE")
}

// Bodies with far more entries, attributes or decoded escapes than usual come in pieces, which together are the same entries.
func TestJSONLinesInPieces(t *testing.T) {
	for name, line := range map[string]string{
		"entries":    `{}`,
		"attributes": `{` + strings.Repeat(`"a":1,`, 50) + `"b":1}`,
		"escapes":    `{"msg":"` + strings.Repeat(`x`, 100) + `\n","` + strings.Repeat("k", 100) + `\t":"` + strings.Repeat("v", 100) + `\t"}`,
	} {
		in, budget := jsonIntake(t, false, nil)
		n := min(9999, 3<<20/len(line))
		got, refusals, err := linesOf(t, in, budget, strings.Repeat(line+"\n\n", n/2))
		if err != nil || len(refusals) != 0 || len(got) != n/2 {
			t.Errorf("%s: %d entries of %d, %v, %v", name, len(got), n/2, refusals, err)
		}
		for place, e := range got {
			if place%2 != 0 || e.Body == "" {
				t.Fatalf("%s: place %d has %+v", name, place, e)
			}
		}
	}
}

// The JSON of an Entry is read as protobuf reads it, and what is wrong in it is named.
func TestJSONLinesOfEntries(t *testing.T) {
	in, budget := jsonIntake(t, true, nil)
	for _, line := range []string{
		`{"timeUnixNano":"1772360100500000000","severityNumber":9,"severityText":"INFO","body":"x","service":"s","traceId":"4bf92f3577b34da6a3ce929d0e0e4736",` +
			`"spanId":"00f067aa0ba902b7","traceFlags":1,"observedTimeUnixNano":1772360100500000000,"eventName":"e","colo":"EWR","scopeName":"sn",` +
			`"scopeVersion":"sv","scopeSchemaUrl":"su","resourceSchemaUrl":"ru"}`,
		`{"time_unix_nano":1,"severity_number":"9","severity_text":"é\u00e9","trace_flags":null,"attributes":null}`,
		`{"attributes":[{"key":"a","stringValue":"v\n"},{"key":"b","intValue":"-5"},{"key":"c","int_value":7},{"key":"d","doubleValue":1.5},` +
			`{"key":"e","doubleValue":"NaN"},{"key":"f","doubleValue":"-Infinity"},{"key":"g","doubleValue":"1e3"},{"key":"h","boolValue":true},` +
			`{"key":"i","bytesValue":"AP8="},{"key":"j","bytesValue":"_w"},{"key":"k","type":"ATTRIBUTE_TYPE_JSON","stringValue":"[1]"},` +
			`{"key":"l","type":2},{"key":"m","type":"ATTRIBUTE_TYPE_BOOL","boolValue":false},{"key":"n"}]}`,
		`{}`,
	} {
		var m pb.Entry
		if err := protojson.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		got, refusals, err := linesOf(t, in, budget, line)
		values := defaults{received: testReceived.UnixNano(), stream: &schema.Stream{}, service: "default", colo: "TST", scopeName: "scope"}
		var want schema.Entry
		view(&m, &values, &want)
		for _, a := range m.Attributes {
			var attribute schema.Attribute
			viewAttribute(a, &attribute)
			want.Attributes = append(want.Attributes, attribute)
		}
		if err != nil || len(refusals) != 0 || !reflect.DeepEqual(plainOf(got[0]), plainOf(want)) {
			t.Errorf("%s:\n got %+v, %v, %v\nwant %+v", line, got[0], refusals, err, want)
		}
	}
	for line, want := range map[string]string{
		`{"msg":"x"}`:          "msg: there is no such field in Entry",
		`{"body":1}`:           "body: it must be a string",
		`{"timeUnixNano":1.5}`: "time_unix_nano: it must be an integer",
		`{"timeUnixNano":-1}`:  "time_unix_nano: it must be an integer",
		`{"timeUnixNano":"18446744073709551615"}`:                    "time_unix_nano: it must be below 2^63",
		`{"severityNumber":25}`:                                      "severity_number: it must be 0 to 24",
		`{"severityNumber":4294967296}`:                              "severity_number: it must be an integer from 0 to 2^32-1",
		`{"traceId":"x"}`:                                            "trace_id: it must be 32 hexadecimal digits",
		`{"body":"a","body":"b"}`:                                    "body: it is there twice",
		`{"spanId":"","span_id":""}`:                                 "span_id: it is there twice",
		`{"attributes":{}}`:                                          "attributes: it must be an array",
		`{"attributes":[1]}`:                                         "attributes: its elements must be objects",
		`{"attributes":[{"key":"a","value":1}]}`:                     `attributes["a"].value: there is no such field in Attribute`,
		`{"attributes":[{"key":"a","intValue":"x"}]}`:                `attributes["a"].int_value: it must be an integer`,
		`{"attributes":[{"key":"a","doubleValue":"x"}]}`:             `attributes["a"].double_value: it must be a number`,
		`{"attributes":[{"key":"a","boolValue":"true"}]}`:            `attributes["a"].bool_value: it must be true or false`,
		`{"attributes":[{"key":"a","bytesValue":"%"}]}`:              `attributes["a"].bytes_value: it must be a string in base64`,
		`{"attributes":[{"key":"a","type":"INT"}]}`:                  `attributes["a"].type: it must be the name or the number`,
		`{"attributes":[{"key":"a","type":9}]}`:                      `attributes["a"].type: it is not one of AttributeType`,
		`{"attributes":[{"key":"a","intValue":1,"boolValue":true}]}`: `attributes["a"].bool_value: int_value is set too`,
		`{"attributes":[{"stringValue":"a"}]}`:                       `attributes[""]: the key must not be empty`,
	} {
		_, refusals, err := linesOf(t, in, budget, line)
		if err != nil || len(refusals) != 1 || !strings.HasPrefix(refusals[0].Field+": "+refusals[0].Message, want) {
			t.Errorf("%s: %+v, %v, want %s", line, refusals, err, want)
		}
	}
}

// plainOf returns an entry without the stream, and with a list of attributes, empty or not.
func plainOf(e schema.Entry) schema.Entry {
	e.Stream, e.Attributes = nil, append([]schema.Attribute{}, e.Attributes...)
	return e
}

// FuzzJSONLines compares with encoding/json which lines are entries, and what is decoded in pieces with what is decoded at once.
func FuzzJSONLines(f *testing.F) {
	for _, s := range []string{
		"{}\n{\"a\":1}\n\nx\n[]\n", `{"msg":"x","time":"2026-03-01T10:15:00Z","level":"warn","a":"\u00e9"}`, "{\"a\":\"\xff\"}\r\n{\"\":1}\r\n",
		strings.Repeat(`{"a":1,"b":"\n"}`+"\n", 50), "\x1e{}\n\ufeff{}", `{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "}",
	} {
		f.Add(s)
	}
	whole, wholeBudget := jsonIntake(f, false, func(c *Config) { c.MaxRequestBytes, c.MaxEntryBytes = 1<<20, 1<<10 })
	f.Fuzz(func(t *testing.T, body string) {
		got, refusals, err := linesOf(t, whole, wholeBudget, body)
		var lines []string
		objects, begins := 0, false
		for place, line := range strings.Split(body, "\n") {
			if line = strings.Trim(line, logline.White); line == "" {
				continue
			}
			lines = append(lines, line)
			begins = begins || line[0] == '{'
			var members map[string]json.RawMessage
			valid := json.Unmarshal([]byte(line), &members) == nil && members != nil
			if empty, ok := members[""]; ok && string(empty) != "null" || len(line) > 1<<10 {
				valid = false
			}
			if valid {
				objects++
			}
			if _, ok := got[place]; err == nil && ok != valid && strings.Count(line, "[")+strings.Count(line, "{") < 256 {
				t.Fatalf("line %d, %q: an entry %t, valid %t; refused %+v", place+1, line, ok, valid, refusals)
			}
		}
		if (err != nil) != (len(lines) > 0 && !begins) && len(lines) <= 10_000 {
			t.Fatalf("%q: %v", body, err)
		}
		if err == nil && len(got)+len(refusals) != len(lines) {
			t.Fatalf("%d entries and %d refusals of %d lines", len(got), len(refusals), len(lines))
		}
	})
}

// FuzzEntryJSON compares with protojson what an Entry's JSON is.
func FuzzEntryJSON(f *testing.F) {
	for _, s := range []string{
		`{"timeUnixNano":"1","severityNumber":9,"body":"x\n","attributes":[{"key":"a","intValue":"1"},{"key":"b","doubleValue":"NaN"}]}`,
		`{"time_unix_nano":1e3,"attributes":[{"key":"a","bytesValue":"AP8=","type":"ATTRIBUTE_TYPE_BYTES"},null]}`, `{"body":null,"attributes":[{}]}`,
		`{"traceFlags":1.0,"severityText":"\ud800"}`, `{"attributes":[{"key":"a","type":7,"boolValue":true,"boolValue":false}]}`, `{"body":"a","body":"b"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var o logline.Object
		var r entryReader
		if !o.Parse(line) || !utf8.ValidString(line) {
			return
		}
		var want pb.Entry
		wantErr := protojson.Unmarshal([]byte(strings.Trim(line, logline.White)), &want)
		_, problem := r.read(&o)
		switch {
		case problem == "" && wantErr != nil:
			if !strings.Contains(line, `\u`) { // half a surrogate pair, which gjson and encoding/json replace
				t.Fatalf("%s: accepted, protojson: %v", line, wantErr)
			}
		case problem != "" && wantErr == nil:
			if !strings.ContainsAny(line, ".eE") || !strings.Contains(problem, "integer") && !strings.Contains(problem, "AttributeType") { // 1e3 is an integer for protojson
				t.Fatalf("%s: %s, protojson accepts %v", line, problem, &want)
			}
		case problem == "":
			if !proto.Equal(&r.message, &want) {
				t.Fatalf("%s: %v, want %v", line, &r.message, &want)
			}
		}
	})
}

func BenchmarkJSONLines(b *testing.B) {
	var lines strings.Builder
	const n = 1000
	for i := range n {
		fmt.Fprintf(&lines, `{"time":"2026-03-01T10:15:00.%09dZ","level":"INFO","msg":"request finished","service":"shop","method":"GET","path":"/v1/items/%d","status":200,`+
			`"took_ms":1.25,"user":"ada","host":"web1","region":"eu-west-1","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7"}`+"\n", i, i)
	}
	in, _ := jsonIntake(b, false, nil)
	benchmarkDecode(b, in, []byte(lines.String()), n)
}
