package schema

import (
	"errors"
	"time"
)

// ErrUnknownTable is returned for a table that no route has.
var ErrUnknownTable = errors.New("no route has this table")

// ShardState is the state of a shard, for operators.
type ShardState struct {
	// Number is the shard's number, from 0.
	Number int
	// QueuedRequests is the number of requests in its queue.
	QueuedRequests int
	// OpenBatches are its open batches, the oldest first.
	OpenBatches []OpenBatch
	// InsertsInFlight is the number of blocks not yet settled, RowsInFlight that of their rows.
	InsertsInFlight, RowsInFlight int
}

// OpenBatch is the state of an open batch.
type OpenBatch struct {
	// ID is the batch id.
	ID string
	// Table is "database.table", Partition is ClickHouse's name of the partition.
	Table, Partition string
	// Rows and Bytes (of its columns) so far.
	Rows, Bytes int
	// Age is the age of its first row.
	Age time.Duration
}

// RouteState is the state of a route and its table. Counts start with the process.
type RouteState struct {
	// Name is the route's, Table is "database.table".
	Name, Table string
	// Filter is the filter as text. Empty: every entry matches.
	Filter string
	// SchemaHash is the hash of its table's schema (Table.Hash).
	SchemaHash string
	// HeldReason is why its batches are held. Empty: they are not.
	HeldReason string
	// RowsRouted is the number of rows put into batches; each of them is committed, dead-lettered or in flight.
	RowsRouted, RowsCommitted, RowsDeadLettered, RowsInFlight int
	// RowsRefused is the number of rows refused before they reached a batch.
	RowsRefused int
	// BytesInFlight is the size of the batches that are open or not yet settled.
	BytesInFlight int
	// InsertsInFlight is the number of running inserts, InsertLimit its bound.
	InsertsInFlight, InsertLimit int
	// LastFailedBatch is the last failed attempt. Nil: none failed.
	LastFailedBatch *FailedBatch
}

// FailedBatch is a failed attempt to insert.
type FailedBatch struct {
	// ID is the batch id.
	ID string
	// Rows is the number of its rows.
	Rows int
	// Time is when the attempt failed.
	Time time.Time
	// Attempt is its number, from 1.
	Attempt int
	// Class is the error's class: transient, ambiguous, hold, schema, shape or row.
	Class string
	// Code is ClickHouse's error code, or 0 for any other error.
	Code int
	// Message is the error's text.
	Message string
}

// Explanation describes what would happen to an entry.
type Explanation struct {
	// Routes has one explanation per route, in the order of the configuration.
	Routes []RouteExplanation
	// ShardID is the shard id that the entry would have now.
	ShardID string
}

// RouteExplanation describes whether a route takes an entry, and why.
type RouteExplanation struct {
	// Route is the route's name, Table is "database.table".
	Route, Table string
	// Matches reports whether the filter matches.
	Matches bool
	// Conditions has a line for each condition of the filter: whether it holds, and for which value.
	Conditions []string
	// Partition is the row's partition. Empty: the filter does not match, or the row would be refused.
	Partition string
	// Refusal is why the row would be refused. Nil: it would be stored.
	Refusal *Refusal
}
