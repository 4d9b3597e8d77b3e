package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Step is what Memory does with one insert. The zero value stores it and acknowledges.
type Step struct {
	// Err is the answer; nil acknowledges.
	Err *sink.Error
	// Stored stores the rows in spite of Err.
	Stored bool
	// Burned remembers the token and stores nothing, like a server that dies between the two.
	Burned bool
	// LateAsks keeps the insert running in spite of Err: the rows are stored after it has been looked up this many times.
	LateAsks int
	// Arrives stores the rows this long after the answer. Until then the insert can't be seen: it is in a proxy, or in the socket
	// of a stopped server.
	Arrives time.Duration
	// Delay is how long the answer takes.
	Delay time.Duration
	// Hangs blocks until the context ends, and then reports an unknown outcome.
	Hangs bool
}

// Memory is a sink that keeps rows in memory, and remembers tokens as a MergeTree table does. It is safe for concurrent use.
type Memory struct {
	// Reject returns the error that a row is refused with, or nil. Nil refuses none. Set it before use.
	Reject func(Row) *sink.Error
	// Decide returns the step of an insert when no scripted one is left. Nil stores. Set it before use.
	Decide func(b *batch.Block, a sink.Attempt) Step

	mu       sync.Mutex // guards what follows
	steps    []Step
	answers  []error
	rows     map[string][]Row
	tokens   map[string]bool
	running  map[string]*late
	decoded  map[*batch.Block][]Row
	attempts []sink.Attempt
	asks     int
}

// late is an insert that is still running though its client has given up.
type late struct {
	table, token string
	rows         []Row
	asks         int
}

var _ sink.Sink = (*Memory)(nil)

// NewMemory returns an empty sink.
func NewMemory() *Memory {
	return &Memory{rows: map[string][]Row{}, tokens: map[string]bool{}, running: map[string]*late{}, decoded: map[*batch.Block][]Row{}}
}

// Script adds steps for the next inserts, one each.
func (m *Memory) Script(steps ...Step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps = append(m.steps, steps...)
}

// FailQuestions makes the next calls of Present fail with these errors.
func (m *Memory) FailQuestions(errs ...error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = append(m.answers, errs...)
}

// Forget forgets all tokens, as a table does once its deduplication window has passed.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.tokens)
}

// Rows returns the rows of a table in the order in which they were stored.
func (m *Memory) Rows(table string) []Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Row(nil), m.rows[table]...)
}

// RemoveRows removes the rows of a table for which remove is true, as a fault or a person would.
func (m *Memory) RemoveRows(table string, remove func(Row) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var kept []Row
	for _, row := range m.rows[table] {
		if !remove(row) {
			kept = append(kept, row)
		}
	}
	m.rows[table] = kept
}

// Attempts returns the inserts in order.
func (m *Memory) Attempts() []sink.Attempt {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]sink.Attempt(nil), m.attempts...)
}

// Asks returns the number of calls of Present.
func (m *Memory) Asks() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asks
}

// Decode returns the rows of a block, which is decoded only once.
func (m *Memory) Decode(b *batch.Block) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rows, ok := m.decoded[b]; ok {
		return rows, nil
	}
	rows, err := decode(b.Native())
	if err == nil {
		m.decoded[b] = rows
	}
	return rows, err
}

// Insert follows the next step.
func (m *Memory) Insert(ctx context.Context, b *batch.Block, a sink.Attempt) error {
	table := b.Layout().Table().FullName()
	rows, err := m.Decode(b)
	if err != nil {
		return &sink.Error{Class: sink.Hold, Op: "insert into", Table: table, Err: err}
	}
	step := m.next(b, a)
	if step.Hangs {
		<-ctx.Done()
		return &sink.Error{Class: sink.Ambiguous, Op: "insert into", Table: table, Err: ctx.Err()}
	}
	if step.Delay > 0 {
		select {
		case <-time.After(step.Delay):
		case <-ctx.Done():
			return &sink.Error{Class: sink.Ambiguous, Op: "insert into", Table: table, Err: ctx.Err()}
		}
	}
	return m.take(b, a, step, table, rows)
}

func (m *Memory) next(b *batch.Block, a sink.Attempt) Step {
	m.mu.Lock()
	m.attempts = append(m.attempts, a)
	if len(m.steps) > 0 {
		step := m.steps[0]
		m.steps = m.steps[1:]
		m.mu.Unlock()
		return step
	}
	m.mu.Unlock()
	if m.Decide != nil {
		return m.Decide(b, a)
	}
	return Step{}
}

func (m *Memory) take(b *batch.Block, a sink.Attempt, step Step, table string, rows []Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var failure error
	if step.Err != nil {
		failure = filled(step.Err, table)
	}
	token := table + "\x00" + a.Token
	switch {
	case step.LateAsks > 0:
		m.running[table+"\x00"+b.ID()] = &late{table: table, token: token, rows: rows, asks: step.LateAsks}
		return failure
	case step.Arrives > 0:
		time.AfterFunc(step.Arrives, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.storeLocked(table, token, rows)
		})
		return failure
	case step.Burned:
		m.tokens[token] = true
		return failure
	case step.Err != nil && !step.Stored:
		return failure
	}
	if err := m.rejected(table, rows); err != nil {
		return err
	}
	m.storeLocked(table, token, rows)
	return failure
}

// filled adds operation, table and cause to an error that lacks them.
func filled(e *sink.Error, table string) *sink.Error {
	full := *e
	if full.Table == "" {
		full.Table = table
	}
	if full.Op == "" {
		full.Op = "insert into"
	}
	if full.Err == nil {
		full.Err = fmt.Errorf("scripted, of class %s", full.Class)
	}
	return &full
}

// rejected refuses the block because it spans days, or because of its first bad row.
func (m *Memory) rejected(table string, rows []Row) error {
	for _, row := range rows {
		if day(row) != day(rows[0]) {
			//lint:ignore ST1005 the text is ClickHouse's
			return filled(&sink.Error{Class: sink.Shape, Code: 252, Err: errors.New("Too many partitions for single INSERT block")}, table)
		}
	}
	if m.Reject == nil {
		return nil
	}
	for _, row := range rows {
		if err := m.Reject(row); err != nil {
			return filled(err, table)
		}
	}
	return nil
}

func day(row Row) string {
	at, _ := row["Timestamp"].(time.Time)
	return at.UTC().Format(time.DateOnly)
}

func (m *Memory) storeLocked(table, token string, rows []Row) {
	if m.tokens[token] {
		return
	}
	m.tokens[token] = true
	m.rows[table] = append(m.rows[table], rows...)
}

// Present counts the rows whose batch id is the batch's.
func (m *Memory) Present(ctx context.Context, b *batch.Block) (sink.Presence, error) {
	table := b.Layout().Table().FullName()
	if err := ctx.Err(); err != nil {
		return sink.Presence{}, &sink.Error{Class: sink.Transient, Op: "ask for rows in", Table: table, Err: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asks++
	if len(m.answers) > 0 {
		err := m.answers[0]
		m.answers = m.answers[1:]
		var known *sink.Error
		if errors.As(err, &known) {
			err = filled(known, table)
		}
		if err != nil {
			return sink.Presence{}, err
		}
	}
	var found sink.Presence
	if l := m.running[table+"\x00"+b.ID()]; l != nil {
		if l.asks--; l.asks > 0 {
			found.Running = true
		} else {
			m.storeLocked(l.table, l.token, l.rows)
			delete(m.running, table+"\x00"+b.ID())
		}
	}
	for _, row := range m.rows[table] {
		if row[schema.BatchIDColumn] == b.ID() {
			found.Rows++
		}
	}
	return found, nil
}
