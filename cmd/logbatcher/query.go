package main

import (
	"context"
	"io"
	"log/slog"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
)

func newQueryCommand() *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "query SQL",
		Short: "Run a query on the configured ClickHouse and print the result as a table",
		Example: `  logbatcher query "SELECT ServiceName, count() FROM otel_logs GROUP BY ServiceName"
  logbatcher query --format CSVWithNames "SELECT * FROM otel_logs LIMIT 10"`,
		Args: cobra.ExactArgs(1),
	}
	load := addConfigFlags(command)
	command.Flags().StringVar(&format, "format", tableFormat, "ClickHouse output format")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		cfg, err := load(command.Context())
		if err != nil {
			return err
		}
		warn(command.ErrOrStderr(), cfg)
		return query(command.Context(), cfg, arguments[0], format, command.OutOrStdout())
	}
	return command
}

// tableFormat prints a result for people.
const tableFormat = "PrettyCompactMonoBlock"

// formatClause ends a statement that names its own output format.
var formatClause = regexp.MustCompile(`(?i)\sFORMAT\s+(\w+)[\s;]*$`)

// query runs one statement on the first address that answers and copies the result to out.
func query(ctx context.Context, cfg *config.Config, statement, format string, out io.Writer) error {
	classes, err := cfg.ClickHouse.Classes()
	if err != nil {
		return err
	}
	cfg.ClickHouse.Config.Database = cfg.ClickHouse.Database // for names without one
	store, err := openClickHouse(cfg, classes, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer store.Close()
	if clause := formatClause.FindStringSubmatchIndex(statement); clause != nil {
		statement, format = statement[:clause[0]], statement[clause[2]:clause[3]]
	}
	return store.Conn().Copy(ctx, statement, format, out)
}
