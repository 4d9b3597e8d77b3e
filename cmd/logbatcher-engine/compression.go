package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
)

// compressFrameBytes is how much data one compressed frame holds at most, as
// with a server's max_compress_block_size.
const compressFrameBytes = 1 << 20

// compressed wraps data into ClickHouse's own compressed frames.
func compressed(data []byte, method string) ([]byte, error) {
	writer := compress.NewWriter(0, compressionMethod(method))
	var out []byte
	for len(data) > 0 {
		n := min(len(data), compressFrameBytes)
		if err := writer.Compress(data[:n]); err != nil {
			return nil, fmt.Errorf("compress output: %w", err)
		}
		out = append(out, writer.Data...)
		data = data[n:]
	}
	return out, nil
}

func compressionMethod(name string) compress.Method {
	if strings.EqualFold(name, "ZSTD") {
		return compress.ZSTD
	}
	return compress.LZ4
}

// frameReader reads the content of compressed frames. The end of the stream
// between two frames is io.EOF; inside of one it is io.ErrUnexpectedEOF.
type frameReader struct {
	source *countingReader
	frames *compress.Reader
}

func newFrameReader(source io.Reader) *frameReader {
	counting := &countingReader{reader: source}
	return &frameReader{counting, compress.NewReader(counting)}
}

func (f *frameReader) Read(buffer []byte) (int, error) {
	f.source.fresh = true
	n, err := f.frames.Read(buffer)
	if err != nil && f.source.fresh && f.source.ended {
		return n, io.EOF // nothing of a further frame was there
	}
	if err != nil && f.source.ended {
		return n, fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return n, err
}

// A countingReader remembers whether it has given any byte since fresh was
// set, and whether its source has ended.
type countingReader struct {
	reader io.Reader
	fresh  bool
	ended  bool
}

func (c *countingReader) Read(buffer []byte) (int, error) {
	n, err := c.reader.Read(buffer)
	if n > 0 {
		c.fresh = false
	}
	if err == io.EOF {
		c.ended = true
	}
	return n, err
}

// requestBody returns a request's body, out of ClickHouse's compressed frames if it is in frames. HTTP's own compression is
// not supported.
func requestBody(r *http.Request, frames bool) (io.Reader, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" {
		return nil, exception(89, "UNKNOWN_COMPRESSION_METHOD", "Unknown compression method: %s", encoding)
	}
	var body io.Reader = r.Body
	if frames {
		body = newFrameReader(body)
	}
	return bodyReader{body}, nil
}
