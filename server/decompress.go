package server

import (
	"compress/gzip"
	"errors"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/mem"
)

// minZstdWindow is the window that every zstd decoder must have (RFC 8878), and the most that HTTP's may need (RFC 9659).
const minZstdWindow = 8 << 20

// decompressor decompresses requests up to a limit. It works on as many at a time as there are cores, because what it needs beside the
// request (at most a window) is in no budget.
type decompressor struct {
	limit  int
	places chan struct{}
	// readers are by the name of their encoding.
	readers map[string]*sync.Pool
}

// decompressing reads what another reader has compressed.
type decompressing interface {
	io.Reader
	Reset(io.Reader) error
}

func newDecompressor(c *Config) *decompressor {
	limit := int(c.MaxRequestBytes)
	return &decompressor{limit: limit, places: make(chan struct{}, runtime.GOMAXPROCS(0)), readers: map[string]*sync.Pool{
		"gzip": {New: func() any { return new(gzip.Reader) }},
		"zstd": {New: func() any {
			// With a concurrency of one it has no goroutine, and needs no Close.
			r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxWindow(uint64(c.zstdWindow())))
			if err != nil {
				panic(err) // an option is wrong
			}
			return r
		}},
	}}
}

// zstdWindow returns the largest window that a request may need. A frame in one segment has all of its content as its window.
func (c *Config) zstdWindow() int { return max(minZstdWindow, int(c.MaxRequestBytes)) }

// decompress returns the decompressed data, which it does not free. The error is the status for the client.
func (d *decompressor) decompress(encoding string, data mem.BufferSlice) (mem.BufferSlice, error) {
	d.places <- struct{}{} // whoever has a place waits for nothing
	defer func() { <-d.places }()
	pool := d.readers[encoding]
	reader := pool.Get().(decompressing)
	defer pool.Put(reader)
	from := data.Reader()
	defer func() { _ = from.Close() }() // frees what has not been read
	err := reader.Reset(from)
	var whole mem.BufferSlice
	if err == nil {
		whole, err = mem.ReadAll(io.LimitReader(reader, int64(d.limit)+1), mem.DefaultBufferPool())
	}
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		err = statusTooLarge("max_request_bytes", d.limit, d.limit+1)
	case err != nil:
		err = statusMalformed("the request can't be decompressed with " + encoding)
	case whole.Len() > d.limit:
		err = statusTooLarge("max_request_bytes", d.limit, d.limit+1)
	default:
		return whole, nil
	}
	whole.Free()
	return nil, err
}
