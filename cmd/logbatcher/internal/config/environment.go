package config

import (
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// variablePrefix is what all our variables begin with.
const variablePrefix = "LOGBATCHER_"

// foreignVariables begin with our prefix and are not settings: those of the tests and of the
// embedded engine, and the path of the file. One that ends in "_" is a prefix itself.
var foreignVariables = []string{"LOGBATCHER_TEST_", "LOGBATCHER_CHDB_LIBRARY", "LOGBATCHER_ENGINE", "LOGBATCHER_ENGINE_", "LOGBATCHER_CONFIG"}

// applyEnvironment sets what variables name, and warns of those that name nothing.
func (c *Config) applyEnvironment(environ []string) []Problem {
	byName := map[string]setting{}
	var names []string
	for _, s := range settings(c) {
		byName[s.variable()] = s
		names = append(names, s.variable())
	}
	var problems []Problem
	sorted := slices.Clone(environ)
	slices.Sort(sorted)
	for _, assignment := range sorted {
		name, text, _ := strings.Cut(assignment, "=")
		if !strings.HasPrefix(name, variablePrefix) || isForeign(name) {
			continue
		}
		s, known := byName[name]
		if !known {
			warning := "unknown environment variable " + name
			if near := schema.DidYouMean(name, names); near != "" {
				warning += "; did you mean " + near + "?"
			}
			c.Warnings = append(c.Warnings, warning)
			continue
		}
		at := origin{kind: fromEnvironment, name: name}
		c.origins[s.path] = at
		if err := s.setText(s.target, text); err != nil {
			problems = append(problems, Problem{Origin: at.String(), Path: s.path, Message: err.Error(), rank: int(at.kind)})
		}
	}
	return problems
}

// isForeign tells whether a variable is not a setting though it has our prefix.
func isForeign(name string) bool {
	return slices.ContainsFunc(foreignVariables, func(foreign string) bool {
		return name == foreign || strings.HasSuffix(foreign, "_") && strings.HasPrefix(name, foreign)
	})
}
