package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/logbatcher/logbatcher/schema"
)

// strict makes every mistyped command, help topic and flag an error with a suggestion. Cobra itself prints the help and
// succeeds when a command that only has subcommands is given an unknown word.
func strict(root *cobra.Command) {
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.SetFlagErrorFunc(flagError)
	requireSubcommands(root)
}

// requireSubcommands makes commands that only have subcommands fail without one.
func requireSubcommands(command *cobra.Command) {
	for _, below := range command.Commands() {
		requireSubcommands(below)
	}
	if !command.HasSubCommands() || command.Runnable() {
		return
	}
	command.Args = func(command *cobra.Command, arguments []string) error {
		if len(arguments) > 0 {
			return unknownCommand(command, arguments[0])
		}
		return nil
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		fmt.Fprintln(command.ErrOrStderr(), command.UsageString())
		return fmt.Errorf("missing command after %q; want one of %s", command.CommandPath(), strings.Join(commandNames(command), ", "))
	}
}

// unknownCommand returns the error for a word that is no subcommand of parent.
func unknownCommand(parent *cobra.Command, word string) error {
	names := commandNames(parent)
	advice := "want one of " + strings.Join(names, ", ")
	if near := schema.DidYouMean(word, names); near != "" {
		advice = "did you mean " + near + "?"
	}
	return fmt.Errorf("unknown command %q for %q; %s", word, parent.CommandPath(), advice)
}

// commandNames returns the names of a command's subcommands.
func commandNames(command *cobra.Command) []string {
	var names []string
	for _, below := range command.Commands() {
		if below.IsAvailableCommand() || below.Name() == "help" {
			names = append(names, below.Name())
		}
	}
	return names
}

// newHelpCommand returns a help command that fails on unknown topics.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(command *cobra.Command, words []string) error {
			about := command.Root()
			for _, word := range words {
				at := slices.IndexFunc(about.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
				if at < 0 {
					return unknownCommand(about, word)
				}
				about = about.Commands()[at]
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// flagError adds a suggestion to the error of an unknown flag.
func flagError(command *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	var names []string
	command.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := schema.DidYouMean(unknown.GetSpecifiedName(), names); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	if name := unknown.GetSpecifiedName(); strings.Contains(name, ".") {
		return fmt.Errorf("%w; a setting is set with --set, as in --set %s=VALUE", err, name)
	}
	return fmt.Errorf("%w; %q lists the flags", err, command.CommandPath()+" --help")
}
