package config

import (
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/logbatcher/logbatcher/schema/settings"
)

// Show writes the values in force as YAML that Load reads again, except for secrets, which are hidden. A comment behind a value
// is where it came from; values without one are defaults.
func (c *Config) Show(w io.Writer) error {
	p := c.Capacity()
	fmt.Fprintf(w, "# Values without a comment are defaults. With the limit of %s (%s): %d shards, and at most %d streams,\n"+
		"# which together with the budget need at most %s.\n", approximate(p.Limit), p.LimitFrom, p.Shards, p.MaxStreams, approximate(p.Need))
	comments := yaml.CommentMap{}
	document := c.section(reflect.ValueOf(c).Elem(), "", comments)
	return yaml.NewEncoder(w, yaml.IndentSequence(true), yaml.WithComment(comments)).Encode(document)
}

// plainText matches what is a text in any version of YAML, except for the words in notText.
var (
	plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*$`)
	notText   = []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
)

// text is written in quotes if needed. The library leaves some numbers and indicators unquoted.
type text string

// MarshalYAML implements yaml.BytesMarshaler.
func (t text) MarshalYAML() ([]byte, error) {
	if plainText.MatchString(string(t)) && !slices.Contains(notText, strings.ToLower(string(t))) {
		return []byte(t), nil
	}
	return []byte(strconv.Quote(string(t))), nil
}

// form is written as it is.
type form string

// MarshalYAML implements yaml.BytesMarshaler.
func (f form) MarshalYAML() ([]byte, error) { return []byte(f), nil }

// section returns a struct of settings as the encoder writes it.
func (c *Config) section(structure reflect.Value, path string, comments yaml.CommentMap) yaml.MapSlice {
	var section yaml.MapSlice
	for _, f := range settings.Fields(structure, path) {
		value := c.encodable(f, comments)
		if value == nil {
			continue
		}
		section = append(section, yaml.MapItem{Key: f.Key, Value: value})
		if at, found := c.origins[f.Path]; found && !f.IsSection() && !f.IsList() {
			comments["$."+f.Path] = []*yaml.Comment{yaml.LineComment(" " + at.String())}
		}
	}
	return section
}

// encodable returns a setting as the encoder writes it; nil omits it.
func (c *Config) encodable(f settings.Field, comments yaml.CommentMap) any {
	switch value := f.Value.Interface().(type) {
	case time.Duration:
		return form(settings.FormatDuration(value))
	case settings.Size:
		return form(value.String())
	case fmt.Stringer: // secrets, types, sources and choices
		return text(value.String())
	case Indexes:
		if value.Set != "" {
			return value.Set
		}
		f.Value = f.Value.FieldByName("List")
	}
	switch {
	case f.IsSection():
		return c.section(f.Value, f.Path, comments)
	case f.IsList():
		if f.Value.IsNil() {
			return nil
		}
		list := make([]yaml.MapSlice, f.Value.Len())
		for i := range list {
			list[i] = c.section(f.Value.Index(i), fmt.Sprintf("%s[%d]", f.Path, i), comments)
		}
		return list
	case f.Value.Kind() == reflect.String:
		return text(f.Value.String())
	case f.Value.CanInt(), f.Value.CanFloat(), f.Value.Kind() == reflect.Bool:
	case f.Value.IsNil():
		return nil
	}
	return f.Value.Interface()
}
