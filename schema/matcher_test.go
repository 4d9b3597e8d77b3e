package schema

import (
	"fmt"
	"testing"
)

// manyRoutes returns routes of which each entry of manyEntries matches one.
func manyRoutes(t testing.TB, count int) []*Route {
	routes := make([]*Route, count)
	for i := range routes {
		routes[i] = &Route{Filter: mustFilter(t, fmt.Sprintf(
			`all: [{service: {equals: service-%d}}, {severity_number: {greaterThanOrEquals: 9}}, {not: {body: {startsWith: debug}}}]`, i))}
	}
	return routes
}

// manyEntries returns entries with eight attributes.
func manyEntries(services int) []Entry {
	entries := make([]Entry, 256)
	for i := range entries {
		entries[i] = sampleEntry()
		entries[i].Service = fmt.Sprintf("service-%d", i*7%services)
	}
	return entries
}

func TestMatcherDispatches(t *testing.T) {
	filters := []struct {
		filter string
		scans  int
	}{
		{`service: {equals: a}`, 0},
		{`service: {in: [a, b]}`, 0},
		{`{service: {equals: a}, body: {contains: x}}`, 0},
		{`all: [{all: [{attributes.k: {equals: a}}]}, {body: {contains: x}}]`, 0},
		{`any: [{service: {equals: a}}, {service: {equals: b}, body: {contains: x}}]`, 1},
		{`attributes.status: {equals: 500}`, 0},
		{`severity_number: {in: [17, 18]}`, 0},
		{`any: [{service: {equals: a}}, {colo: {equals: b}}]`, 1},
		{`not: {service: {equals: a}}`, 1},
		{`service: {notEquals: a}`, 1},
		{`attributes.ratio: {equals: 0.5}`, 1},
		{`body: {contains: x}`, 1},
	}
	for _, test := range filters {
		m := NewMatcher([]*Route{{Filter: mustFilter(t, test.filter)}})
		if len(m.scan) != test.scans || len(m.indexes) != 1-test.scans {
			t.Errorf("%s: %d scans and %d indexes, want %d scans", test.filter, len(m.scan), len(m.indexes), test.scans)
		}
	}
}

func TestMatcherChoosesTheSharedSource(t *testing.T) {
	m := NewMatcher([]*Route{
		{Filter: mustFilter(t, `{colo: {equals: AMS}, service: {equals: a}}`)},
		{Filter: mustFilter(t, `{colo: {equals: AMS}, service: {equals: b}}`)},
		{Filter: mustFilter(t, `service: {equals: c}`)},
	})
	if len(m.indexes) != 1 || m.indexes[0].source.Field != FieldService {
		t.Errorf("got indexes %v", m.indexes)
	}
}

func TestMatcherEmpty(t *testing.T) {
	m := NewMatcher(nil)
	e := sampleEntry()
	if m.Words() != 0 || m.Match(&e, nil) {
		t.Error("a matcher without routes matches")
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	m := NewMatcher(append(manyRoutes(t, 70), &Route{Filter: mustFilter(t, `body: {matches: "^G[A-Z]+ /.*[0-9]$"}`)}))
	e, set := sampleEntry(), make([]uint64, m.Words())
	if n := testing.AllocsPerRun(1000, func() { m.Match(&e, set) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatcher(b *testing.B) {
	for _, count := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("routes=%d", count), func(b *testing.B) {
			m, entries := NewMatcher(manyRoutes(b, count)), manyEntries(count)
			set := make([]uint64, m.Words())
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if !m.Match(&entries[i&255], set) {
					b.Fatal("no match")
				}
			}
		})
	}
}

func BenchmarkMatcherByAttribute(b *testing.B) {
	for _, count := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("routes=%d", count), func(b *testing.B) {
			routes := make([]*Route, count)
			for i := range routes {
				routes[i] = &Route{Filter: mustFilter(b, fmt.Sprintf(`attributes["k8s.namespace.name"]: {equals: namespace-%d}`, i))}
			}
			entries := manyEntries(count)
			for i := range entries {
				at := len(entries[i].Attributes) / 2
				entries[i].Attributes[at] = StringAttribute("k8s.namespace.name", fmt.Sprintf("namespace-%d", i%count))
			}
			m := NewMatcher(routes)
			set := make([]uint64, m.Words())
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if !m.Match(&entries[i&255], set) {
					b.Fatal("no match")
				}
			}
		})
	}
}

// BenchmarkFilterLoop is what the matcher saves: every route's filter is asked.
func BenchmarkFilterLoop(b *testing.B) {
	for _, count := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("routes=%d", count), func(b *testing.B) {
			routes, entries := manyRoutes(b, count), manyEntries(count)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				matched := 0
				for _, route := range routes {
					if route.Filter.Match(&entries[i&255]) {
						matched++
					}
				}
				if matched != 1 {
					b.Fatal("no match")
				}
			}
		})
	}
}
