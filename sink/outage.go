package sink

import (
	"context"
	"log/slog"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// sayEvery is the least time between two lines of the log about the same lasting trouble.
const sayEvery = time.Minute

// The levels of lines that are said seldom.
const (
	levelWarn  = slog.LevelWarn
	levelError = slog.LevelError
)

// outage is a trouble that many attempts run into, and what is said of it: a line when it begins, one a minute while it
// lasts, one when it is over. Troubles that come and go are said once a minute too.
type outage struct {
	since  time.Time
	said   time.Time // of the last line, of this outage or an earlier one
	told   bool      // a line was said of this outage
	pieces map[*piece]struct{}
	// attempts counts the failed attempts of the outage.
	attempts int
}

// note counts a failed attempt of the piece, and reports whether it is time for a line.
func (o *outage) note(p *piece, now time.Time) bool {
	if o.pieces == nil {
		o.pieces = map[*piece]struct{}{}
	}
	if o.since.IsZero() {
		o.since = now
	}
	o.pieces[p] = struct{}{}
	o.attempts++
	if !o.said.IsZero() && now.Sub(o.said) < sayEvery {
		return false
	}
	o.said, o.told = now, true
	return true
}

// counts returns what a line says of the outage.
func (o *outage) counts() []any {
	rows := 0
	for p := range o.pieces {
		rows += p.size()
	}
	return []any{"since", o.since, "batches", len(o.pieces), "rows", rows, "attempts", o.attempts}
}

// end ends the outage, and reports whether its end is to be said, with what the line says.
func (o *outage) end(now time.Time) (line []any, say bool) {
	if o.since.IsZero() {
		return nil, false
	}
	line, say = []any{"since", o.since, "lasted", now.Sub(o.since).Round(time.Millisecond), "attempts", o.attempts}, o.told
	*o = outage{said: o.said}
	return line, say
}

// seldom logs an event of a table that may come with every batch, or with every row: at most once a minute, with how often it came
// since the last line, and to how many rows. The attributes are those of the last time.
func (d *Delivery) seldom(level slog.Level, message, table string, rows int, attributes ...any) {
	now := time.Now()
	key := event{message, table}
	d.mu.Lock()
	seen := d.events[key]
	seen.times++
	seen.rows += rows
	say := seen.said.IsZero() || now.Sub(seen.said) >= sayEvery
	counts := []any{"table", table, "times", seen.times, "rows", seen.rows}
	if say {
		seen = occurrences{said: now}
	}
	d.events[key] = seen
	d.mu.Unlock()
	if say {
		for i, attribute := range attributes {
			if err, ok := attribute.(error); ok {
				attributes[i] = schema.Short(err.Error(), maxSampleBytes)
			}
		}
		d.log.Log(context.Background(), level, message, append(counts, attributes...)...)
	}
}

// event is what is said seldom, and occurrences is how often it came.
type (
	event       struct{ message, table string }
	occurrences struct {
		said        time.Time
		times, rows int // since said
	}
)
