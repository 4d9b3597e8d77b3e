package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
)

// newConfigCommand returns the command config with its two parts, check and show.
func newConfigCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration",
		Args:  cobra.NoArgs,
	}
	command.AddCommand(newConfigCheckCommand(), newConfigShowCommand())
	return command
}

// newConfigCheckCommand returns the command that says everything that is wrong with a configuration.
func newConfigCheckCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "check FILE",
		Short: "Say everything that is wrong with a configuration",
		Long: "Check reads a configuration as the service would, with environment variables and flags over it, and says " +
			"everything that is wrong with it: the place, the setting, and what would be right. It connects to nothing.",
		Args:         cobra.ExactArgs(1),
		SilenceUsage: true,
		RunE: func(command *cobra.Command, arguments []string) error {
			c, err := loadConfig(command.Context(), command, arguments[0])
			if err != nil {
				return err
			}
			warn(command.ErrOrStderr(), c)
			g, err := newGateway(c, slog.New(slog.DiscardHandler))
			if err != nil {
				return fmt.Errorf("%s: %w", arguments[0], err)
			}
			g.close()
			routes, _ := c.Routes()
			fmt.Fprintf(command.OutOrStdout(), "%s: no problem; %d routes\n", arguments[0], len(routes))
			return nil
		},
	}
	config.AddFlags(command.Flags())
	return command
}

// newConfigShowCommand returns the command that prints the values in force.
func newConfigShowCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Print the values in force, and where each came from",
		Long: "Show prints the values that the service would use, defaults included, with where each came from. Secrets are " +
			"hidden. Without a file it reads the one that LOGBATCHER_CONFIG names, or prints the defaults with environment variables " +
			"and flags over them.",
		Args:         cobra.MaximumNArgs(1),
		SilenceUsage: true,
		RunE: func(command *cobra.Command, arguments []string) error {
			path := os.Getenv("LOGBATCHER_CONFIG")
			if len(arguments) > 0 {
				path = arguments[0]
			}
			c, err := loadConfig(command.Context(), command, path)
			if err != nil {
				return err
			}
			warn(command.ErrOrStderr(), c)
			return c.Print(command.OutOrStdout())
		},
	}
	config.AddFlags(command.Flags())
	return command
}

// loadConfig loads a configuration, with the environment and the command's flags over it.
func loadConfig(ctx context.Context, command *cobra.Command, path string) (*config.Config, error) {
	return config.Load(ctx, path, os.Environ(), command.Flags())
}

// warn prints what is not wrong with a configuration but should be known. The service logs it instead.
func warn(out io.Writer, c *config.Config) {
	for _, warning := range c.Warnings {
		fmt.Fprintln(out, "warning: "+warning)
	}
}
