package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// Errors is everything that is wrong in a configuration.
type Errors struct {
	// Problems are in the order of the file; those of variables and flags come last.
	Problems []Problem
}

// Problem is one thing that is wrong.
type Problem struct {
	// Origin says where: "logbatcher.yaml:12:5", "environment variable LOGBATCHER_COLO", "flag --colo", or
	// "" for what is nowhere written.
	Origin string
	// Path is the setting that it is about. Empty: the file as a whole.
	Path string
	// Message says what is wrong and what would be right.
	Message string

	rank     int
	position position
}

// Error returns place, setting and message.
func (p Problem) Error() string {
	text := p.Message
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.Origin != "" {
		text = p.Origin + ": " + text
	}
	return text
}

// Error returns all problems, one a line.
func (e *Errors) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (e *Errors) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, problem := range e.Problems {
		errs[i] = problem
	}
	return errs
}

// originKind ranks where a value can come from; a higher one wins.
type originKind int

const (
	fromDefault originKind = iota
	fromFile
	fromEnvironment
	fromFlag
)

// origin is where a setting's value came from.
type origin struct {
	kind     originKind
	name     string
	position position
}

// String returns the origin as problems and Print write it.
func (o origin) String() string {
	switch o.kind {
	case fromFile:
		return fmt.Sprintf("%s:%d:%d", o.name, o.position.line, o.position.column)
	case fromEnvironment:
		return "environment variable " + o.name
	case fromFlag:
		return "flag --" + o.name
	}
	return "default"
}

// locate finds the origin of a setting: its own, or that of the nearest setting around it that
// is written down.
func (c *Config) locate(path string) origin {
	for path != "" {
		if o, found := c.origins[path]; found {
			return o
		}
		path = parentPath(path)
	}
	return origin{}
}

// parentPath cuts the last member or element off a path. A key in brackets and quotes is one member.
func parentPath(path string) string {
	if strings.HasSuffix(path, `"]`) {
		if open := strings.LastIndex(path, `["`); open > 0 {
			if dot := strings.LastIndexByte(path[:open], '.'); dot > 0 {
				return path[:dot]
			}
		}
	}
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// problemsAt turns problems of settings into problems with a place, in the order of the file.
func (c *Config) problemsAt(problems []schema.Problem) []Problem {
	located := make([]Problem, 0, len(problems))
	for _, p := range problems {
		at := c.locate(p.Path)
		problem := Problem{Path: p.Path, Message: p.Message, rank: int(at.kind), position: at.position}
		if at.kind != fromDefault {
			problem.Origin = at.String()
		}
		located = append(located, problem)
	}
	sortProblems(located)
	return located
}

// sortProblems puts problems in the order of the file, then of variables and flags, then of what
// is written nowhere.
func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.rank != b.rank {
			return (a.rank+3)%4 - (b.rank+3)%4
		}
		if a.position.line != b.position.line {
			return a.position.line - b.position.line
		}
		return a.position.column - b.position.column
	})
}
