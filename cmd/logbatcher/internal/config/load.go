package config

import (
	"context"
	"fmt"
	"reflect"

	"github.com/spf13/pflag"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/smallfile"
)

// Load reads the file (none where path is ""), puts the variables of environ ("NAME=text", as os.Environ returns
// them) and the given flags (nil: none; see AddFlags) over it, reads the files of passwords and certificates, and checks
// the result. Its error is *Errors, with everything that is wrong, or says that ctx ended first.
func Load(ctx context.Context, path string, environ []string, flags *pflag.FlagSet) (*Config, error) {
	var data []byte
	if path != "" {
		var err error
		data, err = smallfile.Read(ctx, path, maxFileBytes)
		switch {
		case ctx.Err() != nil:
			return nil, err
		case err != nil:
			return nil, &Errors{Problems: []Problem{{Message: "configuration: " + err.Error()}}}
		}
	}
	c, err := parse(ctx, path, data, environ, flags)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("configuration: %w", context.Cause(ctx))
	}
	return c, err
}

// parse is Load with the file's bytes.
func parse(ctx context.Context, name string, data []byte, environ []string, flags *pflag.FlagSet) (*Config, error) {
	c := Default()
	c.origins = map[string]origin{}
	tree, problems := parseTree(data)
	d := &decoder{}
	if tree != nil && tree.kind != brokenValue {
		tree.walk("", func(path string, at position) {
			c.origins[path] = origin{kind: fromFile, name: name, position: at}
		})
		d.decodeStruct(reflect.ValueOf(c).Elem(), tree, "")
	}
	problems = append(problems, d.problems...)
	for i := range problems {
		problems[i].rank = int(fromFile)
		problems[i].Origin = name
		if problems[i].position.line > 0 {
			problems[i].Origin = origin{kind: fromFile, name: name, position: problems[i].position}.String()
		}
	}
	problems = append(problems, c.applyEnvironment(environ)...)
	problems = append(problems, c.applyFlags(flags)...)
	problems = append(problems, c.readFiles(ctx)...)
	reported := map[string]bool{}
	for _, p := range problems {
		reported[p.Path] = true
	}
	for _, p := range c.problemsAt(c.Validate()) {
		if !reported[p.Path] { // a value that could not be read was not checked either
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		sortProblems(problems)
		return nil, &Errors{Problems: problems}
	}
	return c, nil
}
