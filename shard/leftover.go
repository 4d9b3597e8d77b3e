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
	left *LeftoverError // nil if nothing is that is not in the log
	// logged counts the batches and dead letters in the log, rows their rows.
	logged, rows int
}

// left returns what is lost when the process ends, and says what the log has.
func (r *Router) left() error {
	l := &r.leftover
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.logged > 0:
		r.config.Log.Info("batches and dead letters stay in the log until the next start", "number", l.logged, "rows", l.rows)
	case l.left == nil:
		r.config.Log.Info("everything that was received is settled")
	}
	if l.left == nil {
		return nil
	}
	return l.left
}

// leave records rows of a batch or a dead letter that was given up. Their requests are not settled. Without a log, the producers are told
// nothing and send again. With one nothing is lost: the next process finds the requests and files there.
func (r *Router) leave(kind leftKind, id, table string, rows int, cause error) {
	log, logged := r.config.Log, r.config.WAL != nil
	l := &r.leftover
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !logged:
		log.Error(string(kind)+" left", "id", id, "table", table, "rows", rows, "error", cause)
	case r.deliveries.Err() != nil:
		l.logged++
		l.rows += rows
		return
	default:
		log.Error(string(kind)+" stays in the log until the next start", "id", id, "table", table, "rows", rows, "error", cause)
		return
	}
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
