package sink

import (
	"bytes"
	"cmp"
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

// The limits of an error's text in letters and in the log: ClickHouse quotes rows in it.
const (
	maxMessageBytes = 8 << 10
	maxSampleBytes  = 500
)

// refusal is rows that the table rejects for good, and the letter that they will be in, still without id, rows and origins.
type refusal struct {
	DeadLetter
	rows batch.RowSet
}

// refuse records that rows of the piece go to the dead-letter queue.
func (v *delivery) refuse(p *piece, rows batch.RowSet, err *Error, reason string) {
	s, layout := &p.settling, v.block.Layout()
	r := refusal{rows: rows, DeadLetter: DeadLetter{
		DeadLettered: schema.DeadLettered{
			Table: v.table.name, Route: layout.Route(), Code: err.Code, Message: schema.Short(err.Error(), maxMessageBytes),
		},
		Class: err.Class, Reason: reason, Column: namedColumn(err.Error()), Attempts: s.attempts, First: s.first, Last: s.last,
		SchemaHash: layout.SchemaHash(), Format: FormatNative,
	}}
	var violation Violation
	if errors.As(err, &violation) {
		r.Column = violation.Column
	}
	if reason == ReasonFateUnknown {
		r.Tried = []string{p.block.ID()}
	}
	if r.First.IsZero() { // refused without an insert
		r.First, r.Last = time.Now(), time.Now()
	}
	v.refused = append(v.refused, r)
	if err.Class == Row || err.Class == Unclassified {
		v.table.suspect(time.Now(), v.block.OriginsOf(rows))
	}
	v.seldom(slog.LevelWarn, "rows refused", v.table.name, rows.Size(), "batch", p.block.ID(), "reason", reason, "error", err)
}

// columnInMessage matches how ClickHouse names a column: "column LogAttributes", "for column `n`", "Column values: n = 5". The
// message may quote a row, so the length of a name is limited.
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

// grouped joins refusals of adjacent rows for the same reason. It sorts its argument.
func grouped(refused []refusal) []refusal {
	slices.SortFunc(refused, func(a, b refusal) int { return cmp.Compare(a.rows[0].From, b.rows[0].From) })
	var groups []refusal
	for _, r := range refused {
		if n := len(groups); n > 0 && groups[n-1].joins(&r) {
			last := &groups[n-1]
			for _, rows := range r.rows {
				last.rows = last.rows.Add(rows)
			}
			last.Attempts = max(last.Attempts, r.Attempts)
			if r.First.Before(last.First) {
				last.First = r.First
			}
			if r.Last.After(last.Last) {
				last.Last = r.Last
			}
			continue
		}
		groups = append(groups, r)
	}
	return groups
}

func (r *refusal) joins(next *refusal) bool {
	return r.rows[len(r.rows)-1].To == next.rows[0].From && r.Reason == next.Reason && r.Column == next.Column &&
		r.Code == next.Code && r.Class == next.Class && slices.Equal(r.Tried, next.Tried) &&
		constraintInMessage.FindString(r.Message) == constraintInMessage.FindString(next.Message)
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

// letter returns the dead letter of a refusal.
func (v *delivery) letter(r *refusal) (*DeadLetter, error) {
	letter := r.DeadLetter
	letter.ID = r.rows.ID(v.block.ID())
	rows, err := v.block.Cut(letter.ID, r.rows)
	if err != nil {
		return nil, err
	}
	if letter.Payload, err = io.ReadAll(rows.Native()); err != nil {
		return nil, fmt.Errorf("decompress dead letter %s: %w", letter.ID, err)
	}
	letter.Rows, letter.Origins = rows.Rows(), rows.Origins()
	if len(letter.Origins) > 0 {
		letter.ShardID = letter.Origins[0].ShardID
	}
	return &letter, nil
}

// DeadLetter writes a letter of entries that no row was made of, one per line of its payload, all from one request. A letter that is
// too large for the queue is divided. DeadLetter blocks while the queue is away; it returns the letters that were written, without
// their payloads, and the error of ctx if that ends first.
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

// halves divides a letter of one origin and several lines.
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

// permanent reports whether the same letter can never be written.
func permanent(err error) bool {
	var failure interface{ Permanent() bool }
	return errors.As(err, &failure) && failure.Permanent()
}

// writeLetter blocks until the letter is in the queue. If a single row is too large for the queue it is compressed, and then left out:
// the rest of the letter says which row it was and why it was rejected. The error is that of ctx, or permanent for a letter of
// several rows.
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

// shrink compresses the payload, or leaves it out if it is compressed already.
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
