package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/logbatcher/logbatcher/schema/settings"
)

const (
	// maxFileBytes bounds the file.
	maxFileBytes = 4 << 20
	// maxNodes bounds what aliases expand it to.
	maxNodes = 200_000
)

// A file is read as a tree of these: nil, a literal, a list or an object.
type (
	literal struct {
		// value is a bool, int64, uint64, float64 or string; nil if it could not be read, which is reported.
		value any
		// text is what is written, and quoted whether in quotes.
		text   string
		quoted bool
	}
	list   []any
	object []entry
	entry  struct {
		key   string
		at    origin
		value any
	}
)

// set sets the value of a key.
func (o *object) set(e entry) {
	if i := slices.IndexFunc(*o, func(other entry) bool { return other.key == e.key }); i >= 0 {
		(*o)[i] = e
	} else {
		*o = append(*o, e)
	}
}

// tree makes the tree of a file, without anchors, aliases and merges, and notes where everything is written.
type tree struct {
	file     string
	origins  origins
	anchors  map[string]ast.Node
	nodes    int
	problems []Problem
}

// report adds a problem at a token.
func (t *tree) report(at *token.Token, path, format string, arguments ...any) {
	if strings.HasSuffix(path, ".password") { // which no message may quote
		format, arguments = "this is not read as a text; put the password in quotes", nil
	}
	t.problems = append(t.problems, Problem{origin: t.origin(at), Path: path, Message: fmt.Sprintf(format, arguments...)})
}

// origin returns the place of a token.
func (t *tree) origin(at *token.Token) origin {
	o := origin{kind: fromFile, name: t.file}
	if at != nil && at.Position != nil {
		o.line, o.column = at.Position.Line, at.Position.Column
	}
	return o
}

// read returns the tree of the bytes of a file.
func (t *tree) read(data []byte) (root any) {
	defer func() {
		if r := recover(); r != nil { // the library's parser panics on some inputs
			t.report(nil, "", "not YAML: %v", r)
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	var syntax yaml.Error
	switch {
	case errors.As(err, &syntax):
		t.report(syntax.GetToken(), "", "not YAML: %s", syntax.GetMessage())
		return nil
	case err != nil:
		t.report(nil, "", "not YAML: %v", err)
		return nil
	}
	documents := slices.DeleteFunc(file.Docs, func(document *ast.DocumentNode) bool { return document.Body == nil })
	if len(documents) > 1 {
		t.report(first(documents[1].Body), "", "a second document; a configuration is one document, so remove the line ---")
	}
	if len(documents) == 0 {
		return nil
	}
	t.origins[""] = t.origin(first(documents[0].Body))
	return t.value(documents[0].Body, "")
}

// first returns the token at which a value begins: for a map, that of its first key.
func first(node ast.Node) *token.Token {
	if m, isMap := node.(ast.MapNode); isMap {
		if entries := m.MapRange(); entries.Next() {
			return entries.Key().GetToken()
		}
	}
	return node.GetToken()
}

// value returns the tree of a node.
func (t *tree) value(node ast.Node, path string) any {
	if t.nodes++; t.nodes >= maxNodes {
		if t.nodes == maxNodes {
			t.report(node.GetToken(), path, "the aliases repeat too much")
		}
		return literal{}
	}
	switch n := node.(type) {
	case *ast.AnchorNode:
		v := t.value(n.Value, path)
		t.anchors[n.Name.GetToken().Value] = n.Value // from here on: an anchor can't contain itself
		return v
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		if target, found := t.anchors[name]; found {
			return t.value(target, path)
		}
		t.report(n.GetToken(), path, "unknown anchor %q; define it above, as &%s", name, name)
	case *ast.TagNode:
		t.report(n.GetToken(), path, "tags (%s) have no meaning here; leave it out", n.Start.Value)
	case ast.MapNode:
		return t.object(n, path)
	case *ast.SequenceNode:
		values := list{}
		for i, element := range n.Values {
			at := fmt.Sprintf("%s[%d]", path, i)
			t.origins[at] = t.origin(first(element))
			values = append(values, t.value(element, at))
		}
		return values
	case *ast.NullNode:
		return nil
	case ast.ScalarNode:
		l, err := scalar(n)
		if err != nil {
			t.report(n.GetToken(), path, "%v", err)
		}
		return l
	}
	return literal{}
}

// object returns the tree of a map: what it merges (<<), and over it what it has itself.
func (t *tree) object(node ast.MapNode, path string) (o object) {
	for entries := node.MapRange(); entries.Next(); {
		if !entries.Key().IsMergeKey() {
			continue
		}
		merged := list{t.value(entries.Value(), path)}
		if several, isList := merged[0].(list); isList {
			merged = several
		}
		for _, from := range slices.Backward(merged) {
			m, isMap := from.(object)
			if !isMap {
				t.report(entries.Key().GetToken(), path, "<< merges a map, or a list of maps")
			}
			for _, e := range m {
				o.set(e)
			}
		}
	}
	for entries := node.MapRange(); entries.Next(); {
		if entries.Key().IsMergeKey() {
			continue
		}
		key := keyOf(entries.Key())
		at := settings.Join(path, key)
		e := entry{key: key, at: t.origin(entries.Key().GetToken()), value: t.value(entries.Value(), at)}
		t.origins[at] = e.at
		if _, isLiteral := e.value.(literal); isLiteral {
			t.origins[at] = t.origin(entries.Value().GetToken())
		}
		o.set(e)
	}
	return o
}

// keyOf returns the text of a key.
func keyOf(key ast.MapKeyNode) string {
	if text, isText := key.(*ast.StringNode); isText {
		return text.Value
	}
	return key.GetToken().Value
}

// plain returns a value as schema.ParseFilter takes it.
func plain(value any) any {
	switch v := value.(type) {
	case literal:
		if v.value == nil {
			return v.text
		}
		return v.value
	case list:
		values := make([]any, len(v))
		for i, element := range v {
			values[i] = plain(element)
		}
		return values
	case object:
		m := make(map[string]any, len(v))
		for _, e := range v {
			m[e.key] = plain(e.value)
		}
		return m
	}
	return nil
}
