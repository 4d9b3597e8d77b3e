package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong.
type Problem struct {
	// Path is the setting. Empty: the file as a whole.
	Path string
	// Message is what is wrong, and how to fix it.
	Message string

	origin origin
}

// Error returns place, setting and message.
func (p Problem) Error() string {
	text := p.Message
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.origin != (origin{}) {
		text = p.origin.String() + ": " + text
	}
	return text
}

// originKind orders where a value can come from, as problems are ordered.
type originKind int

// A value that is not written anywhere has the kind 0.
const (
	fromFile originKind = iota + 1
	fromEnvironment
	fromAssignment
)

// origin is where a setting's value came from. The zero value is a default.
type origin struct {
	kind         originKind
	name         string
	line, column int
}

// String returns the origin as problems and Show write it.
func (o origin) String() string {
	if o.line > 0 {
		return fmt.Sprintf("%s:%d:%d", o.name, o.line, o.column)
	}
	return o.name
}

// origins are the origins of settings by path, and under "" the beginning of the file. What is not there is a default.
type origins map[string]origin

// of returns the origin of a setting, or that of the nearest setting around it.
func (o origins) of(path string) origin {
	if path == "" {
		return o[path]
	}
	for ; path != ""; path = parentPath(path) {
		if at, found := o[path]; found {
			return at
		}
	}
	return origin{}
}

// parentPath cuts the last member or element off a path. What it returns for keys with dots or brackets is in no map of origins.
func parentPath(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// joined returns problems as one error, nil if there are none: those of the file in its order, then those of variables, of
// assignments, and of what is not written anywhere.
func joined(problems []Problem) error {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare((a.origin.kind+3)%4, (b.origin.kind+3)%4), cmp.Compare(a.origin.line, b.origin.line), cmp.Compare(a.origin.column, b.origin.column))
	})
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}
