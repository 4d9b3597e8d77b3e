package batch

import (
	"bytes"
	"fmt"
	"io"

	"github.com/ClickHouse/ch-go/compress"
)

// Block is a sealed batch: its rows encoded as one Native block and compressed once, with everything needed to send it, look it up,
// cut it, and send it again. It is immutable and shares no memory with its batch, so any number of goroutines may read it at any
// time.
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

// newBlock returns a block with the frames of the writer.
func newBlock(id string, l *Layout, p *Partition, rows int, origins []Origin, c Compression, w *blockWriter) *Block {
	b := &Block{id: id, layout: l, partition: p, rows: rows, origins: origins, compression: c}
	b.frames, b.plainBytes = w.finish(c)
	b.bytes = blockBytes + originBytes*len(origins)
	for _, frame := range b.frames {
		b.bytes += len(frame)
	}
	return b
}

// ID returns the batch's id, which is also in every row, in the column with that source.
func (b *Block) ID() string { return b.id }

// Layout returns the layout of the rows.
func (b *Block) Layout() *Layout { return b.layout }

// Partition returns the partition of all rows.
func (b *Block) Partition() *Partition { return b.partition }

// Rows returns the number of rows.
func (b *Block) Rows() int { return b.rows }

// Compression returns how the frames are compressed.
func (b *Block) Compression() Compression { return b.compression }

// Bytes returns the memory that the block occupies.
func (b *Block) Bytes() int { return b.bytes }

// Origins returns the origins of the rows, in order. It must not be modified.
func (b *Block) Origins() []Origin { return b.origins }

// Frames returns a new reader of the bytes that go on the wire.
func (b *Block) Frames() io.Reader {
	readers := make([]io.Reader, len(b.frames))
	for i, frame := range b.frames {
		readers[i] = bytes.NewReader(frame)
	}
	return io.MultiReader(readers...)
}

// Native returns a new reader of the rows as one uncompressed Native block, in the form that INSERT … FORMAT Native expects over HTTP
// (protocol revision 0).
func (b *Block) Native() io.Reader {
	if b.compression == Uncompressed {
		return b.Frames()
	}
	return io.LimitReader(compress.NewReader(b.Frames()), int64(b.plainBytes))
}

// OriginsOf returns the origins of some of the rows, in order.
func (b *Block) OriginsOf(rows RowSet) []Origin { return originsOf(b.origins, rows) }

// Cut returns rows, at least one, as a separate block with its own id. The same rows always give the same bytes. It fails only if the
// frames are damaged.
func (b *Block) Cut(id string, rows RowSet) (*Block, error) {
	w := newBlockWriter(b.compression)
	if err := cut(w, b, id, rows); err != nil {
		return nil, fmt.Errorf("cut %s from batch %s: %w", id, b.id, err)
	}
	return newBlock(id, b.layout, b.partition, rows.Size(), b.OriginsOf(rows), b.compression, w), nil
}
