package config

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// decoder sets the fields of a configuration from the tree of a file. It goes on after a problem.
type decoder struct {
	problems []Problem
}

// report adds a problem.
func (d *decoder) report(at position, path, message string) {
	d.problems = append(d.problems, Problem{Path: path, Message: message, position: at, rank: int(fromFile)})
}

// defaulter is an element of a list that does not start with zero values.
type defaulter interface{ setDefaults() }

// decode sets target, described by f, from v.
func (d *decoder) decode(target reflect.Value, f field, v *value, path string) {
	if v.kind == brokenValue {
		return
	}
	if indexes, is := target.Addr().Interface().(*Indexes); is {
		d.decodeIndexes(indexes, v, path)
		return
	}
	switch target.Kind() {
	case reflect.Struct:
		d.decodeStruct(target, v, path)
	case reflect.Slice:
		d.decodeList(target, f, v, path)
	case reflect.Map:
		d.decodeMap(target, v, path)
	case reflect.Interface:
		if v.kind != nullValue {
			target.Set(reflect.ValueOf(v.plain()))
		}
	case reflect.Pointer:
		if v.kind == nullValue {
			return
		}
		target.Set(reflect.New(target.Type().Elem()))
		d.decodeScalar(target.Elem(), f, v, path)
	default:
		d.decodeScalar(target, f, v, path)
	}
}

// decodeStruct sets the fields that a map names, and reports what is no field.
func (d *decoder) decodeStruct(target reflect.Value, v *value, path string) {
	if v.kind != mapValue {
		if v.kind != nullValue {
			d.report(v.position, path, "a map of settings is expected; this is "+v.describe())
		} else if path != "" {
			d.report(v.position, path, "there is no setting in it; write one, or leave out the key")
		}
		return
	}
	fields := fieldsOf(target.Type())
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
members:
	for _, m := range v.members {
		for _, f := range fields {
			if f.key == m.key {
				d.decode(target.Field(f.index), f, m.value, joinPath(path, m.key))
				continue members
			}
		}
		message := "unknown setting; "
		if near := schema.DidYouMean(m.key, keys); near != "" {
			message += "did you mean " + near + "?"
		} else {
			message += "the settings here are " + strings.Join(keys, ", ")
		}
		d.report(m.position, joinPath(path, m.key), message)
	}
}

// decodeList sets a list of maps or of words.
func (d *decoder) decodeList(target reflect.Value, f field, v *value, path string) {
	if v.kind != listValue {
		d.report(v.position, path, "a list is expected; this is "+v.describe())
		return
	}
	if len(v.elements) == 0 {
		target.SetZero()
		return
	}
	list := reflect.MakeSlice(target.Type(), len(v.elements), len(v.elements))
	for i, element := range v.elements {
		into := list.Index(i)
		if withDefaults, has := into.Addr().Interface().(defaulter); has {
			withDefaults.setDefaults()
		}
		d.decode(into, f, element, path+"["+strconv.Itoa(i)+"]")
	}
	target.Set(list)
}

// decodeMap sets a map from names to texts.
func (d *decoder) decodeMap(target reflect.Value, v *value, path string) {
	if v.kind != mapValue {
		d.report(v.position, path, "a map is expected; this is "+v.describe())
		return
	}
	texts := make(map[string]string, len(v.members))
	for _, m := range v.members {
		if m.value.kind != scalarValue {
			d.report(m.position, joinPath(path, m.key), "one value is expected; this is "+m.value.describe())
			continue
		}
		texts[m.key] = m.value.text
	}
	target.Set(reflect.ValueOf(texts))
}

// decodeIndexes reads the name of a set, or a list.
func (d *decoder) decodeIndexes(target *Indexes, v *value, path string) {
	switch v.kind {
	case nullValue:
	case scalarValue:
		if _, err := schema.IndexSet(v.text); err != nil {
			d.report(v.position, path, err.Error()+", or a list of indexes")
			return
		}
		target.Set = v.text
	case listValue:
		d.decodeList(reflect.ValueOf(&target.List).Elem(), field{}, v, path)
		if target.List == nil {
			target.List = []Index{} // written down as none, so no default set
		}
	default:
		d.report(v.position, path, "the name of a set or a list of indexes is expected; this is "+v.describe())
	}
}

// decodeScalar sets one value. A text field takes a text only where it could not be meant as
// something else, a default takes any scalar.
func (d *decoder) decodeScalar(target reflect.Value, f field, v *value, path string) {
	switch {
	case v.kind == nullValue:
		d.report(v.position, path, "there is no value; write one, or leave out the key")
		return
	case v.kind != scalarValue:
		d.report(v.position, path, "one value is expected; this is "+v.describe())
		return
	}
	if message := mistyped(target, v); message != "" {
		d.report(v.position, path, message)
		return
	}
	text := v.text
	if kind := target.Kind(); (kind == reflect.Int || kind == reflect.Float64) && text != canonical(v.scalar) {
		text = canonical(v.scalar) // 0x10, 1e3
	}
	if err := f.setText(target, text); err != nil {
		d.report(v.position, path, err.Error())
	}
}

// mistyped says why a scalar's type in YAML is not what a field takes. It is "" where it is.
func mistyped(target reflect.Value, v *value) string {
	_, isText := v.scalar.(string)
	switch target.Interface().(type) {
	case time.Duration:
		if !isText && v.text != "0" {
			return "a duration is a number with a unit (ms, s, m, h, d), as in 30s or 7d; this is " + v.text
		}
	case int, float64, bool:
		if isText {
			return wanted(target.Kind()) + " is expected; this is " + v.describe()
		}
	}
	return ""
}

// wanted names what a kind of field takes.
func wanted(kind reflect.Kind) string {
	switch kind {
	case reflect.Int:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}
