package server

import "github.com/logbatcher/logbatcher/schema"

// decoder turns the requests of one protocol into entries. Nothing else between a received frame and the Router depends on the
// protocol: another protocol is another decoder with an intake of its own. One goroutine at a time uses a decoder, which may keep
// memory for its next request.
type decoder interface {
	// outline reads the outline of a request without decoding its entries. The error is the status for the client.
	outline(data []byte) (outline, error)
	// decode adds the entries from a cut on to the arena, refused ones included, until it is full or there are no more. It
	// returns where the next piece begins. What it adds may alias data. The error is the status for the client.
	decode(data []byte, from cut, values *defaults, into *arena) (cut, error)
}

// outline describes a request before its entries are decoded.
type outline struct {
	sequence uint64
	entries  int
	// blank is the number of places without an entry, in protocols that have some.
	blank int
	// first and end bound the bytes of the entries. Only these are compared when a sequence comes again: a unary call repeats its
	// opening, which may have changed.
	first, end int
	// hasOpen and openBytes describe the opening, in protocols that have one.
	hasOpen   bool
	openBytes int
}

// places is the number of places in the request, of which each entry has one.
func (l *outline) places() int { return l.entries + l.blank }

// cut is where a piece of a request begins: a byte offset, and how many places lie before it.
type cut struct{ at, place int }

// defaults are the values of entries that set none of their own.
type defaults struct {
	stream                                                     *schema.Stream
	service, colo                                              string
	scopeName, scopeVersion, scopeSchemaURL, resourceSchemaURL string
	// received is in nanoseconds since the Unix epoch.
	received int64
}
