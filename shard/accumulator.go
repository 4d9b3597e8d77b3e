package shard

import (
	"slices"
	"time"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// accumulator holds the open batches of one shard. It owns no goroutine and reads no clock: rows come in with their time, and it
// reports which batches are full and which are due.
type accumulator struct {
	maxRows, maxBytes     int // of a batch
	maxOpen, maxOpenBytes int // of all of them
	linger                time.Duration

	byPartition map[*batch.Partition]*transit
	oldest      []*transit // the same batches in the order of their first rows
	bytes       int        // that they are charged for
	touched     []*transit // those that the current piece of a request has added to
}

// The default limit of open batches: some partitions for each table.
const (
	minOpenBatches = 64
	openPerTable   = 4
)

func newAccumulator(maxRows, maxBytes, maxOpenBytes int, linger time.Duration) *accumulator {
	return &accumulator{
		maxRows: maxRows, maxBytes: maxBytes, maxOpenBytes: maxOpenBytes, linger: linger,
		byPartition: map[*batch.Partition]*transit{},
	}
}

// batch returns the open batch of the partition for a row of p, opening one if there is none.
func (a *accumulator) batch(r *route, partition *batch.Partition, p *pending, now time.Time, id func() string) *transit {
	b := a.byPartition[partition]
	if b == nil {
		b = &transit{Batch: r.layout.NewBatch(id(), partition), route: r, first: now, landed: make(chan struct{})}
		a.byPartition[partition] = b
		a.oldest = append(a.oldest, b)
	}
	if len(b.requests) == 0 || b.requests[len(b.requests)-1] != p.settlement {
		b.requests = append(b.requests, p.settlement)
		b.begins = append(b.begins, len(b.places))
		b.inPieces = b.inPieces || p.pieces > 1
		p.hold(1)
	}
	if !b.touched {
		b.touched = true
		a.touched = append(a.touched, b)
	}
	return b
}

// full ends a request: it returns the batches to seal because they are full, or because too many are open or together too large. It
// is called after the request, so that the request's rows for one partition stay together.
func (a *accumulator) full() []*transit {
	isFull := func(b *transit) bool { return b.rows >= a.maxRows || b.bytes-b.requestBytes() >= a.maxBytes }
	var full []*transit
	if slices.ContainsFunc(a.touched, isFull) {
		full = a.take(isFull)
	}
	for _, b := range a.touched {
		b.touched = false
	}
	clear(a.touched)
	a.touched = a.touched[:0]

	excess, bytes := 0, a.bytes
	for open := len(a.oldest); open > a.maxOpen || open > 1 && bytes > a.maxOpenBytes; open-- {
		bytes -= a.oldest[excess].bytes
		excess++
	}
	return append(full, a.takeOldest(excess)...)
}

// due returns the batches whose first row has waited for the linger.
func (a *accumulator) due(now time.Time) []*transit {
	n := 0
	for n < len(a.oldest) && now.Sub(a.oldest[n].first) >= a.linger {
		n++
	}
	return a.takeOldest(n)
}

func (a *accumulator) takeOldest(n int) []*transit {
	if n == 0 {
		return nil
	}
	return a.take(func(*transit) bool {
		n--
		return n >= 0
	})
}

// take removes and returns the batches that match, the oldest first.
func (a *accumulator) take(match func(*transit) bool) []*transit {
	var taken []*transit
	a.oldest = slices.DeleteFunc(a.oldest, func(b *transit) bool {
		if !match(b) {
			return false
		}
		delete(a.byPartition, b.Partition())
		a.bytes -= b.bytes
		taken = append(taken, b)
		return true
	})
	return taken
}

// next returns when the next batch is due, and false if none is open.
func (a *accumulator) next() (time.Time, bool) {
	if len(a.oldest) == 0 {
		return time.Time{}, false
	}
	return a.oldest[0].first.Add(a.linger), true
}
