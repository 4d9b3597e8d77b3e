package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// rarelyPause is the time between two log lines about the same thing.
const rarelyPause = time.Minute

// rarely bounds how often the log has a line that many calls or connections may cause. The zero value is ready.
type rarely struct {
	mu       sync.Mutex
	logged   time.Time
	unlogged int
	last     time.Time
}

// log counts an event, and writes a line with the count unless it did so a moment ago.
func (r *rarely) log(log *slog.Logger, level slog.Level, message string, attributes ...any) {
	r.mu.Lock()
	r.last = time.Now()
	r.unlogged++
	due, count := r.logged.IsZero() || r.last.Sub(r.logged) >= rarelyPause, r.unlogged
	if due {
		r.logged, r.unlogged = r.last, 0
	}
	r.mu.Unlock()
	if due {
		log.Log(context.Background(), level, message, append(attributes, "count", count)...)
	}
}

// recent reports whether the last event was a moment ago.
func (r *rarely) recent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.last.IsZero() && time.Since(r.last) < rarelyPause
}
