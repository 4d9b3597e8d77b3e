// Command logbatcher is the service and its tools in one static binary.
//
// `logbatcher serve` receives log entries over gRPC and writes them to ClickHouse; `logbatcher dev` does the same with its
// own ClickHouse and Redis. The other commands send files, run queries, and manage dead letters, schema, retention and
// configuration.
// This package only wires: it reads flags, environment and signals, builds the parts, starts them from the far end and
// stops them in flow order.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
	_ "time/tzdata" // partitions depend on time zones, even on systems without zone files

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/shard"
)

// The exit statuses, which exitStatusHelp documents.
const (
	exitOK           = 0
	exitError        = 1
	exitNotAllStored = 3
	exitRowsLeft     = 4
	exitInterrupted  = 130
)

// exitStatusHelp is part of the help of the program and of the commands that serve.
const exitStatusHelp = `Exit status:
    0  success; serve, dev: stopped by SIGTERM or SIGINT with everything accepted settled or in the write-ahead log
    1  failure: an invalid command line or configuration, a port in use, a server that refuses, a part that died;
       send: something was not read, not sent or not answered, including because of a signal
    3  send: everything was read; some entries were refused or dead-lettered, the others are safe;
       dlq replay, dlq drop: some of the letters stay in the queue; producers release: some were not released;
       audit: something does not add up
    4  serve, dev, demo, without a write-ahead log: stopped with accepted rows that are not settled; the last line has their number.
       Their producers have no acknowledgement and send them again
  130  another command was interrupted by SIGTERM or SIGINT, or a second signal stopped this one at once`

func main() {
	redis.SetLogger(quiet{})
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// quiet discards the log of the Redis client, which has one logger for the process. Failures are also returned as errors, and
// reported by the caller.
type quiet struct{}

// Printf implements the client's logger.
func (quiet) Printf(context.Context, string, ...any) {}

// signalEcho is how long after the first signal another one counts as its echo: timeout(1) signals the process and then its group.
const signalEcho = 200 * time.Millisecond

// run runs one command. The first SIGINT or SIGTERM stops it gracefully, a second one at once.
func run(arguments []string, in io.Reader, out, errs io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		var first time.Time
		for s := range signals {
			switch {
			case first.IsZero():
				first = time.Now()
				cancel(&signalError{signal: s})
			case time.Since(first) > signalEcho:
				fmt.Fprintf(errs, "logbatcher: second %v, stopping at once\n", s)
				os.Exit(exitInterrupted)
			}
		}
	}()
	defer close(signals)

	root := newRootCommand()
	root.SetArgs(arguments)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	strict(root)
	return exitStatus(ctx, root.ExecuteContext(ctx), errs)
}

// signalError is the cause of a command's end by a signal.
type signalError struct{ signal os.Signal }

// Error names the signal.
func (e *signalError) Error() string { return e.signal.String() }

// exitStatus prints the error of a command that ran under ctx, and returns the status of the process.
func exitStatus(ctx context.Context, err error, out io.Writer) int {
	var interrupted *signalError
	var left *shard.LeftoverError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &left):
		fmt.Fprintln(out, "logbatcher: not everything is settled:", left)
		return exitRowsLeft
	case errors.Is(err, errNotAllStored), errors.Is(err, errLettersLeft), errors.Is(err, errNotAllReleased), errors.Is(err, errBooks):
		fmt.Fprintln(out, "logbatcher:", err)
		return exitNotAllStored
	case errors.As(err, &interrupted), errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &interrupted):
		fmt.Fprintln(out, "logbatcher: stopped:", interrupted)
		return exitInterrupted
	}
	fmt.Fprintln(out, "logbatcher:", err)
	return exitError
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "logbatcher",
		Short:         "Stream log entries over gRPC into ClickHouse: in few large batches, each entry once",
		Long:          "LogBatcher streams log entries over gRPC into ClickHouse: in few large batches, each entry once.\n\n" + exitStatusHelp,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newServeCommand(), newDevCommand(), newDemoCommand(), newSendCommand(), newQueryCommand(), newDLQCommand(), newProducersCommand(),
		newAuditCommand(),
		newSchemaCommand(), newRetentionCommand(), newWALCommand(), newConfigCommand(), newTokenCommand(), newEngineCommand(),
	)
	return root
}

// version returns the module's version, or the commit that it was built from.
func version() string {
	info, known := debug.ReadBuildInfo()
	if !known {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			return "devel-" + setting.Value[:12]
		}
	}
	return "devel"
}
