package batch

import (
	"bytes"
	"slices"
	"sync"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// frameBytes is the largest frame before compression. Uncompressed writes of at least directBytes become frames of their own, so that
// they are copied only once.
const (
	frameBytes  = 1 << 20
	directBytes = 64 << 10
)

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
	w := &blockWriter{compressor: c.compressor(), buffer: &proto.Buffer{}, data: make([]byte, 0, frameBytes)}
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
	if w.compressor == nil && len(p) >= directBytes {
		w.endFrame()
		for piece := range slices.Chunk(p, frameBytes) {
			w.frames = append(w.frames, bytes.Clone(piece))
		}
		return len(p), nil
	}
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

// endFrame makes a frame of data.
func (w *blockWriter) endFrame() {
	if len(w.data) == 0 {
		return
	}
	frame := w.data
	if w.compressor != nil {
		if err := w.compressor.Compress(w.data); err != nil {
			panic("batch: compress a frame: " + err.Error()) // can't happen: only inputs of 4 GiB fail
		}
		frame = w.compressor.Data
	}
	w.frames = append(w.frames, bytes.Clone(frame))
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
