package shard

import (
	"fmt"
	"strings"
	"sync"
)

// LeftoverError reports what was not settled when the router stopped.
type LeftoverError struct {
	// Batches and Letters count the batches and dead letters that were left, Rows their rows.
	Batches, Letters, Rows int
	// Tables has the rows by table.
	Tables map[string]int
	// Cause is why the first of them was left.
	Cause error
}

// Error returns the counts, the tables and the cause.
func (e *LeftoverError) Error() string {
	tables := strings.TrimPrefix(fmt.Sprint(e.Tables), "map")
	return fmt.Sprintf("%d batches and %d dead letters are left, with %d rows of the tables %s: %v", e.Batches, e.Letters, e.Rows, tables, e.Cause)
}

// Unwrap returns the cause.
func (e *LeftoverError) Unwrap() error { return e.Cause }

// leftover collects what workers leave.
type leftover struct {
	mu   sync.Mutex
	left *LeftoverError // nil if nothing is
}

func (l *leftover) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == nil {
		return nil
	}
	return l.left
}

// leave records rows of a batch or a dead letter that was given up. Their requests are not settled: the producers are told
// nothing and send again.
func (r *Router) leave(kind leftKind, id, table string, rows int, cause error) {
	r.config.Log.Error(string(kind)+" left", "id", id, "table", table, "rows", rows, "error", cause)
	l := &r.leftover
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == nil {
		l.left = &LeftoverError{Tables: map[string]int{}, Cause: cause}
	}
	if kind == leftBatch {
		l.left.Batches++
	} else {
		l.left.Letters++
	}
	l.left.Rows += rows
	l.left.Tables[table] += rows
}

type leftKind string

const (
	leftBatch  leftKind = "batch"
	leftLetter leftKind = "dead letter"
)
