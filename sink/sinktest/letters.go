package sinktest

import (
	"context"
	"sync"

	"github.com/logbatcher/logbatcher/sink"
)

// Letters is a dead-letter queue in memory. It is safe for concurrent use.
type Letters struct {
	mu      sync.Mutex // guards what follows
	fails   []error
	letters []*sink.DeadLetter
	seen    map[string]bool
	writes  int
}

var _ sink.DeadLetters = (*Letters)(nil)

// NewLetters returns an empty queue.
func NewLetters() *Letters { return &Letters{seen: map[string]bool{}} }

// Fail makes the next writes fail with these errors.
func (l *Letters) Fail(errs ...error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = append(l.fails, errs...)
}

// Write keeps the letter. A repeat adds nothing.
func (l *Letters) Write(ctx context.Context, letter *sink.DeadLetter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes++
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(l.fails) > 0 {
		err := l.fails[0]
		l.fails = l.fails[1:]
		return err
	}
	if !l.seen[letter.ID] {
		l.seen[letter.ID] = true
		l.letters = append(l.letters, letter)
	}
	return nil
}

// All returns the letters in the order in which they were written.
func (l *Letters) All() []*sink.DeadLetter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*sink.DeadLetter(nil), l.letters...)
}

// Writes returns the number of calls of Write.
func (l *Letters) Writes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}
