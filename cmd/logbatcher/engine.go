package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/embedded"
)

// newEngineCommand manages the embedded ClickHouse of `logbatcher dev` and of the tests.
func newEngineCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "engine",
		Short: "Install or find the embedded ClickHouse engine, for dev, demo and tests",
	}
	for _, c := range []struct{ name, short, prefix string }{
		{"install", "Install the engine into the user's cache directory (needs npm)", "ClickHouse engine: "},
		{"path", "Print the path of the engine's library, installing it if necessary", ""},
	} {
		command.AddCommand(&cobra.Command{
			Use:   c.name,
			Short: c.short,
			Args:  cobra.NoArgs,
			RunE: func(command *cobra.Command, _ []string) error {
				path, err := embedded.Library(command.Context(), slog.New(slog.NewTextHandler(command.ErrOrStderr(), nil)))
				if err != nil {
					return err
				}
				fmt.Fprintf(command.OutOrStdout(), "%s%s\n", c.prefix, path)
				return nil
			},
		})
	}
	return command
}
