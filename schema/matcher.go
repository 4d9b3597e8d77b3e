package schema

// Matcher matches an entry against all routes at once. It costs about one look-up in a hash map for
// each field that routes are told apart by, however many routes there are: a route whose
// filter can only hold for certain values of a field (equals or in, directly or in every
// branch of an any) is asked only for entries that have one of them. Routes without such a condition are asked
// for every entry. A Matcher is immutable.
type Matcher struct {
	words int
	// always has the routes that take every entry.
	always []uint64
	// scan are the routes that every entry has to be matched against.
	scan []candidate
	// indexes find the other routes by the value of one source each.
	indexes []index
}

// candidate is a route, and what is left of its filter; nil when nothing is.
type candidate struct {
	rest  *node
	route int
}

// index finds the candidates for a value of one source.
type index struct {
	source   Source
	class    valueType
	texts    map[string][]candidate
	integers map[int64][]candidate
}

// NewMatcher returns a matcher for the routes. Bit i of a match set is route i.
func NewMatcher(routes []*Route) *Matcher {
	m := &Matcher{words: (len(routes) + 63) / 64}
	m.always = make([]uint64, m.words)
	options := make([][]dispatch, len(routes))
	votes := map[Source]int{}
	for i, route := range routes {
		if route.Filter == nil {
			m.always[i/64] |= 1 << (i % 64)
			continue
		}
		options[i] = route.Filter.root.dispatches()
		for _, option := range options[i] {
			votes[option.source]++
		}
	}
	for i, route := range routes {
		if route.Filter == nil {
			continue
		}
		best := bestDispatch(options[i], votes)
		if best == nil {
			m.scan = append(m.scan, candidate{rest: route.Filter.root, route: i})
			continue
		}
		m.index(best.source).add(best, candidate{rest: route.Filter.root.without(best.only), route: i})
	}
	return m
}

// bestDispatch returns the option whose source most routes share, so that there are few indexes
// to ask; among equals the one with the fewest values.
func bestDispatch(options []dispatch, votes map[Source]int) *dispatch {
	var best *dispatch
	for i := range options {
		option := &options[i]
		if best == nil || votes[option.source] > votes[best.source] ||
			votes[option.source] == votes[best.source] && option.size() < best.size() {
			best = option
		}
	}
	return best
}

// index returns the index for a source, and makes it where there is none.
func (m *Matcher) index(source Source) *index {
	for i := range m.indexes {
		if m.indexes[i].source == source {
			return &m.indexes[i]
		}
	}
	class, _ := fieldType(source.Field)
	m.indexes = append(m.indexes, index{
		source: source, class: class, texts: map[string][]candidate{}, integers: map[int64][]candidate{},
	})
	return &m.indexes[len(m.indexes)-1]
}

// add enters a candidate under each of a dispatch's values.
func (x *index) add(d *dispatch, c candidate) {
	for text := range d.texts {
		x.texts[text] = append(x.texts[text], c)
	}
	for n := range d.integers {
		x.integers[n] = append(x.integers[n], c)
	}
}

// find returns the candidates for an entry.
func (x *index) find(e *Entry) []candidate {
	switch x.class {
	case textValue:
		return x.texts[e.Text(x.source.Field)]
	case intValue:
		return x.integers[e.Integer(x.source.Field)]
	}
	a := x.source.Attribute(e)
	switch {
	case a == nil:
		return nil
	case a.Type == String && len(x.texts) > 0:
		return x.texts[a.Text]
	case a.Type == Int && len(x.integers) > 0:
		return x.integers[a.AsInt()]
	}
	return nil
}

// Words returns the length of a match set, in words of 64 routes.
func (m *Matcher) Words() int { return m.words }

// Match sets the bit of each route that takes the entry and clears all others. It returns false
// when no route takes it. set has at least Words words; the rest of it is left alone. It allocates
// nothing.
func (m *Matcher) Match(e *Entry, set []uint64) bool {
	set = set[:m.words]
	copy(set, m.always)
	for i := range m.scan {
		c := &m.scan[i]
		if c.rest.match(e) {
			set[c.route/64] |= 1 << (c.route % 64)
		}
	}
	for i := range m.indexes {
		for _, c := range m.indexes[i].find(e) {
			if c.rest == nil || c.rest.match(e) {
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

// dispatch is what a filter demands of one source: one of these values.
type dispatch struct {
	source   Source
	texts    map[string]struct{}
	integers map[int64]struct{}
	// only is the condition that says no more than this dispatch; nil when there is none.
	only *condition
}

// size is the number of values.
func (d *dispatch) size() int { return len(d.texts) + len(d.integers) }

// maxDispatchValues bounds the values by which one route is dispatched.
const maxDispatchValues = 4096

// dispatches returns each source of which the node demands certain values.
func (n *node) dispatches() []dispatch {
	switch n.kind {
	case conditionNode:
		return n.condition.dispatches()
	case allNode:
		var options []dispatch
		for _, child := range n.written {
			for _, option := range child.dispatches() {
				if child.kind != conditionNode && child.kind != allNode {
					option.only = nil
				}
				options = append(options, option)
			}
		}
		return options
	case anyNode:
		return anyDispatches(n.written)
	}
	return nil
}

// anyDispatches returns the sources of which every branch demands certain values.
func anyDispatches(branches []*node) []dispatch {
	options := branches[0].dispatches()
	for i := range options {
		options[i].only = nil
		options[i].texts = cloneSet(options[i].texts)
		options[i].integers = cloneSet(options[i].integers)
	}
	for _, branch := range branches[1:] {
		theirs := branch.dispatches()
		var shared []dispatch
		for _, option := range options {
			for _, their := range theirs {
				if their.source == option.source && option.size()+their.size() <= maxDispatchValues {
					unite(option.texts, their.texts)
					unite(option.integers, their.integers)
					shared = append(shared, option)
					break
				}
			}
		}
		options = shared
	}
	return options
}

// dispatches returns the condition's own values, where it is equals or in on a string or an int.
func (c *condition) dispatches() []dispatch {
	if c.operator != opEquals && c.operator != opIn || len(c.texts)+len(c.integers) > maxDispatchValues {
		return nil
	}
	d := dispatch{source: c.source, only: c}
	switch c.value {
	case textValue:
		d.texts = map[string]struct{}{}
		for _, text := range c.texts {
			d.texts[text] = struct{}{}
		}
	case intValue:
		d.integers = map[int64]struct{}{}
		for _, n := range c.integers {
			d.integers[n] = struct{}{}
		}
	default:
		return nil
	}
	return []dispatch{d}
}

// cloneSet returns a copy of a set that can be added to.
func cloneSet[T comparable](set map[T]struct{}) map[T]struct{} {
	clone := make(map[T]struct{}, len(set))
	unite(clone, set)
	return clone
}

// unite adds the values of from.
func unite[T comparable](to, from map[T]struct{}) {
	for value := range from {
		to[value] = struct{}{}
	}
}

// without returns the node less one condition that all of it demands; nil when nothing is left, and
// the node itself when the condition is nil.
func (n *node) without(c *condition) *node {
	switch {
	case c == nil:
		return n
	case n.kind == conditionNode && n.condition == c:
		return nil
	case n.kind != allNode:
		return n
	}
	var left []*node
	for _, child := range n.written {
		if rest := child.without(c); rest != nil {
			left = append(left, rest)
		}
	}
	switch len(left) {
	case 0:
		return nil
	case 1:
		return left[0]
	}
	return newGroup(allNode, left...)
}
