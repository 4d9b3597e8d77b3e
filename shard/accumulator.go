package shard

import (
	"slices"
	"time"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// accumulator holds the open batches of one shard. It owns no goroutine and reads no
// clock: rows come in with their time, and it says which batches are full and which are due.
type accumulator struct {
	maxRows, maxBytes     int // of a batch
	maxOpen, maxOpenBytes int // of all of them
	linger                time.Duration

	byPartition map[*batch.Partition]*openBatch
	// oldest has the same batches, in the order of their first rows.
	oldest []*openBatch
	// bytes are what they are charged for.
	bytes int
	// touched are the batches that the piece of a request at hand has added to.
	touched []*openBatch
}

// openBatch is a batch that still takes rows, and the requests that it has rows of.
type openBatch struct {
	*batch.Batch
	route    *route
	first    time.Time // when its first row came in
	requests []*pending
	charged  int // bytes that the budget knows of
	counted  int // rows that the table's account knows of
	touched  bool
}

// How many batches may be open where nobody has said: some partitions for each table.
const (
	minOpenBatches = 64
	openPerTable   = 4
)

func newAccumulator(maxRows, maxBytes, maxOpenBytes int, linger time.Duration) *accumulator {
	return &accumulator{
		maxRows: maxRows, maxBytes: maxBytes, maxOpenBytes: maxOpenBytes, linger: linger,
		byPartition: map[*batch.Partition]*openBatch{},
	}
}

// batch returns the open batch of the partition for a row of p, opening one if there is none.
func (a *accumulator) batch(r *route, partition *batch.Partition, p *pending, now time.Time, id func() string) *openBatch {
	b := a.byPartition[partition]
	if b == nil {
		b = &openBatch{Batch: r.layout.NewBatch(id(), partition), route: r, first: now}
		a.byPartition[partition] = b
		a.oldest = append(a.oldest, b)
	}
	if len(b.requests) == 0 || b.requests[len(b.requests)-1] != p {
		b.requests = append(b.requests, p)
		p.unsettled.Add(1)
	}
	if !b.touched {
		b.touched = true
		a.touched = append(a.touched, b)
	}
	return b
}

// full ends a request: it forgets what the request touched and returns the batches to be sealed now, because they are full,
// or because too many are open or together too large. It waits for the end of the request, so that the request's rows for one partition stay together.
func (a *accumulator) full() []*openBatch {
	var sealed []*openBatch
	for _, b := range a.touched {
		b.touched = false
		if b.Rows() >= a.maxRows || b.charged >= a.maxBytes {
			a.remove(b)
			sealed = append(sealed, b)
		}
	}
	clear(a.touched)
	a.touched = a.touched[:0]
	for len(a.oldest) > a.maxOpen || len(a.oldest) > 1 && a.bytes > a.maxOpenBytes {
		b := a.oldest[0]
		a.remove(b)
		sealed = append(sealed, b)
	}
	return sealed
}

// due returns the batches whose first row has waited for the linger.
func (a *accumulator) due(now time.Time) []*openBatch {
	n := 0
	for n < len(a.oldest) && now.Sub(a.oldest[n].first) >= a.linger {
		n++
	}
	due := slices.Clone(a.oldest[:n])
	for _, b := range due {
		delete(a.byPartition, b.Partition())
		a.bytes -= b.charged
	}
	a.oldest = slices.Delete(a.oldest, 0, n)
	return due
}

// take removes and returns the batches that match.
func (a *accumulator) take(match func(*openBatch) bool) []*openBatch {
	var sealed []*openBatch
	for _, b := range slices.Clone(a.oldest) {
		if match(b) {
			a.remove(b)
			sealed = append(sealed, b)
		}
	}
	return sealed
}

// next returns when the next batch is due, and false when none is open.
func (a *accumulator) next() (time.Time, bool) {
	if len(a.oldest) == 0 {
		return time.Time{}, false
	}
	return a.oldest[0].first.Add(a.linger), true
}

func (a *accumulator) remove(b *openBatch) {
	delete(a.byPartition, b.Partition())
	a.bytes -= b.charged
	if i := slices.Index(a.oldest, b); i >= 0 {
		a.oldest = slices.Delete(a.oldest, i, i+1)
	}
}
