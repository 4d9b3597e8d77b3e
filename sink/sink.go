package sink

import (
	"context"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// Sink is a store of tables into which blocks are inserted completely or not at all. It is safe for concurrent use.
type Sink interface {
	// Insert sends the block once. Nil means that the store has acknowledged it. Any error is an *Error, whose class says what may
	// have happened to the rows; in doubt it is Ambiguous.
	Insert(ctx context.Context, b *batch.Block, a Attempt) error
	// Present looks the block up in its table. It sees every insert that was acknowledged before the call. Errors are *Error.
	Present(ctx context.Context, b *batch.Block) (Presence, error)
}

// Finder is a Sink that can look many blocks up at once.
type Finder interface {
	// Find returns the numbers of rows of those blocks, all of one table, that it finds, by their ids. That a block is not found decides
	// nothing: Present has to be asked. The error is an *Error.
	Find(ctx context.Context, blocks []*batch.Block) (map[string]int, error)
}

// Attempt identifies one attempt to insert a block.
type Attempt struct {
	// Number counts attempts, from 1.
	Number int
	// Token is the deduplication token: the same for all attempts until it is known to be burned.
	Token string
	// QueryID identifies the attempt on the server: the batch's id, a dash and the number.
	QueryID string
}

// Presence is the result of a lookup.
type Presence struct {
	// Rows is the number of the block's rows in the table. If any is there, all were stored: others were deleted since.
	Rows int
	// Running means that an attempt may still be running on the server.
	Running bool
}
