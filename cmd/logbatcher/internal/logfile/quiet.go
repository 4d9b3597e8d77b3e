package logfile

import (
	"bytes"
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
	src    io.Reader
	wait   time.Duration
	start  sync.Once
	stop   sync.Once
	pieces chan piece    // closed by nobody
	done   chan struct{} // closed by close
	rest   piece
}

// piece is what a Read returned.
type piece struct {
	data []byte
	err  error
}

func newQuietReader(src io.Reader, wait time.Duration) *quietReader {
	return &quietReader{src: src, wait: wait, pieces: make(chan piece), done: make(chan struct{})}
}

func (q *quietReader) Read(p []byte) (int, error) {
	q.start.Do(func() { go q.pump() })
	if len(q.rest.data) == 0 && q.rest.err == nil {
		timer := time.NewTimer(q.wait)
		defer timer.Stop()
		select {
		case q.rest = <-q.pieces:
		case <-timer.C:
			return 0, ErrQuiet
		case <-q.done:
			return 0, os.ErrClosed
		}
	}
	n := copy(p, q.rest.data)
	if q.rest.data = q.rest.data[n:]; len(q.rest.data) > 0 {
		return n, nil
	}
	return n, q.rest.err
}

func (q *quietReader) pump() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := q.src.Read(buffer)
		select {
		case q.pieces <- piece{bytes.Clone(buffer[:n]), err}:
		case <-q.done:
			return
		}
		if err != nil {
			return
		}
	}
}

func (q *quietReader) close() { q.stop.Do(func() { close(q.done) }) }
