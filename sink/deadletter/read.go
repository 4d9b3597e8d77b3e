package deadletter

import (
	"context"
	"errors"
	"regexp"

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

var streamID = regexp.MustCompile(`^[0-9]{1,20}-[0-9]{1,20}$`)

// Read returns one letter, by its own id, as long as that is remembered, or by its id in the stream.
// An Error that is Missing says that there is none.
func (q *Queue) Read(ctx context.Context, id string) (Stored, error) {
	at, err := q.client.Get(ctx, q.cfg.idKey(id)).Result()
	if errors.Is(err, redis.Nil) {
		at, err = id, nil
	}
	if err != nil {
		return Stored{}, q.failed("read", err)
	}
	missing := &Error{Kind: Missing, Op: "read", Stream: q.cfg.Stream, Err: errors.New("no letter " + id)}
	if !streamID.MatchString(at) {
		return Stored{}, missing
	}
	entries, err := q.client.XRangeN(ctx, q.cfg.Stream, at, at, 1).Result()
	if err != nil {
		return Stored{}, q.failed("read", err)
	}
	if len(entries) == 0 {
		return Stored{}, missing
	}
	return storedFrom(entries[0]), nil
}

// Delete takes letters out of the queue by their stream ids and tells how many there were. Their
// ids stay remembered, so that a late repeat does not bring them back.
func (q *Queue) Delete(ctx context.Context, streamIDs ...string) (int, error) {
	if len(streamIDs) == 0 {
		return 0, nil
	}
	n, err := q.client.XDel(ctx, q.cfg.Stream, streamIDs...).Result()
	if err != nil {
		return 0, q.failed("delete", err)
	}
	return int(n), nil
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
