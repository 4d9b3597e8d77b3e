package deadletter

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
)

// clockDifference is by how much the clock of Redis, which stream ids come from, may be behind those of instances.
const clockDifference = 5 * time.Minute

// selects reports whether the letter is in the selection, its ids aside.
func selects(sel *schema.LetterSelection, l *sink.DeadLetter) bool {
	_, name, _ := strings.Cut(l.Table, ".")
	holds := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(sel.Reason)) }
	switch {
	case sel.Table != "" && sel.Table != l.Table && sel.Table != name,
		sel.Class != "" && sel.Class != l.Class.String(),
		len(sel.Codes) > 0 && !slices.Contains(sel.Codes, l.Code),
		sel.Reason != "" && !holds(l.Reason) && !holds(l.Message),
		!sel.Since.IsZero() && l.First.Before(sel.Since),
		!sel.Until.IsZero() && !l.First.Before(sel.Until):
		return false
	}
	return true
}

// each calls visit with the letters of the selection that are in the queue now, in the order in which they were written or named, and
// reads so many at a time. It goes on after a named letter that is not there; the error is then schema.ErrUnknownLetter.
func (q *Queue) each(ctx context.Context, sel *schema.LetterSelection, page int, visit func(*Stored) error) error {
	if len(sel.IDs) > 0 {
		var unknown []error
		for _, id := range sel.IDs {
			s, err := q.find(ctx, id)
			switch {
			case errors.Is(err, schema.ErrUnknownLetter):
				unknown = append(unknown, err)
				continue
			case err != nil:
				return err
			}
			if selects(sel, &s.Letter) {
				if err := visit(s); err != nil {
					return err
				}
			}
		}
		return errors.Join(unknown...)
	}
	end, err := q.last(ctx)
	if err != nil || end == "" {
		return err
	}
	after := firstID(sel)
	for {
		letters, err := q.List(ctx, after, page)
		if err != nil || len(letters) == 0 {
			return err
		}
		for i := range letters {
			s := &letters[i]
			if newer(s.StreamID, end) {
				return nil
			}
			if after = s.StreamID; selects(sel, &s.Letter) {
				if err := visit(s); err != nil {
					return err
				}
			}
		}
	}
}

// firstID returns a stream id before all letters of the selection: none is written before its rows are tried.
func firstID(sel *schema.LetterSelection) string {
	if sel.Since.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d-0", max(0, sel.Since.Add(-clockDifference).UnixMilli()))
}

// newer reports whether a stream id comes after another.
func newer(id, other string) bool {
	milliseconds, sequence := parseID(id)
	otherMilliseconds, otherSequence := parseID(other)
	return milliseconds > otherMilliseconds || milliseconds == otherMilliseconds && sequence > otherSequence
}

func parseID(id string) (milliseconds, sequence uint64) {
	first, second, _ := strings.Cut(id, "-")
	milliseconds, _ = strconv.ParseUint(first, 10, 64)
	sequence, _ = strconv.ParseUint(second, 10, 64)
	return milliseconds, sequence
}

// streamID matches the id of a stream entry, by which letters are selected that have no id of their own.
var streamID = regexp.MustCompile(`^\d{1,20}-\d{1,20}$`)

// find returns the letter with the id, or the stream id. The error is schema.ErrUnknownLetter if it is not in the queue.
func (q *Queue) find(ctx context.Context, id string) (*Stored, error) {
	at := id
	if !streamID.MatchString(id) {
		var err error
		if at, err = q.client.Get(ctx, q.cfg.idKey(id)).Result(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, q.failed("find a letter of", err)
		}
	}
	if at != "" {
		found, err := q.client.XRangeN(ctx, q.cfg.Stream, at, at, 1).Result()
		if err != nil {
			return nil, q.failed("find a letter of", err)
		}
		if len(found) == 1 {
			letter, problem := decode(found[0].Values)
			return &Stored{StreamID: found[0].ID, Letter: letter, Problem: problem}, nil
		}
	}
	// Its id key may have expired.
	var s *Stored
	err := q.each(ctx, &schema.LetterSelection{}, pageEntries, func(other *Stored) error {
		if s == nil && other.Letter.ID == id {
			s = other
		}
		return nil
	})
	if err == nil && s == nil {
		err = fmt.Errorf("%w %s", schema.ErrUnknownLetter, schema.Quoted(id))
	}
	return s, err
}
