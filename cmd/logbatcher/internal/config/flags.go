package config

import (
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// flagText is a flag that keeps its text until Load reads it, so that its errors stand
// beside all others.
type flagText struct{ text, typeName string }

// String returns the flag's text.
func (f *flagText) String() string { return f.text }

// Set keeps the text.
func (f *flagText) Set(text string) error {
	f.text = text
	return nil
}

// Type names the type, for the help.
func (f *flagText) Type() string { return f.typeName }

// AddFlags adds a flag for each setting, named as its path: --shards.linger. Load reads those
// that were given.
func AddFlags(set *pflag.FlagSet) {
	for _, s := range settings(Default()) {
		value := &flagText{typeName: s.typeName(), text: flagDefault(s.target)}
		flag := set.VarPF(value, s.path, "", s.usage())
		if value.typeName == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
}

// usage is what the help says of a flag.
func (s setting) usage() string {
	if len(s.choices) == 0 {
		return s.doc
	}
	return s.doc + " (" + strings.Join(s.choices, ", ") + ")"
}

// flagDefault writes a default as a flag takes it.
func flagDefault(target reflect.Value) string {
	switch value := target.Interface().(type) {
	case string:
		return value
	case Secret:
		return ""
	case []string:
		return strings.Join(value, ",")
	}
	return formatSetting(target)
}

// applyFlags sets what flags name that were given.
func (c *Config) applyFlags(set *pflag.FlagSet) []Problem {
	if set == nil {
		return nil
	}
	var problems []Problem
	for _, s := range settings(c) {
		flag := set.Lookup(s.path)
		if flag == nil || !flag.Changed {
			continue
		}
		at := origin{kind: fromFlag, name: s.path}
		c.origins[s.path] = at
		if err := s.setText(s.target, flag.Value.String()); err != nil {
			problems = append(problems, Problem{Origin: at.String(), Path: s.path, Message: err.Error(), rank: int(at.kind)})
		}
	}
	return problems
}
