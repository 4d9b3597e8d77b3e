package sink

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// A dead letter is at most 1 MiB with all that it says of its rows. These bounds of payload and origins
// leave room for the rest.
const (
	maxLetterBytes   = 1<<20 - 192<<10
	maxLetterOrigins = 500
)

// refusal is a range of rows that the table has refused for good.
type refusal struct {
	rows        RowRange
	err         *Error
	reason      string
	column      string
	attempts    int
	first, last time.Time
}

// refuse notes that the piece's rows go to the dead-letter queue.
func (v *delivery) refuse(p *piece, err *Error, reason string) {
	s := &p.settling
	v.refused = append(v.refused, refusal{
		rows: p.rows(), err: err, reason: reason, column: namedColumn(err.Error()),
		attempts: s.attempts, first: s.first, last: s.last,
	})
	v.log.Warn("rows refused", "batch", p.batch.ID(), "table", v.table.name, "rows", p.size(), "reason", reason, "error", err)
}

// columnInMessage is how ClickHouse names a column: "column LogAttributes", "for column `n`", "Column values: n = 5".
var columnInMessage = regexp.MustCompile("(?i)column(?:s| values:| name:?)? [`'\"]?([A-Za-z_][A-Za-z0-9_.]*)")

// namedColumn returns the column that an error names, or "".
func namedColumn(message string) string {
	if found := columnInMessage.FindStringSubmatch(message); found != nil {
		return found[1]
	}
	return ""
}

// grouped joins refusals of neighbouring rows for the same reason. It orders its argument.
func grouped(refused []refusal) []refusal {
	slices.SortFunc(refused, func(a, b refusal) int { return a.rows.From - b.rows.From })
	var groups []refusal
	for _, r := range refused {
		if n := len(groups); n > 0 && groups[n-1].joins(&r) {
			last := &groups[n-1]
			last.rows.To = r.rows.To
			last.attempts = max(last.attempts, r.attempts)
			if r.first.Before(last.first) {
				last.first = r.first
			}
			if r.last.After(last.last) {
				last.last = r.last
			}
			continue
		}
		groups = append(groups, r)
	}
	return groups
}

func (r *refusal) joins(next *refusal) bool {
	return r.rows.To == next.rows.From && r.reason == next.reason && r.column == next.column &&
		r.err.Code == next.err.Code && r.err.Class == next.err.Class
}

// writeLetters writes the refused rows to the dead-letter queue. Left are those that were not written when
// the context ended, whose error it returns.
func (v *delivery) writeLetters(ctx context.Context) (left []RowRange, err error) {
	queue := grouped(v.refused)
	for len(queue) > 0 {
		r := queue[0]
		letter, err := v.letter(&r)
		if err == nil && letter.Rows > 1 && (len(letter.Payload) > maxLetterBytes || len(letter.Origins) > maxLetterOrigins) {
			parts := halves(r.rows)
			second := r
			queue[0].rows, second.rows = parts[0], parts[1]
			queue = slices.Insert(queue, 1, second)
			continue
		}
		if err == nil {
			err = v.writeLetter(ctx, letter, &v.patience)
		}
		if err != nil {
			for _, r := range queue {
				left = append(left, r.rows)
			}
			return left, err
		}
		queue = queue[1:]
		v.outcome.DeadLettered = append(v.outcome.DeadLettered, DeadLetteredRows{
			ID: letter.ID, Origins: letter.Origins, Rows: letter.Rows, Code: letter.Code, Message: letter.Message,
		})
	}
	return nil, nil
}

// letter makes the dead letter of a refusal.
func (v *delivery) letter(r *refusal) (*DeadLetter, error) {
	id := rangeID(v.root.ID(), r.rows)
	rows := v.root.Slice(id, r.rows.From, r.rows.To)
	defer rows.Release()
	var payload bytes.Buffer
	payload.Grow(min(rows.Bytes(), 2*maxLetterBytes))
	if err := rows.WriteNative(&payload); err != nil {
		return nil, fmt.Errorf("encode dead letter %s: %w", id, err)
	}
	layout := v.root.Layout()
	letter := &DeadLetter{
		ID: id, Table: v.table.name, Route: layout.Route(), Class: r.err.Class, Code: r.err.Code, Reason: r.reason,
		Column: r.column, Message: r.err.Error(), Attempts: r.attempts, First: r.first, Last: r.last,
		Origins: v.root.OriginsOf(r.rows.From, r.rows.To), SchemaHash: layout.SchemaHash(),
		Rows: r.rows.To - r.rows.From, Format: FormatNative, Payload: payload.Bytes(),
	}
	if len(letter.Origins) > 0 {
		letter.ShardID = letter.Origins[0].ShardID
	}
	return letter, nil
}

// DeadLetter keeps a letter that the gateway itself has made. It tries for as long as the queue
// is away; the error is the context's.
func (d *Delivery) DeadLetter(ctx context.Context, letter *DeadLetter) error {
	return d.writeLetter(ctx, letter, &patience{})
}

// writeLetter returns once the letter is in the queue. The error is the context's.
func (d *Delivery) writeLetter(ctx context.Context, letter *DeadLetter, p *patience) error {
	d.lettersWait(1)
	defer d.lettersWait(-1)
	for failures := 1; ; failures++ {
		err := d.config.DeadLetters.Write(ctx, letter)
		if err == nil {
			d.letterWritten(letter)
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		d.letterFailed(letter, err)
		if err := p.wait(ctx, d.config.Backoff, failures, nil); err != nil {
			return err
		}
	}
}
