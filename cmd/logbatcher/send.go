package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/logfile"
)

const (
	// sendStopTimeout is how long a signal leaves for what was read to be committed, and sendStopUnreachable how long
	// where no stream is open.
	sendStopTimeout     = 10 * time.Second
	sendStopUnreachable = 2 * time.Second
)

// sendOptions are the flags of `logbatcher send`.
type sendOptions struct {
	address    string
	tls        bool
	caFile     string
	producer   string
	service    string
	colo       string
	attributes []string
	zone       string
	restamp    bool
	entries    int
	quiet      bool

	stopTimeout, giveUpAfter time.Duration
}

func newSendCommand() *cobra.Command {
	var o sendOptions
	command := &cobra.Command{
		Use:   "send FILE…|-",
		Short: "Stream log files to LogBatcher and wait until every entry is safe",
		Long: `Send streams log files (plain lines or JSON lines, also compressed with gzip or zstd; "-" is standard input) and
ends when everything is committed. It opens a new stream when the connection is lost and goes on where it was.

Lines of Docker's json-file logs, of Kubernetes (CRI) and of journalctl -o json are unwrapped. A line with a time stamp or a
level begins an entry, and lines of a stack trace continue it. A time stamp whose zone is not understood is not used; an
abbreviation such as CET needs a --time-zone that has it. The summary counts what was cut, or kept as plain text.

An input that can't be read, or only in part, does not keep the others from being sent. The first SIGINT or SIGTERM ends
reading; what was read is sent and has --stop-timeout to be committed. A second one ends send at once.

Exit status: 0 when every input was read to its end and every entry is in its table, 3 when some entries were refused
or dead-lettered (the others are safe), 1 otherwise: something was not read, not sent or not answered. The last lines say
what, and account for every entry that was read.`,
		Example: "  logbatcher send /var/log/syslog\n  journalctl -o json | logbatcher send --service journal -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, files []string) error {
			return runSend(command.Context(), &o, files, command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.address, "address", defaultGRPCAddress, "gRPC address of the server")
	flags.BoolVar(&o.tls, "tls", false, "connect with TLS")
	flags.StringVar(&o.caFile, "ca-file", "", "certificates to trust instead of the system's (PEM); implies --tls")
	flags.StringVar(&o.producer, "producer", "", "producer id (default: one of its own for this run)")
	flags.StringVar(&o.service, "service", "", "service of entries that name none (default: the file's name without its ending)")
	flags.StringVar(&o.colo, "colo", "", "where the entries come from (default: the server's)")
	flags.StringArrayVar(&o.attributes, "attribute", nil, "resource attribute KEY=VALUE, any number of times")
	flags.StringVar(&o.zone, "time-zone", "Local", "zone of time stamps that name none, as Europe/Berlin")
	flags.BoolVar(&o.restamp, "restamp", false, "give entries the time of sending and keep their own as the attribute log.time (for files older than the routes accept)")
	flags.IntVar(&o.entries, "entries", 1000, "most entries in a request; fewer where the server takes fewer")
	flags.DurationVar(&o.stopTimeout, "stop-timeout", sendStopTimeout, "how long a signal leaves for what was read to be committed")
	flags.DurationVar(&o.giveUpAfter, "give-up-after", 0, "end when nothing was committed for so long (default: never)")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "no progress bar")
	return command
}

// runSend sends the files and prints the summary. After a signal it reads no further, and gives what was read some time to be committed.
func runSend(ctx context.Context, o *sendOptions, files []string, in io.Reader, out, progress io.Writer) error {
	location, err := o.check()
	if err != nil {
		return err
	}
	conn, err := dial(ctx, o.address, o.tls, o.caFile)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New(err.Error()) // in words, as below
		}
		return err
	}
	defer conn.Close()

	s := &sending{ledger: newLedger(), options: o, location: location, progress: progress}
	settings := client.DefaultConfig("")
	settings.Open = o.opening()
	settings.GiveUpAfter = o.giveUpAfter
	settings.Log = slog.New(slog.NewTextHandler(progress, nil))
	settings.OnRefusedEntry, settings.OnDeadLettered, settings.OnCommitted = s.onRefusal, s.onDeadLettered, s.onCommitted
	if s.producer, err = client.NewProducer(conn, settings); err != nil {
		return err
	}

	settling, endSettling := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endSettling(nil)
	s.settling = settling
	s.reading, s.stopReading = context.WithCancelCause(ctx)
	defer s.stopReading(nil)
	defer context.AfterFunc(ctx, func() {
		fmt.Fprintf(progress, "logbatcher: %v: reading has ended, what was read has %v to be committed\n", context.Cause(ctx), o.stopTimeout)
		s.boundSettling(endSettling)
	})()
	ran := make(chan error, 1)
	go func() {
		err := s.producer.Run(settling)
		s.stopReading(err)
		ran <- err
	}()
	readErr := s.readAll(files, in)
	s.producer.Close()
	runErr := <-ran
	s.finishBar()
	s.print(out, s.producer.Statistics(), s.notes)

	verdict := s.verdict()
	if readErr == nil && runErr == nil {
		return verdict
	}
	problems := []error{readErr, runErr}
	if ctx.Err() != nil {
		// In words, for a signal is no error here: what matters is what was left undone.
		problems = slices.Insert(problems, 0, fmt.Errorf("stopped: %v", context.Cause(ctx)))
	}
	if verdict != nil {
		problems = append(problems, errors.New(verdict.Error()))
	}
	return errors.Join(problems...)
}

// boundSettling ends settling when what was read has had its time.
func (s *sending) boundSettling(end context.CancelCauseFunc) {
	late := time.NewTimer(s.options.stopTimeout)
	defer late.Stop()
	unreachable := time.NewTimer(min(s.options.stopTimeout, sendStopUnreachable))
	defer unreachable.Stop()
	for {
		select {
		case <-s.settling.Done():
			return
		case <-unreachable.C:
			if !s.producer.Statistics().Open {
				end(fmt.Errorf("%s is not reachable", s.options.address))
				return
			}
		case <-late.C:
			end(fmt.Errorf("not everything was committed within %v (--stop-timeout)", s.options.stopTimeout))
			return
		}
	}
}

// check returns what is wrong with the options, before anything is read or sent, and the zone of time stamps without one.
func (o *sendOptions) check() (*time.Location, error) {
	var problems []error
	wrong := func(format string, values ...any) { problems = append(problems, fmt.Errorf(format, values...)) }
	location, err := time.LoadLocation(o.zone)
	if err != nil {
		wrong("--time-zone %q: %w", o.zone, err)
	}
	if zone, set := os.LookupEnv("TZ"); location == time.Local && set {
		zone = strings.TrimPrefix(zone, ":")
		if !slices.Contains([]string{"", "UTC", "UTC0"}, zone) && time.Local.String() == "UTC" {
			wrong("the variable TZ is %q, a zone that is not known here: mend it, or set --time-zone", zone)
		}
	}
	if o.entries < 1 {
		wrong("--entries %d: it must be at least 1", o.entries)
	}
	if o.stopTimeout < 0 || o.giveUpAfter < 0 {
		wrong("--stop-timeout and --give-up-after must not be negative")
	}
	for flag, value := range map[string]string{"producer": o.producer, "service": o.service, "colo": o.colo} {
		if !utf8.ValidString(value) {
			wrong("--%s %+q: it must be UTF-8", flag, value)
		}
	}
	for _, pair := range o.attributes {
		switch key, _, found := strings.Cut(pair, "="); {
		case !found || key == "":
			wrong("--attribute %+q: it should be KEY=VALUE", pair)
		case !utf8.ValidString(pair):
			wrong("--attribute %+q: it must be UTF-8", pair)
		}
	}
	return location, errors.Join(problems...)
}

// opening returns what holds for all entries of the run.
func (o *sendOptions) opening() *logbatcherv1.Open {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	producer := o.producer
	if producer == "" {
		printable := strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' {
				return '_'
			}
			return r
		}, host)
		producer = fmt.Sprintf("send/%.64s/%d/%d", printable, os.Getpid(), time.Now().UnixNano())
	}
	opening := &logbatcherv1.Open{
		Producer: producer, Colo: o.colo, Client: "logbatcher-send/" + version(),
		ScopeName: "logbatcher/send", ScopeVersion: version(),
		ResourceAttributes: []*logbatcherv1.Attribute{{Key: "host.name", StringValue: strings.ToValidUTF8(host, "\uFFFD")}},
	}
	for _, pair := range o.attributes {
		key, value, _ := strings.Cut(pair, "=")
		opening.ResourceAttributes = append(opening.ResourceAttributes, &logbatcherv1.Attribute{Key: key, StringValue: value})
	}
	return opening
}

// entry turns a record of a file into an entry.
func (o *sendOptions) entry(record *logfile.Record, file, service string) *logbatcherv1.Entry {
	e := &logbatcherv1.Entry{
		SeverityNumber: uint32(record.SeverityNumber), SeverityText: record.SeverityText,
		Body: record.Body, Service: record.Service, TraceId: record.TraceID, SpanId: record.SpanID,
		Attributes: make([]*logbatcherv1.Attribute, 0, len(record.Attributes)+2),
	}
	if e.Service == "" {
		e.Service = service
	}
	if !record.Time.IsZero() {
		e.TimeUnixNano = uint64(record.Time.UnixNano())
	}
	for i := range record.Attributes {
		e.Attributes = append(e.Attributes, attribute(&record.Attributes[i]))
	}
	if file != "" {
		e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{Key: "log.file.path", StringValue: file})
	}
	if o.restamp && e.GetTimeUnixNano() != 0 {
		own := record.Time.UTC().Format(time.RFC3339Nano)
		e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{Key: "log.time", StringValue: own})
		e.TimeUnixNano = 0
	}
	return e
}

func attribute(a *logfile.Attribute) *logbatcherv1.Attribute {
	wire := &logbatcherv1.Attribute{Key: a.Key}
	switch a.Kind {
	case logfile.Int:
		wire.Type, wire.IntValue = logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, a.Int
	case logfile.Double:
		wire.Type, wire.DoubleValue = logbatcherv1.AttributeType_ATTRIBUTE_TYPE_DOUBLE, a.Double
	case logfile.Bool:
		wire.Type, wire.BoolValue = logbatcherv1.AttributeType_ATTRIBUTE_TYPE_BOOL, a.Bool
	case logfile.JSON:
		wire.Type, wire.StringValue = logbatcherv1.AttributeType_ATTRIBUTE_TYPE_JSON, a.Str
	default:
		wire.StringValue = a.Str
	}
	return wire
}
