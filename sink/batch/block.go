package batch

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/ClickHouse/ch-go/compress"
)

// Block is a sealed batch: its rows encoded as one Native block and compressed once, with everything needed to send it, look it up,
// cut it, and send it again. It is immutable, so any number of goroutines may read it at any time.
//
// Its owner releases it once nothing needs its rows. A reader that a transport still holds then fails; it never reads the bytes of
// another block.
type Block struct {
	// users counts the owner, until Release, and the readers that are copying right now. At 0 the frames' memory is reused.
	users atomic.Int64
	// columns are the columns whose memory is in frames, or nil.
	columns     *columns
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

// newBlock returns a block with the frames of the writer, and releases that.
func newBlock(id string, l *Layout, p *Partition, rows int, origins []Origin, c Compression, w *blockWriter) *Block {
	w.finish()
	b := &Block{
		id: id, layout: l, partition: p, rows: rows, origins: origins, compression: c, frames: w.frames, plainBytes: w.plainBytes,
	}
	w.release(c)
	b.users.Store(1)
	b.bytes = blockBytes + originBytes*len(origins)
	for _, frame := range b.frames {
		b.bytes += cap(frame)
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

// errReleased is what the readers of a block return after its release.
var errReleased = errors.New("the block was released")

// Release allows the memory of the frames to be reused. After it, Cut and readers of Frames and Native fail. Call it once.
func (b *Block) Release() { b.leave() }

// enter keeps the frames until leave, or reports that they are gone.
func (b *Block) enter() bool {
	for {
		users := b.users.Load()
		if users == 0 {
			return false
		}
		if b.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

func (b *Block) leave() {
	if b.users.Add(-1) > 0 {
		return
	}
	b.frames = nil
	if b.columns != nil {
		b.layout.reuse(b.columns)
		b.columns = nil
	}
}

// Frames returns a new reader of the bytes that go on the wire.
func (b *Block) Frames() io.Reader { return &frameReader{block: b} }

// frameReader reads a block's frames.
type frameReader struct {
	block *Block
	frame int // the next one
	at    int // in that frame
}

// Read copies from one frame.
func (r *frameReader) Read(p []byte) (int, error) {
	if !r.block.enter() {
		return 0, errReleased
	}
	defer r.block.leave()
	if r.frame == len(r.block.frames) {
		return 0, io.EOF
	}
	frame := r.block.frames[r.frame]
	n := copy(p, frame[r.at:])
	if r.at += n; r.at == len(frame) {
		r.frame, r.at = r.frame+1, 0
	}
	return n, nil
}

// WriteTo writes the rest of the frames, without the copy that Read makes.
func (r *frameReader) WriteTo(w io.Writer) (total int64, err error) {
	if !r.block.enter() {
		return 0, errReleased
	}
	defer r.block.leave()
	for ; r.frame < len(r.block.frames); r.frame, r.at = r.frame+1, 0 {
		n, err := w.Write(r.block.frames[r.frame][r.at:])
		total += int64(n)
		if err != nil {
			r.at += n
			return total, err
		}
	}
	return total, nil
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
func (b *Block) OriginsOf(rows RowSet) []Origin { return OriginsOf(b.origins, rows) }

// Anywhere returns a block that only serves to look these rows up under an id, in whatever partition they are.
func (b *Block) Anywhere(id string) *Block { return &Block{id: id, layout: b.layout, rows: b.rows} }

// Cut returns rows, at least one, as a separate block with its own id. The same rows always give the same bytes. It fails if the frames
// are damaged or the block was released.
func (b *Block) Cut(id string, rows RowSet) (*Block, error) {
	w := newBlockWriter(b.compression)
	if err := cut(w, b, id, rows); err != nil {
		return nil, fmt.Errorf("cut %s from batch %s: %w", id, b.id, err)
	}
	return newBlock(id, b.layout, b.partition, rows.Size(), b.OriginsOf(rows), b.compression, w), nil
}
