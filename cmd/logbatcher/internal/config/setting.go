package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// field is one field of a struct of the configuration, described by its tags.
type field struct {
	index   int
	key     string
	doc     string
	choices []string
	min     string
	max     string
}

// fieldsOf returns the fields of a struct that are settings or hold settings.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		described := field{index: i, key: key, doc: f.Tag.Get("doc"), min: f.Tag.Get("min"), max: f.Tag.Get("max")}
		if choices := f.Tag.Get("oneof"); choices != "" {
			described.choices = strings.Split(choices, "|")
		}
		fields = append(fields, described)
	}
	return fields
}

// setting is a scalar of the configuration, or a list of words, that a variable or a flag can set.
type setting struct {
	field
	path   string
	target reflect.Value
}

// settings returns all settings of a configuration, in the order of the file. Columns, routes and
// error classes are lists of maps; only the file has them.
func settings(c *Config) []setting {
	var all []setting
	collectSettings(reflect.ValueOf(c).Elem(), "", &all)
	return all
}

func collectSettings(v reflect.Value, path string, all *[]setting) {
	for _, f := range fieldsOf(v.Type()) {
		target, below := v.Field(f.index), joinPath(path, f.key)
		switch target.Kind() {
		case reflect.Struct:
			collectSettings(target, below, all)
		case reflect.Slice:
			if target.Type().Elem().Kind() == reflect.String {
				*all = append(*all, setting{field: f, path: below, target: target})
			}
		default:
			*all = append(*all, setting{field: f, path: below, target: target})
		}
	}
}

// joinPath adds a key to a path.
func joinPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// variable returns the name of the setting's environment variable.
func (s setting) variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(s.path, ".", "_"))
}

// typeName names the setting's type, for the help of a flag.
func (s setting) typeName() string {
	switch s.target.Interface().(type) {
	case time.Duration:
		return "duration"
	case Size:
		return "size"
	}
	switch s.target.Kind() {
	case reflect.Slice:
		return "list"
	case reflect.Float64:
		return "number"
	}
	return strings.TrimSuffix(s.target.Kind().String(), "64")
}

// setText sets the field from the text of a scalar, and checks its choices and bounds.
func (f field) setText(target reflect.Value, text string) error {
	switch into := target.Addr().Interface().(type) {
	case *time.Duration:
		d, err := ParseDuration(text)
		if err != nil {
			return err
		}
		*into = d
		return f.checkBounds(d < 0, func(bound string) int { return compareTo(d, ParseDuration, bound) })
	case *Size:
		size, err := ParseSize(text)
		if err != nil {
			return err
		}
		*into = size
		return f.checkBounds(false, func(bound string) int { return compareTo(size, ParseSize, bound) })
	case *int:
		n, err := parseInt(text)
		if err != nil {
			return fmt.Errorf("a whole number is expected; this is %q", cut(text))
		}
		*into = n
		return f.checkBounds(false, func(bound string) int { return compareTo(n, parseInt, bound) })
	case *float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || x != x || !coreFloat.MatchString(text) {
			return fmt.Errorf("a number is expected; this is %q", cut(text))
		}
		*into = x
		parse := func(bound string) (float64, error) { return strconv.ParseFloat(bound, 64) }
		return f.checkBounds(false, func(bound string) int { return compareTo(x, parse, bound) })
	case *bool:
		switch text {
		case "true":
			*into = true
		case "false":
			*into = false
		default:
			return fmt.Errorf("true or false is expected; this is %q", cut(text))
		}
	case *string:
		if err := f.checkChoice(text); err != nil {
			return err
		}
		*into = text
	case *Secret:
		*into = Secret(text)
	case *[]string:
		*into = splitList(text)
	}
	return nil
}

// parseInt reads a whole number, in decimal. One with a leading zero is octal to some.
func parseInt(text string) (int, error) {
	if leadingZero.MatchString(text) {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(text)
}

// compareTo compares a value with a bound that stands in a tag.
func compareTo[T time.Duration | Size | int | float64](v T, parse func(string) (T, error), bound string) int {
	b, err := parse(bound)
	switch {
	case err != nil:
		panic("config: bad bound " + bound) // a tag of this package
	case v < b:
		return -1
	case v > b:
		return 1
	}
	return 0
}

// checkBounds compares a value with the bounds of its tags.
func (f field) checkBounds(negative bool, compare func(bound string) int) error {
	switch {
	case f.min != "" && compare(f.min) < 0 || negative:
		if f.max != "" {
			return fmt.Errorf("too small; it is %s to %s", f.min, f.max)
		}
		return fmt.Errorf("too small; it is at least %s", f.min)
	case f.max != "" && compare(f.max) > 0:
		if f.min != "" {
			return fmt.Errorf("too large; it is %s to %s", f.min, f.max)
		}
		return fmt.Errorf("too large; it is at most %s", f.max)
	}
	return nil
}

// checkChoice tells whether a text is one of the choices.
func (f field) checkChoice(text string) error {
	if len(f.choices) == 0 {
		return nil
	}
	for _, choice := range f.choices {
		if choice == text {
			return nil
		}
	}
	if near := schema.DidYouMean(text, f.choices); near != "" {
		return fmt.Errorf("unknown choice %q; did you mean %s?", cut(text), near)
	}
	return fmt.Errorf("unknown choice %q; it is one of %s", cut(text), strings.Join(f.choices, ", "))
}

// splitList splits a list of words at its commas.
func splitList(text string) []string {
	var words []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}
