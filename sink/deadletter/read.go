package deadletter

import (
	"context"

	"github.com/logbatcher/logbatcher/sink"
)

// A page of the stream is read this many entries at a time, and ends early once its payloads have this many bytes.
const (
	pageEntries = 16
	pageBytes   = 16 << 20
)

// Stored is a letter in the queue.
type Stored struct {
	// StreamID is the id of the stream entry. It begins with the time of writing in Unix milliseconds.
	StreamID string
	// Letter is what was written, with times in UTC.
	Letter sink.DeadLetter
	// Problem names the fields that are missing or malformed, which are zero in Letter.
	Problem error
}

// List returns letters in the order in which they were written: those after the given stream id, or from the oldest if it is
// empty. It returns at most count, and fewer if they would take too much memory; none means the end. Entries that are not
// letters are returned too, with their Problem.
func (q *Queue) List(ctx context.Context, after string, count int) ([]Stored, error) {
	var page []Stored
	bytes := 0
	for len(page) < count && bytes < pageBytes {
		from := "-"
		if after != "" {
			from = "(" + after
		}
		entries, err := q.client.XRangeN(ctx, q.cfg.Stream, from, "+", int64(min(pageEntries, count-len(page)))).Result()
		if err != nil {
			return nil, q.failed("list", err)
		}
		if len(entries) == 0 {
			break
		}
		for _, entry := range entries {
			letter, problem := decode(entry.Values)
			page = append(page, Stored{StreamID: entry.ID, Letter: letter, Problem: problem})
			bytes += len(letter.Payload)
			after = entry.ID
		}
	}
	return page, nil
}
