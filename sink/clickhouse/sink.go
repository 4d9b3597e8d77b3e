package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Sink writes to ClickHouse. It may be used by several goroutines at once.
type Sink struct {
	config    Config
	log       *slog.Logger
	addresses []*address
	misjudged tableSet // of tables of which a batch has spanned partitions
	wider     tableSet // of tables whose columns are wider than a batch's
}

var _ sink.Sink = (*Sink)(nil)

// New returns a sink. It connects to nothing; see Check. The error says everything that is wrong
// with the configuration.
func New(config Config) (*Sink, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("clickhouse configuration: %w", err)
	}
	s := &Sink{config: config, log: cmp.Or(config.Log, slog.New(slog.DiscardHandler))}
	for _, name := range config.Addresses {
		a, err := openAddress(&s.config, name)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.addresses = append(s.addresses, a)
	}
	return s, nil
}

// Close closes idle connections. Calls that are running end by their contexts.
func (s *Sink) Close() error {
	var errs []error
	for _, a := range s.addresses {
		errs = append(errs, a.conn.Close())
	}
	return errors.Join(errs...)
}

// Insert sends the batch once. The error is an *sink.Error.
func (s *Sink) Insert(ctx context.Context, b *batch.Block, a sink.Attempt) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.AttemptTimeout)
	defer cancel()
	table := b.Layout().Table()
	to := s.choose(b.ID())
	sent, err := s.insertFitting(ctx, to, b, a)
	if err == nil {
		to.setAway(false)
		return nil
	}
	failure := s.classify("insert into", table.FullName(), err, sent)
	// Tokens are new at a batch's first attempt: a server that knows one then has it from a proxy that repeats requests, or
	// is at fault. It proves nothing.
	failure.Deduplicated = failure.Code == codeInsertWasDeduplicated
	to.setAway(unreachable(failure))
	if failure.Code == codeUnknownSetting {
		to.forgetSettings() // the server is another than when it was asked
	}
	if failure.Class == sink.Shape {
		s.misjudged.add(table.FullName())
	}
	return failure
}

// insert sends the batch to one server, and reports whether any of it may have arrived. With convert the server makes the
// batch's columns those of the table, whatever becomes of the values.
func (s *Sink) insert(ctx context.Context, to *address, b *batch.Block, a sink.Attempt, convert bool) (sent bool, err error) {
	known, err := to.known(ctx)
	if err != nil {
		return false, fmt.Errorf("%s: %w", to.name, err)
	}
	data := &body{data: b.Frames()}
	ctx = context.WithValue(ctx, insertKey{}, parameters(known, b, a, convert))
	// InsertFormat is experimental in the driver. It is called here and nowhere else.
	err = to.conn.InsertFormat(ctx, "Native", insertStatement(b), data)
	sent = data.close()
	if err != nil {
		return sent, fmt.Errorf("%s: %w", to.name, brief(err))
	}
	return sent, nil
}

// insertStatement names the columns: the table may have more of them, in another order.
func insertStatement(b *batch.Block) string {
	table := b.Layout().Table()
	names := make([]string, len(table.Columns))
	for i := range table.Columns {
		names[i] = schema.QuoteIdentifier(table.Columns[i].Name)
	}
	return "INSERT INTO " + tableName(table) + " (" + strings.Join(names, ", ") + ")"
}
