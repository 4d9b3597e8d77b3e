package sink

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// maxLetterOrigins keeps a letter's origins within what MaxPayloadBytes leaves for them.
const maxLetterOrigins = 500

// refusal is a range of rows that the table has refused for good.
type refusal struct {
	rows        batch.RowSet
	err         *Error
	reason      string
	column      string
	attempts    int
	first, last time.Time
}

// The bounds of what is kept and what is logged of an error's text: ClickHouse quotes rows in it.
const (
	maxMessageBytes = 8 << 10
	maxSampleBytes  = 500
)

// refuse notes that rows of the piece go to the dead-letter queue.
func (v *delivery) refuse(p *piece, rows batch.RowSet, err *Error, reason string) {
	s := &p.settling
	column := namedColumn(err.Error())
	var violation Violation
	if errors.As(err, &violation) {
		column = violation.Column
	}
	bounded := *err
	bounded.Err = errors.New(schema.Short(fmt.Sprint(err.Err), maxMessageBytes))
	first, last := s.first, s.last
	if first.IsZero() { // refused without an insert
		first, last = time.Now(), time.Now()
	}
	v.refused = append(v.refused, refusal{
		rows: rows, err: &bounded, reason: reason, column: column, attempts: s.attempts, first: first, last: last,
	})
	if err.Class == Row || err.Class == Unclassified {
		v.table.suspect(time.Now(), v.block.OriginsOf(rows))
	}
	v.seldom(slog.LevelWarn, "rows refused", v.table.name, rows.Size(), "batch", p.block.ID(), "reason", reason, "error", err)
}

// columnInMessage matches how ClickHouse names a column: "column LogAttributes", "for column `n`", "Column values: n = 5". The
// message may quote a row, so what looks like a name is bounded.
var columnInMessage = regexp.MustCompile("(?i)column(?:s| values:| name:?)? [`'\"]?([A-Za-z_][A-Za-z0-9_.]{0,255})")

// constraintInMessage matches how ClickHouse names a constraint.
var constraintInMessage = regexp.MustCompile("Constraint `[^`]*`")

// namedColumn returns the column that an error names, or "".
func namedColumn(message string) string {
	if found := columnInMessage.FindStringSubmatch(message); found != nil {
		return found[1]
	}
	return ""
}

// grouped joins refusals of neighbouring rows for the same reason. It orders its argument.
func grouped(refused []refusal) []refusal {
	slices.SortFunc(refused, byFirstRow)
	var groups []refusal
	for _, r := range refused {
		if n := len(groups); n > 0 && groups[n-1].joins(&r) {
			last := &groups[n-1]
			for _, rows := range r.rows {
				last.rows = last.rows.Add(rows)
			}
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
	return r.rows[len(r.rows)-1].To == next.rows[0].From && r.reason == next.reason && r.column == next.column &&
		r.err.Code == next.err.Code && r.err.Class == next.err.Class &&
		constraintInMessage.FindString(r.err.Error()) == constraintInMessage.FindString(next.err.Error())
}

// writeLetters writes the refused rows to the dead-letter queue. It fails only if ctx ends first.
func (v *delivery) writeLetters(ctx context.Context) error {
	queue := grouped(v.refused)
	for len(queue) > 0 {
		letter, err := v.letter(&queue[0])
		tooLarge := err == nil && (len(letter.Payload) > MaxPayloadBytes || len(letter.Origins) > maxLetterOrigins)
		if err == nil && !(tooLarge && letter.Rows > 1) {
			err = v.writeLetter(ctx, letter, &v.patience)
			tooLarge = permanent(err)
		}
		if tooLarge && letter.Rows > 1 {
			first, second := queue[0], queue[0]
			first.rows, second.rows = first.rows.Halves()
			queue = slices.Replace(queue, 0, 1, first, second)
			continue
		}
		if err != nil {
			return err
		}
		queue = queue[1:]
		v.outcome.DeadLettered = append(v.outcome.DeadLettered, letter.withoutPayload())
	}
	return nil
}

// letter makes the dead letter of a refusal.
func (v *delivery) letter(r *refusal) (*DeadLetter, error) {
	id := r.rows.ID(v.block.ID())
	rows, err := v.block.Cut(id, r.rows)
	if err != nil {
		return nil, err
	}
	payload, err := io.ReadAll(rows.Native())
	if err != nil {
		return nil, fmt.Errorf("decompress dead letter %s: %w", id, err)
	}
	layout := v.block.Layout()
	letter := &DeadLetter{
		DeadLettered: schema.DeadLettered{
			ID: id, Table: v.table.name, Route: layout.Route(), Rows: rows.Rows(), Code: r.err.Code, Message: r.err.Error(),
		},
		Class: r.err.Class, Reason: r.reason, Column: r.column, Attempts: r.attempts, First: r.first, Last: r.last,
		Origins: rows.Origins(), SchemaHash: layout.SchemaHash(), Format: FormatNative, Payload: payload,
	}
	if len(letter.Origins) > 0 {
		letter.ShardID = letter.Origins[0].ShardID
	}
	return letter, nil
}

// DeadLetter writes a letter that the gateway itself has made, with one entry of one request in each line of its payload.
// A letter that the queue can't take is divided. DeadLetter blocks while the queue is away; it returns the letters that were
// written, without their payloads, and the context's error if that ended first.
func (d *Delivery) DeadLetter(ctx context.Context, letter *DeadLetter) (written []DeadLetter, err error) {
	wait := &patience{}
	queue := []*DeadLetter{letter}
	for len(queue) > 0 {
		err := d.writeLetter(ctx, queue[0], wait)
		if permanent(err) {
			first, second := queue[0].halves()
			queue = slices.Replace(queue, 0, 1, first, second)
			continue
		}
		if err != nil {
			return written, err
		}
		written = append(written, queue[0].withoutPayload())
		queue = queue[1:]
	}
	return written, nil
}

// halves divides a letter of one origin with several lines.
func (l *DeadLetter) halves() (*DeadLetter, *DeadLetter) {
	half := func(part string, rows int, payload []byte) *DeadLetter {
		h := *l
		h.ID, h.Rows, h.Payload = l.ID+part, rows, payload
		h.Origins = slices.Clone(l.Origins)
		for i := range h.Origins {
			h.Origins[i].Rows = rows
		}
		return &h
	}
	end := 0
	for range l.Rows / 2 {
		end += 1 + bytes.IndexByte(l.Payload[end:], '\n')
	}
	return half(".0", l.Rows/2, l.Payload[:end]), half(".1", l.Rows-l.Rows/2, l.Payload[end:])
}

func (l *DeadLetter) withoutPayload() DeadLetter {
	bare := *l
	bare.Payload = nil
	return bare
}

// permanent reports whether writing the same letter again can never succeed.
func permanent(err error) bool {
	var failure interface{ Permanent() bool }
	return errors.As(err, &failure) && failure.Permanent()
}

// writeLetter returns once the letter is in the queue. A single row that the queue can't take is compressed, and then
// left out of its letter: what remains says which row it was and why it was refused. The error is the context's, or
// permanent for a letter of several rows.
func (d *Delivery) writeLetter(ctx context.Context, letter *DeadLetter, p *patience) error {
	d.lettersWait(1)
	defer d.lettersWait(-1)
	for failures := 1; ; failures++ {
		err := d.config.DeadLetters.Write(ctx, letter)
		switch {
		case err == nil:
			d.letterWritten(letter)
			return nil
		case permanent(err) && letter.Rows > 1:
			return err
		case permanent(err) && letter.Format == FormatNone:
			d.letterLost(letter, err)
			return nil
		case permanent(err):
			letter.shrink()
			continue
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

// shrink compresses the payload or, where it is compressed already, leaves it out.
func (l *DeadLetter) shrink() {
	if strings.HasSuffix(l.Format, GzipSuffix) {
		l.Message = fmt.Sprintf("the row is left out, its %d bytes don't fit the dead-letter queue: %s", len(l.Payload), l.Message)
		l.Format, l.Payload = FormatNone, nil
		return
	}
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, _ = w.Write(l.Payload) // writing to memory does not fail
	_ = w.Close()
	l.Format, l.Payload = l.Format+GzipSuffix, compressed.Bytes()
}
