package deadletter

import (
	"context"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/redis/go-redis/v9"
)

// A page of the stream is read this many entries at a time, and ends early once it has this many bytes.
const (
	pageEntries = 16
	pageBytes   = 16 << 20
)

// Stored is a letter as it lies in the queue.
type Stored struct {
	// StreamID is the entry's id in the stream. It begins with the time of writing in Unix milliseconds.
	StreamID string
	// Letter is what was written. Times are in UTC; Message may have been shortened.
	Letter sink.DeadLetter
	// Bytes is what the entry's fields take.
	Bytes int
	// Problem names the fields that are missing or cannot be read, which are zero in Letter. Nil: none.
	Problem error
}

// List returns letters in the order in which they were written: those behind the stream id after, or
// the oldest where that is empty. It returns at most count, and fewer before they take too much
// memory: the end is reached when it returns none. What is not a letter is returned too, with its Problem.
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
			stored := storedFrom(entry)
			page = append(page, stored)
			bytes += stored.Bytes
		}
		after = entries[len(entries)-1].ID
	}
	return page, nil
}

func storedFrom(entry redis.XMessage) Stored {
	letter, problem := decode(entry.Values)
	bytes := 0
	for field, value := range entry.Values {
		if s, ok := value.(string); ok {
			bytes += len(field) + len(s)
		}
	}
	return Stored{StreamID: entry.ID, Letter: letter, Bytes: bytes, Problem: problem}
}
