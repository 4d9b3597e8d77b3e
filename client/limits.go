package client

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// sequenceBytes is the most that a request's sequence occupies on the wire.
const sequenceBytes = 11

// limits are those of the server of a stream. Zero: no limit was given.
type limits struct {
	requestBytes, requestEntries, entryBytes int
	// cutBytes is the size above which a request of several entries is cut, because gRPC did not send a larger one.
	cutBytes int
}

func limitsOf(l *logbatcherv1.Limits) limits {
	return limits{
		requestBytes:   int(min(l.GetMaxRequestBytes(), 1<<31)),
		requestEntries: int(min(l.GetMaxRequestEntries(), 1<<31-1)),
		entryBytes:     int(min(l.GetMaxEntryBytes(), 1<<31)),
	}
}

// unsendable is an entry that can't be sent, and why.
type unsendable struct {
	entry *logbatcherv1.Entry
	why   string
}

// entrySize returns what an entry of that size occupies in a request.
func entrySize(bytes int) int { return protowire.SizeTag(2) + protowire.SizeBytes(bytes) }

func within(n, limit int) bool { return limit == 0 || n <= limit }

// fits reports whether a request with that many bytes of entries may be sent.
func (l limits) fits(bytes, entries int) bool {
	return within(bytes+sequenceBytes, l.requestBytes) && within(entries, l.requestEntries) && (entries == 1 || within(bytes, l.cutBytes))
}

// takes reports whether the server accepts the request as a whole.
func (l limits) takes(i *item) bool {
	l.cutBytes = 0
	return l.fits(i.bytes, len(i.request.GetEntries()))
}

// refuses returns why an entry of that size can't be sent, or "".
func (l limits) refuses(bytes int) string {
	switch {
	case !within(bytes, l.entryBytes):
		return fmt.Sprintf("the entry has %d bytes, the server accepts at most %d (max_entry_bytes)", bytes, l.entryBytes)
	case !within(entrySize(bytes)+sequenceBytes, l.requestBytes):
		return fmt.Sprintf("the entry has %d bytes and fits no request, which the server accepts up to %d bytes (max_request_bytes)", bytes, l.requestBytes)
	}
	return ""
}

// cut divides a request into pieces that may be sent, and leaves out the entries that fit none.
func (l limits) cut(i *item) (pieces []*item, left []unsendable) {
	if l.fits(i.bytes, len(i.request.GetEntries())) && within(i.largest, l.entryBytes) {
		return []*item{i}, nil
	}
	var piece *item
	for _, e := range i.request.GetEntries() {
		bytes := e.SizeVT()
		if why := l.refuses(bytes); why != "" {
			left = append(left, unsendable{e, why})
			continue
		}
		if piece == nil || !l.fits(piece.bytes+entrySize(bytes), len(piece.request.Entries)+1) {
			piece = newItem()
			piece.exposed = i.exposed
			pieces = append(pieces, piece)
		}
		piece.add(e, bytes)
	}
	return pieces, left
}
