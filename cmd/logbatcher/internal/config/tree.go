package config

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// position is a place in the file, from 1. The zero value is no place.
type position struct{ line, column int }

// valueKind is the shape of a value.
type valueKind uint8

const (
	nullValue valueKind = iota
	scalarValue
	listValue
	mapValue
	// brokenValue is one that has been reported already.
	brokenValue
)

// value is a value of the file. The tree of them has neither aliases nor comments, and
// keeps the order and the places of everything.
type value struct {
	kind     valueKind
	position position
	// scalar is a string, int64, uint64, float64 or bool; text is what stands in the file.
	scalar   any
	text     string
	elements []*value
	members  []member
}

// member is a key of a map and its value.
type member struct {
	key      string
	position position
	value    *value
}

const (
	// maxFileBytes bounds the file.
	maxFileBytes = 4 << 20
	// maxValues bounds the tree after aliases are written out, so that a small file can't become
	// a large one.
	maxValues = 200_000
	// maxDepth bounds the nesting.
	maxDepth = 64
)

// treeBuilder turns the syntax tree of the YAML library into values.
type treeBuilder struct {
	anchors  map[string]ast.Node
	open     map[string]bool
	values   int
	problems []Problem
}

// parseTree reads a file. The value is nil for a file that says nothing. The problems have
// positions, and no origins.
func parseTree(data []byte) (tree *value, problems []Problem) {
	defer func() {
		if r := recover(); r != nil { // the library's parser is not proof against every input
			tree, problems = nil, []Problem{{Message: fmt.Sprintf("the file is not YAML: %v", r)}}
		}
	}()
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, []Problem{syntaxProblem(err)}
	}
	b := &treeBuilder{anchors: map[string]ast.Node{}, open: map[string]bool{}}
	for _, document := range file.Docs {
		if document.Body == nil {
			continue
		}
		if tree != nil {
			b.report(document.Body, "a second document; a configuration is one document, so remove the line ---")
			break
		}
		tree = b.build(document.Body, 0)
	}
	return tree, b.problems
}

// syntaxProblem turns an error of the YAML library into a problem.
func syntaxProblem(err error) Problem {
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		return Problem{Message: "not YAML: " + syntax.GetMessage(), position: positionOf(syntax.GetToken())}
	}
	return Problem{Message: "not YAML: " + err.Error()}
}

// positionOf returns a token's place.
func positionOf(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}

// nodePosition returns a node's place: a map's is that of its first key.
func nodePosition(n ast.Node) position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return positionOf(n.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return positionOf(n.Key.GetToken())
	}
	return positionOf(n.GetToken())
}

// report adds a problem at a node.
func (b *treeBuilder) report(at ast.Node, format string, arguments ...any) {
	b.problems = append(b.problems, Problem{Message: fmt.Sprintf(format, arguments...), position: nodePosition(at)})
}

// build turns one node into a value. It never returns nil.
func (b *treeBuilder) build(n ast.Node, depth int) *value {
	b.values++
	if n == nil {
		return &value{}
	}
	v := &value{position: positionOf(n.GetToken())}
	if depth > maxDepth || b.values > maxValues {
		if b.values <= maxValues+1 {
			b.report(n, "the file is nested too deep, or its aliases repeat too much")
			b.values = maxValues + 1
		}
		v.kind = brokenValue
		return v
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		v.kind = mapValue
		b.addMembers(v, n.Values, depth)
	case *ast.MappingValueNode:
		v.kind = mapValue
		b.addMembers(v, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		v.kind = listValue
		for _, element := range n.Values {
			v.elements = append(v.elements, b.build(element, depth+1))
		}
	case *ast.AnchorNode:
		name := n.Name.GetToken().Value
		b.anchors[name], b.open[name] = n.Value, true
		v := b.build(n.Value, depth)
		delete(b.open, name)
		return v
	case *ast.AliasNode:
		return b.alias(n, v, depth)
	case *ast.TagNode:
		b.report(n, "tags (%s) have no meaning here; leave it out", n.Start.Value)
		v.kind = brokenValue
	case *ast.NullNode:
	case ast.ScalarNode:
		v.kind = scalarValue
		var err error
		if v.scalar, v.text, err = scalarOf(n); err != nil {
			b.report(n, "%v", err)
			v.kind = brokenValue
		}
	default:
		b.report(n, "%s has no meaning here", n.Type())
		v.kind = brokenValue
	}
	return v
}

// scalarOf returns a scalar's value and its text. What stands in quotes, or in a block, is a text.
func scalarOf(n ast.ScalarNode) (any, string, error) {
	t := n.GetToken()
	switch n := n.(type) {
	case *ast.LiteralNode:
		return n.Value.Value, n.Value.Value, nil
	case *ast.StringNode:
		if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
			return n.Value, n.Value, nil
		}
		scalar, err := coreScalar(n.Value)
		return scalar, n.Value, err
	}
	scalar, err := coreScalar(t.Value)
	return scalar, t.Value, err
}

// alias returns the value of the anchor that an alias names.
func (b *treeBuilder) alias(n *ast.AliasNode, v *value, depth int) *value {
	name := n.Value.GetToken().Value
	target, found := b.anchors[name]
	v.kind = brokenValue
	switch {
	case !found:
		b.report(n, "unknown anchor %q; define it above, as &%s", name, name)
		return v
	case b.open[name]:
		b.report(n, "the anchor %q contains itself", name)
		return v
	}
	b.open[name] = true
	defer delete(b.open, name)
	return b.build(target, depth+1)
}

// addMembers adds the keys of a map, each once; those of a merge (<<) where the map has none of its own.
func (b *treeBuilder) addMembers(v *value, values []*ast.MappingValueNode, depth int) {
	lines := map[string]int{}
	var merges []*ast.MappingValueNode
	for _, m := range values {
		if m.Key.IsMergeKey() {
			merges = append(merges, m)
			continue
		}
		key, at := keyOf(m.Key), positionOf(m.Key.GetToken())
		if line, twice := lines[key]; twice {
			b.report(m.Key, "the key %q is there twice, first in line %d; leave one out", key, line)
			continue
		}
		lines[key] = at.line
		below := b.build(m.Value, depth+1)
		if below.kind == nullValue {
			below.position = at
		}
		v.members = append(v.members, member{key: key, position: at, value: below})
	}
	for _, m := range merges {
		merged := b.build(m.Value, depth+1)
		maps := merged.elements
		if merged.kind == mapValue {
			maps = []*value{merged}
		}
		for _, from := range maps {
			if from.kind != mapValue && from.kind != brokenValue {
				b.report(m.Key, "<< merges a map, or a list of maps")
			}
			for _, theirs := range from.members {
				if _, own := lines[theirs.key]; !own {
					lines[theirs.key] = theirs.position.line
					v.members = append(v.members, theirs)
				}
			}
		}
	}
	if len(v.members) > 0 {
		v.position = v.members[0].position
	}
}

// keyOf returns the text of a map key.
func keyOf(key ast.MapKeyNode) string {
	if text, isText := key.(*ast.StringNode); isText {
		return text.Value
	}
	if scalar, isScalar := key.(ast.ScalarNode); isScalar {
		return scalar.GetToken().Value
	}
	return key.String()
}

// plain returns the value as schema.ParseFilter takes it.
func (v *value) plain() any {
	switch v.kind {
	case scalarValue:
		return v.scalar
	case listValue:
		list := make([]any, len(v.elements))
		for i, element := range v.elements {
			list[i] = element.plain()
		}
		return list
	case mapValue:
		m := make(map[string]any, len(v.members))
		for _, member := range v.members {
			m[member.key] = member.value.plain()
		}
		return m
	case brokenValue:
		return v.text // reported already: the filter must not complain of nothing being there
	}
	return nil
}

// walk calls visit for the path and place of everything below v: the place of a scalar is its
// own, that of a map or list the place of its key.
func (v *value) walk(path string, visit func(path string, at position)) {
	for _, m := range v.members {
		below := joinPath(path, m.key)
		at := m.position
		if m.value.kind == scalarValue {
			at = m.value.position
		}
		visit(below, at)
		m.value.walk(below, visit)
	}
	for i, element := range v.elements {
		below := path + "[" + strconv.Itoa(i) + "]"
		visit(below, element.position)
		element.walk(below, visit)
	}
}

// describe names the value for a message.
func (v *value) describe() string {
	switch v.kind {
	case scalarValue:
		if text, isText := v.scalar.(string); isText {
			return strconv.Quote(cut(text))
		}
		return cut(v.text)
	case listValue:
		return "a list"
	case mapValue:
		return "a map"
	}
	return "empty"
}

// cut shortens a text for a message.
func cut(text string) string {
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}
