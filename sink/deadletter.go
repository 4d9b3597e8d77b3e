package sink

import (
	"context"
	"time"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// DeadLetter is a group of rows of one table that were refused for the same reason.
type DeadLetter struct {
	// ID identifies the letter for ever: writing it again adds nothing.
	ID string
	// Table ("database.table"), Route and ShardID say where the rows should have gone. ShardID is
	// that of the first row.
	Table, Route, ShardID string
	// Class and Code are the error's; Code is 0 where the gateway itself decided, Reason is then its name.
	Class  Class
	Code   int
	Reason string
	// Column is the column that the error names. Empty: none.
	Column string
	// Message is the error's text.
	Message string
	// Attempts is how many inserts were tried with these rows.
	Attempts int
	// First and Last are when the rows were first and last tried.
	First, Last time.Time
	// Origins say which requests the rows came from, in the order of the rows.
	Origins []batch.Origin
	// SchemaHash is the hash of the schema that the rows were made for (schema.Table.Hash).
	SchemaHash string
	// Rows is how many rows Payload has.
	Rows int
	// Format says how to read Payload: one of the formats below, which may be followed by GzipSuffix.
	Format string
	// Payload holds the rows. It is empty with FormatNone, and in a letter that a Delivery returns.
	Payload []byte
}

// The bounds of a dead letter.
const (
	// MaxLetterBytes is the most that a letter may take in the queue, with everything it says.
	MaxLetterBytes = 1 << 20
	// MaxPayloadBytes is the largest payload that leaves room for the rest, with up to 1000 origins whose
	// names are no longer than 64 bytes together.
	MaxPayloadBytes = MaxLetterBytes - 192<<10
)

// The formats of a dead letter's payload.
const (
	// FormatNative is a ClickHouse Native block, as INSERT … FORMAT Native takes it.
	FormatNative = "Native"
	// FormatJSONEntries is one JSON object a line, an entry each, for rows that could not be made.
	FormatJSONEntries = "JSONEntries"
	// FormatNone marks a letter without its row, which was too large for the queue even when compressed.
	FormatNone = "None"
	// GzipSuffix follows the format of a payload that is compressed because it would be too large otherwise.
	GzipSuffix = "+gzip"
)

// DeadLetters keeps what tables refuse.
type DeadLetters interface {
	// Write returns nil once the letter is in the queue, also when it was there before. It
	// blocks while the queue is full, where its policy is to wait, until ctx ends. An error with a method
	// Permanent() bool that returns true means that the letter can never be written as it is.
	Write(ctx context.Context, letter *DeadLetter) error
}
