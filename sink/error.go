package sink

import "fmt"

// Class is what an error means for the batch: what may have happened and what to do next.
type Class uint8

// The six classes, and what to do.
const (
	// Unclassified: the code is unknown. Retried a limited number of times as Transient, then isolated.
	Unclassified Class = iota
	// Transient: nothing was stored, and it will pass. Retried with back-off for as long as it takes.
	Transient
	// Ambiguous: the rows may or may not be stored. Looked up, then retried with the same token.
	Ambiguous
	// Hold: the data is fine, but permissions or configuration are not. Kept and retried slowly.
	Hold
	// Schema: the table does not fit the batch. The migrator runs once, then it is treated as Hold.
	Schema
	// Shape: the batch spans partitions although it must not. Split.
	Shape
	// Row: some rows are rejected permanently. Isolated and dead-lettered.
	Row
)

var classNames = [...]string{"unclassified", "transient", "ambiguous", "hold", "schema", "shape", "row"}

// String returns the name of the class in metrics, logs and the configuration.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Error is a failed operation of a sink.
type Error struct {
	// Class is what the error means for the batch.
	Class Class
	// Op is what was tried, for instance "insert into".
	Op string
	// Table is the table it was tried on, as database.table.
	Table string
	// Code is ClickHouse's error code, or 0 for any other error.
	Code int
	// Overload means that the server asks for fewer inserts at a time.
	Overload bool
	// Deduplicated means that the sink acknowledges the batch because it knows its token. The rows have to be looked up.
	Deduplicated bool
	// Err is the cause.
	Err error
}

// Error returns what was tried, on which table, and the cause.
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Table, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ServerCode returns ClickHouse's error code, for packages that know only this method.
func (e *Error) ServerCode() int { return e.Code }
