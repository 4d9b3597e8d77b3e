package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// variablePrefix is what all our variables begin with.
const variablePrefix = "LOGBATCHER_"

// foreignVariables begin with our prefix and are not settings: those of the tests and of the
// embedded engine, and the path of the file. One that ends in "_" is a prefix itself.
var foreignVariables = []string{"LOGBATCHER_TEST_", "LOGBATCHER_CHDB_LIBRARY", "LOGBATCHER_ENGINE", "LOGBATCHER_ENGINE_LOG", "LOGBATCHER_CONFIG"}

// serviceLinks are the variables that Kubernetes sets in every pod for each service of the namespace whose name begins with
// "logbatcher", by the ends of their names, and what their values look like.
var serviceLinks = []struct{ name, value *regexp.Regexp }{
	{regexp.MustCompile(`_SERVICE_HOST$`), regexp.MustCompile(`^[0-9a-fA-F.:]+$`)},
	{regexp.MustCompile(`_SERVICE_PORT(_[A-Z0-9_]+)?$`), regexp.MustCompile(`^[0-9]{1,5}$`)},
	{regexp.MustCompile(`_PORT(_[0-9]{1,5}_(TCP|UDP|SCTP))?$`), regexp.MustCompile(`^(tcp|udp|sctp)://[0-9a-fA-F.:\[\]]+:[0-9]{1,5}$`)},
	{regexp.MustCompile(`_PORT_[0-9]{1,5}_(TCP|UDP|SCTP)_PROTO$`), regexp.MustCompile(`^(tcp|udp|sctp)$`)},
	{regexp.MustCompile(`_PORT_[0-9]{1,5}_(TCP|UDP|SCTP)_PORT$`), regexp.MustCompile(`^[0-9]{1,5}$`)},
	{regexp.MustCompile(`_PORT_[0-9]{1,5}_(TCP|UDP|SCTP)_ADDR$`), regexp.MustCompile(`^[0-9a-fA-F.:]+$`)},
}

// isServiceLink reports whether Kubernetes made the variable.
func isServiceLink(name, value string) bool {
	name = "_" + strings.TrimPrefix(name, variablePrefix)
	for _, link := range serviceLinks {
		if link.name.MatchString(name) && link.value.MatchString(value) {
			return true
		}
	}
	return false
}

// applyEnvironment sets what variables name. One that names nothing is an error.
func (c *Config) applyEnvironment(environ []string) []Problem {
	byName := map[string]setting{}
	var names []string
	for _, s := range settings(c) {
		byName[s.variable()] = s
		names = append(names, s.variable())
	}
	var problems []Problem
	var links []string
	sorted := slices.Clone(environ)
	slices.Sort(sorted)
	for _, assignment := range sorted {
		name, text, _ := strings.Cut(assignment, "=")
		if !strings.HasPrefix(name, variablePrefix) || isForeign(name) {
			continue
		}
		s, known := byName[name]
		at := origin{kind: fromEnvironment, name: name}
		if !known && isServiceLink(name, text) {
			links = append(links, name)
			continue
		}
		if !known {
			message := "unknown variable; those of LogBatcher are named by the settings, as LOGBATCHER_SHARDS_LINGER by shards.linger"
			if near := schema.DidYouMean(name, names); near != "" {
				message = "unknown variable; did you mean " + near + "?"
			}
			problems = append(problems, Problem{Origin: at.String(), Message: message, rank: int(at.kind)})
			continue
		}
		c.origins[s.path] = at
		if err := s.setText(s.target, text); err != nil {
			problems = append(problems, Problem{Origin: at.String(), Path: s.path, Message: err.Error(), rank: int(at.kind)})
		}
	}
	if len(links) > 0 {
		c.Warnings = append(c.Warnings, "these environment variables are Kubernetes' service links, not settings, and are ignored: "+strings.Join(links, ", "))
	}
	return problems
}

// isForeign tells whether a variable is not a setting though it has our prefix.
func isForeign(name string) bool {
	return slices.ContainsFunc(foreignVariables, func(foreign string) bool {
		return name == foreign || strings.HasSuffix(foreign, "_") && strings.HasPrefix(name, foreign)
	})
}
