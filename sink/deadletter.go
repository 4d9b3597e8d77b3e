package sink

import (
	"context"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// DeadLetter is a group of rows of one table that were rejected for the same reason.
type DeadLetter struct {
	// DeadLettered has the letter's id, under which it is written once, its rows, their destination, and the error.
	schema.DeadLettered
	// ShardID is that of the first row.
	ShardID string
	// Class is the error's class.
	Class Class
	// Reason is the name of the reason.
	Reason string
	// Column is the column that the error names. Empty: none.
	Column string
	// Attempts is how many inserts were tried with these rows.
	Attempts int
	// First and Last are when the rows were first and last tried.
	First, Last time.Time
	// Origins are the requests that the rows came from, in the order of the rows.
	Origins []batch.Origin
	// SchemaHash is the hash of the schema that the rows were made for (schema.Table.Hash).
	SchemaHash string
	// Tried are the ids of blocks under which the rows may be in the table all the same, in any partition: their fate is unknown, or they
	// were changed when they were replayed.
	Tried []string
	// History has the failures before this one, the oldest first.
	History []schema.LetterFailure
	// Format says how to read Payload: one of the formats below, which may be followed by GzipSuffix.
	Format string
	// Payload holds the rows. It is empty with FormatNone, and in a letter returned by a Delivery.
	Payload []byte
}

// The limits of a dead letter.
const (
	// MaxLetterBytes limits a letter in the queue, with all its fields.
	MaxLetterBytes = 1 << 20
	// MaxPayloadBytes is the largest payload that leaves room for the other fields, with up to 1000 origins whose names have at
	// most 64 bytes together.
	MaxPayloadBytes = MaxLetterBytes - 192<<10
)

// The formats of a dead letter's payload.
const (
	// FormatNative is a ClickHouse Native block, as read by INSERT … FORMAT Native.
	FormatNative = "Native"
	// FormatJSONEntries is one entry per line as a JSON object, for entries that no row was made of.
	FormatJSONEntries = "JSONEntries"
	// FormatNone marks a letter without its row, which was too large for the queue even when compressed.
	FormatNone = "None"
	// GzipSuffix follows the format of a payload that is compressed because it would be too large otherwise.
	GzipSuffix = "+gzip"
)

// DeadLetters keeps the rows that tables reject.
type DeadLetters interface {
	// Write returns nil once the letter is in the queue, also if it was there before. It blocks while the queue is full, if its
	// policy is to wait, until ctx ends. An error with a method Permanent() bool that returns true means that the letter can
	// never be written as it is.
	Write(ctx context.Context, letter *DeadLetter) error
}
