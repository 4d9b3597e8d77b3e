package config

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Print writes the values in force as YAML that Load reads again, but for secrets, which are hidden.
// What is not a default has a comment that says where it came from.
func (c *Config) Print(w io.Writer) error {
	p := &printer{config: c}
	capacity := c.Capacity()
	fmt.Fprintf(&p.text, "# Values without a comment are defaults. With the limit of %s (%s): %d shards, and at most %d streams,\n"+
		"# which together with the budget need at most %s.\n",
		approximate(capacity.Limit), capacity.LimitFrom, capacity.Shards, capacity.MaxStreams, approximate(capacity.Need))
	p.printStruct(reflect.ValueOf(c).Elem(), "", "")
	_, err := w.Write(p.text.Bytes())
	return err
}

// printer writes a configuration.
type printer struct {
	text   bytes.Buffer
	config *Config
}

// printStruct writes the settings of a struct, each on its line.
func (p *printer) printStruct(v reflect.Value, path, indent string) {
	for _, f := range fieldsOf(v.Type()) {
		target, below := v.Field(f.index), joinPath(path, f.key)
		if indexes, is := target.Interface().(Indexes); is {
			p.printIndexes(indexes, f.key, below, indent)
			continue
		}
		switch target.Kind() {
		case reflect.Struct:
			fmt.Fprintf(&p.text, "%s%s:\n", indent, f.key)
			p.printStruct(target, below, indent+"  ")
		case reflect.Slice:
			p.printList(target, f.key, below, indent)
		case reflect.Pointer:
			if !target.IsNil() {
				p.line(indent, f.key, quoteYAML(target.Elem().String()), below)
			}
		case reflect.Interface:
			if filter, problems := schema.ParseFilter(target.Interface(), ""); len(problems) == 0 {
				p.line(indent, f.key, filter.String(), below)
			}
		case reflect.Map:
			p.printMap(target.Interface().(map[string]string), f.key, below, indent)
		default:
			p.line(indent, f.key, formatSetting(target), below)
		}
	}
}

// line writes one setting.
func (p *printer) line(indent, key, text, path string) {
	fmt.Fprintf(&p.text, "%s%s: %s", indent, key, text)
	if at, found := p.config.origins[path]; found {
		fmt.Fprintf(&p.text, " # %s", at)
	}
	p.text.WriteByte('\n')
}

// printList writes a list of words or of maps.
func (p *printer) printList(list reflect.Value, key, path, indent string) {
	if list.Type().Elem().Kind() == reflect.String {
		p.line(indent, key, formatSetting(list), path)
		return
	}
	if list.Len() == 0 {
		p.line(indent, key, "[]", path)
		return
	}
	fmt.Fprintf(&p.text, "%s%s:\n", indent, key)
	for i := range list.Len() {
		from := p.text.Len()
		p.printStruct(list.Index(i), path+"["+strconv.Itoa(i)+"]", indent+"    ")
		copy(p.text.Bytes()[from+len(indent)+2:], "- ")
	}
}

// printIndexes writes the name of a set or a list.
func (p *printer) printIndexes(indexes Indexes, key, path, indent string) {
	switch {
	case indexes.Set != "":
		p.line(indent, key, indexes.Set, path)
	case indexes.List != nil:
		p.printList(reflect.ValueOf(indexes.List), key, path, indent)
	}
}

// printMap writes a map of texts.
func (p *printer) printMap(texts map[string]string, key, path, indent string) {
	if len(texts) == 0 {
		return
	}
	fmt.Fprintf(&p.text, "%s%s:\n", indent, key)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		p.line(indent+"  ", quoteYAML(name), quoteYAML(texts[name]), joinPath(path, name))
	}
}

// formatSetting writes a setting as the file, a variable or a flag takes it.
func formatSetting(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return formatDuration(value)
	case Size:
		return value.String()
	case Secret:
		return quoteYAML(value.String())
	case string:
		return quoteYAML(value)
	case []string:
		words := make([]string, len(value))
		for i, word := range value {
			words[i] = quoteYAML(word)
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// plainText is what needs no quotes in YAML, whatever stands around it.
var plainText = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)

// notText are the plain words that YAML reads as something else.
var notText = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"}

// quoteYAML writes a text in YAML, in quotes where it needs them.
func quoteYAML(text string) string {
	if plainText.MatchString(text) && !slices.Contains(notText, strings.ToLower(text)) {
		return text
	}
	return strconv.Quote(text)
}
