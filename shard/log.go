package shard

import (
	"context"
	"io"

	"github.com/logbatcher/logbatcher/schema"
)

// Log is the write-ahead log, as far as it is about batches.
type Log interface {
	// PutRouting keeps a routing under its hash. It returns once that is durable.
	PutRouting(hash string, data []byte) error
	// Seal writes a batch or dead letter into a file of its own, which it returns once it and the requests of its contents are durable. It
	// tries again while the disk is full or fails, until ctx ends.
	Seal(ctx context.Context, id string, contents *schema.Contents, head []byte, body io.WriterTo) (schema.LogFile, error)
}
