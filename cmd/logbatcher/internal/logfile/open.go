package logfile

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// File is an input of a [Reader] that lies on disk. Position may be called while another goroutine reads.
type File struct {
	path string
	info os.FileInfo
	file atomic.Pointer[os.File] // nil before the first Read of a named pipe
	read atomic.Int64
}

// Open opens the file at path. A named pipe, which makes its opener wait for a writer, is opened by the first Read.
func Open(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", path)
	}
	f := &File{path: path, info: info}
	if info.Mode()&os.ModeNamedPipe == 0 {
		if _, err := f.open(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *File) open() (*os.File, error) {
	if file := f.file.Load(); file != nil {
		return file, nil
	}
	file, err := os.Open(f.path)
	if err == nil {
		f.file.Store(file)
	}
	return file, err
}

// Read reads the file's bytes as they are.
func (f *File) Read(p []byte) (int, error) {
	file, err := f.open()
	if err != nil {
		return 0, err
	}
	n, err := file.Read(p)
	f.read.Add(int64(n))
	return n, err
}

// Close closes the file.
func (f *File) Close() error {
	if file := f.file.Load(); file != nil {
		return file.Close()
	}
	return nil
}

// Size returns the file's length in bytes when it was opened, and 0 for what is not a regular file.
func (f *File) Size() int64 {
	if !f.info.Mode().IsRegular() {
		return 0
	}
	return f.info.Size()
}

// Position returns how many bytes have been read. It runs ahead of the records by the buffers between.
func (f *File) Position() int64 { return f.read.Load() }

// Now is the file's clock, see [Clock].
func (f *File) Now() time.Time { return clock(f.info) }

// Clock returns the clock of an input, for [Options.Now]: the time at which a regular file was last written, else the
// present. A file that claims to be older than log files are has lost its time, as in an archive made to be reproducible.
func Clock(in io.Reader) func() time.Time {
	if file, ok := in.(*os.File); ok {
		if info, err := file.Stat(); err == nil {
			return func() time.Time { return clock(info) }
		}
	}
	return time.Now
}

func clock(info os.FileInfo) time.Time {
	if written := info.ModTime(); info.Mode().IsRegular() && written.Year() > 1990 {
		return written
	}
	return time.Now()
}
