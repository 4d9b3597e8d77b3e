package server

import (
	"sync"
	"time"
)

// rarelyPause is the time between two log lines about the same thing.
const rarelyPause = time.Minute

// rarely bounds how often the log has a line that many calls or connections may cause. The zero value is ready.
type rarely struct {
	mu     sync.Mutex
	told   time.Time
	untold int
}

// log counts what has happened, and calls line with the count unless it did so a moment ago.
func (r *rarely) log(line func(count int)) {
	r.mu.Lock()
	r.untold++
	if !r.told.IsZero() && time.Since(r.told) < rarelyPause {
		r.mu.Unlock()
		return
	}
	count := r.untold
	r.told, r.untold = time.Now(), 0
	r.mu.Unlock()
	line(count)
}
