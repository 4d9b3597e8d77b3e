// Package settings reads and checks the settings of a Config struct by its tags.
//
// A setting is an exported field with a yaml tag. The tag names its key; ",inline" lifts the settings of a struct into the one
// around it. The tags min, min and max, or oneof ("none|lz4|zstd") bound its value. Fields without a yaml tag are not settings: they
// hold the parts that a program wires in. Each package declares its settings, defaults and checks in its own Config, and the
// program composes those into one configuration.
package settings

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Field is a setting, or a section or list of settings.
type Field struct {
	// Key is the last part of Path, which leads from the outermost struct: "shards.linger".
	Key, Path string
	// Value is the field itself, and can be set.
	Value reflect.Value

	tag reflect.StructTag
}

// Fields returns the fields of a struct that are settings or hold settings, in order.
func Fields(structure reflect.Value, path string) []Field {
	var fields []Field
	for field, value := range structure.Fields() {
		key, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			fields = append(fields, Fields(value, path)...)
		case key != "":
			fields = append(fields, Field{Key: key, Path: Join(path, key), Value: value, tag: field.Tag})
		}
	}
	return fields
}

// Join appends a key to a path.
func Join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// IsSection reports whether the field is a struct of settings.
func (f Field) IsSection() bool {
	_, isText := f.Value.Addr().Interface().(encoding.TextUnmarshaler)
	return f.Value.Kind() == reflect.Struct && !isText
}

// IsList reports whether the field is a list of structs of settings.
func (f Field) IsList() bool {
	return f.Value.Kind() == reflect.Slice && f.Value.Type().Elem().Kind() == reflect.Struct
}

// All returns every setting of a Config that has a fixed path, that is, all but those in lists of structs.
func All(config any) []Field {
	return slices.DeleteFunc(flatten(Fields(reflect.ValueOf(config).Elem(), "")), Field.IsList)
}

// flatten replaces sections by what is in them.
func flatten(fields []Field) []Field {
	var settings []Field
	for _, f := range fields {
		if f.IsSection() {
			settings = append(settings, flatten(Fields(f.Value, f.Path))...)
		} else {
			settings = append(settings, f)
		}
	}
	return settings
}

// Check returns the settings of a Config, lists included, that are out of their bounds.
func Check(config any) []schema.Problem {
	return check(config, Field.bounds)
}

// CheckSigns returns the settings of a Config that are negative, or 0 though 0 is out of their bounds. The bounds themselves
// are for operators: a program that sets a Config's fields may have reasons to go beyond them.
func CheckSigns(config any) []schema.Problem {
	return check(config, Field.sign)
}

func check(config any, rule func(Field) error) []schema.Problem {
	var problems []schema.Problem
	for _, f := range flatten(Fields(reflect.ValueOf(config).Elem(), "")) {
		if f.IsList() {
			for i := range f.Value.Len() {
				for _, p := range check(f.Value.Index(i).Addr().Interface(), rule) {
					problems = append(problems, schema.Problem{Path: Join(fmt.Sprintf("%s[%d]", f.Path, i), p.Path), Message: p.Message})
				}
			}
		} else if err := rule(f); err != nil {
			problems = append(problems, schema.Problem{Path: f.Path, Message: err.Error()})
		}
	}
	return problems
}

// sign returns an error for a number that is negative, or 0 though its tag min is above that.
func (f Field) sign() error {
	least := f.tag.Get("min")
	switch {
	case least == "" || f.compare("0") > 0:
		return nil
	case f.compare("0") < 0:
		return errors.New("must not be negative")
	case f.compare(least) < 0:
		return errors.New("must be above 0")
	}
	return nil
}

// bounds returns an error for a value outside of the field's tags.
func (f Field) bounds() error {
	if choices := f.Choices(); choices != nil && !slices.Contains(choices, fmt.Sprint(f.Value)) {
		return errors.New(schema.UnknownName("choice", fmt.Sprint(f.Value), choices))
	}
	least, most := f.tag.Get("min"), f.Max()
	switch {
	case most != "" && (f.compare(least) < 0 || f.compare(most) > 0):
		return fmt.Errorf("must be from %s to %s", least, most)
	case least != "" && f.compare(least) < 0:
		return fmt.Errorf("must be at least %s", least)
	}
	return nil
}

// compare compares the value with a bound from the field's tag.
func (f Field) compare(text string) int {
	bound := reflect.New(f.Value.Type()).Elem()
	if err := Set(bound, text); err != nil {
		panic(fmt.Sprintf("%s: bound %s: %v", f.Path, text, err))
	}
	if f.Value.CanFloat() {
		return cmp.Compare(f.Value.Float(), bound.Float())
	}
	return cmp.Compare(f.Value.Int(), bound.Int())
}

// Choices returns the values that the field may have; nil if it has no tag oneof.
func (f Field) Choices() []string {
	if choices := f.tag.Get("oneof"); choices != "" {
		return strings.Split(choices, "|")
	}
	return nil
}

// Max returns the greatest value that the field may have, or "".
func (f Field) Max() string { return f.tag.Get("max") }

// Error joins problems into one error, nil if there are none.
func Error(problems []schema.Problem) error {
	errs := make([]error, len(problems))
	for i, problem := range problems {
		errs[i] = problem
	}
	return errors.Join(errs...)
}

// decimal matches the numbers that Set accepts for a float.
var decimal = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

// leadingZero matches numbers that are octal to some readers and decimal to others.
var leadingZero = regexp.MustCompile(`^[-+]?0[0-9]+$`)

// Set sets a value from its text.
func Set(value reflect.Value, text string) error {
	switch target := value.Addr().Interface().(type) {
	case *time.Duration:
		d, err := ParseDuration(text)
		if err != nil {
			return err
		}
		*target = d
		return nil
	case encoding.TextUnmarshaler:
		return target.UnmarshalText([]byte(text))
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil || leadingZero.MatchString(text) {
			return fmt.Errorf("a whole number is expected; this is %s", schema.Quoted(text))
		}
		value.SetInt(int64(n))
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(x) || !decimal.MatchString(text) {
			return fmt.Errorf("a number is expected; this is %s", schema.Quoted(text))
		}
		value.SetFloat(x)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("true or false is expected; this is %s", schema.Quoted(text))
		}
		value.SetBool(text == "true")
	case reflect.Slice:
		value.Set(reflect.ValueOf(splitList(text)))
	default:
		return fmt.Errorf("a %v can't be set from a text", value.Type())
	}
	return nil
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
