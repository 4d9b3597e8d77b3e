package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestMistypedCommandLines has every word and flag that is not known fail and be named, with what was probably meant.
func TestMistypedCommandLines(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"sned", `unknown command "sned" for "logbatcher"; did you mean send?`},
		{"config chekc", `unknown command "chekc" for "logbatcher config"; did you mean check?`},
		{"config chekc f.yaml", `did you mean check?`},
		{"config ./f.yaml", `unknown command "./f.yaml" for "logbatcher config"; want one of check, show`},
		{"schema plann", `unknown command "plann" for "logbatcher schema"; did you mean plan?`},
		{"retention rnu", `did you mean run?`},
		{"engine instal", `did you mean install?`},
		{"completion bsh", `did you mean bash?`},
		{"help conifg", `did you mean config?`},
		{"help config chekc", `unknown command "chekc" for "logbatcher config"; did you mean check?`},
		{"", `missing command after "logbatcher"; want one of audit, completion, config`},
		{"config", `missing command after "logbatcher config"; want one of check, show`},
		{"schema", "want one of apply, plan"},
		{"serve --shards.linger 5s", "unknown flag: --shards.linger; a setting is set with --set, as in --set shards.linger=VALUE"},
		{"serve --set shards.lingr=5s", "--set shards.lingr: unknown setting; did you mean shards.linger?"},
		{"serve --set shards.linger", "an assignment is SETTING=VALUE"},
		{"send --addres x f", "did you mean --address?"},
		{"dlq lsit", "did you mean list?"},
		{"dlq", `missing command after "logbatcher dlq"; want one of drop, export, list, replay, show`},
		{"dlq show", "accepts 1 arg(s), received 0"},
		{"dlq replay", "which letters?"},
		{"dlq drop --yes", "which letters?"},
		{"dlq replay --all --set Status", "--set Status: want COLUMN=VALUE"},
		{"dlq list --class bad", `--class: unknown class "bad"`},
		{"dlq list --since yesterday", `--since: "yesterday" is no time`},
		{"dlq list --limit -1", "--limit -1: it can't be negative"},
		{"dlq list --address https://x", "is a URL; want x:4320, with --tls"},
		{"serve --colourful", `unknown flag: --colourful; "logbatcher serve --help" lists the flags`},
		{"serve -x", "unknown shorthand flag: 'x' in -x"},
		{"serve f.yaml", `unknown command "f.yaml" for "logbatcher serve"`},
		{"serve -- f.yaml", `unknown command "f.yaml"`},
		{"config check a b", "accepts 1 arg(s), received 2"},
		{"config show a b", "accepts at most 1 arg(s), received 2"},
		{"query a b", "accepts 1 arg(s), received 2"},
	} {
		status, out, errs := command(t, "", strings.Fields(test.line)...)
		if status != exitError || out != "" || !strings.Contains(errs, test.want) {
			t.Errorf("%q: exit status %d, printed %.100q, complained %q; want %d and %q", test.line, status, out, errs, exitError, test.want)
		}
	}
	for _, line := range []string{"--help", "help", "help config check", "config --help", "config check --help", "completion bash"} {
		if status, out, errs := command(t, "", strings.Fields(line)...); status != exitOK || out == "" || errs != "" {
			t.Errorf("%q: exit status %d, complained %q", line, status, errs)
		}
	}
}

// TestCommandsRefuseArguments has every command that does not take files refuse words that it has no use for.
func TestCommandsRefuseArguments(t *testing.T) {
	takesAny := []string{
		"logbatcher send", "logbatcher help", "logbatcher dlq list", "logbatcher dlq replay", "logbatcher dlq drop", "logbatcher dlq export",
		"logbatcher producers list", "logbatcher producers release",
	}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		for _, below := range c.Commands() {
			visit(below)
		}
		if !slices.Contains(takesAny, c.CommandPath()) && c.ValidateArgs([]string{"one", "two", "three"}) == nil {
			t.Errorf("%q accepts any arguments", c.CommandPath())
		}
	}
	root := newRootCommand()
	strict(root)
	visit(root)
}
