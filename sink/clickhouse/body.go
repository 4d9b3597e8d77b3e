package clickhouse

import (
	"errors"
	"io"
	"sync"

	"github.com/ClickHouse/ch-go/compress"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// frameBytes is how much of a block is gathered before it goes on the wire, compressed or not. It
// and its compressed form are all the memory that an insert needs beside the batch.
const frameBytes = 1 << 20

// errBodyClosed is what the transport reads when the insert has returned.
var errBodyClosed = errors.New("the insert has ended")

// body is a batch as a request's body. The transport's goroutine has the batch written straight into the
// connection (WriteTo), so that there is neither a pipe nor a copy between the two.
//
// After close has returned nothing reads the batch any more, whatever the transport still does.
type body struct {
	batch  *batch.Batch
	frames *framePool
	// before and after stand around the batch where it is a part of a form.
	before, after []byte

	mu      sync.Mutex // held while the batch is read; guards what follows
	touched bool
	closed  bool
}

// Read is for a transport that does not know WriteTo. It is not used: the HTTP client copies bodies with io.Copy.
func (b *body) Read([]byte) (int, error) {
	return 0, errors.New("a batch is written, not read")
}

// WriteTo writes the batch as one Native block.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errBodyClosed
	}
	b.touched = true
	frame := b.frames.get(w)
	defer b.frames.put(frame)
	if _, err := frame.Write(b.before); err != nil {
		return frame.written, err
	}
	if err := b.batch.WriteNative(frame); err != nil {
		return frame.written, err
	}
	if _, err := frame.Write(b.after); err != nil {
		return frame.written, err
	}
	err := frame.flush()
	return frame.written, err
}

// close returns when the batch is not read any more, and says whether any of it may have been sent.
// What runs must have been told to end before, by the context of the request.
func (b *body) close() (touched bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.touched
}

// framePool keeps frames for the next insert.
type framePool struct {
	compression Compression
	pool        sync.Pool
}

func (p *framePool) get(w io.Writer) *frame {
	f, _ := p.pool.Get().(*frame)
	if f == nil {
		f = &frame{data: make([]byte, 0, frameBytes)}
		switch p.compression {
		case CompressLZ4:
			f.compressor = compress.NewWriter(compress.LevelZero, compress.LZ4)
		case CompressZSTD:
			f.compressor = compress.NewWriter(compress.LevelZero, compress.ZSTD)
		}
	}
	f.to = w
	return f
}

func (p *framePool) put(f *frame) {
	f.to, f.written, f.data = nil, 0, f.data[:0]
	p.pool.Put(f)
}

// frame gathers writes into pieces of frameBytes, and compresses each into ClickHouse's own frame.
type frame struct {
	to         io.Writer
	compressor *compress.Writer // nil: not compressed
	data       []byte
	written    int64
}

// Write takes p in. Large writes that would not be compressed pass through.
func (f *frame) Write(p []byte) (int, error) {
	if f.compressor == nil && len(p) >= frameBytes {
		if err := f.flush(); err != nil {
			return 0, err
		}
		n, err := f.to.Write(p)
		f.written += int64(n)
		return n, err
	}
	taken := 0
	for len(p) > 0 {
		n := copy(f.data[len(f.data):frameBytes], p)
		f.data = f.data[:len(f.data)+n]
		p = p[n:]
		taken += n
		if len(f.data) == frameBytes {
			if err := f.flush(); err != nil {
				return taken, err
			}
		}
	}
	return taken, nil
}

// flush sends what is gathered.
func (f *frame) flush() error {
	if len(f.data) == 0 {
		return nil
	}
	out := f.data
	if f.compressor != nil {
		if err := f.compressor.Compress(f.data); err != nil {
			return err
		}
		out = f.compressor.Data
	}
	f.data = f.data[:0]
	n, err := f.to.Write(out)
	f.written += int64(n)
	return err
}
