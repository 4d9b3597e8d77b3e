package shard

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/logbatcher/logbatcher/sink"
)

// LeftoverError reports what was not settled when the router stopped.
type LeftoverError struct {
	// Batches is how many batches were left, Rows how many rows they had.
	Batches, Rows int
	// Letters is how many dead letters were left, LetterRows how many rows they had.
	Letters, LetterRows int
	// Tables has the rows of batches and dead letters by table.
	Tables map[string]int
	// Cause is why the first of them was left.
	Cause error
}

// maxTablesNamed bounds the tables that Error names.
const maxTablesNamed = 20

// Error returns the counts, the tables and the cause.
func (e *LeftoverError) Error() string {
	var tables []string
	for _, name := range slices.Sorted(maps.Keys(e.Tables)) {
		if len(tables) == maxTablesNamed {
			tables = append(tables, fmt.Sprintf("and %d more", len(e.Tables)-maxTablesNamed))
			break
		}
		tables = append(tables, fmt.Sprintf("%s (%d)", name, e.Tables[name]))
	}
	return fmt.Sprintf("%d batches with %d rows and %d dead letters with %d rows of %d tables are left: %s; the first because of: %v",
		e.Batches, e.Rows, e.Letters, e.LetterRows, len(e.Tables), strings.Join(tables, ", "), e.Cause)
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
	left.Tables = maps.Clone(left.Tables)
	return &left
}

// leave notes a batch that was given up. Its requests are not settled: their producers are told nothing, and send again.
func (r *Router) leave(f *flight, cause error) {
	rows := f.rows
	var unsettled *sink.UnsettledError
	if errors.As(cause, &unsettled) {
		rows = unsettled.Rows
	}
	l := &r.leftover
	l.mu.Lock()
	l.error.Batches++
	l.error.Rows += rows
	l.error.add(f.route.Table.FullName(), rows, cause)
	l.mu.Unlock()
	r.config.Log.Error("batch left", "batch", f.ID(), "table", f.route.Table.FullName(), "rows", rows, "error", cause)
}

// leaveLetter notes rows of a dead letter that were given up.
func (r *Router) leaveLetter(table string, rows int, cause error) {
	l := &r.leftover
	l.mu.Lock()
	defer l.mu.Unlock()
	l.error.Letters++
	l.error.LetterRows += rows
	l.error.add(table, rows, cause)
}

// add counts rows of a table and keeps the first cause.
func (e *LeftoverError) add(table string, rows int, cause error) {
	if e.Tables == nil {
		e.Tables = map[string]int{}
	}
	if table == "" {
		table = "no table (unmatched)"
	}
	e.Tables[table] += rows
	if e.Cause == nil {
		e.Cause = cause
	}
}
