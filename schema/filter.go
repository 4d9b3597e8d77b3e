package schema

import (
	"cmp"
	"slices"
	"strings"
)

// Filter says which entries a route takes. It is compiled by ParseFilter and immutable: any number of
// goroutines may use one. A nil *Filter takes every entry.
//
// An entry's own field always has a value, which is 0 or "" where the producer sent none;
// comparisons see that value, and only exists and doesNotExist call it absent. An
// attribute is absent when its key is not there; then nothing holds for it but doesNotExist. A
// condition holds only for an attribute of its literal's type, notEquals included.
type Filter struct {
	root *node
}

// nodeKind is what a node of a filter does with its children.
type nodeKind uint8

const (
	allNode nodeKind = iota
	anyNode
	notNode
	conditionNode
)

var nodeNames = [...]string{"all", "any", "not", ""}

// node is a condition, or a group of nodes.
type node struct {
	kind nodeKind
	// children are in the order in which they are asked, the cheap ones first; written has
	// them in the order of the configuration.
	children, written []*node
	condition         *condition
	cost              int
}

// newGroup returns a node with children.
func newGroup(kind nodeKind, written ...*node) *node {
	n := &node{kind: kind, written: written, children: slices.Clone(written)}
	slices.SortStableFunc(n.children, func(a, b *node) int { return cmp.Compare(a.cost, b.cost) })
	for _, child := range written {
		n.cost += child.cost
	}
	return n
}

// newCondition returns a node that is a condition.
func newCondition(c *condition) *node {
	return &node{kind: conditionNode, condition: c, cost: c.cost()}
}

// match tells whether the node holds for the entry.
func (n *node) match(e *Entry) bool {
	switch n.kind {
	case conditionNode:
		return n.condition.match(e)
	case notNode:
		return !n.children[0].match(e)
	case anyNode:
		for _, child := range n.children {
			if child.match(e) {
				return true
			}
		}
		return false
	}
	for _, child := range n.children {
		if !child.match(e) {
			return false
		}
	}
	return true
}

// Match tells whether the filter takes the entry. It allocates nothing.
func (f *Filter) Match(e *Entry) bool {
	return f == nil || f.root.match(e)
}

// String returns the filter in YAML, on one line. ParseFilter makes the same filter of it.
// It is "" for a filter that takes every entry.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return string(f.root.appendText(nil))
}

// appendText appends the node as a YAML map of one key.
func (n *node) appendText(dst []byte) []byte {
	dst = append(dst, '{')
	switch n.kind {
	case conditionNode:
		dst = n.condition.appendText(dst)
	case notNode:
		dst = append(dst, "not: "...)
		dst = n.written[0].appendText(dst)
	default:
		dst = append(dst, nodeNames[n.kind]...)
		dst = append(dst, ": ["...)
		for i, child := range n.written {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = child.appendText(dst)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// Explain returns a line for each condition of the filter, and one for each group above its
// members: whether it holds for the entry, its text, and the value that it saw.
func (f *Filter) Explain(e *Entry) []string {
	if f == nil {
		return []string{"yes  every entry (no filter)"}
	}
	return f.root.explain(nil, e, 0)
}

// explain appends the node's lines.
func (n *node) explain(lines []string, e *Entry, depth int) []string {
	answer := "no   "
	if n.match(e) {
		answer = "yes  "
	}
	line := answer + strings.Repeat("  ", depth)
	if n.kind == conditionNode {
		line += string(n.condition.appendText(nil)) + "  (" + n.condition.source.describe(e) + ")"
		return append(lines, line)
	}
	lines = append(lines, line+nodeNames[n.kind]+":")
	for _, child := range n.written {
		lines = child.explain(lines, e, depth+1)
	}
	return lines
}

// describe returns the value that the source has in an entry.
func (s Source) describe(e *Entry) string {
	a := s.Value(e, &Attribute{})
	switch {
	case a == nil:
		return "absent"
	case s.Field.IsAttribute():
		return "is the " + a.String()
	}
	return "is " + a.literal()
}
