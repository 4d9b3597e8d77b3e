package schema

import (
	"context"
	"sync/atomic"
	"time"
)

// LoggedRequest is a request as the write-ahead log keeps it: what was received, and what it takes to decode and route it again in the
// same way.
type LoggedRequest struct {
	// Tenant and Producer name the producer; Epoch and Sequence are the request's.
	Tenant, Producer string
	Epoch, Sequence  uint64
	// Sum is the hash of the entries' bytes, by which a repeat is told from a request with other bytes. It is the same in every process.
	Sum uint64
	// Received is when the server received the request.
	Received time.Time
	// Routes are the names of the routes that the entries may match. Empty: all.
	Routes []string
	// Routing is the hash of the Routing under which the request was accepted.
	Routing string
	// Protocol names the decoder of Data.
	Protocol string
	// Opening is what the requests of a stream share. Nil: Data has everything.
	Opening *LoggedOpening
	// Entries is the number of entries in Data, those that were refused included.
	Entries int
	// Refusals are the entries that were refused at receipt, before any route saw them.
	Refusals []Refusal
	// Data is the request as its decoder reads it. It may alias a receive buffer: the log copies it.
	Data []byte
}

// LoggedOpening is what the requests of a stream share, in a form that only the server knows. The log tells openings apart by their
// address, and writes one again in each segment that has a request of it.
type LoggedOpening struct {
	Data []byte
	// Written belongs to the log: where the opening was written last.
	Written atomic.Uint64
}

// RequestLog logs one request on its way through the Router.
type RequestLog interface {
	// Reserve blocks until the log has room for the request and for blocks of that many bytes with its rows. It calls waiting once if it
	// has to wait. If ctx ends first it reserves nothing and returns its error.
	Reserve(ctx context.Context, blocks int, waiting func()) error
	// Unreserve gives back what Reserve has reserved, for a request that is not appended.
	Unreserve()
	// Append logs the request as accepted under the routing with the hash, and returns its number in the log. It is not durable yet.
	// After an error nothing of it is in the log, and what was reserved is given back.
	Append(routing string) (lsn uint64, err error)
}

// PlaceRange is the entries [From, To) of a request, by their places in the producer's request.
type PlaceRange struct{ From, To uint32 }

// Part is the entries of one request that a batch or dead letter has rows of.
type Part struct {
	// LSN is the request's number in the log; Tenant, Producer, Epoch and Sequence name it.
	LSN              uint64
	Tenant, Producer string
	Epoch, Sequence  uint64
	// Places are ascending within a shard id, but a request with several may go back.
	Places []PlaceRange
}

// Contents is what a batch, or a dead letter of entries that no row was made of, has taken from the log's requests.
type Contents struct {
	// Routing is the hash of the Routing, Route the route's name: empty for entries that matched none. Table is "database.table".
	Routing, Route, Table string
	// Parts are its requests, each once.
	Parts []Part
}

// LogFile is a sealed batch, or a dead letter of entries that no row was made of, in a file of the log. It is safe for concurrent use.
type LogFile interface {
	// ID is the batch's or letter's.
	ID() string
	// Contents are what Seal was given, as is Head.
	Contents() *Contents
	Head() []byte
	// ReadAt and Size are of the body that Seal was given. Reading fails once the file is settled.
	ReadAt(p []byte, offset int64) (int, error)
	Size() int64
	// Notes are what an earlier process has noted, in order.
	Notes() [][]byte
	// Note adds a note, and returns once it is durable. It tries again while the disk is full or fails, until ctx ends.
	Note(ctx context.Context, note []byte) error
	// Settled records that all rows have their outcome and that every request has heard of it: committed of them are in the table,
	// deadLettered in the queue. The file goes once that is durable.
	Settled(committed, deadLettered int)
}

// LoggedProducer is what the log knows of a producer.
type LoggedProducer struct {
	// Tenant and Producer name it.
	Tenant, Producer string
	// Epoch is its newest epoch, Start the sequence after which the epoch began here.
	Epoch, Start uint64
	// Accepted is the last sequence in the log.
	Accepted uint64
	// Unsettled are the sequences up to Accepted that are not settled, in order.
	Unsettled []uint64
	// Sums are the hashes of the last requests, the last one that of Accepted.
	Sums []uint64
	// Outcomes are those of the last requests that have any, in the order in which they became known.
	Outcomes []LoggedOutcome
}

// LoggedOutcome is the outcome of a request, or a part of it.
type LoggedOutcome struct {
	Sequence uint64
	Outcome
}
