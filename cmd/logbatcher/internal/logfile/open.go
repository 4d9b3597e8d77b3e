package logfile

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// File is a log file being read. Read gives its text, decompressed when the file is gzip.
// Position may be called while another goroutine reads.
type File struct {
	file *os.File
	info os.FileInfo
	text io.Reader
	read atomic.Int64
}

// Open opens the file at path. Whether it is gzip is told by its first bytes, not by its name.
func Open(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{file: file}
	if f.info, err = file.Stat(); err == nil && f.info.IsDir() {
		err = fmt.Errorf("%s is a directory", path)
	}
	if err == nil {
		f.text, err = Decompress(countingReader{file, &f.read})
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

// Read reads text.
func (f *File) Read(p []byte) (int, error) { return f.text.Read(p) }

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

// Size is the length of the file in bytes, compressed as it lies on disk, when it was opened;
// 0 for what is not a regular file.
func (f *File) Size() int64 {
	if !f.info.Mode().IsRegular() {
		return 0
	}
	return f.info.Size()
}

// Position is how many of the file's bytes have been read, compressed as they lie on disk.
// It runs ahead of the records by the buffers between.
func (f *File) Position() int64 { return f.read.Load() }

// ModTime is when the file was last written, when it was opened. It is a good [Options.Now]
// for a file whose time stamps have no year.
func (f *File) ModTime() time.Time { return f.info.ModTime() }

// Decompress returns the text of r: r itself, or what its gzip data hold when it begins
// with gzip's magic number. It reads ahead of what it gives out.
func Decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	magic, err := buffered.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(magic) != "\x1f\x8b\x08" {
		return buffered, nil
	}
	unzipped, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return unzipped, nil
}

type countingReader struct {
	src  io.Reader
	read *atomic.Int64
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.read.Add(int64(n))
	return n, err
}
