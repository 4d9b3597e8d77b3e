package sink

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// The reasons of dead letters that no single error of ClickHouse explains.
const (
	reasonHeld        = "held_too_long"
	reasonNotIsolated = "not_isolated"
	reasonGivenUp     = "given_up"
	reasonRefused     = "refused"
	// ReasonFateUnknown is that of rows which may be in their table: see DeadLetter.Tried.
	ReasonFateUnknown = "fate_unknown"
)

// begin returns the pieces to start with: the whole batch, or the rows of producers whose rows were rejected lately apart from the
// others, which are then stored by their first insert. If the Judge could name the bad rows then, it is asked before the suspects'
// first insert. A batch of an earlier process begins with what that one has left.
func (v *delivery) begin(ctx context.Context) ([]*piece, error) {
	if v.file != nil && v.block.Recovered() {
		return v.restore(v.file.Notes())
	}
	all := batch.RowSet{{To: v.block.Rows()}}
	suspected, doubtful := v.table.suspected(time.Now(), v.block.Origins())
	if len(suspected) == 0 {
		return []*piece{{rows: all, block: v.block}}, nil
	}
	theirs := v.rowsOf(all, func(producer string) bool { return suspected[producer] })
	others := all.Minus(theirs)
	if len(others) == 0 {
		return []*piece{{rows: all, block: v.block, doubtful: doubtful}}, nil
	}
	v.tries += 2
	v.metrics.isolationInserts.WithLabelValues(v.table.name).Add(2)
	parts := []*piece{{rows: others}, {rows: theirs, doubtful: doubtful}}
	return parts, v.noteParts(ctx, &piece{rows: all, block: v.block}, parts, nil)
}

// divide breaks a rejected piece into smaller ones. It refuses a single row, and what is left when the batch has used up its
// inserts. Every part is smaller than its piece, so this ends. The error is that of ctx.
func (v *delivery) divide(ctx context.Context, p *piece) ([]*piece, error) {
	why := p.settling.refusal
	if p.size() == 1 {
		v.refuse(p, p.rows, why, reasonRefused)
		return nil, nil
	}
	named := -1
	if why.Class == Row && !v.misled {
		named = namedRow(why.Error(), p.size())
	}
	rest, judged, err := v.withoutViolations(ctx, p, why)
	if err != nil || len(rest) == 0 {
		return nil, err
	}
	sets := []batch.RowSet{rest}
	if !judged {
		sets = v.split(rest, named, why.Class)
	}
	if v.tries+len(sets) > v.config.MaxIsolationInserts {
		v.refuse(p, rest, why, reasonNotIsolated)
		return nil, nil
	}
	v.tries += len(sets)
	if why.Class == Shape {
		v.metrics.shapeSplits.WithLabelValues(v.table.name).Inc()
		v.seldom(slog.LevelError, "batch spans partitions", v.table.name, p.size(), "batch", p.block.ID(), "error", why)
	}
	v.metrics.isolationInserts.WithLabelValues(v.table.name).Add(float64(len(sets)))

	pieces := make([]*piece, len(sets))
	for i, rows := range sets {
		pieces[i] = &piece{rows: rows, named: !judged && named >= 0 && rows.Has(p.rows.Slice(named, named+1)[0].From)}
		if why.Class == Unclassified {
			// The whole was retried already; a part gets one more chance.
			pieces[i].settling.unclassified = max(0, v.config.UnclassifiedAttempts-2)
		}
	}
	return pieces, nil
}

// withoutViolations asks the Judge which of the piece's rows violate a constraint, and refuses those. It returns the rows that are
// left, and whether the Judge could tell. failure is nil if no insert has failed yet. The error is that of ctx.
func (v *delivery) withoutViolations(ctx context.Context, p *piece, failure *Error) (rest batch.RowSet, judged bool, err error) {
	judge, ok := v.config.Sink.(Judge)
	failed := failure != nil
	if !failed {
		failure = &Error{Code: codeViolatedConstraint, Op: "insert into", Table: v.table.name}
	}
	if !ok || failure.Code != codeViolatedConstraint || !v.table.judges(time.Now()) {
		return p.rows, false, nil
	}
	if err := v.load(p); err != nil {
		return p.rows, false, err
	}
	askCtx, cancel := context.WithTimeout(ctx, v.config.AttemptTimeout)
	violations, judgeErr := judge.Violations(askCtx, p.block)
	cancel()
	if err := ctx.Err(); err != nil {
		return p.rows, false, err
	}
	answer, passes := judgedFound, false
	switch {
	case judgeErr != nil:
		class := asError(judgeErr, "ask for violations in", v.table.name).Class
		answer, passes = judgedError, class == Transient || class == Ambiguous
	case len(violations) == 0:
		answer = judgedNone
	}
	v.metrics.judged.WithLabelValues(v.table.name, answer).Inc()
	if answer != judgedFound {
		if !passes && (failed || answer == judgedError) {
			v.table.dontJudge(time.Now())
		}
		return p.rows, false, nil
	}
	v.table.judgedBad(time.Now())
	rest = p.rows
	for _, violation := range violations {
		rows := p.rows.Of(violation.Rows)
		rest = rest.Minus(rows)
		v.refuse(p, rows, &Error{Class: Row, Code: failure.Code, Op: failure.Op, Table: failure.Table, Err: violation}, reasonRefused)
	}
	return rest, true, nil
}

// split divides rows without the Judge's help. named is the index in rows of the one that the error names, or -1. Most bad rows
// come from one producer, so as long as there are several, the suspects' rows are set apart: those of the named row's producer, or
// else those of half of the producers. Rows of one producer are divided at the named row, or in halves.
func (v *delivery) split(rows batch.RowSet, named int, class Class) []batch.RowSet {
	if producers := v.producersOf(rows); len(producers) > 1 && class != Shape {
		suspects := producers[:len(producers)/2]
		if named >= 0 {
			suspects = []string{v.block.OriginsOf(rows.Slice(named, named+1))[0].Producer}
		}
		apart := v.rowsOf(rows, func(producer string) bool { return slices.Contains(suspects, producer) })
		return []batch.RowSet{rows.Minus(apart), apart}
	}
	if named < 0 {
		first, second := rows.Halves()
		return []batch.RowSet{first, second}
	}
	sets := []batch.RowSet{rows.Slice(0, named), rows.Slice(named, named+1), rows.Slice(named+1, rows.Size())}
	return slices.DeleteFunc(sets, func(part batch.RowSet) bool { return len(part) == 0 })
}

// producersOf returns the distinct producers of the rows, in order.
func (v *delivery) producersOf(rows batch.RowSet) []string {
	var producers []string
	for _, o := range v.block.OriginsOf(rows) {
		producers = append(producers, o.Producer)
	}
	slices.Sort(producers)
	return slices.Compact(producers)
}

// rowsOf returns the rows whose producer matches.
func (v *delivery) rowsOf(rows batch.RowSet, matches func(producer string) bool) batch.RowSet {
	var within batch.RowSet
	start := 0
	for _, o := range v.block.OriginsOf(rows) {
		if matches(o.Producer) {
			within = within.Add(batch.RowRange{From: start, To: start + o.Rows})
		}
		start += o.Rows
	}
	return rows.Of(within)
}

// rowInMessage matches the way ClickHouse names a row of an insert: "is violated at row 501. Expression: …".
var rowInMessage = regexp.MustCompile(`\bat row (\d+)\b`)

// namedRow returns the index of the row that an error names, or -1. It is only a hint: the row is tried by itself, and after a wrong
// hint no other is followed.
func namedRow(message string, rows int) int {
	found := rowInMessage.FindStringSubmatch(message)
	if found == nil {
		return -1
	}
	row, err := strconv.Atoi(found[1])
	if err != nil || row < 1 || row > rows {
		return -1
	}
	return row - 1
}
