package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// decoder sets a Config from the tree of a file. It goes on after a problem.
//
// The YAML library's own decoder is not used: it stops at the first problem, loses the position of values with units, and reads
// 1.5 and "2" as whole numbers.
type decoder struct {
	origins  origins
	problems []Problem
}

// decodeFile sets a Config from the bytes of a file, and notes where its settings are written.
func decodeFile(name string, data []byte, config any, written origins) []Problem {
	t := &tree{file: name, origins: written, anchors: map[string]ast.Node{}}
	d := &decoder{origins: written}
	if root := t.read(data); root != nil {
		d.decode(reflect.ValueOf(config).Elem(), root, "")
	}
	return append(t.problems, d.problems...)
}

// report adds a problem with a setting.
func (d *decoder) report(path, format string, arguments ...any) {
	d.problems = append(d.problems, Problem{origin: d.origins.of(path), Path: path, Message: fmt.Sprintf(format, arguments...)})
}

// expected reports a value of the wrong form.
func (d *decoder) expected(path, what string, value any) {
	this := "a map"
	switch v := value.(type) {
	case literal:
		this = schema.Quoted(v.text)
	case list:
		this = "a list"
	}
	d.report(path, "%s is expected; this is %s", what, this)
}

// decode sets target from a value of the tree.
func (d *decoder) decode(target reflect.Value, value any, path string) {
	switch into := target.Addr().Interface().(type) {
	case *any:
		*into = plain(value)
		return
	case *Indexes:
		d.decodeIndexes(into, value, path)
		return
	case **string:
		if value != nil {
			*into = new(string)
			d.decode(target.Elem(), value, path)
		}
		return
	}
	switch {
	case value == nil:
		d.report(path, "there is no value; write one, or leave out the key")
	case target.Kind() == reflect.Map:
		d.decodeTexts(target, value, path)
	case settings.Field{Value: target}.IsSection():
		d.decodeSection(target, value, path)
	case target.Kind() == reflect.Slice:
		d.decodeList(target, value, path)
	default:
		d.decodeLiteral(target, value, path)
	}
}

// decodeSection sets the settings that a map names.
func (d *decoder) decodeSection(target reflect.Value, value any, path string) {
	section, isMap := value.(object)
	if !isMap {
		d.expected(path, "a map of settings", value)
		return
	}
	fields := settings.Fields(target, path)
	var known []string
	for _, f := range fields {
		known = append(known, f.Key)
	}
	for _, e := range section {
		at := settings.Join(path, e.key)
		if i := slices.Index(known, e.key); i >= 0 {
			d.decode(fields[i].Value, e.value, at)
		} else {
			d.problems = append(d.problems, Problem{origin: e.at, Path: at, Message: schema.UnknownName("setting", e.key, known)})
		}
	}
}

// decodeList sets a list of sections or of words.
func (d *decoder) decodeList(target reflect.Value, value any, path string) {
	elements, isList := value.(list)
	if !isList {
		d.expected(path, "a list", value)
		return
	}
	target.SetZero()
	for i, element := range elements {
		target.Set(reflect.Append(target, reflect.Zero(target.Type().Elem())))
		switch into := target.Index(i).Addr().Interface().(type) {
		case *Route:
			*into = defaultRoute()
		case *schema.Index:
			into.Granularity = 1
		}
		d.decode(target.Index(i), element, fmt.Sprintf("%s[%d]", path, i))
	}
}

// decodeIndexes sets the name of a set, or a list.
func (d *decoder) decodeIndexes(target *Indexes, value any, path string) {
	switch value.(type) {
	case nil:
	case literal:
		d.decodeLiteral(reflect.ValueOf(&target.Set).Elem(), value, path)
	case list:
		d.decodeList(reflect.ValueOf(&target.List).Elem(), value, path)
		if target.List == nil {
			target.List = []schema.Index{} // an empty list, not the default set
		}
	default:
		d.expected(path, "the name of a set or a list of indexes", value)
	}
}

// decodeTexts sets a map of names to texts.
func (d *decoder) decodeTexts(target reflect.Value, value any, path string) {
	entries, isMap := value.(object)
	if !isMap {
		d.expected(path, "a map", value)
	}
	for _, e := range entries {
		var text string
		d.decode(reflect.ValueOf(&text).Elem(), e.value, settings.Join(path, e.key))
		if target.IsNil() {
			target.Set(reflect.MakeMap(target.Type()))
		}
		target.SetMapIndex(reflect.ValueOf(e.key), reflect.ValueOf(text))
	}
}

// decodeLiteral sets a single value. A setting that is a number or a bool takes no text in quotes.
func (d *decoder) decodeLiteral(target reflect.Value, value any, path string) {
	l, isLiteral := value.(literal)
	switch {
	case !isLiteral:
		d.expected(path, "one value", value)
		return
	case l.value == nil: // reported
		return
	}
	text := l.text
	switch target.Interface().(type) {
	case int, float64, bool:
		if l.quoted {
			text = strconv.Quote(text)
		} else {
			text = canonical(l.value)
		}
	}
	if err := settings.Set(target, text); err != nil {
		d.report(path, "%v", err)
	}
}

// canonical writes the value of a literal as settings.Set reads it.
func canonical(value any) string {
	if x, isFloat := value.(float64); isFloat {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return fmt.Sprint(value)
}
