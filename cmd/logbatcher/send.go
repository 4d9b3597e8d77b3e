package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/logfile"
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
}

func newSendCommand() *cobra.Command {
	var o sendOptions
	command := &cobra.Command{
		Use:   "send FILE…|-",
		Short: "Stream log files to LogBatcher and wait until every entry is safe",
		Long: `Send streams log files (plain lines or JSON lines, also compressed with gzip or zstd; "-" is standard input) and
ends when everything is committed. It opens a new stream when the connection is lost and goes on where it was.

Exit status: 0 when every entry is in its table, 3 when some were refused or dead-lettered (the others are
safe), 1 when it can't say that the rest is safe.`,
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
	flags.StringVar(&o.zone, "time-zone", "Local", "zone of time stamps that name none")
	flags.BoolVar(&o.restamp, "restamp", false, "give entries the time of sending and keep their own as the attribute log.time (for files older than the routes accept)")
	flags.IntVar(&o.entries, "entries", 1000, "most entries in a request")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "no progress bar")
	return command
}

// runSend sends the files and prints the summary.
func runSend(ctx context.Context, o *sendOptions, files []string, in io.Reader, out, progress io.Writer) error {
	location, err := time.LoadLocation(o.zone)
	if err != nil {
		return fmt.Errorf("--time-zone %q: %w", o.zone, err)
	}
	opening, err := o.opening()
	if err != nil {
		return err
	}
	conn, err := dial(ctx, o.address, o.tls, o.caFile)
	if err != nil {
		return err
	}
	defer conn.Close()

	s := newSending(o, location, progress)
	settings := client.DefaultConfig(opening.GetProducer())
	settings.Open = opening
	settings.Log = slog.New(slog.NewTextHandler(progress, nil))
	settings.OnRefusal, settings.OnDeadLettered, settings.OnCommitted = s.onRefusal, s.onDeadLettered, s.onCommitted
	if s.producer, err = client.NewProducer(conn, settings); err != nil {
		return err
	}

	ran := make(chan error, 1)
	go func() { ran <- s.producer.Run(ctx) }()
	readErr := s.readAll(ctx, files, in)
	s.producer.Close()
	err = errors.Join(<-ran, readErr)
	if errors.Is(err, client.ErrClosed) {
		err = nil
	}
	s.finish(out)
	if err != nil {
		return err
	}
	return s.verdict()
}

// opening returns what holds for all entries of the run.
func (o *sendOptions) opening() (*logbatcherv1.Open, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	producer := o.producer
	if producer == "" {
		producer = fmt.Sprintf("send/%s/%d/%d", host, os.Getpid(), time.Now().UnixNano())
	}
	opening := &logbatcherv1.Open{
		Producer: producer, Colo: o.colo, Client: "logbatcher-send/" + version(),
		ScopeName: "logbatcher/send", ScopeVersion: version(),
		ResourceAttributes: []*logbatcherv1.Attribute{{Key: "host.name", StringValue: host}},
	}
	for _, pair := range o.attributes {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, fmt.Errorf("--attribute %q: should be KEY=VALUE", pair)
		}
		opening.ResourceAttributes = append(opening.ResourceAttributes, &logbatcherv1.Attribute{Key: key, StringValue: value})
	}
	return opening, nil
}

// dial connects to a LogBatcher. It returns at once; the first call waits for the connection.
func dial(ctx context.Context, address string, useTLS bool, caFile string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	switch {
	case caFile != "":
		trusted, err := config.CertificatePool(ctx, caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		transport = credentials.NewClientTLSFromCert(trusted, "")
	case useTLS:
		transport = credentials.NewTLS(nil)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return conn, nil
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
