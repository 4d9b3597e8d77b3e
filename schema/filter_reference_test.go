package schema

import (
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// interpret is a second opinion: it walks the decoded YAML of a valid filter, slowly.
func interpret(value any, e *Entry) bool {
	for key, below := range value.(map[string]any) {
		holds := false
		switch key {
		case "all":
			holds = !slices.ContainsFunc(below.([]any), func(v any) bool { return !interpret(v, e) })
		case "any":
			holds = slices.ContainsFunc(below.([]any), func(v any) bool { return interpret(v, e) })
		case "not":
			holds = !interpret(below, e)
		default:
			holds = interpretField(key, below.(map[string]any), e)
		}
		if !holds {
			return false
		}
	}
	return true
}

// interpretField asks all operators of one field.
func interpretField(name string, operators map[string]any, e *Entry) bool {
	source, err := ParseSource(name)
	if err != nil {
		panic(err)
	}
	value, own := ownValue(e, source.Field)
	exists := value != nil && value != "" && value != int64(0) && value != time.Unix(0, 0).UTC()
	if !own {
		list := e.Attributes
		switch source.Field {
		case FieldResourceAttribute:
			list = e.Stream.ResourceAttributes
		case FieldScopeAttribute:
			list = e.Stream.ScopeAttributes
		}
		value, exists = nil, false
		for i := range list {
			if list[i].Key == source.Key {
				value, exists = attributeValue(&list[i]), true
			}
		}
	}
	for o, literal := range operators {
		switch o {
		case "exists":
			if !exists {
				return false
			}
		case "doesNotExist":
			if exists {
				return false
			}
		case "in":
			if !slices.ContainsFunc(literal.([]any), func(l any) bool { return ask("equals", value, l) }) {
				return false
			}
		default:
			if !ask(o, value, literal) {
				return false
			}
		}
	}
	return true
}

// ownValue returns an own field as a string, an int64 or a time.
func ownValue(e *Entry, field Field) (any, bool) {
	texts := map[Field]string{
		FieldSeverityText: e.SeverityText, FieldBody: e.Body, FieldService: e.Service, FieldTraceID: e.TraceID,
		FieldSpanID: e.SpanID, FieldEventName: e.EventName, FieldScopeName: e.ScopeName, FieldScopeVersion: e.ScopeVersion,
		FieldScopeSchemaURL: e.ScopeSchemaURL, FieldResourceSchemaURL: e.ResourceSchemaURL, FieldColo: e.Colo,
	}
	if text, is := texts[field]; is {
		return text, true
	}
	switch field {
	case FieldTime:
		return time.Unix(0, e.Time).UTC(), true
	case FieldObservedTime:
		return time.Unix(0, e.ObservedTime).UTC(), true
	case FieldSeverityNumber:
		return int64(e.SeverityNumber), true
	case FieldTraceFlags:
		return int64(e.TraceFlags), true
	}
	return nil, false
}

// attributeValue returns an attribute's value; for bytes and JSON one that equals no literal.
func attributeValue(a *Attribute) any {
	switch a.Type {
	case String:
		return a.Text
	case Int:
		return a.AsInt()
	case Double:
		return a.AsDouble()
	case Bool:
		return a.AsBool()
	}
	return []byte(a.Text)
}

// ask asks one operator other than in and those of existence.
func ask(o string, value, literal any) bool {
	if n, is := literal.(uint64); is {
		literal = int64(n)
	}
	var order int
	switch v := value.(type) {
	case string:
		l, same := literal.(string)
		if !same {
			return false
		}
		switch o {
		case "contains":
			return strings.Contains(v, l)
		case "startsWith":
			return strings.HasPrefix(v, l)
		case "endsWith":
			return strings.HasSuffix(v, l)
		case "matches":
			return regexp.MustCompile(l).MatchString(v)
		}
		order = strings.Compare(v, l)
	case int64:
		l, same := literal.(int64)
		if !same {
			return false
		}
		order = map[bool]int{v < l: -1, v > l: 1}[true]
	case float64:
		l, same := literal.(float64)
		if !same {
			return false
		}
		if math.IsNaN(v) {
			return o == "notEquals"
		}
		order = map[bool]int{v < l: -1, v > l: 1}[true]
	case bool:
		l, same := literal.(bool)
		if !same {
			return false
		}
		order = map[bool]int{v != l: 1}[true]
	case time.Time:
		text, same := literal.(string)
		if !same {
			return false
		}
		l, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			panic(err)
		}
		order = v.Compare(l)
	default:
		return false
	}
	switch o {
	case "equals":
		return order == 0
	case "notEquals":
		return order != 0
	case "greaterThan":
		return order > 0
	case "lessThan":
		return order < 0
	case "greaterThanOrEquals":
		return order >= 0
	}
	return order <= 0
}

var (
	sampleTexts = []string{"", "a", "b", "ab", "abc", "web", "api", "é", "\xff", "500"}
	sampleKeys  = []string{"k", "http.status", "a b", "x"}
)

// randomEntry makes an entry of few values, so that filters often match.
func randomEntry(r *rand.Rand) Entry {
	text := func() string { return sampleTexts[r.IntN(len(sampleTexts))] }
	attributes := func() []Attribute {
		var list []Attribute
		for range r.IntN(5) {
			key := sampleKeys[r.IntN(len(sampleKeys))]
			list = append(list, []Attribute{
				StringAttribute(key, text()), IntAttribute(key, int64(r.IntN(3))), DoubleAttribute(key, float64(r.IntN(3))/2),
				BoolAttribute(key, r.IntN(2) == 0), BytesAttribute(key, text()), JSONAttribute(key, text()), DoubleAttribute(key, math.NaN()),
			}[r.IntN(7)])
		}
		return list
	}
	return Entry{
		Time: int64(r.IntN(3)) * 1e9, ObservedTime: int64(r.IntN(2)), Body: text(), SeverityText: text(), Service: text(),
		TraceID: text(), SpanID: text(), EventName: text(), Colo: text(), Attributes: attributes(),
		Stream:    &Stream{ResourceAttributes: attributes(), ScopeAttributes: attributes()},
		ScopeName: text(), ScopeVersion: text(), ScopeSchemaURL: text(), ResourceSchemaURL: text(),
		SeverityNumber: uint8(r.IntN(4)), TraceFlags: uint8(r.IntN(2)),
	}
}

// randomFilter makes the decoded YAML of a filter; some have problems.
func randomFilter(r *rand.Rand, depth int) any {
	filters := func() []any {
		var list []any
		for range 1 + r.IntN(3) {
			list = append(list, randomFilter(r, depth-1))
		}
		return list
	}
	m := map[string]any{}
	for range 1 + r.IntN(2) {
		switch choice := r.IntN(8); {
		case depth > 0 && choice == 0:
			m["all"] = filters()
		case depth > 0 && choice == 1:
			m["any"] = filters()
		case depth > 0 && choice == 2:
			m["not"] = randomFilter(r, depth-1)
		default:
			name, operators := randomField(r)
			m[name] = operators
		}
	}
	return m
}

// randomField makes a field and operators on it.
func randomField(r *rand.Rand) (string, map[string]any) {
	key := sampleKeys[r.IntN(len(sampleKeys))]
	names := []string{
		"service", "service", "body", "colo", "severity_number", "severity_number", "trace_flags", "time", "event_name", "scope_name",
		"attributes[" + strconv.Quote(key) + "]", "attributes." + key, "resource." + key, "scope." + key,
	}
	literal := func() any {
		if text := sampleTexts[r.IntN(len(sampleTexts))]; r.IntN(3) > 0 && text != "\xff" {
			return text
		}
		return []any{
			uint64(r.IntN(3)), int64(r.IntN(3)), float64(r.IntN(3)) / 2, r.IntN(2) == 0,
			time.Unix(int64(r.IntN(3)), 0).UTC().Format(time.RFC3339Nano), int64(-1),
		}[r.IntN(6)]
	}
	asked, known := map[string]any{}, slices.Sorted(maps.Keys(operators))
	for range 1 + r.IntN(2) {
		o := known[r.IntN(len(known))]
		switch o {
		case "in":
			asked[o] = []any{literal(), literal()}
			if r.IntN(2) == 0 {
				one := literal()
				asked[o] = []any{one, one}
			}
		case "exists", "doesNotExist":
			asked[o] = true
		default:
			asked[o] = literal()
		}
	}
	return names[r.IntN(len(names))], asked
}

// checkAgainstReference compares filters, the interpreter and a matcher.
func checkAgainstReference(t *testing.T, r *rand.Rand) (matched int) {
	var routes []*Route
	var values []any
	for range 1 + r.IntN(80) {
		value := randomFilter(r, 2)
		filter, problems := ParseFilter(value, "filter")
		if len(problems) == 0 {
			routes, values = append(routes, &Route{Filter: filter}), append(values, value)
		}
	}
	if r.IntN(4) == 0 {
		routes, values = append(routes, &Route{}), append(values, nil)
	}
	m := NewMatcher(routes)
	set := make([]uint64, m.Words())
	for range 20 {
		e := randomEntry(r)
		for i := range set {
			set[i] = r.Uint64() // what is left from the entry before
		}
		some := m.Match(&e, set)
		for i, route := range routes {
			naive := route.Filter.Match(&e)
			if naive {
				matched++
			}
			if values[i] != nil && interpret(values[i], &e) != naive {
				t.Fatalf("Match says %v, the interpreter does not: %s, %+v", naive, route.Filter, e)
			}
			if got := set[i/64]>>(i%64)&1 == 1; got != naive {
				t.Fatalf("the matcher says %v, Match does not: %s, %+v", got, route.Filter, e)
			}
		}
		if found := slices.ContainsFunc(set, func(word uint64) bool { return word != 0 }); some != found {
			t.Fatalf("Match returned %v with the set %x", some, set)
		}
	}
	return matched
}

func TestFiltersAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	matched := 0
	for range 2000 {
		matched += checkAgainstReference(t, r)
	}
	if matched < 50_000 {
		t.Errorf("only %d matches: the test has lost its force", matched)
	}
}

func FuzzMatcher(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { checkAgainstReference(t, rand.New(rand.NewPCG(a, b))) })
}

// FuzzParseFilter looks for filters that panic, or whose text is another filter.
func FuzzParseFilter(f *testing.F) {
	f.Add(`all: [{severity_number: {greaterThanOrEquals: 17}}, {any: [{service: {equals: "api"}}, {body: {contains: "x"}}]}]`)
	f.Add(`attributes["http.response.status_code"]: {in: [500, 502], notEquals: 501}`)
	f.Add(`not: {time: {lessThan: "2026-01-31T08:00:00.5+02:00"}}`)
	f.Add(`attributes.a: {in: [1e300, -.inf, 0.1, -0.0]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var value any
		if len(text) > 4096 || yaml.Unmarshal([]byte(text), &value) != nil {
			return
		}
		filter, problems := ParseFilter(value, "filter")
		if len(problems) > 0 {
			return
		}
		var again any
		if err := yaml.Unmarshal([]byte(filter.String()), &again); err != nil {
			t.Fatalf("%s: %v", filter, err)
		}
		second, problems := ParseFilter(again, "filter")
		if len(problems) > 0 || second.String() != filter.String() {
			t.Fatalf("%s became %s, %v", filter, second, problems)
		}
		r := rand.New(rand.NewPCG(1, 1))
		for range 4 {
			e := randomEntry(r)
			if filter.Match(&e) != interpret(value, &e) || filter.Match(&e) != second.Match(&e) {
				t.Fatalf("%s: the opinions differ on %+v", filter, e)
			}
		}
	})
}
