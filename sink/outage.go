package sink

import (
	"context"
	"log/slog"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// logEvery is the shortest interval between two log lines about the same lasting trouble.
const logEvery = time.Minute

// outage is a condition that makes many attempts fail: which pieces wait for its end, and why. It logs a line when it begins, one
// a minute while it lasts, and one when it is over; outages that come and go also log at most once a minute.
type outage struct {
	since    time.Time // of the first failed attempt; zero: there is no outage
	attempts int       // that failed since then
	pieces   map[*piece]string
	logged   time.Time // when the last line was logged, about this outage or an earlier one
	begun    bool      // a line was logged about this one
}

// note records a failed attempt of a piece, which now waits for the reason given. It returns the attributes of a log line, or nil
// if none is due.
func (o *outage) note(p *piece, reason string, now time.Time) []any {
	if o.pieces == nil {
		o.pieces = map[*piece]string{}
	}
	if o.since.IsZero() {
		o.since = now
	}
	o.pieces[p] = reason
	o.attempts++
	if !o.logged.IsZero() && now.Sub(o.logged) < logEvery {
		return nil
	}
	o.logged, o.begun = now, true
	rows := 0
	for p := range o.pieces {
		rows += p.size()
	}
	return []any{"since", o.since, "batches", len(o.pieces), "rows", rows, "attempts", o.attempts}
}

// end ends the outage. It returns the attributes of a log line, or nil if the beginning was not logged either.
func (o *outage) end(now time.Time) []any {
	var line []any
	if o.begun {
		line = []any{"since", o.since, "lasted", now.Sub(o.since).Round(time.Millisecond), "attempts", o.attempts}
	}
	*o = outage{logged: o.logged}
	return line
}

// reason returns why pieces wait: always the same of several reasons, so that reports are stable. Empty: none waits.
func (o *outage) reason() string {
	least := ""
	for _, reason := range o.pieces {
		if least == "" || reason < least {
			least = reason
		}
	}
	return least
}

// lasts reports whether pieces have been waiting for longer than an ordinary retry takes.
func (o *outage) lasts(now time.Time) bool {
	return len(o.pieces) > 0 && now.Sub(o.since) >= troubleAfter
}

// seldom logs an event of a table that may come with every batch or every row: at most once a minute, with the number of times and
// rows since the last line. The other attributes are those of the latest event.
func (d *Delivery) seldom(level slog.Level, message, table string, rows int, attributes ...any) {
	now := time.Now()
	key := event{message, table}
	d.mu.Lock()
	seen := d.events[key]
	seen.times++
	seen.rows += rows
	due := seen.logged.IsZero() || now.Sub(seen.logged) >= logEvery
	counts := []any{"table", table, "times", seen.times, "rows", seen.rows}
	if due {
		seen = occurrences{logged: now}
	}
	d.events[key] = seen
	d.mu.Unlock()
	if !due {
		return
	}
	for i, attribute := range attributes {
		if err, ok := attribute.(error); ok {
			attributes[i] = schema.Short(err.Error(), maxSampleBytes)
		}
	}
	d.log.Log(context.Background(), level, message, append(counts, attributes...)...)
}

// event identifies what seldom logs, occurrences counts it.
type (
	event       struct{ message, table string }
	occurrences struct {
		logged      time.Time
		times, rows int // since logged
	}
)
