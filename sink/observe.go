package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// troubleAfter is how long something must not work before it makes the service degraded: what is
// shorter is an ordinary retry. recentCode is how long an unknown error code is told of.
const (
	troubleAfter = 10 * time.Second
	recentCode   = time.Hour
)

// The answers to the question whether a batch is there, as metrics write them.
const (
	askedPresent = "present"
	askedAbsent  = "absent"
	askedPartial = "partial"
	askedRunning = "running"
	askedError   = "error"
)

// outcomeCommitted is the outcome of an insert that was acknowledged; the others are the classes' names.
const outcomeCommitted = "acknowledged"

type deliveryMetrics struct {
	committed, deadLettered, retries, isolationInserts, shapeSplits, burned, partial *prometheus.CounterVec

	inserts, asked, unclassified *prometheus.CounterVec
	duration, batchRows          *prometheus.HistogramVec
	inFlight, limit              *prometheus.GaugeVec
	letterFailures               prometheus.Counter
	lettersWaiting               prometheus.Gauge
}

// newDeliveryMetrics makes and registers the metrics.
func newDeliveryMetrics(registerer prometheus.Registerer) (*deliveryMetrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "logbatcher", Subsystem: "sink", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "logbatcher", Subsystem: "sink", Name: name, Help: help}, []string{"table"})
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "logbatcher", Subsystem: "sink", Name: name, Help: help, Buckets: buckets}, []string{"table"})
	}
	m := &deliveryMetrics{
		committed:        counter("rows_committed_total", "Rows known to be in their table.", "table"),
		deadLettered:     counter("rows_dead_lettered_total", "Rows in the dead-letter queue, also those that the gateway itself put there.", "table"),
		inserts:          counter("inserts_total", "Inserts tried, by outcome: acknowledged, or the class of the error.", "table", "outcome"),
		retries:          counter("insert_retries_total", "Inserts tried after a first one of the same rows, without those that look for bad rows.", "table"),
		isolationInserts: counter("isolation_inserts_total", "Inserts of parts of a batch, to tell its bad rows from its good ones; without retries.", "table"),
		shapeSplits:      counter("shape_splits_total", "Batches, or parts of them, split because they spanned partitions. Each one is a fault of the gateway.", "table"),
		burned:           counter("tokens_burned_total", "Deduplication tokens acknowledged though their rows were not there; the rows were sent again.", "table"),
		partial:          counter("partly_present_total", "Batches found in their table in part, or more than once. Each one is a fault.", "table"),
		asked:            counter("present_asks_total", "Questions whether a batch is in its table, by answer.", "table", "answer"),
		unclassified:     counter("unclassified_total", "Errors whose code is in no table.", "code"),
		duration:         histogram("insert_duration_seconds", "Time that an insert took, in seconds, whatever its outcome.", prometheus.ExponentialBuckets(0.005, 2, 15)),
		batchRows:        histogram("batch_rows", "Rows of a batch as it was handed to the sink.", prometheus.ExponentialBuckets(1, 4, 11)),
		inFlight:         gauge("inserts_in_flight", "Inserts sent and not answered yet."),
		limit:            gauge("inserts_in_flight_limit", "Inserts that may be in flight at a time; fewer while the server is overloaded."),
		letterFailures: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "logbatcher", Subsystem: "sink", Name: "dead_letter_write_failures_total",
			Help: "Failed attempts to write a dead letter; each is tried again."}),
		lettersWaiting: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "logbatcher", Subsystem: "sink", Name: "dead_letters_waiting",
			Help: "Dead letters that are being written or wait for the queue."}),
	}
	if registerer == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.committed, m.deadLettered, m.inserts, m.retries, m.isolationInserts, m.shapeSplits, m.burned, m.partial, m.asked,
		m.unclassified, m.duration, m.batchRows, m.inFlight, m.limit, m.letterFailures, m.lettersWaiting,
	} {
		errs = append(errs, registerer.Register(c))
	}
	return m, errors.Join(errs...)
}

// TableState is how a table's inserts are doing.
type TableState struct {
	// InFlight is how many inserts are sent and not answered, Limit how many may be, Waiting how many wait for a place.
	InFlight, Limit, Waiting int
	// Held says that batches wait for an operator, HeldReason why and what to do, HeldSince since when.
	Held       bool
	HeldReason string
	HeldSince  time.Time
	// FailingSince is since when the table takes no inserts. Zero: it does.
	FailingSince time.Time
	// LastFailure is the last insert that failed. Nil: none has.
	LastFailure *FailedInsert
	// Committed and DeadLettered count rows.
	Committed, DeadLettered uint64
}

// FailedInsert is one try that failed.
type FailedInsert struct {
	// Batch is the batch's id, Rows how many rows it has, Attempt which try it was, from 1.
	Batch         string
	Rows, Attempt int
	// Time is when it failed.
	Time time.Time
	// Class, Code and Message are the error's.
	Class   Class
	Code    int
	Message string
}

// tableWatch is what is remembered of a table.
type tableWatch struct {
	name      string
	limiter   *limiter
	migration migrationGate

	mu           sync.Mutex // guards what follows
	acknowledged int        // inserts
	committed    uint64
	deadLettered uint64
	held         map[*piece]string
	heldSince    time.Time
	failing      *Error
	failingSince time.Time
	lastFailure  *FailedInsert
}

// watch returns what is remembered of a table, from its first use on.
func (d *Delivery) watch(table string) *tableWatch {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tables[table]
	if t == nil {
		t = &tableWatch{
			name: table, limiter: newLimiter(d.config.MaxInsertsPerTable),
			migration: migrationGate{turn: make(chan struct{}, 1)}, held: map[*piece]string{},
		}
		d.tables[table] = t
		d.metrics.limit.WithLabelValues(table).Set(float64(d.config.MaxInsertsPerTable))
	}
	return t
}

// observeAttempt notes the outcome of an insert. Failure is nil for an acknowledged one.
func (v *delivery) observeAttempt(p *piece, failure *Error, took time.Duration) {
	outcome := outcomeCommitted
	now := time.Now()
	if failure == nil {
		v.table.succeeded()
	} else {
		outcome = failure.Class.String()
		v.table.failed(failure, now)
		v.table.noteFailure(&FailedInsert{
			Batch: p.batch.ID(), Rows: p.size(), Attempt: p.settling.attempts, Time: now,
			Class: failure.Class, Code: failure.Code, Message: failure.Error(),
		})
		v.log.Warn("insert", "batch", p.batch.ID(), "table", v.table.name, "rows", p.size(), "attempt", p.settling.attempts,
			"class", outcome, "code", failure.Code, "error", failure)
		if failure.Class == Unclassified {
			v.noteUnclassified(failure, now)
		}
	}
	_, limit, _ := v.table.limiter.state()
	v.metrics.limit.WithLabelValues(v.table.name).Set(float64(limit))
	v.metrics.inserts.WithLabelValues(v.table.name, outcome).Inc()
	v.metrics.duration.WithLabelValues(v.table.name).Observe(took.Seconds())
	if p.settling.attempts > 1 {
		v.metrics.retries.WithLabelValues(v.table.name).Inc()
	}
}

// succeeded notes an acknowledged insert.
func (t *tableWatch) succeeded() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acknowledged++
	t.failing = nil
}

// answered notes that the server is there, though not that it takes inserts.
func (t *tableWatch) answered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failing != nil && t.failing.Code == 0 {
		t.failing = nil
	}
}

// failed notes that the table takes no inserts, if that is what the error means.
func (t *tableWatch) failed(failure *Error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if failure.Class != Transient && failure.Class != Ambiguous {
		t.failing = nil
		return
	}
	if t.failing == nil {
		t.failingSince = now
	}
	t.failing = failure
}

func (t *tableWatch) noteFailure(failure *FailedInsert) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastFailure = failure
}

// inserts counts the inserts that the table has acknowledged.
func (t *tableWatch) inserts() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acknowledged
}

func (t *tableWatch) commit(rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.committed += uint64(rows)
}

func (t *tableWatch) hold(p *piece, failure *Error, advice string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.held) == 0 {
		t.heldSince = time.Now()
	}
	t.held[p] = fmt.Sprintf("%v; to do: %s", failure, advice)
}

func (t *tableWatch) unhold(p *piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, p)
}

// heldReasonLocked returns one of the reasons, the same one each time.
func (t *tableWatch) heldReasonLocked() string {
	reason := ""
	for _, r := range t.held {
		if reason == "" || r < reason {
			reason = r
		}
	}
	return reason
}

// TableState returns how a table's inserts are doing; table is "database.table". A table that nothing was sent
// to yet has the zero state.
func (d *Delivery) TableState(table string) TableState {
	d.mu.Lock()
	t := d.tables[table]
	d.mu.Unlock()
	if t == nil {
		return TableState{Limit: d.config.MaxInsertsPerTable}
	}
	inFlight, limit, waiting := t.limiter.state()
	t.mu.Lock()
	defer t.mu.Unlock()
	state := TableState{
		InFlight: inFlight, Limit: limit, Waiting: waiting,
		Held: len(t.held) > 0, HeldReason: t.heldReasonLocked(),
		LastFailure: t.lastFailure, Committed: t.committed, DeadLettered: t.deadLettered,
	}
	if state.Held {
		state.HeldSince = t.heldSince
	}
	if t.failing != nil {
		state.FailingSince = t.failingSince
	}
	return state
}

// lettersWatch is what is remembered of the dead-letter queue.
type lettersWatch struct {
	waiting int
	since   time.Time // of the last letter written, or the first that waits
	err     error
}

// seenCode is an error whose code is in no table.
type seenCode struct {
	at      time.Time
	message string
}

func (d *Delivery) lettersWait(change int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.letters.waiting == 0 {
		d.letters.since, d.letters.err = time.Now(), nil
	}
	d.letters.waiting += change
	d.metrics.lettersWaiting.Set(float64(d.letters.waiting))
}

func (d *Delivery) letterFailed(letter *DeadLetter, err error) {
	d.log.Error("write dead letter", "dead_letter", letter.ID, "table", letter.Table, "rows", letter.Rows, "error", err)
	d.metrics.letterFailures.Inc()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letters.err = err
}

func (d *Delivery) letterWritten(letter *DeadLetter) {
	t := d.watch(letter.Table)
	t.mu.Lock()
	t.deadLettered += uint64(letter.Rows)
	t.mu.Unlock()
	d.metrics.deadLettered.WithLabelValues(letter.Table).Add(float64(letter.Rows))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letters.since, d.letters.err = time.Now(), nil
}

func (d *Delivery) noteUnclassified(failure *Error, now time.Time) {
	d.metrics.unclassified.WithLabelValues(fmt.Sprint(failure.Code)).Inc()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.codes[failure.Code] = seenCode{now, failure.Error()}
}

// Degraded returns what does not work, as sentences for people, each with what to do where something is to be
// done. It is empty when all is well.
func (d *Delivery) Degraded() []string {
	d.mu.Lock()
	tables := make([]*tableWatch, 0, len(d.tables))
	for _, t := range d.tables {
		tables = append(tables, t)
	}
	reasons := append(d.letters.reasons(time.Now()), codeReasons(d.codes, time.Now())...)
	d.mu.Unlock()

	var away *Error
	var awaySince time.Time
	for _, t := range tables {
		t.mu.Lock()
		if n := len(t.held); n > 0 {
			reasons = append(reasons, fmt.Sprintf("table %s: %d batches held since %s: %s", t.name, n, clock(t.heldSince), t.heldReasonLocked()))
		}
		switch {
		case t.failing == nil || time.Since(t.failingSince) < troubleAfter:
		case t.failing.Code != 0:
			reasons = append(reasons, fmt.Sprintf("table %s takes no inserts since %s; rows are kept and tried again: %v", t.name, clock(t.failingSince), t.failing))
		case away == nil || t.failingSince.Before(awaySince):
			away, awaySince = t.failing, t.failingSince
		}
		t.mu.Unlock()
	}
	if away != nil {
		reasons = append(reasons, fmt.Sprintf("ClickHouse is away since %s; rows are kept and tried again: %v", clock(awaySince), away))
	}
	slices.Sort(reasons)
	return reasons
}

// reasons returns what does not work in the dead-letter queue.
func (l *lettersWatch) reasons(now time.Time) []string {
	if l.waiting == 0 || now.Sub(l.since) < troubleAfter {
		return nil
	}
	text := fmt.Sprintf("the dead-letter queue takes nothing since %s; %d dead letters wait", clock(l.since), l.waiting)
	if l.err != nil {
		text += fmt.Sprintf(": %v", l.err)
	}
	return []string{text}
}

func codeReasons(codes map[int]seenCode, now time.Time) []string {
	var reasons []string
	for code, seen := range codes {
		if now.Sub(seen.at) < recentCode {
			reasons = append(reasons, fmt.Sprintf("error code %d is in no table; give it a class in the configuration: %s", code, seen.message))
		}
	}
	return reasons
}

// clock writes a time for people.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// migrationGate lets one migration of a table run at a time.
type migrationGate struct {
	turn  chan struct{} // holds one token while a migration runs
	count int           // of migrations that have succeeded; guarded by turn
	begun time.Time     // when the last of them began; guarded by turn
}

// run calls migrate, unless one has begun after failed, the time of the failure that asks for it: that one is as
// good. It returns how many have succeeded, at least 1 without an error.
func (g *migrationGate) run(ctx context.Context, failed time.Time, migrate func() error) (int, error) {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-g.turn }()
	if g.count > 0 && g.begun.After(failed) {
		return g.count, nil
	}
	begun := time.Now()
	if err := migrate(); err != nil {
		return 0, err
	}
	g.count++
	g.begun = begun
	return g.count, nil
}
