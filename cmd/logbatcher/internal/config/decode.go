package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

const (
	// maxFileBytes bounds the file.
	maxFileBytes = 4 << 20
	// maxNodes bounds what aliases expand a file to, and maxDepth the nesting of a filter.
	maxNodes = 200_000
	maxDepth = 64
)

// decoder sets a Config from the syntax tree of a file. It goes on after a problem. The library's own decoder stops at the
// first one, loses the position of values with units, and reads 1.5 and "2" as whole numbers.
type decoder struct {
	file     string
	origins  origins
	anchors  map[string]ast.Node
	nodes    int
	problems []Problem
}

// report adds a problem at a node.
func (d *decoder) report(at ast.Node, path, format string, arguments ...any) {
	d.reportAt(at.GetToken(), path, fmt.Sprintf(format, arguments...))
}

func (d *decoder) reportAt(at *token.Token, path, message string) {
	d.problems = append(d.problems, Problem{origin: d.origin(at), Path: path, Message: message})
}

// origin returns the place of a token.
func (d *decoder) origin(at *token.Token) origin {
	o := origin{kind: fromFile, name: d.file}
	if at != nil && at.Position != nil {
		o.line, o.column = at.Position.Line, at.Position.Column
	}
	return o
}

// read sets the settings of a struct from the bytes of the file.
func (d *decoder) read(data []byte, config any) {
	defer func() {
		if r := recover(); r != nil { // the library's parser panics on some inputs
			d.reportAt(nil, "", fmt.Sprintf("not YAML: %v", r))
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			d.reportAt(syntax.GetToken(), "", "not YAML: "+syntax.GetMessage())
		} else {
			d.reportAt(nil, "", "not YAML: "+err.Error())
		}
		return
	}
	documents := slices.DeleteFunc(file.Docs, func(document *ast.DocumentNode) bool { return document.Body == nil })
	if len(documents) > 1 {
		d.report(first(documents[1].Body), "", "a second document; a configuration is one document, so remove the line ---")
	}
	if len(documents) > 0 {
		d.decode(reflect.ValueOf(config).Elem(), documents[0].Body, "")
	}
}

// first returns the node at which a value begins: the first key of a map.
func first(node ast.Node) ast.Node {
	if m, isMap := node.(ast.MapNode); isMap {
		if entries := m.MapRange(); entries.Next() {
			return entries.Key()
		}
	}
	return node
}

// note records where a member of a map is set: at its value if that is a scalar, else at its key.
func (d *decoder) note(path string, m *ast.MappingValueNode) {
	at := m.Key.GetToken()
	if _, isScalar := m.Value.(ast.ScalarNode); isScalar && m.Value.Type() != ast.NullType {
		at = m.Value.GetToken()
	}
	d.origins[path] = d.origin(at)
}

// resolve returns the node behind anchors and aliases; nil if there is none, which is reported.
func (d *decoder) resolve(node ast.Node, path string) ast.Node {
	switch d.nodes++; {
	case d.nodes == maxNodes:
		d.report(node, path, "the aliases repeat too much")
		return nil
	case d.nodes > maxNodes:
		return nil
	}
	switch n := node.(type) {
	case *ast.AnchorNode:
		d.anchors[n.Name.GetToken().Value] = n.Value
		return d.resolve(n.Value, path)
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		if target, found := d.anchors[name]; found {
			return d.resolve(target, path)
		}
		d.report(n, path, "unknown anchor %q; define it above, as &%s", name, name)
		return nil
	case *ast.TagNode:
		d.report(n, path, "tags (%s) have no meaning here; leave it out", n.Start.Value)
		return nil
	}
	return node
}

// members returns the members of a map, followed by those that it merges (<<) and does not have itself.
func (d *decoder) members(node ast.MapNode, path string, depth int) []*ast.MappingValueNode {
	if depth > maxDepth {
		d.report(first(node.(ast.Node)), path, "nested too deep, or an alias contains itself")
		return nil
	}
	var own []*ast.MappingValueNode
	var merged []ast.Node
	for entries := node.MapRange(); entries.Next(); {
		if entries.Key().IsMergeKey() {
			merged = append(merged, entries.Value())
		} else {
			own = append(own, entries.KeyValue())
		}
	}
	for len(merged) > 0 {
		from := d.resolve(merged[0], path)
		merged = merged[1:]
		switch from := from.(type) {
		case nil:
		case ast.MapNode:
			for _, m := range d.members(from, path, depth+1) {
				if !slices.ContainsFunc(own, func(o *ast.MappingValueNode) bool { return keyOf(o) == keyOf(m) }) {
					own = append(own, m)
				}
			}
		case *ast.SequenceNode:
			merged = append(merged, from.Values...)
		default:
			d.report(from, path, "<< merges a map, or a list of maps")
		}
	}
	return own
}

// keyOf returns the key of a member.
func keyOf(m *ast.MappingValueNode) string {
	if text, isText := m.Key.(*ast.StringNode); isText {
		return text.Value
	}
	return m.Key.GetToken().Value
}

// decode sets target from a node.
func (d *decoder) decode(target reflect.Value, node ast.Node, path string) {
	if node = d.resolve(node, path); node == nil {
		return
	}
	into := target.Addr().Interface()
	_, isNull := node.(*ast.NullNode)
	isOptional := target.Kind() == reflect.Pointer || target.Kind() == reflect.Interface
	if _, isIndexes := into.(*Indexes); isNull && (isOptional || isIndexes) {
		return
	}
	switch into := into.(type) {
	case *Indexes:
		d.decodeIndexes(into, node, path)
	case *any:
		*into = d.plain(node, path, 0)
	case *map[string]string:
		*into = d.decodeTexts(node, path)
	case **string:
		*into = new(string)
		d.decodeScalar(target.Elem(), node, path)
	default:
		field := settings.Field{Path: path, Value: target}
		switch {
		case isNull && path == "":
		case isNull:
			d.problems = append(d.problems, Problem{origin: d.origins[path], Path: path, Message: "there is no value; write one, or leave out the key"})
		case field.IsSection():
			d.decodeSection(target, node, path)
		case target.Kind() == reflect.Slice:
			d.decodeList(target, node, path)
		default:
			d.decodeScalar(target, node, path)
		}
	}
}

// decodeSection sets the fields that a map names.
func (d *decoder) decodeSection(target reflect.Value, node ast.Node, path string) {
	m, isMap := node.(ast.MapNode)
	if !isMap {
		d.report(node, path, "a map of settings is expected; this is %s", describe(node))
		return
	}
	fields := settings.Fields(target, path)
	for _, member := range d.members(m, path, 0) {
		key := keyOf(member)
		i := slices.IndexFunc(fields, func(f settings.Field) bool { return f.Key == key })
		if i < 0 {
			var known []string
			for _, f := range fields {
				known = append(known, f.Key)
			}
			d.report(member.Key, settings.Join(path, key), "%s", schema.UnknownName("setting", key, known))
			continue
		}
		d.note(fields[i].Path, member)
		d.decode(fields[i].Value, member.Value, fields[i].Path)
	}
}

// decodeList sets a list of sections or of words.
func (d *decoder) decodeList(target reflect.Value, node ast.Node, path string) {
	list, isList := node.(*ast.SequenceNode)
	if !isList {
		d.report(node, path, "a list is expected; this is %s", describe(node))
		return
	}
	target.SetZero()
	if len(list.Values) > 0 {
		target.Set(reflect.MakeSlice(target.Type(), len(list.Values), len(list.Values)))
	}
	for i, element := range list.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.origins[at] = d.origin(first(element).GetToken())
		switch into := target.Index(i).Addr().Interface().(type) {
		case *Route:
			*into = defaultRoute()
		case *schema.Index:
			into.Granularity = 1
		}
		d.decode(target.Index(i), element, at)
	}
}

// decodeIndexes sets the name of a set, or a list.
func (d *decoder) decodeIndexes(target *Indexes, node ast.Node, path string) {
	switch node.(type) {
	case *ast.SequenceNode:
		d.decodeList(reflect.ValueOf(&target.List).Elem(), node, path)
		if target.List == nil {
			target.List = []schema.Index{} // an empty list, not the default set
		}
	case ast.ScalarNode:
		d.decodeScalar(reflect.ValueOf(&target.Set).Elem(), node, path)
	default:
		d.report(node, path, "the name of a set or a list of indexes is expected; this is %s", describe(node))
	}
}

// decodeTexts returns a map of names to texts.
func (d *decoder) decodeTexts(node ast.Node, path string) map[string]string {
	m, isMap := node.(ast.MapNode)
	if !isMap {
		d.report(node, path, "a map is expected; this is %s", describe(node))
		return nil
	}
	members := d.members(m, path, 0)
	if len(members) == 0 {
		return nil
	}
	texts := make(map[string]string, len(members))
	for _, member := range members {
		var text string
		at := settings.Join(path, keyOf(member))
		d.note(at, member)
		d.decode(reflect.ValueOf(&text).Elem(), member.Value, at)
		texts[keyOf(member)] = text
	}
	return texts
}

// decodeScalar sets a single value. A setting that is a number or a bool takes no text in quotes.
func (d *decoder) decodeScalar(target reflect.Value, node ast.Node, path string) {
	n, isScalar := node.(ast.ScalarNode)
	if !isScalar {
		d.report(node, path, "one value is expected; this is %s", describe(node))
		return
	}
	value, text, err := scalar(n)
	if err != nil {
		d.report(node, path, "%v", err)
		return
	}
	_, isText := value.(string)
	switch target.Interface().(type) {
	case int, float64, bool:
		if !isText {
			text = canonical(value)
		} else if quoted(n) {
			text = strconv.Quote(text)
		}
	}
	if err := settings.Set(target, text); err != nil {
		d.report(node, path, "%v", err)
	}
}

// plain returns a value as schema.ParseFilter takes it.
func (d *decoder) plain(node ast.Node, path string, depth int) any {
	switch n := d.resolve(node, path).(type) {
	case ast.MapNode:
		m := map[string]any{}
		for _, member := range d.members(n, path, depth) {
			at := settings.Join(path, keyOf(member))
			d.note(at, member)
			m[keyOf(member)] = d.plain(member.Value, at, depth+1)
		}
		return m
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, element := range n.Values {
			at := fmt.Sprintf("%s[%d]", path, i)
			d.origins[at] = d.origin(first(element).GetToken())
			list[i] = d.plain(element, at, depth+1)
		}
		return list
	case ast.ScalarNode:
		value, text, err := scalar(n)
		if err != nil {
			d.report(n, path, "%v", err)
			return text
		}
		return value
	}
	return nil
}

// describe names a value for a message.
func describe(node ast.Node) string {
	switch node.(type) {
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a map"
	}
	return schema.Quoted(node.GetToken().Value)
}
