package batch

import (
	"fmt"
	"io"
)

// windowBytes is how much of a block is read from its file at once. A multiple of the pieces that have a checksum is cheapest.
const windowBytes = 256 << 10

// Frames returns a new reader of the bytes that go on the wire. It can also write them, without the copy that Read makes.
func (b *Block) Frames() io.Reader { return &frameReader{block: b} }

// WriteTo writes the bytes that go on the wire: the body of the block's file.
func (b *Block) WriteTo(w io.Writer) (int64, error) { return (&frameReader{block: b}).WriteTo(w) }

// frameReader reads a block's frames, from memory as long as they are there.
type frameReader struct {
	block *Block
	// frame and at are where it is in the frames in memory, offset is where that is in the file.
	frame, at int
	offset    int64
	window    []byte // read from the file, and not from here
	buffer    []byte // has the window's memory
}

// Read copies from one frame, or from what was read of the file.
func (r *frameReader) Read(p []byte) (int, error) {
	if done, err := r.peek(func(next []byte) (int, error) { return copy(p, next), nil }); done > 0 || err != nil || len(p) == 0 {
		return done, err
	}
	return 0, io.EOF
}

// WriteTo writes the rest of the frames.
func (r *frameReader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := r.peek(w.Write)
		total += int64(n)
		if n == 0 || err != nil {
			return total, err
		}
	}
}

// peek gives use the next bytes, unless there are none, and goes on by as many as it returns.
func (r *frameReader) peek(use func(next []byte) (int, error)) (n int, err error) {
	b := r.block
	switch {
	case b.released.Load():
		return 0, errReleased
	case b.enter():
		defer b.leave()
		if r.frame == len(b.frames) {
			return 0, nil
		}
		frame := b.frames[r.frame]
		n, err = use(frame[r.at:])
		r.offset += int64(n)
		if r.at += n; r.at == len(frame) {
			r.frame, r.at = r.frame+1, 0
		}
		return n, err
	case b.file == nil: // it was released just now
		return 0, errReleased
	}
	if err := r.fill(); err != nil || len(r.window) == 0 {
		return 0, err
	}
	n, err = use(r.window)
	r.offset, r.window = r.offset+int64(n), r.window[n:]
	return n, err
}

// ReadError is the error of a file from which a batch can't be read.
type ReadError struct {
	// Batch is the batch's id.
	Batch string
	// Err is the file's error.
	Err error
}

// Error names the batch.
func (e *ReadError) Error() string {
	return fmt.Sprintf("read batch %s from its file: %v", e.Batch, e.Err)
}

// Unwrap returns the file's error.
func (e *ReadError) Unwrap() error { return e.Err }

// fill reads the next window from the file, if the last one is used up.
func (r *frameReader) fill() error {
	left := r.block.file.Size() - r.offset
	if len(r.window) > 0 || left <= 0 {
		return nil
	}
	if r.buffer == nil {
		r.buffer = make([]byte, min(windowBytes, left))
	}
	want := r.buffer[:min(windowBytes-r.offset%windowBytes, left, int64(len(r.buffer)))]
	n, err := r.block.file.ReadAt(want, r.offset)
	if n < len(want) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return &ReadError{Batch: r.block.id, Err: err}
	}
	r.window = want
	return nil
}
