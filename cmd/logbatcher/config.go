package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
)

// newConfigCommand returns the command config, with its subcommands check and show.
func newConfigCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration",
		Args:  cobra.NoArgs,
	}
	command.AddCommand(newConfigCheckCommand(), newConfigShowCommand())
	return command
}

// newConfigCheckCommand returns the command that reports everything that is wrong with a configuration.
func newConfigCheckCommand() *cobra.Command {
	var assignments *[]string
	command := &cobra.Command{
		Use:   "check FILE",
		Short: "Report everything that is wrong with a configuration",
		Long: "Check reads a configuration as the service would, with environment variables and --set over it, and reports " +
			"everything that is wrong with it: the place, the setting, and how to fix it. It connects to nothing.",
		Args:         cobra.ExactArgs(1),
		SilenceUsage: true,
		RunE: func(command *cobra.Command, arguments []string) error {
			c, err := config.Load(command.Context(), arguments[0], os.Environ(), *assignments)
			if err != nil {
				return err
			}
			warn(command.ErrOrStderr(), c)
			c.WAL.Enabled, c.WAL.Dir = false, "" // a check leaves nothing behind, and may run beside the service
			g, err := newGateway(command.Context(), c, slog.New(slog.DiscardHandler))
			if err != nil {
				return fmt.Errorf("%s: %w", arguments[0], err)
			}
			g.close()
			routes, _ := c.Routes()
			fmt.Fprintf(command.OutOrStdout(), "%s: no problem; %d routes\n", arguments[0], len(routes))
			return nil
		},
	}
	assignments = addSetFlag(command)
	return command
}

// newConfigShowCommand returns the command that prints the values in force.
func newConfigShowCommand() *cobra.Command {
	var assignments *[]string
	command := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Print the values in force, and where each came from",
		Long: "Show prints the values that the service would use, defaults included, and where each came from. Secrets are " +
			"hidden. Without a file it reads the one that LOGBATCHER_CONFIG names, or prints the defaults with environment variables " +
			"and --set over them.",
		Args:         cobra.MaximumNArgs(1),
		SilenceUsage: true,
		RunE: func(command *cobra.Command, arguments []string) error {
			path := os.Getenv("LOGBATCHER_CONFIG")
			if len(arguments) > 0 {
				path = arguments[0]
			}
			c, err := config.Load(command.Context(), path, os.Environ(), *assignments)
			if err != nil {
				return err
			}
			warn(command.ErrOrStderr(), c)
			return c.Show(command.OutOrStdout())
		},
	}
	assignments = addSetFlag(command)
	return command
}

// warn prints the warnings of a configuration. The service logs them instead.
func warn(out io.Writer, c *config.Config) {
	for _, warning := range c.Warnings {
		fmt.Fprintln(out, "warning: "+warning)
	}
}
