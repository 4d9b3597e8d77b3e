package batch

import (
	"bytes"
	"fmt"
	"io"

	"github.com/ClickHouse/ch-go/compress"
)

// Block is a sealed batch: its rows encoded as one Native block and compressed, once, with everything that it takes to send it, to
// look it up, to cut it and to send it again. It is immutable and shares no memory with its batch, so that any number of goroutines
// may read it at any time.
type Block struct {
	id          string
	layout      *Layout
	partition   *Partition
	rows        int
	origins     []Origin
	compression Compression
	frames      [][]byte
	plainBytes  int // of the Native block
	bytes       int
}

// newBlock returns a block with the frames that were written.
func newBlock(id string, l *Layout, p *Partition, rows int, origins []Origin, c Compression, w *blockWriter) *Block {
	b := &Block{id: id, layout: l, partition: p, rows: rows, origins: origins, compression: c}
	b.frames, b.plainBytes = w.finish(c)
	b.bytes = blockBytes + originBytes*len(origins)
	for _, frame := range b.frames {
		b.bytes += len(frame)
	}
	return b
}

// ID returns the id of the batch, which is also in the column of that source in every row.
func (b *Block) ID() string { return b.id }

// Layout returns the layout that the rows were made for.
func (b *Block) Layout() *Layout { return b.layout }

// Partition returns the partition that all rows belong to.
func (b *Block) Partition() *Partition { return b.partition }

// Rows returns the number of rows.
func (b *Block) Rows() int { return b.rows }

// Compression returns how the frames are compressed.
func (b *Block) Compression() Compression { return b.compression }

// Bytes returns the memory that the block occupies.
func (b *Block) Bytes() int { return b.bytes }

// Origins returns where the rows come from, in their order. The block keeps the slice.
func (b *Block) Origins() []Origin { return b.origins }

// Frames returns a reader of what goes on the wire.
func (b *Block) Frames() io.Reader {
	readers := make([]io.Reader, len(b.frames))
	for i, frame := range b.frames {
		readers[i] = bytes.NewReader(frame)
	}
	return io.MultiReader(readers...)
}

// Native returns a reader of the rows as one Native block, in the form that INSERT … FORMAT Native reads over HTTP (protocol
// revision 0).
func (b *Block) Native() io.Reader {
	if b.compression == Uncompressed {
		return b.Frames()
	}
	return io.LimitReader(compress.NewReader(b.Frames()), int64(b.plainBytes))
}

// OriginsOf returns where the rows come from, in their order.
func (b *Block) OriginsOf(rows RowSet) []Origin { return originsOf(b.origins, rows) }

// Cut returns the rows, of which there is at least one, as a separate block with its own id. The same rows are the same bytes
// each time. An error means that the frames were damaged.
func (b *Block) Cut(id string, rows RowSet) (*Block, error) {
	w := newBlockWriter(b.compression)
	if err := cut(w, b, id, rows); err != nil {
		return nil, fmt.Errorf("cut %s from batch %s: %w", id, b.id, err)
	}
	return newBlock(id, b.layout, b.partition, rows.Size(), b.OriginsOf(rows), b.compression, w), nil
}
