package schema

import (
	"errors"
	"time"
)

// ErrUnknownTable is returned where a table is named that no route has.
var ErrUnknownTable = errors.New("no route has this table")

// ShardState is what an operator is shown of a shard.
type ShardState struct {
	// Number is the shard's number, from 0.
	Number int
	// QueuedRequests wait in its queue.
	QueuedRequests int
	// OpenBatches take rows, the oldest first.
	OpenBatches []OpenBatch
	// InsertsInFlight are batches sealed and not yet settled; RowsInFlight are the rows in them.
	InsertsInFlight, RowsInFlight int
}

// OpenBatch is what an operator is shown of a batch that still takes rows.
type OpenBatch struct {
	// ID is the batch id.
	ID string
	// Table is "database.table", Partition is written as ClickHouse names it.
	Table, Partition string
	// Rows and Bytes (of its columns) so far.
	Rows, Bytes int
	// Age is the time since its first row.
	Age time.Duration
}

// RouteState is what an operator is shown of a route and its table. Counts begin with the process.
type RouteState struct {
	// Name is the route's, Table is "database.table".
	Name, Table string
	// Filter is the filter as text. Empty: every entry matches.
	Filter string
	// SchemaHash is the hash of its table's schema (Table.Hash).
	SchemaHash string
	// HeldReason says why its batches are held. Empty: they are not.
	HeldReason string
	// RowsRouted were put into batches; each of them is committed, dead-lettered or in flight.
	RowsRouted, RowsCommitted, RowsDeadLettered, RowsInFlight int
	// RowsRefused were refused before they reached a batch.
	RowsRefused int
	// BytesInFlight are the bytes of batches that are open or not yet settled.
	BytesInFlight int
	// InsertsInFlight run now; InsertLimit is how many may.
	InsertsInFlight, InsertLimit int
	// LastFailedBatch is the last attempt that failed. Nil: none did.
	LastFailedBatch *FailedBatch
}

// FailedBatch is an attempt to insert that failed.
type FailedBatch struct {
	// ID is the batch id.
	ID string
	// Rows in it.
	Rows int
	// Time is when the attempt failed.
	Time time.Time
	// Attempt is its number, from 1.
	Attempt int
	// Class is the error's class: transient, ambiguous, hold, schema, shape or row.
	Class string
	// Code is ClickHouse's error code, or 0 where the error was not ClickHouse's.
	Code int
	// Message is the error's text.
	Message string
}

// Explanation says what would become of an entry.
type Explanation struct {
	// Routes has one for each route, in the order of the configuration.
	Routes []RouteExplanation
	// ShardID is what the entry would have if it came now.
	ShardID string
}

// RouteExplanation says whether a route takes an entry, and why.
type RouteExplanation struct {
	// Route is the route's name, Table is "database.table".
	Route, Table string
	// Matches says whether the filter matches.
	Matches bool
	// Conditions are those of the filter, a line each, with whether they hold.
	Conditions []string
	// Partition is where the row would go. Empty: the filter does not match, or the row would be refused.
	Partition string
	// Refusal is why the row would be refused. Nil: it would not.
	Refusal *Refusal
}
