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
	command.AddCommand(
		&cobra.Command{
			Use:   "install",
			Short: "Install the engine into the user's cache directory (needs npm)",
			Args:  cobra.NoArgs,
			RunE: func(command *cobra.Command, _ []string) error {
				log := slog.New(slog.NewTextHandler(command.ErrOrStderr(), nil))
				path, err := embedded.Library(command.Context(), log)
				if err != nil {
					return err
				}
				fmt.Fprintln(command.OutOrStdout(), "ClickHouse engine:", path)
				return nil
			},
		},
		&cobra.Command{
			Use:   "path",
			Short: "Print the path of the engine's library, installing it if necessary",
			Args:  cobra.NoArgs,
			RunE: func(command *cobra.Command, _ []string) error {
				path, err := embedded.Library(command.Context(), slog.New(slog.DiscardHandler))
				if err != nil {
					return err
				}
				fmt.Fprintln(command.OutOrStdout(), path)
				return nil
			},
		},
	)
	return command
}
