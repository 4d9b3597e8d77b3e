package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/smallfile"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/server/access"
)

// tokenVariable has the token of commands that call a LogBatcher.
const tokenVariable = "LOGBATCHER_TOKEN"

// maxTokenFileBytes bounds the file of one token.
const maxTokenFileBytes = 4 << 10

// newTokenCommand returns the command token, with its subcommands new and check.
func newTokenCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "token",
		Short: "Make and check the tokens of callers",
		Args:  cobra.NoArgs,
	}
	command.AddCommand(newTokenNewCommand(), newTokenCheckCommand())
	return command
}

// newTokenNewCommand returns the command that makes a token.
func newTokenNewCommand() *cobra.Command {
	var tenant, expires, file string
	var rights []string
	command := &cobra.Command{
		Use:   "new --tenant NAME",
		Short: "Make a token, and print the line to store for it",
		Long: `New makes a token. The line that it prints on standard output belongs into server.tokens_file; it has the token's hash and
not the token. The token itself is shown once, on standard error, or written into a new file that only you can read.`,
		Example: "  logbatcher token new --tenant shop --expires 90d --token-file shop.token >> tokens",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			until, err := parseExpiry(expires, time.Now())
			if err != nil {
				return fmt.Errorf("--expires: %w", err)
			}
			var own []access.Right
			for _, name := range rights {
				right, problem := access.ParseRight(name)
				if problem != "" {
					return fmt.Errorf("--right: %s", problem)
				}
				own = append(own, right)
			}
			token, line, err := access.NewToken(tenant, until, own)
			if err != nil {
				return fmt.Errorf("--tenant: %w", err)
			}
			if file == "" {
				fmt.Fprintf(command.ErrOrStderr(), "The token, which is shown only now:\n\n    %s\n\nIts line in server.tokens_file:\n\n", token)
			} else if err := writeToken(file, token); err != nil {
				return fmt.Errorf("--token-file: %w", err)
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), line)
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&tenant, "tenant", "", "tenant that the token speaks for")
	flags.StringVar(&expires, "expires", "", "until when it is valid: a time as in 2027-01-31T00:00:00Z, or a duration from now as in 90d (default: forever)")
	flags.StringArrayVar(&rights, "right", nil, "right of the token: ingest, admin or metrics (repeatable; default: those of the tenant)")
	flags.StringVar(&file, "token-file", "", "new file to write the token into, instead of showing it")
	_ = command.MarkFlagRequired("tenant") // it is there
	return command
}

// parseExpiry reads a time, or a duration from now. Empty: the zero time.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d, durationErr := settings.ParseDuration(text)
		if durationErr != nil {
			return time.Time{}, fmt.Errorf("want a time as in 2027-01-31T00:00:00Z or a duration as in 90d; this is %q", text)
		}
		at = now.Add(d)
	}
	if !at.After(now) {
		return time.Time{}, fmt.Errorf("%s is over", at.UTC().Format(time.RFC3339))
	}
	return at, nil
}

// writeToken writes a token into a new file that only its owner can read.
func writeToken(path, token string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, token)
	return errors.Join(err, file.Close())
}

// newTokenCheckCommand returns the command that says what a token is for.
func newTokenCheckCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "check FILE",
		Short: "Report what a token may do",
		Long: `Check reads a token from a file ("-" is standard input) and reports what the service with this configuration would let it do.
It fails if the service would refuse it. It connects to nothing, and never shows the token.`,
		Example: "  logbatcher token check --config logbatcher.yaml shop.token",
		Args:    cobra.ExactArgs(1),
	}
	load := addConfigFlags(command)
	command.RunE = func(command *cobra.Command, arguments []string) error {
		cfg, err := load(command.Context())
		if err != nil {
			return err
		}
		warn(command.ErrOrStderr(), cfg)
		var data []byte
		if arguments[0] == "-" {
			data, err = io.ReadAll(io.LimitReader(command.InOrStdin(), maxTokenFileBytes))
		} else {
			data, err = smallfile.Read(command.Context(), arguments[0], maxTokenFileBytes)
		}
		if err != nil {
			return err
		}
		return checkToken(cfg, strings.TrimSpace(string(data)), command.OutOrStdout())
	}
	return command
}

func checkToken(cfg *config.Config, token string, out io.Writer) error {
	policy := cfg.Credentials().Policy
	if policy == nil {
		return errors.New("the configuration has neither server.tokens_file nor server.tls.client_ca_file, so nobody is asked for a token")
	}
	caller, err := policy.Authenticate(access.Credentials{Authorization: []string{"Bearer " + token}}, time.Now())
	if err != nil {
		return err
	}
	t := caller.Tenant
	expires, routes := "never", "all"
	if !caller.Expires.IsZero() {
		expires = caller.Expires.Format(time.RFC3339)
	}
	if len(t.Routes) > 0 {
		routes = strings.Join(t.Routes, ", ")
	}
	bound := func(zero bool, format string, value any) string {
		if zero {
			return "no bound of its own"
		}
		return fmt.Sprintf(format, value)
	}
	var rights []string
	for _, right := range caller.Rights {
		rights = append(rights, string(right))
	}
	fmt.Fprintf(out, "%s is good.\n\n  tenant   %s\n  rights   %s\n  expires  %s\n  routes   %s\n  streams  %s\n  entries  %s\n  bytes    %s\n",
		caller.Name, t.Name, strings.Join(rights, ", "), expires, routes,
		bound(t.MaxStreams == 0, "at most %d at a time", t.MaxStreams), bound(t.MaxEntries == 0, "%d a second", t.MaxEntries),
		bound(t.MaxBytes == 0, "%v a second", t.MaxBytes))
	return nil
}
