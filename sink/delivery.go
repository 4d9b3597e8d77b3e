package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Migrator makes a table fit its route.
type Migrator interface {
	// Migrate creates or alters the table where needed. It may be called by several goroutines at once.
	Migrate(ctx context.Context, table *schema.Table) error
}

// DeliveryConfig says how a Delivery settles batches.
type DeliveryConfig struct {
	// Sink takes the batches.
	Sink Sink
	// DeadLetters takes the rows that the sink refuses for good.
	DeadLetters DeadLetters
	// Classes is the table of error codes, for what is told of them.
	Classes *Classes
	// Migrator makes a table fit after an error of class Schema. Nil: the error holds the batch.
	Migrator Migrator
	// Log receives what an operator should know; nil discards.
	Log *slog.Logger
	// Registerer registers the metrics; nil leaves them unregistered.
	Registerer prometheus.Registerer
	// MaxInsertsPerTable bounds the inserts that a table has in flight.
	MaxInsertsPerTable int
	// MaxInserts bounds the inserts that all tables together have in flight.
	MaxInserts int
	// Backoff is the wait after errors that pass, HoldBackoff after those that wait for an operator.
	Backoff, HoldBackoff Backoff
	// UnclassifiedAttempts is how often a batch is tried when the error's code is in no table, before its rows are isolated.
	UnclassifiedAttempts int
	// MaxIsolationInserts bounds the inserts by which the bad rows of one batch are looked for. Rows that
	// are then still not told apart are dead-lettered.
	MaxIsolationInserts int
	// AttemptTimeout bounds one insert, and one question. LateAfter is how long after it an attempt may still begin to run: its
	// bytes may lie in a proxy, or in the socket of a server that was stopped.
	AttemptTimeout, LateAfter time.Duration
}

// DefaultDeliveryConfig returns what suits most; Sink and DeadLetters are missing.
func DefaultDeliveryConfig() DeliveryConfig {
	classes, _ := NewClasses(nil) // without overrides nothing can be wrong
	return DeliveryConfig{
		Classes:              classes,
		MaxInsertsPerTable:   4,
		MaxInserts:           64,
		Backoff:              Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second},
		HoldBackoff:          Backoff{Min: time.Second, Max: 30 * time.Second},
		UnclassifiedAttempts: 8,
		MaxIsolationInserts:  200,
		AttemptTimeout:       time.Minute,
		LateAfter:            time.Minute,
	}
}

// Validate returns everything that is wrong with the configuration, or nil.
func (c *DeliveryConfig) Validate() error {
	var problems []string
	check := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, problem)
		}
	}
	check(c.Sink != nil, "Sink is missing")
	check(c.DeadLetters != nil, "DeadLetters is missing")
	check(c.Classes != nil, "Classes is missing")
	check(c.MaxInsertsPerTable >= 1, "MaxInsertsPerTable must be at least 1")
	check(c.MaxInserts >= c.MaxInsertsPerTable, "MaxInserts must be at least MaxInsertsPerTable")
	check(c.Backoff.Min > 0 && c.Backoff.Min <= c.Backoff.Max, "Backoff needs 0 < Min <= Max")
	check(c.HoldBackoff.Min > 0 && c.HoldBackoff.Min <= c.HoldBackoff.Max, "HoldBackoff needs 0 < Min <= Max")
	check(c.UnclassifiedAttempts >= 1, "UnclassifiedAttempts must be at least 1")
	check(c.MaxIsolationInserts >= 2, "MaxIsolationInserts must be at least 2")
	check(c.AttemptTimeout > 0, "AttemptTimeout must be greater than 0")
	check(c.LateAfter >= 0, "LateAfter must not be negative")
	if problems != nil {
		return errors.New("delivery: " + strings.Join(problems, "; "))
	}
	return nil
}

// Delivery sees batches settled. It starts no goroutine: the work is done by those who
// call Deliver, as many of them at once as they like.
type Delivery struct {
	config  DeliveryConfig
	log     *slog.Logger
	metrics *deliveryMetrics
	limiter *limiter // of the inserts of all tables

	mu      sync.Mutex // guards what follows
	tables  map[string]*tableWatch
	letters lettersWatch
	codes   map[int]seenCode
	events  map[event]occurrences
	away    outage // of the way to ClickHouse
}

// NewDelivery returns a delivery. The error lists everything wrong with the configuration.
func NewDelivery(config DeliveryConfig) (*Delivery, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Delivery{
		config: config, log: cmp.Or(config.Log, slog.New(slog.DiscardHandler)), metrics: newDeliveryMetrics(config.Registerer),
		limiter: newLimiter(config.MaxInserts), tables: map[string]*tableWatch{}, codes: map[int]seenCode{}, events: map[event]occurrences{},
	}, nil
}

// Outcome is what became of a batch's rows.
type Outcome struct {
	// Committed is how many rows are in the table.
	Committed int
	// DeadLettered are the letters that hold the other rows, without their payloads.
	DeadLettered []DeadLetter
}

// Limits says when a batch that can't be settled is given up. The zero value never gives up.
type Limits struct {
	// HoldFor is how long a batch waits where an operator has to act, from its first failure on.
	HoldFor time.Duration
	// MaxAttempts is how often a batch is inserted, GiveUpAfter how long it is tried from its first failure on, whatever
	// the failures are. After that it becomes a dead letter, unless it is there.
	MaxAttempts int
	GiveUpAfter time.Duration
}

// Deliver blocks until every row of b is settled. It fails only if ctx ends first; the error wraps that of ctx, and the outcome has
// the rows that were settled nevertheless. Deliver blocks while the table's inserts in flight are at their limit. limits says
// when the batch is given up. When drain is closed the batch is tried again at once, and then with ordinary pauses until ctx
// ends. Nothing runs after Deliver has returned.
func (d *Delivery) Deliver(ctx context.Context, b *batch.Block, limits Limits, drain <-chan struct{}) (Outcome, error) {
	if b.Rows() == 0 {
		return Outcome{}, nil
	}
	v := &delivery{Delivery: d, block: b, table: d.watch(b.Layout().Table().FullName()), limits: limits, patience: patience{drain: drain}}
	d.metrics.batchRows.WithLabelValues(v.table.name).Observe(float64(b.Rows()))
	err := v.run(ctx, v.begin())
	if err == nil {
		err = v.writeLetters(ctx)
	}
	if err != nil {
		left := b.Rows() - v.outcome.Committed
		for _, letter := range v.outcome.DeadLettered {
			left -= letter.Rows
		}
		err = fmt.Errorf("batch %s: %d rows are not settled: %w; last error of the sink: %v", b.ID(), left, err, v.last)
	}
	return v.outcome, err
}

// delivery is one batch on its way.
type delivery struct {
	*Delivery
	block    *batch.Block
	table    *tableWatch
	limits   Limits
	patience patience

	outcome Outcome
	last    error // the sink's last
	refused []refusal
	tries   int  // inserts that the search for bad rows has cost
	misled  bool // an error has named a row that was not the bad one
}

// piece is rows of the batch that are inserted by themselves: at first all of them.
type piece struct {
	rows     batch.RowSet
	block    *batch.Block // its rows; nil until it is its turn
	named    bool         // it was set apart for a row that an error has named
	doubtful bool         // it is likely to have rows that violate a constraint: the sink is asked before its first insert
	settling settling
}

func (p *piece) size() int { return p.rows.Size() }

// run settles piece after piece until none is left.
func (v *delivery) run(ctx context.Context, queue []*piece) error {
	for len(queue) > 0 {
		p := queue[0]
		if p.block == nil {
			var err error
			if p.block, err = v.block.Cut(p.rows.ID(v.block.ID()), p.rows); err != nil {
				return err
			}
		}
		if p.doubtful {
			p.doubtful = false
			rest, judged, err := v.withoutViolations(ctx, p, nil)
			if err != nil {
				return err
			}
			if judged {
				if queue = queue[1:]; len(rest) > 0 {
					queue = slices.Insert(queue, 0, &piece{rows: rest})
				}
				continue
			}
		}
		verdict, err := v.settle(ctx, p)
		if err == nil && verdict.divides {
			var pieces []*piece
			if pieces, err = v.divide(ctx, p, verdict); err == nil {
				queue = append(queue, pieces...)
			}
		}
		if err != nil {
			return err
		}
		if verdict.committed {
			v.misled = v.misled || p.named
			v.outcome.Committed += p.size()
		}
		queue = queue[1:]
	}
	return nil
}
