package sink

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
)

// The names under which the gateway dead-letters rows that no single error of ClickHouse explains.
const (
	reasonHeld        = "held_too_long"
	reasonNotIsolated = "not_isolated"
	reasonPartial     = "partly_present"
	reasonUnknown     = "fate_unknown"
	reasonRefused     = "refused"
)

// divide breaks a refused piece into smaller ones, or refuses it where that is not possible any more: it is a
// single row, or the batch has used up its inserts. Each piece is smaller than what it comes
// from, so it comes to an end. The error is the context's.
func (v *delivery) divide(ctx context.Context, p *piece, why verdict) ([]*piece, error) {
	if p.size() == 1 {
		v.refuse(p, why.err, reasonRefused)
		return nil, nil
	}
	ranges, named := halves(p.rows()), -1
	if row, ok := namedRow(why.err.Error(), p.size()); ok && why.err.Class == Row && !v.misled {
		named = p.from + row
		ranges = around(p.rows(), named)
	}
	if v.tries+len(ranges) > v.config.MaxIsolationInserts {
		v.refuse(p, why.err, reasonNotIsolated)
		return nil, nil
	}
	v.tries += len(ranges)
	if why.err.Class == Shape {
		v.metrics.shapeSplits.WithLabelValues(v.table.name).Inc()
		v.log.Error("batch spans partitions", "batch", p.batch.ID(), "table", v.table.name, "rows", p.size(), "error", why.err)
	}
	v.metrics.isolationInserts.WithLabelValues(v.table.name).Add(float64(len(ranges)))

	pieces := make([]*piece, len(ranges))
	for i, r := range ranges {
		pieces[i] = &piece{batch: v.root.Slice(rangeID(v.root.ID(), r), r.From, r.To), from: r.From, to: r.To, named: r.From == named && r.To == named+1}
		if why.err.Class == Unclassified {
			// The whole has been patient already; a part is given one more chance.
			pieces[i].settling.unclassified = max(0, v.config.UnclassifiedAttempts-2)
		}
	}
	return pieces, nil
}

// rangeID names a range of a batch's rows: the first and the last row, counted from 0.
func rangeID(batch string, r RowRange) string {
	return fmt.Sprintf("%s.%d-%d", batch, r.From, r.To-1)
}

func halves(r RowRange) []RowRange {
	middle := r.From + (r.To-r.From)/2
	return []RowRange{{r.From, middle}, {middle, r.To}}
}

// around cuts a row out of a range, so that it is tried by itself.
func around(r RowRange, row int) []RowRange {
	var ranges []RowRange
	for _, part := range []RowRange{{r.From, row}, {row, row + 1}, {row + 1, r.To}} {
		if part.From < part.To {
			ranges = append(ranges, part)
		}
	}
	return ranges
}

// rowInMessage is how ClickHouse names the row of an insert: "is violated at row 501. Expression: …".
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
