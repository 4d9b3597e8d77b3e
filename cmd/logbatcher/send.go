package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	grpcstatus "google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/client/spill"
)

const (
	// sendStopTimeout is how long after a signal what was read may take to be committed; sendStopUnreachable, while no
	// stream is open.
	sendStopTimeout     = 10 * time.Second
	sendStopUnreachable = 2 * time.Second
	// levelCommitted and levelLogged are the values of --acknowledgement.
	levelCommitted, levelLogged = "committed", "logged"
)

// sendOptions are the flags of `logbatcher send`.
type sendOptions struct {
	target
	addresses  []string // empty: the target's
	producer   string
	service    string
	colo       string
	attributes []string
	zone       string
	restamp    bool
	entries    int
	level      string
	spill      string
	quiet      bool

	stopTimeout, giveUpAfter time.Duration
}

func newSendCommand() *cobra.Command {
	var o sendOptions
	command := &cobra.Command{
		Use:   "send FILE…|-",
		Short: "Stream log files to LogBatcher and wait until every entry is safe",
		Long: `Send streams log files (plain lines or JSON lines, optionally compressed with gzip or zstd; "-" is standard input)
and exits when everything is committed. If the connection is lost, it opens a new stream and resumes where it was.

Lines in Docker's json-file logs, Kubernetes logs (CRI) and the output of journalctl -o json are unwrapped. A line with a
time stamp or a level begins an entry; the lines of a stack trace continue it. A time stamp whose zone is unknown is not
used; an abbreviation such as CET needs a --time-zone that uses it. The summary counts what was cut or kept as plain text.

With --spill FOLDER, each line of a file is sent once, however often and in whatever way send is ended: the next send with the folder
sends what is left there, and of each file only what was added. A file is known by its path and its first entry. If its last entry has
grown since, it is sent again as it is now. The folder belongs to one send at a time. It is of no help to pipes, which can't be read again.

An input that can't be read, or only in part, does not keep the others from being sent. The first SIGINT or SIGTERM ends
reading; what was read is sent and has --stop-timeout to be committed. A second one ends send at once.

Exit status: 0 when every input was read to its end and every entry is in its table, 3 when some entries were refused
or dead-lettered (the others are safe), 1 otherwise: something was not read, not sent or not answered. The last lines name
it and account for every entry that was read.`,
		Example: "  logbatcher send /var/log/syslog\n  journalctl -o json | logbatcher send --service journal -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, files []string) error {
			return runSend(command.Context(), &o, files, command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringArrayVar(&o.addresses, "address", []string{defaultGRPCAddress}, "gRPC address of a server (repeatable: another one is tried when one can't be reached)")
	o.addSecurityFlags(flags)
	flags.StringVar(&o.producer, "producer", "", "producer id (default: a new one for this run)")
	flags.StringVar(&o.service, "service", "", "service of entries that name none (default: the file's name without its extension)")
	flags.StringVar(&o.colo, "colo", "", "where the entries come from (default: the server's)")
	flags.StringArrayVar(&o.attributes, "attribute", nil, "resource attribute KEY=VALUE (repeatable)")
	flags.StringVar(&o.zone, "time-zone", "Local", "zone of time stamps that have none, such as Europe/Berlin")
	flags.BoolVar(&o.restamp, "restamp", false, "give entries the time of sending and keep their own as attribute log.time (for files older than the routes accept)")
	flags.StringVar(&o.level, "acknowledgement", levelCommitted, "what makes an entry safe: committed (it is in ClickHouse or the dead-letter queue) or logged (it is in the server's write-ahead log)")
	flags.StringVar(&o.spill, "spill", "", "folder that keeps what is not safe, and how far each file was sent: the next send with it goes on there")
	flags.IntVar(&o.entries, "entries", 1000, "maximum entries in a request, unless the server accepts fewer")
	flags.DurationVar(&o.stopTimeout, "stop-timeout", sendStopTimeout, "how long after a signal what was read may take to be committed")
	flags.DurationVar(&o.giveUpAfter, "give-up-after", 0, "give up when nothing was committed for this long (default: never)")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "no progress on standard error")
	return command
}

// runSend sends the files and prints the summary. After a signal it stops reading and gives what was read some time to be committed.
func runSend(ctx context.Context, o *sendOptions, files []string, in io.Reader, out, errs io.Writer) error {
	location, err := o.check()
	if err != nil {
		return err
	}
	settings, err := o.settings(ctx, errs)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New(err.Error()) // only the text, see below
		}
		return err
	}

	progress := errs
	if o.quiet {
		progress = nil
	}
	s := &sending{ledger: newLedger(progress), options: o, location: location}
	s.level = cmp.Or(o.level, levelCommitted)
	settings.OnRefusal, settings.OnDeadLettered, settings.OnProgress = s.onRefusal, s.onDeadLettered, s.onProgress
	settings.OnError = func(err error) {
		for _, detail := range grpcstatus.Convert(err).Details() {
			if _, ok := detail.(*errdetails.RetryInfo); ok {
				s.reachable.Store(true) // a server asks to be tried again
			}
		}
	}
	if err := s.openProducer(settings); err != nil {
		return err
	}

	settling, endSettling := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endSettling(nil)
	s.settling = settling
	s.reading, s.stopReading = context.WithCancelCause(ctx)
	defer s.stopReading(nil)
	bounded := make(chan struct{})
	ignoreSignal := context.AfterFunc(ctx, func() {
		defer close(bounded)
		fmt.Fprintf(errs, "logbatcher: %v: reading has ended, what was read has %v to be committed\n", context.Cause(ctx), o.stopTimeout)
		s.boundSettling(endSettling)
	})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.producer.Done():
			s.stopReading(s.producer.Err())
		case <-settling.Done():
		}
	}()
	readErr := s.readAll(files, in)
	closeErr := s.producer.Close(settling)
	if left, ok := errors.AsType[*client.UnfinishedError](closeErr); ok {
		closeErr = left.Cause // the verdict has the number
		if left.Spilled > 0 {
			closeErr = fmt.Errorf("%w; %d entries are in %s, and the next send with it sends them", left.Cause, left.Spilled, o.spill)
		}
	}
	endSettling(nil)
	<-watched
	if !ignoreSignal() {
		<-bounded
	}
	s.print(out, s.producer.Statistics())

	verdict := s.verdict()
	if readErr == nil && closeErr == nil {
		return verdict
	}
	problems := []error{readErr, closeErr}
	if ctx.Err() != nil {
		// Only the text: the exit status must not be that of a signal but of what was left undone.
		problems = slices.Insert(problems, 0, fmt.Errorf("stopped: %v", context.Cause(ctx)))
	}
	if verdict != nil {
		problems = append(problems, errors.New(verdict.Error()))
	}
	return errors.Join(problems...)
}

// openProducer opens the producer, with the spill if there is one: its producer id is the spill's.
func (s *sending) openProducer(settings client.Config) (err error) {
	if s.options.spill != "" {
		opened, err := spill.Open(spill.DefaultConfig(s.options.spill))
		if err != nil {
			return fmt.Errorf("--spill: %w", err)
		}
		known, err := client.SpilledProducer(opened)
		if err != nil {
			return errors.Join(fmt.Errorf("--spill %s: %w", s.options.spill, err), opened.Close())
		}
		if known != "" && s.options.producer == "" {
			settings.Open.Producer = known
		}
		settings.Spill = opened
	}
	if s.producer, err = client.Open(settings); err != nil {
		if settings.Spill != nil {
			err = errors.Join(err, settings.Spill.Close())
		}
		return err
	}
	if settings.Spill == nil {
		return nil
	}
	if s.places, err = newPlaces(s.producer.Mark()); err != nil {
		return errors.Join(fmt.Errorf("--spill %s: %w", s.options.spill, err), s.producer.Close(canceled()))
	}
	if before := int(s.producer.Statistics().Given); before > 0 {
		s.entries, s.sent = before, before
		s.notes = append(s.notes, fmt.Sprintf("spill      %s entries are of an earlier run", comma(before)))
	}
	return nil
}

// settings returns the configuration of the producer.
func (o *sendOptions) settings(ctx context.Context, errs io.Writer) (client.Config, error) {
	if len(o.addresses) == 0 {
		o.addresses = []string{o.address}
	}
	settings := client.DefaultConfig("", o.addresses...)
	for _, o.address = range o.addresses {
		options, err := o.options(ctx)
		if err != nil {
			return settings, err
		}
		settings.DialOptions = options
	}
	settings.Open = o.opening()
	if o.level == levelLogged {
		settings.Open.Acknowledgement = logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_LOGGED
	}
	settings.BatchEntries, settings.BatchBytes, settings.Linger = o.entries, sendRequestBytes, sendWait
	settings.GiveUpAfter = o.giveUpAfter
	settings.FlushTimeout = math.MaxInt64 // Close has its own bounds
	settings.Log = slog.New(slog.NewTextHandler(errs, nil))
	return settings, nil
}

// canceled returns a context that has ended.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// boundSettling ends settling when the time after a signal is over, or earlier if the server is not reachable.
func (s *sending) boundSettling(end context.CancelCauseFunc) {
	passed := func(d time.Duration) bool {
		select {
		case <-s.settling.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	limit := s.options.stopTimeout
	first := min(limit, sendStopUnreachable)
	switch {
	case !passed(first):
	case s.producer.Statistics().Open == 0 && !s.reachable.Load():
		end(fmt.Errorf("%s is not reachable", strings.Join(s.options.addresses, ", ")))
	case passed(limit - first):
		end(fmt.Errorf("not everything was committed within %v (--stop-timeout)", limit))
	}
}

// check validates the options before anything is read or sent, and returns the zone of time stamps that have none.
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
			wrong("the variable TZ is %q, an unknown zone: correct it, or set --time-zone", zone)
		}
	}
	if !slices.Contains([]string{"", levelCommitted, levelLogged}, o.level) {
		wrong("--acknowledgement %q: it must be committed or logged", o.level)
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
			wrong("--attribute %+q: want KEY=VALUE", pair)
		case !utf8.ValidString(pair):
			wrong("--attribute %+q: it must be UTF-8", pair)
		}
	}
	return location, errors.Join(problems...)
}

// opening returns what applies to all entries of the run.
func (o *sendOptions) opening() *logbatcherv1.Open {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	producer := o.producer
	if producer == "" {
		ascii := strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' {
				return '_'
			}
			return r
		}, host)
		producer = fmt.Sprintf("send/%.64s/%d/%d", ascii, os.Getpid(), time.Now().UnixNano())
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
