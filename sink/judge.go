package sink

import (
	"context"
	"maps"
	"time"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// Judge is a Sink that can tell which rows of a refused batch are the bad ones, all at once.
type Judge interface {
	// Violations returns the constraints of the table that rows of the batch violate. No row is in two of them. None, or an
	// error, means that the sink can't tell, and the rows are tried in parts. Errors are *Error.
	Violations(ctx context.Context, b *batch.Block) ([]Violation, error)
}

// Violation is a constraint and the rows that violate it.
type Violation struct {
	// Rows are the rows of the batch, in order.
	Rows []batch.RowRange
	// Column is a column that the constraint reads, or empty.
	Column string
	// Message names the constraint and what it checks.
	Message string
}

// Error returns the message.
func (v Violation) Error() string { return v.Message }

// codeViolatedConstraint is ClickHouse's code for a row that violates a constraint.
const codeViolatedConstraint = 469

// The answers of a Judge, as metrics write them.
const (
	judgedFound = "found"
	judgedNone  = "none"
	judgedError = "error"
)

const (
	// suspectFor is how long after its last refused row a producer's rows are tried apart.
	suspectFor = time.Minute
	// maxSuspects bounds the producers that are remembered for a table.
	maxSuspects = 1000
	// unjudgedFor is how long a Judge is not asked again after it could not answer.
	unjudgedFor = 10 * time.Minute
)

// suspect notes the producers of refused rows.
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

// judgedBad notes that the Judge has found rows that violate a constraint.
func (t *tableWatch) judgedBad(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubtfulUntil = now.Add(suspectFor)
}

// suspected returns which producers of the origins had refused rows a moment ago, and whether the Judge could tell them.
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

// dontJudge has the table's Judge left in peace for a while.
func (t *tableWatch) dontJudge(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unjudgedUntil = now.Add(unjudgedFor)
}
