package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Sink writes to ClickHouse. It is safe for concurrent use.
type Sink struct {
	config    Config
	log       *slog.Logger
	addresses []*address
	misjudged sync.Map // names of tables for which a batch has spanned partitions
	wider     sync.Map // names of tables whose columns are wider than those of a batch
}

var (
	_ sink.Sink   = (*Sink)(nil)
	_ sink.Finder = (*Sink)(nil)
)

// New returns a sink. It connects to nothing; see Check. The error lists everything wrong with the configuration.
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

// Close closes idle connections. Running calls end with their contexts.
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
	// A token is new at a batch's first attempt: if the server knows it, a proxy has repeated the request or the server has a
	// bug. It proves nothing.
	failure.Deduplicated = failure.Code == codeInsertWasDeduplicated
	to.setAway(unreachable(failure))
	if failure.Code == codeUnknownSetting {
		to.forgetSettings() // the server was replaced since it was asked
	}
	if failure.Class == sink.Shape {
		s.misjudged.Store(table.FullName(), true)
	}
	return failure
}

// insert sends the batch to one server, and reports whether any of it may have arrived. With convert the server converts the
// batch's columns to those of the table, whatever that does to the values.
func (s *Sink) insert(ctx context.Context, to *address, b *batch.Block, a sink.Attempt, convert bool) (sent bool, err error) {
	known, err := to.known(ctx)
	if err != nil {
		return false, fmt.Errorf("%s: %w", to.name, err)
	}
	data := &body{data: b.Frames()}
	ctx = context.WithValue(ctx, insertKey{}, parameters(known, b, a, convert))
	// InsertFormat is experimental in the driver and called only here.
	err = to.conn.InsertFormat(ctx, "Native", insertStatement(b), data)
	sent = data.close()
	if unreadable := data.unreadable.Load(); unreadable != nil {
		// The server has seen a part of the block, and stores none of it.
		return sent, fmt.Errorf("%s: %w", to.name, unreadable)
	}
	if err != nil {
		return sent, fmt.Errorf("%s: %w", to.name, brief(err))
	}
	return sent, nil
}

// insertStatement names the columns, since the table may have more, in another order.
func insertStatement(b *batch.Block) string {
	table := b.Layout().Table()
	names := make([]string, len(table.Columns))
	for i := range table.Columns {
		names[i] = schema.QuoteIdentifier(table.Columns[i].Name)
	}
	return "INSERT INTO " + tableName(table) + " (" + strings.Join(names, ", ") + ")"
}
