package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema/settings"
)

// variablePrefix begins the names of all our variables.
const variablePrefix = "LOGBATCHER_"

// variable returns the name of a setting's environment variable.
func variable(f settings.Field) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(f.Path, ".", "_"))
}

// foreignVariables have our prefix and are no settings: those of the tests and of the embedded engine, the path of the file, and the
// token of commands that call a LogBatcher. One that ends in "_" is a prefix.
var foreignVariables = []string{"LOGBATCHER_TEST_", "LOGBATCHER_CHDB_LIBRARY", "LOGBATCHER_ENGINE", "LOGBATCHER_ENGINE_LOG", "LOGBATCHER_CONFIG", "LOGBATCHER_TOKEN"}

// isForeign reports whether a variable is no setting though it has our prefix.
func isForeign(name string) bool {
	return slices.ContainsFunc(foreignVariables, func(foreign string) bool {
		return name == foreign || strings.HasSuffix(foreign, "_") && strings.HasPrefix(name, foreign)
	})
}

// serviceLink matches the variables, as NAME=VALUE, that Kubernetes sets in every pod for each service whose name begins with
// "logbatcher". Both the name and the form of the value must match: LOGBATCHER_PORT=4320 is a mistake.
var serviceLink = regexp.MustCompile(`^LOGBATCHER_([A-Z0-9_]+_)?(` +
	`SERVICE_HOST=[0-9a-fA-F.:]+|SERVICE_PORT(_[A-Z0-9_]+)?=[0-9]{1,5}|` +
	`PORT(_[0-9]{1,5}_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://[0-9a-fA-F.:\[\]]+:[0-9]{1,5}|` +
	`PORT_[0-9]{1,5}_(TCP|UDP|SCTP)_(PROTO=(tcp|udp|sctp)|PORT=[0-9]{1,5}|ADDR=[0-9a-fA-F.:]+))$`)

// applyEnvironment sets what variables name. One that names nothing is an error.
func (c *Config) applyEnvironment(environ []string) []Problem {
	known := map[string]bool{}
	for _, f := range settings.All(c) {
		known[variable(f)] = true
	}
	var problems []Problem
	var links []string
	for _, assignment := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(assignment, "=")
		switch {
		case !strings.HasPrefix(name, variablePrefix) || isForeign(name):
		case !known[name] && serviceLink.MatchString(assignment):
			links = append(links, name)
		default:
			at := origin{kind: fromEnvironment, name: "environment variable " + name}
			problems = append(problems, c.set(at, text, variable, name,
				"unknown variable; ", "those of LogBatcher are named after settings, as LOGBATCHER_SHARDS_LINGER after shards.linger")...)
		}
	}
	if len(links) > 0 {
		c.Warnings = append(c.Warnings, "these environment variables are Kubernetes' service links, not settings, and are ignored: "+strings.Join(links, ", "))
	}
	return problems
}
