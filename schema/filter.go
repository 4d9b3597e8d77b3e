package schema

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// Filter decides which entries a route takes. ParseFilter compiles it; it is immutable and safe for
// concurrent use. A nil *Filter takes every entry.
//
// An entry's own field always has a value, 0 or "" where the producer sent none: comparisons see that value, and
// only exists and doesNotExist call it absent. An attribute is absent when its key is missing; then nothing
// holds for it but doesNotExist. A comparison holds only for an attribute of its literal's type, notEquals included.
type Filter struct {
	root *node
	// written is the decoded YAML that the filter was compiled from.
	written any
}

// The kinds of groups, as the configuration spells them.
const (
	allGroup = "all"
	anyGroup = "any"
	notGroup = "not"
)

// node is a condition, or a group of nodes.
type node struct {
	// group is the kind of group; empty for a condition.
	group string
	// children are in the order of the configuration, byCost has them cheapest first.
	children, byCost []*node
	condition        *condition
	cost             int
}

// newGroup returns a group, or its only child if the group makes no difference.
func newGroup(group string, children ...*node) *node {
	if len(children) == 1 && group != notGroup {
		return children[0]
	}
	n := &node{group: group, children: children, byCost: cheapestFirst(children)}
	for _, child := range children {
		n.cost += child.cost
	}
	return n
}

func cheapestFirst(nodes []*node) []*node {
	return slices.SortedStableFunc(slices.Values(nodes), func(a, b *node) int { return cmp.Compare(a.cost, b.cost) })
}

// match reports whether the node holds for the entry.
func (n *node) match(e *Entry) bool {
	switch n.group {
	case allGroup:
		return matchAll(n.byCost, e)
	case anyGroup:
		for _, child := range n.byCost {
			if child.match(e) {
				return true
			}
		}
		return false
	case notGroup:
		return !n.byCost[0].match(e)
	}
	return n.condition.match(e)
}

// matchAll reports whether all nodes hold for the entry.
func matchAll(nodes []*node, e *Entry) bool {
	for _, n := range nodes {
		if !n.match(e) {
			return false
		}
	}
	return true
}

// Match reports whether the filter takes the entry. It does not allocate.
func (f *Filter) Match(e *Entry) bool {
	return f == nil || f.root.match(e)
}

// String returns the filter as JSON on one line, which is YAML that ParseFilter compiles to the same filter.
// It is "" for a filter that takes every entry.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return flow(f.written)
}

// MarshalText implements encoding.TextMarshaler.
func (f *Filter) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText compiles what MarshalText has written.
func (f *Filter) UnmarshalText(text []byte) error {
	var written any
	if err := yaml.Unmarshal(text, &written); err != nil {
		return fmt.Errorf("read a filter: %w", err)
	}
	parsed, problems := ParseFilter(written, "filter")
	if len(problems) > 0 {
		return fmt.Errorf("read a filter: %s", problems[0].Message)
	}
	*f = *parsed
	return nil
}

// flow returns decoded YAML on one line, in the form of JSON. Infinities are those of YAML.
func flow(value any) string {
	text, err := yaml.MarshalWithOptions(value, yaml.Flow(true), yaml.JSON(), yaml.CustomMarshaler(marshalFloat))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// marshalFloat writes a float that is read as one again: with a point and without an exponent.
func marshalFloat(x float64) ([]byte, error) {
	switch {
	case math.IsInf(x, 1):
		return []byte(".inf"), nil
	case math.IsInf(x, -1):
		return []byte("-.inf"), nil
	case x == math.Trunc(x):
		return strconv.AppendFloat(nil, x, 'f', 1, 64), nil
	}
	return strconv.AppendFloat(nil, x, 'f', -1, 64), nil
}

// Explain returns a line for each condition of the filter, and one for each group above its
// members: whether it holds for the entry, its text, and the value that it saw.
func (f *Filter) Explain(e *Entry) []string {
	if f == nil {
		return []string{"yes  every entry (no filter)"}
	}
	return f.root.explain(nil, e, "")
}

// explain appends the node's lines.
func (n *node) explain(lines []string, e *Entry, indent string) []string {
	answer := "no   "
	if n.match(e) {
		answer = "yes  "
	}
	if n.condition != nil {
		return append(lines, answer+indent+n.condition.text+"  ("+n.condition.source.describe(e)+")")
	}
	lines = append(lines, answer+indent+n.group+":")
	for _, child := range n.children {
		lines = child.explain(lines, e, indent+"  ")
	}
	return lines
}

// describe returns the source's value in an entry, for a message.
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
