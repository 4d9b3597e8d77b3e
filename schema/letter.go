package schema

import (
	"errors"
	"time"
)

var (
	// ErrUnknownLetter is returned for a dead letter that is not in the queue.
	ErrUnknownLetter = errors.New("the queue has no dead letter")
	// ErrBadToken is returned for the token of a page of dead letters that no page came with.
	ErrBadToken = errors.New("the page token is malformed")
)

// Value is a column's value as text.
type Value struct {
	Text string
	// Null means that the value is NULL, and Text is empty.
	Null bool
}

// Edit changes a column in all rows of a dead letter that is replayed.
type Edit struct {
	// Column is the column's name.
	Column string
	// Value is the new value.
	Value Value
	// Omit leaves the column out instead, so that the rows get the table's default.
	Omit bool
}

// Letter is a dead letter as operators see it.
type Letter struct {
	DeadLettered
	// StreamID is the id of its entry in the Redis stream.
	StreamID string
	// ShardID is that of the first row.
	ShardID string
	// Class, Reason and Column say what the last error was; see docs/dead-letters.md.
	Class, Reason, Column string
	// Attempts is how many inserts were tried with the rows.
	Attempts int
	// First and Last are when the rows were first and last tried.
	First, Last time.Time
	// SchemaHash is the hash of the schema that the rows were made for.
	SchemaHash string
	// Format says how the payload is written, PayloadBytes is its size.
	Format       string
	PayloadBytes int
	// Origins are the requests that the rows came from.
	Origins []LetterOrigin
	// History has the failures before the last one, the oldest first.
	History []LetterFailure
	// Problem says what is wrong with the entry of the stream. Empty: nothing.
	Problem string

	// Columns and Values are the rows, decoded, and Entries are the lines of a letter of entries. They are only there if the letter
	// was asked for by itself, and Unreadable says why they are not.
	Columns    []Column
	Values     [][]Value
	Entries    []string
	Unreadable string
}

// LetterOrigin is a request that rows of a letter came from.
type LetterOrigin struct {
	Tenant, Producer string
	Epoch, Sequence  uint64
	Rows             int
}

// LetterFailure is an earlier failure of a letter's rows. Its JSON is part of dead letters.
type LetterFailure struct {
	// Time is when it happened.
	Time time.Time `json:"time"`
	// Class, Code, Reason and Column are those of the error.
	Class  string `json:"class"`
	Code   int    `json:"code,omitempty"`
	Reason string `json:"reason"`
	Column string `json:"column,omitempty"`
	// Message is the error's text, shortened.
	Message string `json:"message"`
	// Attempts is how many inserts had been tried by then.
	Attempts int `json:"attempts"`
}

// LetterSelection selects dead letters. Its zero value selects all.
type LetterSelection struct {
	// IDs are the letters' ids.
	IDs []string
	// Table is "database.table" or the table alone.
	Table string
	// Class is the class of the last error, Codes are its codes.
	Class string
	Codes []int
	// Reason is text that the name of the reason or the message contains, in whatever case.
	Reason string
	// Since and Until bound when the rows were first tried: at Since or later, before Until.
	Since, Until time.Time
}

// LetterWork is what to do with the dead letters of a selection.
type LetterWork struct {
	LetterSelection
	// Edits are made before rows are replayed.
	Edits []Edit
	// Execute does it. Otherwise it is only reported what would be done.
	Execute bool
	// RowsPerSecond limits the rate. 0: no limit.
	RowsPerSecond int
	// Operator is who asks, for the log.
	Operator string
}

// LetterOutcome is what became of a dead letter, or would become of it.
type LetterOutcome uint8

// The outcomes. They are values on the wire: never renumber them.
const (
	// LetterCommitted: its rows are in the table now, and the letter is gone.
	LetterCommitted LetterOutcome = iota + 1
	// LetterPresent: its rows had been in the table before, and the letter is gone.
	LetterPresent
	// LetterRefused: its rows don't fit, and the letter is in the queue.
	LetterRefused
	// LetterDivided: other letters with the same rows have taken its place.
	LetterDivided
	// LetterClaimed: somebody else replays it now.
	LetterClaimed
	// LetterGone: somebody else has replayed or dropped it meanwhile.
	LetterGone
	// LetterOpen: it is not known what became of it. It is in the queue, and the next replay finds out.
	LetterOpen
	// LetterDropped: it was deleted.
	LetterDropped
)

var letterOutcomes = [...]string{"unknown", "committed", "present", "refused", "divided", "claimed", "gone", "open", "dropped"}

// String returns the outcome's name in metrics and logs.
func (o LetterOutcome) String() string {
	if int(o) < len(letterOutcomes) {
		return letterOutcomes[o]
	}
	return letterOutcomes[0]
}

// LetterReport reports a dead letter's outcome.
type LetterReport struct {
	// ID, Table and Rows are the letter's.
	ID, Table string
	Rows      int
	// Outcome is what became of it.
	Outcome LetterOutcome
	// Message explains the outcome. Empty: there is nothing to explain.
	Message string
}
