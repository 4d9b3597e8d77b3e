package sink

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Migrator makes a table fit its route.
type Migrator interface {
	// Migrate creates or alters the table as needed. It is safe for concurrent use.
	Migrate(ctx context.Context, table *schema.Table) error
}

// CurrentTables is a Migrator that knows which tables have a route now. A table of a block of an earlier process that has none is left as
// it is: it would get the columns back that somebody has dropped, or come back as a whole, where nobody looks for rows.
type CurrentTables interface {
	// HasRoute reports whether a current route has the table; if so, Migrate makes the table fit that one.
	HasRoute(table *schema.Table) bool
}

// Delivery settles batches. It starts no goroutine: all work is done in calls of Deliver, of which there may be any number at a
// time.
type Delivery struct {
	config  DeliveryConfig
	log     *slog.Logger
	metrics *deliveryMetrics
	limiter *limiter // of the inserts of all tables
	asking  *limiter // of the questions

	mu      sync.Mutex // guards the rest
	tables  map[string]*tableWatch
	letters lettersWatch
	codes   map[int]seenCode
	events  map[event]occurrences
	away    outage // has the pieces that can't reach ClickHouse
}

// NewDelivery returns a delivery. The error lists everything wrong with the configuration.
func NewDelivery(config DeliveryConfig) (*Delivery, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("delivery configuration: %w", err)
	}
	return &Delivery{
		config: config, log: cmp.Or(config.Log, slog.New(slog.DiscardHandler)), metrics: newDeliveryMetrics(config.Registerer),
		limiter: newLimiter(config.MaxInserts), asking: newLimiter(min(maxQuestions, config.MaxInserts)), tables: map[string]*tableWatch{}, codes: map[int]seenCode{}, events: map[event]occurrences{},
	}, nil
}

// Outcome is what became of a batch's rows.
type Outcome struct {
	// Committed is the number of rows in the table.
	Committed int
	// DeadLettered are the letters with the other rows, without their payloads.
	DeadLettered []DeadLetter
}

// Limits decide when a batch that can't be settled is given up. The zero value never gives up.
type Limits struct {
	// HoldFor limits how long a batch waits for an operator, from its first failure on.
	HoldFor time.Duration
	// MaxAttempts limits the inserts of a batch, GiveUpAfter the time from its first failure on, whatever the failures are. After
	// that the batch becomes a dead letter, unless it is in the table.
	MaxAttempts int
	GiveUpAfter time.Duration
}

// Deliver blocks until every row of b is settled, and while the table's inserts in flight are at their limit. It fails only if ctx ends
// first, with an error that wraps that of ctx, or if b or its notes are damaged; the outcome has the rows that were settled
// nevertheless. limits says when the batch is given up. When drain is closed the batch is tried again at once, and then with ordinary
// pauses until ctx ends. Nothing runs after Deliver has returned.
//
// file is the file that keeps b. Nil: there is no log. In it is noted, before it takes effect, what another process has to know to go on
// from there; and b is evicted while it waits. A block of an earlier process begins with what its file's notes say.
func (d *Delivery) Deliver(ctx context.Context, b *batch.Block, file schema.LogFile, limits Limits, drain <-chan struct{}) (Outcome, error) {
	if b.Rows() == 0 {
		return Outcome{}, nil
	}
	v := &delivery{Delivery: d, block: b, file: file, table: d.watch(b.Layout().Table().FullName()), limits: limits, patience: patience{drain: drain}}
	d.metrics.batchRows.WithLabelValues(v.table.name).Observe(float64(b.Rows()))
	err := v.deliver(ctx)
	if err != nil {
		left := b.Rows() - v.outcome.Committed
		for _, letter := range v.outcome.DeadLettered {
			left -= letter.Rows
		}
		err = fmt.Errorf("batch %s: %d rows are not settled: %w; last error of the sink: %v", b.ID(), left, err, v.last)
	}
	return v.outcome, err
}

func (v *delivery) deliver(ctx context.Context) error {
	queue, err := v.begin(ctx)
	if err != nil {
		return err
	}
	if err := v.run(ctx, queue); err != nil {
		return err
	}
	if len(v.refused) == 0 {
		return nil
	}
	if err := v.noteSettled(ctx); err != nil {
		return err
	}
	return v.writeLetters(ctx)
}

// delivery is one batch on its way.
type delivery struct {
	*Delivery
	block    *batch.Block
	file     schema.LogFile // nil: there is no log
	table    *tableWatch
	limits   Limits
	patience patience

	outcome Outcome
	last    *Error // the sink's last
	refused []refusal
	tries   int  // inserts spent on isolating bad rows
	misled  bool // an error has named a row that was not the bad one
}

// piece is a part of the batch that is inserted by itself: at first all of it.
type piece struct {
	rows     batch.RowSet
	block    *batch.Block // its rows; nil until it is its turn
	evicted  bool         // the block has only what it takes to ask for it
	named    bool         // it was set apart because an error has named one of its rows
	doubtful bool         // some of its rows probably violate a constraint: the sink is asked before its first insert
	settling settling
}

func (p *piece) size() int { return p.rows.Size() }

// run settles piece after piece until none is left.
func (v *delivery) run(ctx context.Context, queue []*piece) error {
	for len(queue) > 0 {
		parts, err := v.settlePiece(ctx, queue[0])
		if err != nil {
			return err
		}
		queue = append(queue[1:], parts...)
	}
	return nil
}

// settlePiece settles the piece, or returns the parts that are to be settled in its place.
func (v *delivery) settlePiece(ctx context.Context, p *piece) (parts []*piece, err error) {
	refused := len(v.refused)
	if parts, err = v.tryPiece(ctx, p); err != nil {
		return nil, err
	}
	if len(parts) > 0 || len(v.refused) > refused {
		err = v.noteParts(ctx, p, parts, v.refused[refused:])
	}
	if p.block != nil && p.block != v.block {
		p.block.Release()
	}
	return parts, err
}

// load makes sure that the piece's rows can be read.
func (v *delivery) load(p *piece) (err error) {
	if p.block == nil || p.evicted {
		p.block, err = v.block.Cut(v.pieceID(p), p.rows)
		p.evicted = false
	}
	return err
}

// pieceID returns the id of the piece's block.
func (v *delivery) pieceID(p *piece) string {
	if p.block != nil {
		return p.block.ID()
	}
	return p.rows.ID(v.block.ID())
}

// evict frees the memory of a piece that has to wait, if the rows are in a file.
func (v *delivery) evict(p *piece) {
	if v.file == nil {
		return
	}
	v.block.Evict()
	if p.block != v.block && !p.evicted {
		p.block.Release()
		p.evicted = true
	}
}

func (v *delivery) tryPiece(ctx context.Context, p *piece) (parts []*piece, err error) {
	if err := v.load(p); err != nil {
		return nil, err
	}
	if p.doubtful {
		rest, judged, err := v.withoutViolations(ctx, p, nil)
		switch {
		case err != nil:
			return nil, err
		case judged && len(rest) > 0:
			return []*piece{{rows: rest}}, nil
		case judged:
			return nil, nil
		}
	}
	verdict, err := v.settle(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case verdict == divided:
		return v.divide(ctx, p)
	case verdict == committed:
		v.misled = v.misled || p.named
		v.outcome.Committed += p.size()
	}
	return nil, nil
}
