package sink

import (
	"cmp"
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// The names under which the gateway dead-letters rows that no single error of ClickHouse explains.
const (
	reasonHeld        = "held_too_long"
	reasonNotIsolated = "not_isolated"
	reasonGivenUp     = "given_up"
	reasonUnknown     = "fate_unknown"
	reasonRefused     = "refused"
)

// begin returns the pieces that the batch is tried in at first: all of it, or else the rows of producers that had
// refused rows a moment ago apart from the others, which are then stored with their first insert. Where the sink could
// tell which rows these were, it is asked again before it is sent any that it would refuse.
func (v *delivery) begin() []*piece {
	all := batch.RowSet{{To: v.block.Rows()}}
	suspected, doubtful := v.table.suspected(time.Now(), v.block.Origins())
	if len(suspected) == 0 {
		return []*piece{{rows: all, block: v.block}}
	}
	theirs := v.rowsOf(all, func(producer string) bool { return suspected[producer] })
	others := all.Minus(theirs)
	if len(others) == 0 {
		return []*piece{{rows: all, block: v.block, doubtful: doubtful}}
	}
	v.tries += 2
	v.metrics.isolationInserts.WithLabelValues(v.table.name).Add(2)
	return []*piece{{rows: others}, {rows: theirs, doubtful: doubtful}}
}

// divide breaks a refused piece into smaller ones, or refuses it where that is not possible any more: it is a
// single row, or the batch has used up its inserts. Each piece is smaller than what it comes
// from, so it comes to an end. The error is the context's.
func (v *delivery) divide(ctx context.Context, p *piece) ([]*piece, error) {
	why := p.settling.refusal
	if p.size() == 1 {
		v.refuse(p, p.rows, why, reasonRefused)
		return nil, nil
	}
	named := -1 // the row that the error names
	if row, ok := namedRow(why.Error(), p.size()); ok && why.Class == Row && !v.misled {
		named = p.rows.Slice(row, row+1)[0].From
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
		pieces[i] = &piece{rows: rows, named: !judged && named >= 0 && rows.Has(named)}
		if why.Class == Unclassified {
			// The whole has been patient already; a part is given one more chance.
			pieces[i].settling.unclassified = max(0, v.config.UnclassifiedAttempts-2)
		}
	}
	return pieces, nil
}

// withoutViolations asks the sink which of the piece's rows violate a constraint, and refuses those. It returns the rows that are left,
// and whether the sink could tell. A nil failure means that no insert has failed yet. The error is the context's.
func (v *delivery) withoutViolations(ctx context.Context, p *piece, failure *Error) (rest batch.RowSet, judged bool, err error) {
	judge, ok := v.config.Sink.(Judge)
	failed := failure != nil
	if !failed {
		failure = &Error{Code: codeViolatedConstraint, Op: "insert into", Table: v.table.name}
	}
	if !ok || failure.Code != codeViolatedConstraint || !v.table.judges(time.Now()) {
		return p.rows, false, nil
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

// split divides rows without the sink's help. Most bad rows come from one producer, so while several have rows the
// suspect's are set apart: that of the row that the error names or, where it names none, half of the producers. Rows of one producer are
// divided at the named row, or in halves.
func (v *delivery) split(rows batch.RowSet, named int, class Class) []batch.RowSet {
	var apart batch.RowSet
	if producers := v.producersOf(rows); len(producers) > 1 && class != Shape {
		suspects := producers[:len(producers)/2]
		if named >= 0 {
			suspects = []string{v.block.OriginsOf(batch.RowSet{{From: named, To: named + 1}})[0].Producer}
		}
		apart = v.rowsOf(rows, func(producer string) bool { return slices.Contains(suspects, producer) })
		return []batch.RowSet{rows.Minus(apart), apart}
	}
	if named < 0 {
		first, second := rows.Halves()
		return []batch.RowSet{first, second}
	}
	var sets []batch.RowSet
	at := batch.RowSet{{From: named, To: named + 1}}
	before := 0 // rows of the set
	for _, r := range rows {
		before += max(0, min(r.To, named)-r.From)
	}
	for _, part := range []batch.RowSet{rows.Slice(0, before), at, rows.Slice(before+1, rows.Size())} {
		if len(part) > 0 {
			sets = append(sets, part)
		}
	}
	return sets
}

// producersOf returns the producers of the rows, each once, in an order that depends on the rows alone.
func (v *delivery) producersOf(rows batch.RowSet) []string {
	var producers []string
	for _, o := range v.block.OriginsOf(rows) {
		producers = append(producers, o.Producer)
	}
	slices.Sort(producers)
	return slices.Compact(producers)
}

// rowsOf returns those of the rows that come from producers for which from is true.
func (v *delivery) rowsOf(rows batch.RowSet, from func(producer string) bool) batch.RowSet {
	var within batch.RowSet
	start := 0
	for _, o := range v.block.OriginsOf(rows) {
		if from(o.Producer) {
			within = within.Add(batch.RowRange{From: start, To: start + o.Rows})
		}
		start += o.Rows
	}
	return rows.Of(within)
}

// rowInMessage matches how ClickHouse names the row of an insert: "is violated at row 501. Expression: …".
var rowInMessage = regexp.MustCompile(`\bat row (\d+)\b`)

// namedRow returns the row that an error names, counted from 0. It is a hint: the row is tried by
// itself, and after one that was wrong no other is followed.
func namedRow(message string, rows int) (int, bool) {
	found := rowInMessage.FindStringSubmatch(message)
	if found == nil {
		return 0, false
	}
	row, err := strconv.Atoi(found[1])
	if err != nil || row < 1 || row > rows {
		return 0, false
	}
	return row - 1, true
}

// byFirstRow orders refusals by their first rows.
func byFirstRow(a, b refusal) int { return cmp.Compare(a.rows[0].From, b.rows[0].From) }
