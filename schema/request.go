package schema

import (
	"context"
	"time"
)

// Request is a producer's request on its way from the server into batches: entries that
// are valid until Release is called, and the two calls that end its life.
type Request struct {
	// Producer is the producer's id.
	Producer string
	// Epoch is the producer's epoch.
	Epoch uint64
	// Sequence is the request's number in the epoch.
	Sequence uint64
	// Received is when the server received it. Its shard ids follow from this.
	Received time.Time
	// Size is how many bytes the request has as it was sent.
	Size int
	// Entries are views into the receive buffer. An entry that the server refused
	// is not among them: Index says which place in the request each one had.
	Entries []Entry
	// Index has the place in the producer's request of each of Entries. Nil: the same place.
	Index []uint32
	// Decoder makes Entries. Nil: Entries is all there is, and stays.
	Decoder Decoder
	// Bytes is the memory that the request occupies until it is released: buffer and views.
	Bytes int
	// Release gives the receive buffer back. It is called once, when nothing reads Entries
	// any more, and before Settled.
	Release func()
	// Settled is called once, when every row of the request is committed, dead-lettered or
	// refused. It must not block. It may be called by any goroutine.
	Settled func(*Outcome)
}

// Decoder makes a request's Entries, Index and Bytes. A request whose entries would take too much memory together has them in
// several pieces, of which one is there at a time. A request that is given to the Router has its first piece.
type Decoder interface {
	// Next makes the next piece and reports true, or leaves the last one and reports false.
	Next() bool
	// Suspend gives back the entries and what the budget has granted: a request that waits must not keep memory from others.
	Suspend()
	// Resume makes the first piece again. After Suspend it blocks until the budget has granted the memory, and returns an error
	// when ctx ends first.
	Resume(ctx context.Context) error
}

// Place returns the place that entry i of Entries had in the producer's request.
func (r *Request) Place(i int) uint32 {
	if r.Index == nil {
		return uint32(i)
	}
	return r.Index[i]
}

// Outcome is what became of a request.
type Outcome struct {
	// Refusals are the entries, or one route's copies of them, that were refused.
	Refusals []Refusal
	// DeadLettered are the rows that went to the dead-letter queue.
	DeadLettered []DeadLettered
	// Unmatched counts the entries that matched no route.
	Unmatched int
}

// Reason is why an entry, or a route's copy of it, was refused or dead-lettered by
// the gateway itself.
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

// String returns the reason as metrics and dead letters write it, for instance "time_too_old".
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// Refusal is an entry, or one route's copy of it, that was not taken.
type Refusal struct {
	// Index is the entry's place in the producer's request.
	Index uint32
	// Field is the path of the field that was wrong. Empty: the entry as a whole.
	Field string
	// Reason is why.
	Reason Reason
	// Message says what was wrong and what would be right.
	Message string
	// Route is the route that refused its copy. Empty: the entry as a whole is refused.
	Route string
}

// DeadLettered are rows of one request that went to the dead-letter queue.
type DeadLettered struct {
	// Rows is how many.
	Rows int
	// Route and Table ("database.table") say where they should have gone.
	Route, Table string
	// ID is the dead letter's.
	ID string
	// Code is ClickHouse's error code, or 0 where the gateway itself decided.
	Code int
	// Message says why.
	Message string
}
