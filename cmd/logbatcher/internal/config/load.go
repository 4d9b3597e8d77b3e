package config

import (
	"context"
	"fmt"
	"strings"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/smallfile"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// Load reads the file (none if path is ""), applies the variables of environ ("NAME=text", as os.Environ returns them) and then
// the assignments ("shards.linger=2s") over it, reads the files of passwords and certificates, and checks the result. Its error
// joins everything that is wrong, each a Problem, or is that ctx ended.
func Load(ctx context.Context, path string, environ, assignments []string) (*Config, error) {
	var data []byte
	if path != "" {
		var err error
		data, err = smallfile.Read(ctx, path, maxFileBytes)
		switch {
		case ctx.Err() != nil:
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	c, err := parse(ctx, path, data, environ, assignments)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("configuration: %w", context.Cause(ctx))
	}
	return c, err
}

// parse is Load with the file's bytes.
func parse(ctx context.Context, name string, data []byte, environ, assignments []string) (*Config, error) {
	c := Default()
	c.origins = origins{}
	problems := decodeFile(name, data, c, c.origins)
	problems = append(problems, c.applyEnvironment(environ)...)
	problems = append(problems, c.applyAssignments(assignments)...)
	problems = append(problems, c.readFiles(ctx)...)
	for _, found := range [][]schema.Problem{settings.Check(c), c.Validate()} {
		reported := map[string]bool{}
		for _, p := range problems {
			reported[p.Path] = true
		}
		for _, p := range found {
			if !reported[p.Path] { // a value that is wrong already is not checked further
				problems = append(problems, Problem{origin: c.origins.of(p.Path), Path: p.Path, Message: p.Message})
			}
		}
	}
	if err := joined(problems); err != nil {
		return nil, err
	}
	c.warnOpen()
	return c, nil
}

// applyAssignments sets what --set assigns.
func (c *Config) applyAssignments(assignments []string) []Problem {
	var problems []Problem
	for _, assignment := range assignments {
		path, text, _ := strings.Cut(assignment, "=")
		at := origin{kind: fromAssignment, name: "--set " + path}
		if !strings.Contains(assignment, "=") {
			problems = append(problems, Problem{origin: at, Message: "an assignment is SETTING=VALUE, as in --set shards.linger=2s"})
			continue
		}
		problems = append(problems, c.set(at, text, func(f settings.Field) string { return f.Path }, path,
			"unknown setting; ", "docs/logbatcher.yaml has them all")...)
	}
	return problems
}

// set sets the setting that has the wanted name; name returns a setting's name.
func (c *Config) set(at origin, text string, name func(settings.Field) string, wanted, unknown, advice string) []Problem {
	var names []string
	for _, f := range settings.All(c) {
		if name(f) == wanted {
			c.origins[f.Path] = at
			if err := settings.Set(f.Value, text); err != nil {
				return []Problem{{origin: at, Path: f.Path, Message: err.Error()}}
			}
			return nil
		}
		names = append(names, name(f))
	}
	if near := schema.DidYouMean(wanted, names); near != "" {
		advice = "did you mean " + near + "?"
	}
	return []Problem{{origin: at, Message: unknown + advice}}
}
