package shard

import (
	"fmt"
	"sync"

	"github.com/logbatcher/logbatcher/sink"
)

// LeftoverError says what was not settled when the router stopped.
type LeftoverError struct {
	// Batches is how many batches were left, Rows how many rows they had.
	Batches, Rows int
	// Letters is how many dead letters were left, LetterRows how many rows they had.
	Letters, LetterRows int
	// Cause is why the first of them was left.
	Cause error
}

// Error returns the counts and the cause.
func (e *LeftoverError) Error() string {
	return fmt.Sprintf("%d batches with %d rows and %d dead letters with %d rows are left: %v",
		e.Batches, e.Rows, e.Letters, e.LetterRows, e.Cause)
}

// Unwrap returns the cause.
func (e *LeftoverError) Unwrap() error { return e.Cause }

type leftover struct {
	mu    sync.Mutex
	error LeftoverError
}

func (l *leftover) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.error.Cause == nil {
		return nil
	}
	left := l.error
	return &left
}

// leave notes a batch that was given up. Its requests are not settled: their producers are told nothing, and send again.
func (r *Router) leave(f *flight, cause error) {
	l := &r.leftover
	l.mu.Lock()
	l.error.Batches++
	l.error.Rows += f.rows
	l.error.because(cause)
	l.mu.Unlock()
	r.config.Log.Error("batch left", "batch", f.ID(), "table", f.route.Table.FullName(), "rows", f.rows, "error", cause)
}

func (r *Router) leaveLetter(letter *sink.DeadLetter, cause error) {
	l := &r.leftover
	l.mu.Lock()
	l.error.Letters++
	l.error.LetterRows += letter.Rows
	l.error.because(cause)
	l.mu.Unlock()
	r.config.Log.Error("dead letter left", "dead_letter", letter.ID, "table", letter.Table, "rows", letter.Rows, "error", cause)
}

// because keeps the first cause.
func (e *LeftoverError) because(cause error) {
	if e.Cause == nil {
		e.Cause = cause
	}
}
