package batch

import (
	"bytes"
	"sync"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// frameBytes is the largest frame before compression.
const frameBytes = 1 << 20

// chunks are the memory of large uncompressed frames, to be used again: fresh memory costs as much as encoding does.
var chunks = sync.Pool{New: func() any { return new([frameBytes]byte) }}

// blockWriter encodes a block into frames: pieces of its Native form, each compressed into a frame of ClickHouse's own format, or
// left uncompressed. It writes to memory and never fails. Columns write to the embedded ch-go writer, which keeps references
// until flush, or to buffer.
type blockWriter struct {
	*proto.Writer
	buffer     *proto.Buffer
	compressor *compress.Writer // nil: not compressed
	data       []byte           // the next frame, before compression
	frames     [][]byte
	plainBytes int // written so far
}

// writers pools blockWriters by compression.
var writers = map[Compression]*sync.Pool{Uncompressed: {}, LZ4: {}, ZSTD: {}}

func newBlockWriter(c Compression) *blockWriter {
	if w, pooled := writers[c].Get().(*blockWriter); pooled {
		return w
	}
	w := &blockWriter{compressor: c.compressor(), buffer: &proto.Buffer{}, data: chunks.Get().(*[frameBytes]byte)[:0]}
	w.Writer = proto.NewWriter(w, w.buffer)
	return w
}

// finish returns the block's frames and its size before compression, and returns the writer to the pool.
func (w *blockWriter) finish(c Compression) (frames [][]byte, plainBytes int) {
	w.flush()
	w.endFrame()
	frames, plainBytes = w.frames, w.plainBytes
	w.frames, w.plainBytes = nil, 0
	if cap(w.buffer.Buf) <= frameBytes {
		writers[c].Put(w)
	}
	return frames, plainBytes
}

// Write adds p to the frames. The embedded writer flushes to it.
func (w *blockWriter) Write(p []byte) (int, error) {
	w.plainBytes += len(p)
	for rest := p; len(rest) > 0; {
		n := copy(w.data[len(w.data):frameBytes], rest)
		w.data = w.data[:len(w.data)+n]
		rest = rest[n:]
		if len(w.data) == frameBytes {
			w.endFrame()
		}
	}
	return len(p), nil
}

// endFrame makes a frame of data. Uncompressed, a chunk that is nearly full becomes the frame itself.
func (w *blockWriter) endFrame() {
	switch {
	case len(w.data) == 0:
		return
	case w.compressor != nil:
		if err := w.compressor.Compress(w.data); err != nil {
			panic("batch: compress a frame: " + err.Error()) // can't happen: only inputs of 4 GiB fail
		}
		w.frames = append(w.frames, bytes.Clone(w.compressor.Data))
	case len(w.data) > frameBytes/8*7:
		w.frames = append(w.frames, w.data)
		w.data = chunks.Get().(*[frameBytes]byte)[:0]
		return
	default:
		w.frames = append(w.frames, bytes.Clone(w.data))
	}
	w.data = w.data[:0]
}

// flush writes what the embedded writer holds. Columns may change afterwards.
func (w *blockWriter) flush() { _, _ = w.Flush() } // Write never fails

// flushFull flushes a buffer that has grown large.
func (w *blockWriter) flushFull() {
	if len(w.buffer.Buf) >= frameBytes/8 {
		w.flush()
	}
}
