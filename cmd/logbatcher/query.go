package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

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
	command.Flags().StringVar(&format, "format", "PrettyCompactMonoBlock", "ClickHouse output format")
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

// query runs one statement on the first address that answers and copies the result to out.
func query(ctx context.Context, cfg *config.Config, statement, format string, out io.Writer) error {
	c, scheme, transport := &cfg.ClickHouse, "http", &http.Transport{TLSClientConfig: cfg.ClickHouseTLS()}
	defer transport.CloseIdleConnections()
	if c.TLS.Enabled {
		scheme = "https"
	}
	var problems []error
	for _, address := range c.Addresses {
		target := url.URL{Scheme: scheme, Host: address, Path: "/", RawQuery: url.Values{
			"database": {c.Database}, "default_format": {format}, "wait_end_of_query": {"1"},
		}.Encode()}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(statement))
		if err != nil {
			return fmt.Errorf("query %s: %w", address, err)
		}
		request.Header.Set("X-ClickHouse-User", c.User)
		request.Header.Set("X-ClickHouse-Key", string(c.Password))
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			problems = append(problems, fmt.Errorf("query %s: %w", address, err))
			continue
		}
		defer response.Body.Close()
		// A server that fails after it has begun to answer has said 200 by then.
		exception := response.Header.Get("X-ClickHouse-Exception-Code")
		if response.StatusCode != http.StatusOK || exception != "" && exception != "0" {
			text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
			return fmt.Errorf("query %s: %s", address, cmp.Or(strings.TrimSpace(string(text)), fmt.Sprintf("%s, exception code %q", response.Status, exception)))
		}
		_, err = io.Copy(out, response.Body)
		return err
	}
	return errors.Join(problems...)
}
