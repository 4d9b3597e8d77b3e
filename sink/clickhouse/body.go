package clickhouse

import (
	"errors"
	"io"
	"sync/atomic"
)

// errBodyClosed is what the transport reads when the insert has returned.
var errBodyClosed = errors.New("the insert has ended")

// body is a request's body that reports whether any of it may have been sent. The transport reads it in its own goroutine, which
// may begin only after the request has failed.
type body struct {
	data  io.Reader
	state atomic.Int32
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
	return b.data.Read(p)
}

// WriteTo writes the body, without the copy that Read makes.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	if b.state.CompareAndSwap(bodyUnread, bodyRead); b.state.Load() == bodyClosed {
		return 0, errBodyClosed
	}
	return io.Copy(w, b.data)
}

// close keeps the transport from beginning to read, and reports whether it has begun.
func (b *body) close() (read bool) { return !b.state.CompareAndSwap(bodyUnread, bodyClosed) }
