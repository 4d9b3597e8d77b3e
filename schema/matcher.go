package schema

import "slices"

// Matcher matches an entry against all routes at once. However many routes there are, it costs about one lookup in a hash map for
// each field that they select by: a filter that requires certain values of a string or an int (equals or in, by itself or
// in all) is evaluated only for entries with one of them. Other filters are evaluated for every entry. A Matcher is immutable.
type Matcher struct {
	words int
	// always has the bits of the routes that take every entry.
	always []uint64
	// scan are the routes that every entry has to be matched against.
	scan []candidate
	// indexes find the other routes by the value of one source each.
	indexes []index
}

// candidate is a route, and the part of its filter that is still to be evaluated.
type candidate struct {
	rest  []*node
	route int
}

// index finds the candidates for a value of one source.
type index struct {
	source   Source
	texts    map[string][]candidate
	integers map[int64][]candidate
}

// NewMatcher returns a matcher for the routes. Bit i of a match set is route i.
func NewMatcher(routes []*Route) *Matcher {
	m := &Matcher{words: (len(routes) + 63) / 64}
	m.always = make([]uint64, m.words)
	parts := make([][]*node, len(routes))
	votes := map[Source]int{}
	for i, route := range routes {
		if route.Filter == nil {
			m.always[i/64] |= 1 << (i % 64)
			continue
		}
		parts[i] = cheapestFirst(route.Filter.root.conjuncts())
		for _, part := range parts[i] {
			if part.selects() {
				votes[part.condition.source]++
			}
		}
	}
	for i := range routes {
		if len(parts[i]) > 0 {
			m.add(i, parts[i], votes)
		}
	}
	return m
}

// conjuncts returns the nodes that all have to hold for the node to hold.
func (n *node) conjuncts() []*node {
	if n.group != allGroup {
		return []*node{n}
	}
	var list []*node
	for _, child := range n.children {
		list = append(list, child.conjuncts()...)
	}
	return list
}

func (n *node) selects() bool { return n.condition != nil && n.condition.selects() }

// add enters a route under the values that one part of its filter requires: the part whose source most routes select by,
// so that there are few indexes; among equals, the one with the fewest values.
func (m *Matcher) add(route int, parts []*node, votes map[Source]int) {
	best := -1
	for i, part := range parts {
		if !part.selects() {
			continue
		}
		if best >= 0 {
			mine, theirs := part.condition, parts[best].condition
			more := votes[mine.source] - votes[theirs.source]
			if more < 0 || more == 0 && len(mine.literals) >= len(theirs.literals) {
				continue
			}
		}
		best = i
	}
	if best < 0 {
		m.scan = append(m.scan, candidate{rest: parts, route: route})
		return
	}
	chosen := parts[best].condition
	c := candidate{rest: slices.Delete(parts, best, best+1), route: route}
	x := m.index(chosen.source)
	for i := range chosen.literals {
		if literal := &chosen.literals[i]; literal.Type == String {
			x.texts[literal.Text] = append(x.texts[literal.Text], c)
		} else {
			x.integers[literal.AsInt()] = append(x.integers[literal.AsInt()], c)
		}
	}
}

// index returns the index for a source, a new one if there is none.
func (m *Matcher) index(source Source) *index {
	for i := range m.indexes {
		if m.indexes[i].source == source {
			return &m.indexes[i]
		}
	}
	m.indexes = append(m.indexes, index{source: source, texts: map[string][]candidate{}, integers: map[int64][]candidate{}})
	return &m.indexes[len(m.indexes)-1]
}

// find returns the candidates for an entry.
func (x *index) find(e *Entry) []candidate {
	field := x.source.Field
	if !field.IsAttribute() {
		if field.Type() == String {
			return x.texts[e.Text(field)]
		}
		return x.integers[e.Integer(field)]
	}
	a := x.source.Attribute(e)
	switch {
	case a == nil:
		return nil
	case a.Type == String:
		return x.texts[a.Text]
	case a.Type == Int:
		return x.integers[a.AsInt()]
	}
	return nil
}

// Words returns the length of a match set, in words of 64 routes.
func (m *Matcher) Words() int { return m.words }

// Match sets the bit of each route that takes the entry and clears all others. It returns false
// when no route takes it. set has at least Words words; the rest of it stays as it is. It does not allocate.
func (m *Matcher) Match(e *Entry, set []uint64) bool {
	set = set[:m.words]
	copy(set, m.always)
	for _, c := range m.scan {
		if matchAll(c.rest, e) {
			set[c.route/64] |= 1 << (c.route % 64)
		}
	}
	for i := range m.indexes {
		for _, c := range m.indexes[i].find(e) {
			if matchAll(c.rest, e) {
				set[c.route/64] |= 1 << (c.route % 64)
			}
		}
	}
	for _, word := range set {
		if word != 0 {
			return true
		}
	}
	return false
}
