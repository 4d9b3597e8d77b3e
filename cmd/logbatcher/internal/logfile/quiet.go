package logfile

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// ErrQuiet means that nothing arrived for [Options.FoldWait] and that no record is pending. The input has not ended.
var ErrQuiet = errors.New("input is quiet")

// quietReader reads src in its own goroutine, so that Read can stop waiting: it returns ErrQuiet when nothing
// arrives within wait. The goroutine starts with the first Read and ends with the input, or after close once the
// source's Read returns.
type quietReader struct {
	src  io.Reader
	wait time.Duration

	start  sync.Once
	stop   sync.Once
	pieces chan piece    // sent by the goroutine, closed by nobody
	taken  chan struct{} // sent by Read: the buffer may be used again
	done   chan struct{} // closed by close
	rest   []byte        // what Read has not given out yet
	err    error         // what came with rest
	open   bool          // a piece is being given out
}

type piece struct {
	data []byte
	err  error
}

func newQuietReader(src io.Reader, wait time.Duration) *quietReader {
	return &quietReader{
		src: src, wait: wait,
		pieces: make(chan piece), taken: make(chan struct{}), done: make(chan struct{}),
	}
}

func (q *quietReader) Read(p []byte) (int, error) {
	q.start.Do(func() { go q.pump() })
	if !q.open {
		timer := time.NewTimer(q.wait)
		defer timer.Stop()
		select {
		case got := <-q.pieces:
			q.rest, q.err, q.open = got.data, got.err, true
		case <-timer.C:
			return 0, ErrQuiet
		case <-q.done:
			return 0, os.ErrClosed
		}
	}
	n := copy(p, q.rest)
	q.rest = q.rest[n:]
	if len(q.rest) > 0 {
		return n, nil
	}
	if q.err != nil {
		return n, q.err
	}
	q.open = false
	select {
	case q.taken <- struct{}{}:
	case <-q.done:
	}
	return n, nil
}

// pump lends its one buffer to Read and waits until it is given back.
func (q *quietReader) pump() {
	buf := make([]byte, 32<<10)
	for {
		n, err := q.src.Read(buf)
		if n == 0 && err == nil {
			continue
		}
		select {
		case q.pieces <- piece{buf[:n], err}:
		case <-q.done:
			return
		}
		if err != nil {
			return
		}
		select {
		case <-q.taken:
		case <-q.done:
			return
		}
	}
}

func (q *quietReader) close() { q.stop.Do(func() { close(q.done) }) }
