package schema

import (
	"context"
	"time"
)

// Request is a producer's request on its way from the server into batches: entries, which
// are valid until Release is called, and the two callbacks that end its life.
type Request struct {
	// Producer is the producer's id, and Tenant the tenant within which it is unique.
	Producer, Tenant string
	// Routes are the names of the routes that the entries may match. Empty: all.
	Routes []string
	// Epoch is the producer's epoch.
	Epoch uint64
	// Sequence is the request's number in the epoch.
	Sequence uint64
	// Received is when the server received it. It determines the shard ids.
	Received time.Time
	// Size is the size of the request on the wire, in bytes.
	Size int
	// Entries are views into the receive buffer, without the entries that the server refused.
	Entries []Entry
	// Index has the place of each entry in the producer's request. Nil: the same as in Entries.
	Index []uint32
	// Decoder decodes Entries. Nil: Entries is complete and stays.
	Decoder Decoder
	// Bytes is the memory that the request occupies until it is released: buffer and views.
	Bytes int
	// Log logs the request once there is room for it everywhere else. Nil: there is no log, or the request comes from it.
	Log RequestLog
	// LSN is the request's number in the log. 0: it is not logged. The Router sets it after Log.Append.
	LSN uint64
	// Routing is the hash of the Routing that a request from the log was accepted under. Empty: the current one.
	Routing string
	// Skip reports whether an entry of a request from the log, by its place, is in a block of the route already; route is empty for
	// entries that match none. Nil: none is.
	Skip func(route string, place uint32) bool
	// Placed is called once if LSN is not 0, before Settled, when every row of the request is in a durable block or dead letter, or
	// refused: the log need not keep the request any longer. Its argument has what was refused. It must not block, but for a log whose
	// disk is full or fails.
	Placed func(*Outcome)
	// Release returns the receive buffer. It is called once, before Settled, when nothing reads Entries any more.
	Release func()
	// Settled is called once, from any goroutine, when every row of the request is committed, dead-lettered or
	// refused. It must not block, but for such a log.
	Settled func(*Outcome)
}

// Decoder fills in a request's Entries, Index and Bytes. A request whose entries would take too much memory together is decoded
// in several pieces, one at a time. A request reaches the Router with its first piece.
type Decoder interface {
	// Next decodes the next piece. It reports false, and leaves the last piece, if there is none.
	Next() bool
	// Suspend releases the entries and their share of the budget: a waiting request must not keep memory from others.
	Suspend()
	// Resume decodes the first piece again. After Suspend it blocks until the budget grants the memory; it returns an error
	// if ctx ends first.
	Resume(ctx context.Context) error
}

// Place returns the place of Entries[i] in the producer's request.
func (r *Request) Place(i int) uint32 {
	if r.Index == nil {
		return uint32(i)
	}
	return r.Index[i]
}

// Outcome is the outcome of a request.
type Outcome struct {
	// Refusals are the refused entries, or routes' copies of them.
	Refusals []Refusal
	// DeadLettered are the rows in the dead-letter queue.
	DeadLettered []DeadLettered
	// Unmatched is the number of entries that matched no route.
	Unmatched int
}

// Reason is why the gateway refused or dead-lettered an entry, or a route's copy of it.
type Reason uint8

// The reasons. They are labels of metrics and values on the wire: never renumber them.
const (
	NoReason Reason = iota
	TooLarge
	InvalidField
	TimeTooOld
	TimeTooFarAhead
	TypeMismatch
	OutOfRange
	Unmatched
	MissingValue
)

var reasonNames = [...]string{
	"none", "too_large", "invalid_field", "time_too_old", "time_too_far_ahead",
	"type_mismatch", "out_of_range", "unmatched", "missing_value",
}

// String returns the reason as in metrics and dead letters, such as "time_too_old".
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// Refusal is a refused entry, or a route's refused copy of it.
type Refusal struct {
	// Index is the entry's place in the producer's request.
	Index uint32
	// Field is the path of the wrong field. Empty: the entry as a whole.
	Field string
	// Reason is the kind of problem.
	Reason Reason
	// Message describes what was wrong and what would be right.
	Message string
	// Route is the route that refused its copy. Empty: the whole entry is refused.
	Route string
}

// DeadLettered are rows of one request in the dead-letter queue.
type DeadLettered struct {
	// Rows is their number.
	Rows int
	// Route and Table ("database.table") are where they were meant to go.
	Route, Table string
	// ID is the id of the dead letter.
	ID string
	// Code is ClickHouse's error code, or 0 if the gateway decided.
	Code int
	// Message is the reason.
	Message string
}
