package batch

import (
	"bytes"
	"io"
	"sync"

	"github.com/ClickHouse/ch-go/proto"
)

// pieceBytes is about how much is put together in a buffer before it is written. What columns hold
// in the block's form is written from where it is, whatever its size.
const pieceBytes = 64 << 10

// nativeWriter writes a Native block: ch-go's writer, which gathers pieces of columns and of its own buffer,
// and that buffer's fill.
type nativeWriter struct {
	*proto.Writer
	buffer *proto.Buffer
}

// buffers has the buffers of writers. They stay about as large as a piece.
var buffers = sync.Pool{New: func() any { return &proto.Buffer{Buf: make([]byte, 0, 2*pieceBytes)} }}

func newNativeWriter(w io.Writer) *nativeWriter {
	buffer := buffers.Get().(*proto.Buffer)
	return &nativeWriter{Writer: proto.NewWriter(w, buffer), buffer: buffer}
}

// release gives the buffer back.
func (w *nativeWriter) release() {
	if cap(w.buffer.Buf) <= 4*pieceBytes {
		w.buffer.Reset()
		buffers.Put(w.buffer)
	}
}

// flush hands all that was gathered to the destination.
func (w *nativeWriter) flush() error {
	_, err := w.Flush()
	return err
}

// flushFull does so where the buffer has grown to a piece. It is called between values that are made on the way.
func (w *nativeWriter) flushFull() error {
	if len(w.buffer.Buf) < pieceBytes {
		return nil
	}
	return w.flush()
}

// repeat writes the text as many times.
func (w *nativeWriter) repeat(text []byte, times int) {
	perPiece := min(times, max(1, pieceBytes/4/len(text)))
	piece := bytes.Repeat(text, perPiece)
	for ; times >= perPiece && times > 0; times -= perPiece {
		w.ChainWrite(piece)
	}
	w.ChainWrite(piece[:times*len(text)])
}

// WriteNative writes the rows as one Native block, in the form that INSERT … FORMAT Native reads over HTTP
// (protocol revision 0). Columns are written one after the other from where they are; only what is
// expanded on the way is put together, in pieces. It may be called several times and
// by several goroutines once no row is added any more, and gives the same bytes each time.
func (b *Batch) WriteNative(w io.Writer) error {
	out := newNativeWriter(w)
	defer out.release()
	out.buffer.PutInt(len(b.columns.cells))
	out.buffer.PutInt(b.rows)
	for i := range b.columns.cells {
		cell := &b.columns.cells[i]
		out.buffer.PutString(cell.projection.name)
		out.buffer.PutString(cell.projection.typeText)
		if b.rows == 0 {
			continue
		}
		cell.column.writeState(out.buffer)
		if err := cell.column.write(out); err != nil {
			return err
		}
		if err := out.flush(); err != nil {
			return err
		}
	}
	return out.flush()
}

// EncodedBytes returns how many bytes WriteNative writes. That is more than Bytes where what many rows have in
// common is kept once.
func (b *Batch) EncodedBytes() int {
	size := uvarintSize(uint64(len(b.columns.cells))) + uvarintSize(uint64(b.rows)) + b.layout.headerBytes
	if b.rows == 0 {
		return size
	}
	for i := range b.columns.cells {
		size += b.columns.cells[i].column.encoded()
	}
	return size
}

// uvarintSize is how many bytes a length takes in a block.
func uvarintSize(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}
