package sink

import (
	"context"
	"maps"
	"time"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// Judge is a Sink that can find all bad rows of a rejected batch at once.
type Judge interface {
	// Violations returns the constraints of the table that rows of the block violate. No row appears in two of them. None, or an
	// error, means that the sink can't tell, and the rows are tried in parts. Errors are *Error.
	Violations(ctx context.Context, b *batch.Block) ([]Violation, error)
}

// Violation is a constraint and the rows that violate it.
type Violation struct {
	// Rows are rows of the block.
	Rows batch.RowSet
	// Column is a column that the constraint reads, if known.
	Column string
	// Message names the constraint and what it checks.
	Message string
}

// Error returns the message.
func (v Violation) Error() string { return v.Message }

// codeViolatedConstraint is ClickHouse's code for a row that violates a constraint.
const codeViolatedConstraint = 469

// The answers of a Judge, as label values.
const (
	judgedFound = "found"
	judgedNone  = "none"
	judgedError = "error"
)

const (
	// suspectFor is how long after its last bad row a producer's rows are tried separately.
	suspectFor = time.Minute
	// maxSuspects bounds the suspects of a table.
	maxSuspects = 1000
	// unjudgedFor is how long a Judge that could not answer is left alone.
	unjudgedFor = 10 * time.Minute
)

// suspect records the producers of bad rows.
func (t *tableWatch) suspect(now time.Time, origins []batch.Origin) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.suspects, func(_ string, until time.Time) bool { return now.After(until) })
	for _, o := range origins {
		if _, known := t.suspects[o.Producer]; known || len(t.suspects) < maxSuspects {
			t.suspects[o.Producer] = now.Add(suspectFor)
		}
	}
}

// judgedBad records that the Judge has found bad rows.
func (t *tableWatch) judgedBad(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubtfulUntil = now.Add(suspectFor)
}

// suspected returns which producers of the origins had bad rows lately, and whether the Judge found them.
func (t *tableWatch) suspected(now time.Time, origins []batch.Origin) (found map[string]bool, doubtful bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.suspects) == 0 {
		return nil, false
	}
	found = map[string]bool{}
	for _, o := range origins {
		if until, known := t.suspects[o.Producer]; known && now.Before(until) {
			found[o.Producer] = true
		}
	}
	return found, now.Before(t.doubtfulUntil)
}

// judges reports whether the table's Judge may be asked.
func (t *tableWatch) judges(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.After(t.unjudgedUntil)
}

// dontJudge keeps the table's Judge from being asked for a while.
func (t *tableWatch) dontJudge(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unjudgedUntil = now.Add(unjudgedFor)
}
