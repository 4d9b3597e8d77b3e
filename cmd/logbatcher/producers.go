package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema/settings"
)

func newProducersCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "producers",
		Short: "List producers and their owners, and release producers whose owner does not return, through a running LogBatcher",
	}
	command.AddCommand(newProducersListCommand(), newProducersReleaseCommand())
	return command
}

// producerFlags are the flags that select producers.
type producerFlags struct {
	tenant, log string
	all         bool
}

func (f *producerFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&f.tenant, "tenant", "", "only producers of this tenant")
	command.Flags().StringVar(&f.log, "log", "", "only producers that belong to the write-ahead log with this id, or an id that begins so")
}

func (f *producerFlags) selection(ids []string) *logbatcherv1.ProducerSelection {
	return &logbatcherv1.ProducerSelection{Producers: ids, Tenant: f.tenant, Log: f.log, All: f.all}
}

func newProducersListCommand() *cobra.Command {
	var f producerFlags
	command := &cobra.Command{
		Use:   "list [PRODUCER…]",
		Short: "List producers, their owners, and what the answering instance knows of its own",
		Long: `List prints the producers that have an owner, or were released and have none yet. BEGAN is where the owner began with it: epoch and sequence.
ACCEPTED, LOGGED, COMMITTED, UNSETTLED (requests that are accepted and not committed) and IDLE are known for the producers of the instance
that answers; ask each instance with --address. A producer that its owner has given up is not listed: the next instance that it comes to owns it.`,
		Example: "  logbatcher producers list\n  logbatcher producers list --log 6f1d --address gw-2:4320",
		Args:    cobra.ArbitraryArgs,
	}
	f.add(command)
	return withAdmin(command, func(ctx context.Context, admin logbatcherv1.AdminServiceClient, ids []string, out io.Writer) error {
		calls, err := admin.ListProducers(ctx, &logbatcherv1.ListProducersRequest{Selection: f.selection(ids)})
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		producers := 0
		for {
			response, err := calls.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				_ = table.Flush() // the error that ends the list is worth more
				return err
			}
			if producers++; producers == 1 {
				fmt.Fprintln(table, "TENANT\tPRODUCER\tOWNER\tADDRESS\tSEEN\tLOG\tBEGAN\tEPOCH\tACCEPTED\tLOGGED\tCOMMITTED\tUNSETTLED\tIDLE")
			}
			printProducer(table, response.Producer)
		}
		if err := table.Flush(); err != nil {
			return err
		}
		if producers == 0 {
			fmt.Fprintln(out, "no producers")
			return nil
		}
		fmt.Fprintln(out, count(producers, "producer"))
		return nil
	})
}

func printProducer(out io.Writer, p *logbatcherv1.ProducerState) {
	owner, seen, log := ownerOf(p), "-", p.Log
	if p.Instance != "" {
		seen = ago(p.AwayNanos)
	}
	if log == "" && p.ReleasedFrom != "" {
		log = "released from " + p.ReleasedFrom
	}
	own := "-\t-\t-\t-\t-\t-"
	if o := p.Own; o != nil {
		idle := "-"
		if o.IdleNanos > 0 {
			idle = settings.FormatDuration(time.Duration(o.IdleNanos).Round(time.Second))
		}
		own = fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%s", o.Epoch, o.AcceptedSequence, o.LoggedSequence, o.CommittedSequence, o.AcceptedSequence-o.CommittedSequence, idle)
	}
	fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\n", orNone(p.Tenant), oneLine(p.Producer, 1<<10), owner, orNone(p.Address), seen, orNone(log),
		p.FromEpoch, p.FromSequence, own)
}

func ownerOf(p *logbatcherv1.ProducerState) string {
	switch {
	case p.Log == "" && p.ReleasedFrom != "":
		return "nobody"
	case p.Instance == "":
		return "-"
	}
	return oneLine(p.Instance, 1<<10)
}

// ago returns how long ago something was.
func ago(nanoseconds int64) string {
	d := time.Duration(nanoseconds)
	if d < 5*time.Second {
		return "now"
	}
	return settings.FormatDuration(d.Round(time.Second)) + " ago"
}

func newProducersReleaseCommand() *cobra.Command {
	var f producerFlags
	var yes bool
	command := &cobra.Command{
		Use:   "release [PRODUCER…]",
		Short: "Release producers whose owner does not return, so that another instance accepts them",
		Long: `Release takes producers from an owner that does not give them up, because its machine is gone or its clients can't reach it. Without --yes it
changes nothing and prints what it would release. An owner that lives needs no release: it gives a producer up when a client opens elsewhere.

Only the owner's log knows what it has accepted and not told the client. So after a release
  - what the owner has committed, or put into batch files, and the client does not know of is sent again by the client, and stored twice;
  - what the owner has told to be LOGGED and not COMMITTED is stored when the owner returns with its log, and lost if it never does;
  - what is in the owner's log alone, above where the next owner begins, is dropped by the owner when it returns: the client sends it again.
If the owner returns before any instance was asked for the producer, it has it again, and nothing is stored twice.

Exit status: 0 when all were released or would be, 3 when some were not, 1 otherwise.`,
		Example: "  logbatcher producers release api-1/0\n  logbatcher producers release --log 6f1d2c --yes",
		Args:    cobra.ArbitraryArgs,
	}
	f.add(command)
	command.Flags().BoolVar(&f.all, "all", false, "every producer of every owner")
	command.Flags().BoolVar(&yes, "yes", false, "do it")
	return withAdmin(command, func(ctx context.Context, admin logbatcherv1.AdminServiceClient, ids []string, out io.Writer) error {
		if len(ids) == 0 && f.log == "" && !f.all {
			return errors.New("which producers? Name their ids, give the log of their owner with --log, or give --all")
		}
		calls, err := admin.ReleaseProducers(ctx, &logbatcherv1.ReleaseProducersRequest{Selection: f.selection(ids), Execute: yes, Operator: operator()})
		if err != nil {
			return err
		}
		return followReleases(out, yes, func() (*logbatcherv1.ReleaseProducersResponse, error) { return calls.Recv() })
	})
}

// followReleases prints the reports of a release and sums them up.
func followReleases(out io.Writer, done bool, next func() (*logbatcherv1.ReleaseProducersResponse, error)) error {
	released, kept := 0, 0
	for {
		report, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		word := "released"
		switch {
		case !report.Released:
			kept++
			word = "not released"
		case done:
			released++
		default:
			released++
			word = "would be released"
		}
		p := report.Producer
		name := oneLine(p.Producer, 1<<10)
		if p.Tenant != "" {
			name = "tenant " + p.Tenant + ", " + name
		}
		line := fmt.Sprintf("%s: %s, owner %s, log %s", word, name, ownerOf(p), orNone(p.Log))
		if report.Message != "" {
			line += ": " + oneLine(report.Message, 1<<10)
		}
		fmt.Fprintln(out, line)
	}
	switch {
	case released+kept == 0:
		fmt.Fprintln(out, "no producers")
	case !done && released > 0:
		fmt.Fprintf(out, "%s. What their clients do not know to be committed may be stored twice, or be lost with the owner's log: see --help.\n", count(released, "producer"))
		fmt.Fprintln(out, "Nothing was changed. With --yes, release does it.")
	case done:
		fmt.Fprintf(out, "%s released\n", count(released, "producer"))
	}
	if kept > 0 {
		return errNotAllReleased
	}
	return nil
}

// errNotAllReleased makes the exit status 3.
var errNotAllReleased = errors.New("some producers were not released")
