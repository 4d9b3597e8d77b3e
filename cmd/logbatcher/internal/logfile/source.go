package logfile

import (
	"context"
	"errors"
	"io"
	"time"
)

var (
	// ErrQuiet means that nothing arrived for [Options.Wait] and no entry is pending. The input has not ended.
	ErrQuiet = errors.New("input is quiet")
	// ErrStopped means that the context ended before the input did.
	ErrStopped = errors.New("reading was stopped")
)

// source reads an input in a goroutine, one Read at a time, so that its own Read need not wait for it. The goroutine ends
// when the input's Read returns.
type source struct {
	ctx    context.Context
	in     io.Reader
	wait   time.Duration // 0: for as long as it takes
	reads  chan read     // holds the result of the Read in progress
	buffer []byte        // belongs to the goroutine during a Read
	busy   bool          // a Read is in progress
	rest   []byte        // of buffer, not yet returned
	err    error         // follows rest
}

// read is the result of a Read.
type read struct {
	n   int
	err error
}

func newSource(ctx context.Context, in io.Reader, wait time.Duration) *source {
	return &source{ctx: ctx, in: in, wait: wait, reads: make(chan read, 1), buffer: make([]byte, 64<<10)}
}

// Read returns ErrQuiet if nothing arrives in time. After the context has ended, it returns what arrives in that time, then
// ErrStopped.
func (s *source) Read(p []byte) (int, error) {
	if len(s.rest) == 0 && s.err == nil {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	if n > 0 {
		return n, nil
	}
	return 0, s.err
}

func (s *source) fill() error {
	if !s.busy && s.ctx.Err() != nil {
		return ErrStopped
	}
	if !s.busy {
		s.busy = true
		go func() {
			n, err := s.in.Read(s.buffer)
			s.reads <- read{n, err}
		}()
	}
	var quiet <-chan time.Time
	if s.wait > 0 {
		quiet = time.After(s.wait)
	}
	select {
	case got := <-s.reads:
		s.busy, s.rest, s.err = false, s.buffer[:got.n], got.err
		return nil
	case <-quiet:
		if s.ctx.Err() != nil {
			return ErrStopped
		}
		return ErrQuiet
	}
}
