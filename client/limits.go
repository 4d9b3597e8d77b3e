package client

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// limits are those of the server of a stream, and what gRPC did not send. Zero: no limit was given.
type limits struct {
	requestBytes, requestEntries, entryBytes int
	// cutBytes is the size above which a request of several entries is cut, because gRPC did not send a larger one.
	cutBytes int
	// unsentBytes is the size from which on an entry is refused, because gRPC did not send one alone: unsent says why.
	unsentBytes int
	unsent      string
}

func limitsOf(l *logbatcherv1.Limits) limits {
	return limits{
		requestBytes:   int(min(l.GetMaxRequestBytes(), 1<<31)),
		requestEntries: int(min(l.GetMaxRequestEntries(), 1<<31-1)),
		entryBytes:     int(min(l.GetMaxEntryBytes(), 1<<31)),
	}
}

// lower returns the lower of two limits.
func lower(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// entrySize returns what an entry of that size occupies in a request.
func entrySize(bytes int) int { return protowire.SizeTag(entriesField) + protowire.SizeBytes(bytes) }

func within(n, limit int) bool { return limit == 0 || n <= limit }

// fits reports whether a request with that many bytes of entries may be sent.
func (l limits) fits(bytes, entries int) bool {
	return within(bytes+sequenceBytes, l.requestBytes) && within(entries, l.requestEntries) && (entries == 1 || within(bytes, l.cutBytes))
}

// largestEntry returns the size of the largest entry that may be sent.
func (l limits) largestEntry() int {
	most := lower(l.entryBytes, maxEntryBytes)
	if l.requestBytes == 0 {
		return most
	}
	for most > 0 && entrySize(most)+sequenceBytes > l.requestBytes {
		most = max(0, most-(entrySize(most)+sequenceBytes-l.requestBytes))
	}
	return most
}

// refuses returns why an entry of that size can't be sent, or "".
func (l limits) refuses(bytes int) string {
	switch {
	case l.unsentBytes > 0 && bytes >= l.unsentBytes:
		return "the entry can't be sent: " + l.unsent
	case !within(bytes, l.entryBytes):
		return fmt.Sprintf("the entry has %d bytes, the server accepts at most %d (max_entry_bytes)", bytes, l.entryBytes)
	case !within(entrySize(bytes)+sequenceBytes, l.requestBytes):
		return fmt.Sprintf("the entry has %d bytes and fits no request, which the server accepts up to %d bytes (max_request_bytes)", bytes, l.requestBytes)
	}
	return ""
}

// entriesField is the field number of IngestStreamRequest.entries.
const entriesField = 2

// entry is one entry of a request's encoded entries: its bytes, and where its field ends.
type entry struct {
	bytes []byte
	end   int
}

var errNoEntries = errors.New("the bytes are no encoded entries")

// nextEntry returns the entry that begins at a place in encoded entries.
func nextEntry(entries []byte, at int) (entry, error) {
	number, kind, n := protowire.ConsumeTag(entries[at:])
	if n < 0 || number != entriesField || kind != protowire.BytesType {
		return entry{}, errNoEntries
	}
	bytes, m := protowire.ConsumeBytes(entries[at+n:])
	if m < 0 {
		return entry{}, errNoEntries
	}
	return entry{bytes, at + n + m}, nil
}

// entryAt returns an entry by its place among encoded entries, nil if it is not there.
func entryAt(entries []byte, index int) *logbatcherv1.Entry {
	for at := 0; at < len(entries); {
		e, err := nextEntry(entries, at)
		if err != nil {
			return nil
		}
		if index == 0 {
			decoded := &logbatcherv1.Entry{}
			if decoded.UnmarshalVT(e.bytes) != nil {
				return nil
			}
			return decoded
		}
		index--
		at = e.end
	}
	return nil
}
