package config

import (
	"os"
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// Load reads the file (none where path is ""), puts the variables of environ ("NAME=text", as os.Environ returns
// them) and the given flags (nil: none; see AddFlags) over it, reads the files of passwords, and checks the result.
// Its error is *Errors, with everything that is wrong.
func Load(path string, environ []string, flags *pflag.FlagSet) (*Config, error) {
	var data []byte
	if path != "" {
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return nil, &Errors{Problems: []Problem{{Message: "configuration: " + err.Error()}}}
		}
	}
	return parse(path, data, environ, flags)
}

// parse is Load with the file's bytes.
func parse(name string, data []byte, environ []string, flags *pflag.FlagSet) (*Config, error) {
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
	problems = append(problems, c.readPasswords()...)
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

// readPasswords reads the files that hold passwords. A password that comes from nearer (a variable,
// where the file is named in the configuration) wins.
func (c *Config) readPasswords() []Problem {
	var problems []Problem
	for _, p := range []struct {
		section, file string
		secret        *Secret
	}{
		{"clickhouse", c.ClickHouse.PasswordFile, &c.ClickHouse.Password},
		{"redis", c.Redis.PasswordFile, &c.Redis.Password},
	} {
		if p.file == "" {
			continue
		}
		at := c.locate(p.section + ".password_file")
		problem := Problem{Origin: at.String(), Path: p.section + ".password_file", rank: int(at.kind), position: at.position}
		if *p.secret != "" {
			if c.locate(p.section+".password").kind > at.kind {
				continue
			}
			problem.Message = "password is set too; leave one of the two out"
			problems = append(problems, problem)
			continue
		}
		data, err := os.ReadFile(p.file)
		if err != nil {
			problem.Message = err.Error()
			problems = append(problems, problem)
			continue
		}
		*p.secret = Secret(strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"))
	}
	return problems
}
