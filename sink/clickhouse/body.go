package clickhouse

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// errBodyClosed is what the transport reads when the insert has returned.
var errBodyClosed = errors.New("the insert has ended")

// body is a request's body that reports whether any of it may have been sent. The transport reads it in its own goroutine, which
// may begin only after the request has failed.
type body struct {
	data  io.Reader
	state atomic.Int32
	// unreadable is why the data can't be read. Nil: it can.
	unreadable atomic.Pointer[batch.ReadError]
}

// note keeps an error of the data, as opposed to one of the connection, and returns it.
func (b *body) note(err error) error {
	var unreadable *batch.ReadError
	if errors.As(err, &unreadable) {
		b.unreadable.Store(unreadable)
	}
	return err
}

// The states of a body.
const (
	bodyUnread = iota
	bodyRead
	bodyClosed
)

// Read reads the body.
func (b *body) Read(p []byte) (int, error) {
	if b.state.CompareAndSwap(bodyUnread, bodyRead); b.state.Load() == bodyClosed {
		return 0, errBodyClosed
	}
	n, err := b.data.Read(p)
	return n, b.note(err)
}

// WriteTo writes the body, without the copy that Read makes.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	if b.state.CompareAndSwap(bodyUnread, bodyRead); b.state.Load() == bodyClosed {
		return 0, errBodyClosed
	}
	n, err := io.Copy(w, b.data)
	return n, b.note(err)
}

// close keeps the transport from beginning to read, and reports whether it has begun.
func (b *body) close() (read bool) { return !b.state.CompareAndSwap(bodyUnread, bodyClosed) }
