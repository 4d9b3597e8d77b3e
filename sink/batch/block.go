package batch

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/ClickHouse/ch-go/compress"

	"github.com/logbatcher/logbatcher/schema"
)

// Block is a sealed batch: its rows encoded as one Native block and compressed once, with everything needed to send it, look it up,
// cut it, and send it again. It is immutable, so any number of goroutines may read it at any time.
//
// A block that is in a file of the write-ahead log can leave memory: its frames are then read from the file, a piece at a time.
//
// Its owner releases it once nothing needs its rows. A reader that a transport still holds then fails; it never reads the bytes of
// another block.
type Block struct {
	// users counts the owner, until Release or Evict, and the readers that are copying from memory right now. At 0 the frames' memory is
	// reused.
	users atomic.Int64
	// inMemory is true until Release or Evict, released is true after Release.
	inMemory, released atomic.Bool
	// file has the frames too. Nil: no file has.
	file schema.LogFile
	// freed is called by Evict. Nil: nobody asks.
	freed func()
	// recovered means that an earlier process has made the block.
	recovered bool
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
	memory      int // of the frames
}

// newBlock returns a block with the frames of the writer, and releases that.
func newBlock(id string, l *Layout, p *Partition, rows int, origins []Origin, c Compression, w *blockWriter) *Block {
	w.finish()
	b := &Block{
		id: id, layout: l, partition: p, rows: rows, origins: origins, compression: c, frames: w.frames, plainBytes: w.plainBytes,
	}
	w.release(c)
	b.users.Store(1)
	b.inMemory.Store(true)
	for _, frame := range b.frames {
		b.memory += cap(frame)
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

// Recovered reports whether an earlier process has made the block.
func (b *Block) Recovered() bool { return b.recovered }

// Bytes returns the memory that the block occupies now.
func (b *Block) Bytes() int {
	bytes := blockBytes + originBytes*len(b.origins)
	if b.inMemory.Load() {
		bytes += b.memory
	}
	return bytes
}

// Origins returns the origins of the rows, in order. It must not be modified.
func (b *Block) Origins() []Origin { return b.origins }

// errReleased is what the readers of a block return after its release.
var errReleased = errors.New("the block was released")

// Keep says that the file has the frames as its body, so that the block can be evicted. Evict then calls freed once, if that is not nil, after
// Bytes has changed. Keep is called before other goroutines read the block.
func (b *Block) Keep(file schema.LogFile, freed func()) { b.file, b.freed = file, freed }

// Evict frees the memory of a block that is in a file, as soon as nobody copies from it. Readers go on where they are, from the file.
func (b *Block) Evict() {
	if b.file == nil || !b.inMemory.CompareAndSwap(true, false) {
		return
	}
	b.leave()
	if b.freed != nil {
		b.freed()
	}
}

// Release allows the memory of the frames to be reused. After it, Cut and readers of Frames and Native fail. Call it once.
func (b *Block) Release() {
	b.released.Store(true)
	if b.inMemory.CompareAndSwap(true, false) {
		b.leave()
	}
}

// enter keeps the frames in memory until leave, or reports that they are not there.
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
