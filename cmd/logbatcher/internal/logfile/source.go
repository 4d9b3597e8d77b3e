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

// source reads an input in a goroutine, one Read at a time, so that next need not wait for it. The goroutine ends when the
// input's Read returns.
type source struct {
	ctx    context.Context
	in     io.Reader
	wait   time.Duration // 0: as long as it takes
	reads  chan read     // receives the result of the Read in progress
	busy   bool          // a Read is in progress
	buffer []byte        // belongs to the goroutine while busy
}

// read is the result of a Read.
type read struct {
	n   int
	err error
}

func newSource(ctx context.Context, in io.Reader, wait time.Duration) *source {
	return &source{ctx: ctx, in: in, wait: wait, reads: make(chan read, 1), buffer: make([]byte, 64<<10)}
}

// next returns the next bytes, which are valid until the next call; an error follows them. It returns ErrQuiet if nothing
// arrives in time. After ctx has ended, it returns what arrives in that time, then ErrStopped.
func (s *source) next() ([]byte, error) {
	if !s.busy {
		if s.ctx.Err() != nil {
			return nil, ErrStopped
		}
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
		s.busy = false
		return s.buffer[:got.n], got.err
	case <-quiet:
		if s.ctx.Err() != nil {
			return nil, ErrStopped
		}
		return nil, ErrQuiet
	}
}
