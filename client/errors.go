package client

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by Send and Flush after Close.
	ErrClosed = errors.New("the producer is closed")
	// ErrFull is returned by Send when Config.MaxBytes are in use, with WhenFull set to Fail.
	ErrFull = errors.New("the producer's memory is full (MaxBytes)")
	// ErrSpillFull is in the SpillError of a Send when the spill has no room.
	ErrSpillFull = errors.New("the spill is full")
	// ErrGaveUp is in the error with which a producer fails when Config.GiveUpAfter has passed.
	ErrGaveUp = errors.New("gave up")
)

// TooLargeError is returned by Send for an entry that the server would not accept. None of the call's entries was taken.
type TooLargeError struct {
	// Index is the entry's place in the call.
	Index int
	// Bytes is its size, Limit the most that is accepted.
	Bytes, Limit int
}

// Error implements error.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("entry %d has %d bytes, at most %d are accepted (max_entry_bytes)", e.Index, e.Bytes, e.Limit)
}

// SpillError is returned by Send when the memory is full because the spill takes nothing: its bound is reached (ErrSpillFull), or the
// disk is full or fails.
type SpillError struct{ Err error }

// Error implements error.
func (e *SpillError) Error() string { return fmt.Sprintf("spill: %v", e.Err) }

// Unwrap returns the cause.
func (e *SpillError) Unwrap() error { return e.Err }

// UnfinishedError is returned by Flush and Close when entries have not reached the level.
type UnfinishedError struct {
	// Entries is how many of the entries given before the call have not reached the level.
	Entries int
	// Spilled is how many of them are durable in the spill: after Close, the next producer with it sends them.
	Spilled int
	// Cause is why the call did not wait any longer.
	Cause error
}

// Error implements error.
func (e *UnfinishedError) Error() string {
	text := fmt.Sprintf("%d entries are not known to be safe", e.Entries)
	if e.Spilled > 0 {
		text += fmt.Sprintf(", %d of them are in the spill", e.Spilled)
	}
	return fmt.Sprintf("%s: %v", text, e.Cause)
}

// Unwrap returns the cause.
func (e *UnfinishedError) Unwrap() error { return e.Cause }
