package schema

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// parseYAML decodes a value as the configuration does.
func parseYAML(t testing.TB, text string) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

// mustFilter compiles a filter from YAML.
func mustFilter(t testing.TB, text string) *Filter {
	t.Helper()
	filter, problems := ParseFilter(parseYAML(t, text), "filter")
	if len(problems) > 0 {
		t.Fatalf("%s: %v", text, problems)
	}
	return filter
}

// sampleEntry has an attribute of each type, and zero values that are values.
func sampleEntry() Entry {
	return Entry{
		Time: 1_800_000_000_000_000_000, Body: "GET /index.html 200", Service: "api", SeverityNumber: 9, SeverityText: "INFO",
		Colo: "EWR", TraceFlags: 1,
		Attributes: []Attribute{
			StringAttribute("text", "first"), StringAttribute("text", "value"), StringAttribute("empty", ""),
			IntAttribute("status", 500), IntAttribute("zero", 0), DoubleAttribute("ratio", 0.5), DoubleAttribute("whole", 2),
			BoolAttribute("yes", true), BoolAttribute("no", false), BytesAttribute("bytes", "value"), JSONAttribute("json", `{"a":1}`),
		},
		Stream: &Stream{
			ResourceAttributes: []Attribute{StringAttribute("host", "h1")},
			ScopeAttributes:    []Attribute{StringAttribute("library", "l1")},
		},
	}
}

func TestFilterMatch(t *testing.T) {
	tests := []struct {
		filter string
		want   bool
	}{
		{`service: {equals: api}`, true},
		{`service: {equals: API}`, false},
		{`service: {notEquals: web}`, true},
		{`service: {in: [web, api]}`, true},
		{`service: {in: [web]}`, false},
		{`service: {in: [a, b, c, d, e, f, g, h, api]}`, true},
		{`service: {startsWith: ap, endsWith: pi, contains: p}`, true},
		{`service: {startsWith: ap, endsWith: x}`, false},
		{`body: {matches: "^GET .* [0-9]+$"}`, true},
		{`body: {matches: "POST"}`, false},
		{`severity_number: {greaterThanOrEquals: 9, lessThan: 10}`, true},
		{`severity_number: {greaterThan: 9}`, false},
		{`severity_number: {lessThanOrEquals: 9}`, true},
		{`time: {greaterThan: "2027-01-15T00:00:00Z"}`, true},
		{`time: {equals: "2027-01-15T08:00:00Z"}`, true},
		{`time: {lessThan: "2027-01-15T08:00:00+01:00"}`, false},
		// The last attribute with a key counts.
		{`attributes.text: {equals: value}`, true},
		{`attributes["text"]: {equals: first}`, false},
		{`attributes.status: {in: [500, 502], notEquals: 501}`, true},
		{`attributes.status: {in: [500, 502], notEquals: 500}`, false},
		{`attributes.ratio: {greaterThan: 0.25}`, true},
		{`attributes.yes: {equals: true}`, true},
		{`resource.host: {equals: h1}`, true},
		{`resource_attributes["host"]: {equals: h1}`, true},
		{`scope["library"]: {equals: l1}`, true},
		// 0, false and "" are values.
		{`attributes.zero: {equals: 0}`, true},
		{`attributes.zero: {exists: true}`, true},
		{`attributes.no: {equals: false}`, true},
		{`attributes.no: {exists: true}`, true},
		{`attributes.empty: {equals: ""}`, true},
		{`attributes.empty: {exists: true}`, true},
		{`attributes.zero: {notEquals: 1}`, true},
		{`event_name: {equals: ""}`, true},
		{`observed_time: {lessThan: "2020-01-01T00:00:00Z"}`, true},
		{`event_name: {notEquals: deploy}`, true},
		// An own field is absent at its zero value, to exists and doesNotExist.
		{`service: {exists: true}`, true},
		{`event_name: {exists: true}`, false},
		{`event_name: {doesNotExist: true}`, true},
		{`observed_time: {exists: true}`, false},
		// Nothing holds for an absent attribute but doesNotExist.
		{`attributes.missing: {equals: ""}`, false},
		{`attributes.missing: {notEquals: x}`, false},
		{`attributes.missing: {lessThan: 5}`, false},
		{`attributes.missing: {matches: ".*"}`, false},
		{`attributes.missing: {exists: true}`, false},
		{`attributes.missing: {doesNotExist: true}`, true},
		{`not: {attributes.missing: {equals: x}}`, true},
		// An attribute of another type does not match.
		{`attributes.status: {equals: "500"}`, false},
		{`attributes.status: {notEquals: "501"}`, false},
		{`attributes.status: {equals: 500.0}`, false},
		{`attributes.whole: {equals: 2}`, false},
		{`attributes.whole: {equals: 2.0}`, true},
		{`attributes.bytes: {equals: value}`, false},
		{`attributes.bytes: {exists: true}`, true},
		{`attributes.json: {contains: a}`, false},
		{`not: {attributes.status: {equals: "500"}}`, true},
		// Groups.
		{`{service: {equals: api}, colo: {equals: EWR}}`, true},
		{`{service: {equals: api}, colo: {equals: AMS}}`, false},
		{`any: [{service: {equals: web}}, {body: {contains: index}}]`, true},
		{`any: [{service: {equals: web}}, {body: {contains: nothing}}]`, false},
		{`all: [{service: {equals: api}}, {not: {service: {startsWith: test-}}}]`, true},
		{`not: {any: [{service: {equals: api}}]}`, false},
		{`{all: [{service: {equals: api}}], any: [{colo: {equals: AMS}}, {colo: {equals: EWR}}]}`, true},
	}
	e := sampleEntry()
	for _, test := range tests {
		filter := mustFilter(t, test.filter)
		if got := filter.Match(&e); got != test.want {
			t.Errorf("%s: got %v, want %v", test.filter, got, test.want)
		}
		if got := interpret(parseYAML(t, test.filter), &e); got != test.want {
			t.Errorf("%s: the slow interpreter says %v, want %v", test.filter, got, test.want)
		}
		again := mustFilter(t, filter.String())
		if again.String() != filter.String() || again.Match(&e) != test.want {
			t.Errorf("%s: %s is not the same filter", test.filter, filter)
		}
	}
	if !(*Filter)(nil).Match(&e) {
		t.Error("no filter takes every entry")
	}
}

func TestFilterProblems(t *testing.T) {
	tests := []struct{ filter, path, message string }{
		{`[]`, "f", "a filter is a map of fields and of all, any and not; this is an empty list"},
		{`"service"`, "f", `a filter is a map of fields and of all, any and not; this is the string "service"`},
		{`{}`, "f", "an empty filter could mean everything or nothing; name a field, or leave out the setting to take every entry"},
		{`all: {service: {equals: a}}`, "f.all", "all takes a list of at least one filter; this is a map"},
		{`any: []`, "f.any", "any takes a list of at least one filter; this is an empty list"},
		{`not: [1]`, "f.not", "a filter is a map of fields and of all, any and not; this is a list"},
		{`all: [5]`, "f.all[0]", "a filter is a map of fields and of all, any and not; this is the int 5"},
		{`servce: {equals: a}`, "f.servce", `unknown field "servce"; did you mean service?`},
		{`attributes: {equals: a}`, "f.attributes", "a filter can't read attributes; it reads time, observed_time, severity_number, " +
			"severity_text, body, service, trace_id, span_id, trace_flags, event_name, scope_name, scope_version, scope_schema_url, " +
			"resource_schema_url, colo, attributes[\"key\"], resource[\"key\"], scope[\"key\"]"},
		{`producer: {equals: a}`, "f.producer", "a filter can't read producer; it reads time, observed_time, severity_number, " +
			"severity_text, body, service, trace_id, span_id, trace_flags, event_name, scope_name, scope_version, scope_schema_url, " +
			"resource_schema_url, colo, attributes[\"key\"], resource[\"key\"], scope[\"key\"]"},
		{`'attributes[k]': {equals: a}`, "f.attributes[k]", `write the attribute's key in brackets and quotes, as in attributes["http.route"]`},
		{`'attributes[""]': {equals: a}`, `f.attributes[""]`, `the key of an attribute is never empty; write one, as in attributes["http.route"]`},
		{`service: api`, "f.service", `a field takes a map of operators, as in {equals: …} or {exists: true}; this is the string "api"`},
		{`service: [api]`, "f.service", "a field takes a map of operators, as in {equals: …} or {exists: true}; this is a list"},
		{`service: {}`, "f.service", "a field takes a map of operators, as in {equals: …} or {exists: true}; this is an empty map"},
		{`service: {equal: api}`, "f.service.equal", `unknown operator "equal"; did you mean equals?`},
		{`body: {greaterThan: 3}`, "f.body.greaterThan", "greaterThan applies to int, double, time; body is of type string"},
		{`severity_number: {contains: "1"}`, "f.severity_number.contains", "contains applies to string; severity_number is of type int"},
		{`severity_number: {equals: error}`, "f.severity_number.equals", `severity_number is of type int; this is the string "error"`},
		{`severity_number: {equals: 25}`, "f.severity_number.equals", "severity_number is 0 to 24; this is the int 25"},
		{`trace_flags: {in: [1, 256]}`, "f.trace_flags.in[1]", "trace_flags is 0 to 255; this is the int 256"},
		{`service: {equals: 5}`, "f.service.equals", "service is of type string; this is the int 5"},
		{`service: {in: []}`, "f.service.in", "in takes a list of at least one value, as in [1, 2]; this is an empty list"},
		{`service: {in: api}`, "f.service.in", `in takes a list of at least one value, as in [1, 2]; this is the string "api"`},
		{`attributes.a: {in: [1, b]}`, "f.attributes.a.in[1]", `the literals on one attribute are of one type, here int; this is the string "b"`},
		{`attributes.a: {in: [1, 2.5]}`, "f.attributes.a.in[1]", "the literals on one attribute are of one type, here int; this is the double 2.5"},
		{`attributes.a: {contains: 5}`, "f.attributes.a.contains", "contains applies to string; this is the int 5"},
		{`attributes.a: {greaterThan: "5"}`, "f.attributes.a.greaterThan", `greaterThan applies to int, double, time; this is the string "5"`},
		{`attributes.a: {lessThan: true}`, "f.attributes.a.lessThan", "lessThan applies to int, double, time; this is the bool true"},
		{`attributes.a: {equals: null}`, "f.attributes.a.equals", "a literal is a string, a number or a bool; this is empty"},
		{`attributes.a: {equals: [1]}`, "f.attributes.a.equals", "a literal is a string, a number or a bool; this is a list"},
		{`attributes.a: {equals: .nan}`, "f.attributes.a.equals", "nothing can be compared with NaN; this is the float64 NaN"},
		{`attributes.a: {equals: 9223372036854775808}`, "f.attributes.a.equals", "the greatest int is 9223372036854775807; this is the uint64 9223372036854775808"},
		{`attributes.a: {equals: x, greaterThan: 5}`, "f.attributes.a.greaterThan", "the literals on one attribute are of one type, here string; this is the int 5"},
		{`attributes.a: {exists: true, doesNotExist: true}`, "f.attributes.a", "doesNotExist stands alone: nothing else holds for what is absent; put the operators under any"},
		{`attributes.a: {equals: 1, doesNotExist: true}`, "f.attributes.a", "doesNotExist stands alone: nothing else holds for what is absent; put the operators under any"},
		{`body: {matches: "a("}`, "f.body.matches", "not a regular expression (RE2): missing closing ): `a(`"},
		{`body: {exists: false}`, "f.body.exists", "exists and doesNotExist take true; this is the bool false"},
		{`body: {doesNotExist: 1}`, "f.body.doesNotExist", "exists and doesNotExist take true; this is the int 1"},
		{`time: {greaterThan: 5}`, "f.time.greaterThan", `a time is written as in "2026-01-31T08:00:00Z" (RFC 3339); this is the int 5`},
		{`time: {equals: "2027-01-15T08:00:00+24:00"}`, "f.time.equals", `a time is written as in "2026-01-31T08:00:00Z" (RFC 3339); this is the string "2027-01-15T08:00:00+24:00"`},
		{`time: {equals: "2027-01-15T8:00:00Z"}`, "f.time.equals", `a time is written as in "2026-01-31T08:00:00Z" (RFC 3339); this is the string "2027-01-15T8:00:00Z"`},
		{`time: {equals: "2027-01-15T08:00:00,5Z"}`, "f.time.equals", `a time is written as in "2026-01-31T08:00:00Z" (RFC 3339); this is the string "2027-01-15T08:00:00,5Z"`},
		{`time: {greaterThan: yesterday}`, "f.time.greaterThan", `a time is written as in "2026-01-31T08:00:00Z" (RFC 3339); this is the string "yesterday"`},
		{`time: {greaterThan: "1492-10-12T00:00:00Z"}`, "f.time.greaterThan", `times are those of the years 1678 to 2261; this is the string "1492-10-12T00:00:00Z"`},
	}
	for _, test := range tests {
		filter, problems := ParseFilter(parseYAML(t, test.filter), "f")
		if filter != nil || len(problems) != 1 {
			t.Errorf("%s: got filter %v and problems %v, want one problem", test.filter, filter, problems)
			continue
		}
		if problems[0].Path != test.path || problems[0].Message != test.message {
			t.Errorf("%s:\n got %s\nwant %s: %s", test.filter, problems[0].Error(), test.path, test.message)
		}
	}
}

func TestFilterReportsAllProblems(t *testing.T) {
	_, problems := ParseFilter(parseYAML(t, `
all:
  - body: {greaterThan: 3, matches: "("}
  - servce: {equals: a}
  - not: {severity_number: {in: [1, x, 99]}}
`), "routes[2].filter")
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	want := []string{
		"routes[2].filter.all[0].body.greaterThan", "routes[2].filter.all[0].body.matches", "routes[2].filter.all[1].servce",
		"routes[2].filter.all[2].not.severity_number.in[1]", "routes[2].filter.all[2].not.severity_number.in[2]",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("got %q", paths)
	}
}

func TestFilterDepth(t *testing.T) {
	text := strings.Repeat("{not: ", 40) + "{service: {equals: a}}" + strings.Repeat("}", 40)
	_, problems := ParseFilter(parseYAML(t, text), "f")
	if len(problems) != 1 || problems[0].Message != "filters may nest at most 32 deep" {
		t.Errorf("got %v", problems)
	}
}

func TestFilterExplain(t *testing.T) {
	e := sampleEntry()
	got := mustFilter(t, `
all:
  - severity_number: {greaterThanOrEquals: 17}
  - any: [{service: {equals: api}}, {attributes.status: {equals: "500"}}, {'attributes["a b"]': {exists: true}}]
  - not: {time: {lessThan: "2027-01-01T00:00:00Z"}}
`).Explain(&e)
	want := []string{
		`no   all:`,
		`no     {"severity_number": {"greaterThanOrEquals": 17}}  (is 9)`,
		`yes    any:`,
		`yes      {"service": {"equals": "api"}}  (is "api")`,
		`no       {"attributes.status": {"equals": "500"}}  (is the int 500)`,
		`no       {"attributes[\"a b\"]": {"exists": true}}  (absent)`,
		`yes    not:`,
		`no       {"time": {"lessThan": "2027-01-01T00:00:00Z"}}  (is 2027-01-15T08:00:00Z)`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if lines := (*Filter)(nil).Explain(&e); len(lines) != 1 {
		t.Errorf("got %q", lines)
	}
}

func TestParseSource(t *testing.T) {
	tests := []struct {
		text string
		want Source
	}{
		{"body", Source{Field: FieldBody}},
		{"attributes", Source{Field: FieldAttributes}},
		{"resource_attributes", Source{Field: FieldResourceAttributes}},
		{"attributes.http.route", Source{FieldAttribute, "http.route"}},
		{`attributes["http.route"]`, Source{FieldAttribute, "http.route"}},
		{`attributes['a"b']`, Source{FieldAttribute, `a"b`}},
		{`attributes["a\"b"]`, Source{FieldAttribute, `a"b`}},
		{"resource.service.name", Source{FieldResourceAttribute, "service.name"}},
		{`resource_attributes["k"]`, Source{FieldResourceAttribute, "k"}},
		{"scope.k", Source{FieldScopeAttribute, "k"}},
		{"batch_id", Source{Field: FieldBatchID}},
		{"shard_id", Source{Field: FieldShardID}},
	}
	for _, test := range tests {
		got, err := ParseSource(test.text)
		if err != nil || got != test.want {
			t.Errorf("%s: got %v, %v", test.text, got, err)
		}
		again, err := ParseSource(got.String())
		if err != nil || again != got {
			t.Errorf("%s: %s is read as %v, %v", test.text, got, again, err)
		}
	}
	for _, text := range []string{"", "bdy", "attributes.", "attributes[]", `attributes["a"`, "attributes[`a`]", "attributesx", "scope"} {
		if got, err := ParseSource(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
	for field := FieldTime; field <= FieldShardID; field++ {
		s := Source{Field: field}
		if field.IsAttribute() {
			s.Key = "a.b c"
		}
		if got, err := ParseSource(s.String()); err != nil || got != s {
			t.Errorf("field %d: %q is read as %v, %v", field, s, got, err)
		}
	}
}
