package batch

import (
	"bytes"
	"sync"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// frameBytes is the largest compressed frame before compression.
const frameBytes = 1 << 20

// What becomes a frame without a copy: a column of leastLent bytes, because many small frames are as many small writes, of a batch of
// leastKept, because many small batches in flight would need as many columns, most of them with room for more.
const (
	leastLent = 16 << 10
	leastKept = 1 << 20
)

// blockWriter encodes a block into frames. Compressed, these are pieces of its Native form in ClickHouse's own format. Uncompressed, they
// are the memory of the columns where that is large, and copies of the rest. It writes to memory and never fails.
type blockWriter struct {
	// buffer takes what is small and what is made on the way.
	buffer     proto.Buffer
	compressor *compress.Writer // nil: not compressed
	data       []byte           // the next frame, before compression
	frames     [][]byte
	plainBytes int  // in frames and data
	copies     bool // no column becomes a frame
	lent       bool // a frame is memory of a column
}

// writers pools blockWriters by compression.
var writers = map[Compression]*sync.Pool{Uncompressed: {}, LZ4: {}, ZSTD: {}}

func newBlockWriter(c Compression) *blockWriter {
	if w, pooled := writers[c].Get().(*blockWriter); pooled {
		return w
	}
	w := &blockWriter{compressor: c.compressor()}
	if w.compressor != nil {
		w.data = make([]byte, 0, frameBytes)
	}
	return w
}

// finish completes the frames. The writer must then be released.
func (w *blockWriter) finish() {
	w.flush()
	w.endFrame()
}

// release returns the writer to the pool.
func (w *blockWriter) release(c Compression) {
	w.frames, w.plainBytes, w.copies, w.lent = nil, 0, false, false
	if cap(w.buffer.Buf) <= frameBytes {
		writers[c].Put(w)
	}
}

// write adds a column's memory, which must not change as long as the frames are in use.
func (w *blockWriter) write(p []byte) {
	switch {
	case len(p) < leastLent:
		w.buffer.PutRaw(p)
		w.flushFull()
		return
	case w.compressor != nil:
		w.flush()
		w.compress(p)
		return
	}
	w.flush()
	if w.copies || len(p) < cap(p)/2 { // the memory of a larger batch
		p = bytes.Clone(p)
	} else {
		w.lent = true
	}
	w.add(p)
}

// flush empties buffer.
func (w *blockWriter) flush() {
	if w.compressor != nil {
		w.compress(w.buffer.Buf)
	} else if len(w.buffer.Buf) > 0 {
		w.add(bytes.Clone(w.buffer.Buf))
	}
	w.buffer.Reset()
}

// flushFull flushes a buffer that has grown large.
func (w *blockWriter) flushFull() {
	if len(w.buffer.Buf) >= frameBytes/8 {
		w.flush()
	}
}

// add adds an uncompressed frame.
func (w *blockWriter) add(frame []byte) {
	w.frames = append(w.frames, frame)
	w.plainBytes += len(frame)
}

// compress adds p to the compressed frames.
func (w *blockWriter) compress(p []byte) {
	w.plainBytes += len(p)
	for len(p) > 0 {
		n := copy(w.data[len(w.data):frameBytes], p)
		w.data = w.data[:len(w.data)+n]
		p = p[n:]
		if len(w.data) == frameBytes {
			w.endFrame()
		}
	}
}

// endFrame compresses data.
func (w *blockWriter) endFrame() {
	if len(w.data) == 0 {
		return
	}
	if err := w.compressor.Compress(w.data); err != nil {
		panic("batch: compress a frame: " + err.Error()) // can't happen: only inputs of 4 GiB fail
	}
	w.frames = append(w.frames, bytes.Clone(w.compressor.Data))
	w.data = w.data[:0]
}
