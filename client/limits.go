package client

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// sequenceBytes is the most that a request's own sequence takes on the wire, beside its entries.
const sequenceBytes = 11

// limits are what the server of a stream takes. Zero: no limit was given.
type limits struct {
	requestBytes, requestEntries, entryBytes int
	// cutBytes is the size above which a request of several entries is cut, because gRPC did not let a larger one through.
	cutBytes int
}

func limitsOf(l *logbatcherv1.Limits) limits {
	return limits{
		requestBytes:   int(min(l.GetMaxRequestBytes(), 1<<31)),
		requestEntries: int(min(l.GetMaxRequestEntries(), 1<<31-1)),
		entryBytes:     int(min(l.GetMaxEntryBytes(), 1<<31)),
	}
}

// tooLarge is an entry that can't be sent, and why.
type tooLarge struct {
	entry *logbatcherv1.Entry
	why   string
}

// entrySize returns what an entry takes in a request.
func entrySize(bytes int) int { return protowire.SizeTag(2) + protowire.SizeBytes(bytes) }

// takes reports whether the server takes the request as a whole.
func (l limits) takes(i *item) bool {
	return (l.requestBytes == 0 || i.bytes+sequenceBytes <= l.requestBytes) &&
		(l.requestEntries == 0 || len(i.request.GetEntries()) <= l.requestEntries)
}

// asItIs reports whether the request can be sent without being cut.
func (l limits) asItIs(i *item) bool {
	return l.takes(i) && (l.entryBytes == 0 || i.largest <= l.entryBytes) &&
		(l.cutBytes == 0 || i.bytes <= l.cutBytes || len(i.request.GetEntries()) == 1)
}

// refuses returns why an entry of that size can't be sent, or "".
func (l limits) refuses(bytes int) string {
	switch {
	case l.entryBytes > 0 && bytes > l.entryBytes:
		return fmt.Sprintf("the entry has %d bytes, the server takes at most %d (max_entry_bytes)", bytes, l.entryBytes)
	case l.requestBytes > 0 && entrySize(bytes)+sequenceBytes > l.requestBytes:
		return fmt.Sprintf("the entry has %d bytes and fits no request, of which the server takes at most %d bytes (max_request_bytes)", bytes, l.requestBytes)
	}
	return ""
}

// cut divides a request into ones that the server takes, and leaves out the entries that fit none.
func (l limits) cut(i *item) (pieces []*item, left []tooLarge) {
	fresh := func() *item {
		piece := newItem()
		piece.exposed = i.exposed
		return piece
	}
	piece := fresh()
	for _, e := range i.request.GetEntries() {
		bytes := e.SizeVT()
		if why := l.refuses(bytes); why != "" {
			left = append(left, tooLarge{e, why})
			continue
		}
		full := l.requestEntries > 0 && len(piece.request.Entries) == l.requestEntries ||
			l.requestBytes > 0 && piece.bytes+entrySize(bytes)+sequenceBytes > l.requestBytes ||
			l.cutBytes > 0 && piece.bytes+entrySize(bytes) > l.cutBytes
		if full && len(piece.request.Entries) > 0 {
			pieces = append(pieces, piece)
			piece = fresh()
		}
		piece.add(e, bytes)
	}
	if len(piece.request.Entries) > 0 {
		pieces = append(pieces, piece)
	}
	return pieces, left
}
