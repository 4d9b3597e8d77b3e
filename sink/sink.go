package sink

import (
	"context"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// Sink is a table store that blocks are inserted into, whole or not at all.
// All methods may be called by several goroutines at once.
type Sink interface {
	// Insert sends the block once. Nil means that the store has acknowledged it. Any other
	// result is an *Error, whose class says what may have happened to the rows; in doubt that is
	// Ambiguous.
	Insert(ctx context.Context, b *batch.Block, a Attempt) error
	// Present returns how many rows of the block are in its table, and whether an attempt to
	// insert it may still be running on the server. It sees every insert that was acknowledged
	// before the call. Errors are *Error.
	Present(ctx context.Context, b *batch.Block) (Presence, error)
}

// Attempt identifies one try at inserting a batch.
type Attempt struct {
	// Number counts the tries, from 1.
	Number int
	// Token is the deduplication token: the same for all tries until a token is known to be burned.
	Token string
	// QueryID names the try on the server: the batch's id, a dash and the number.
	QueryID string
}

// Presence is what the store knows of a block.
type Presence struct {
	// Rows is how many of the batch's rows are in the table. All were stored if any is there: others were deleted since.
	Rows int
	// Running says that an attempt may still be running.
	Running bool
}
