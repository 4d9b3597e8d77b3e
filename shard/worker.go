package shard

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// worker is one shard. Only the goroutine of run touches its accumulator and partitioners; the goroutines that deliver batches share
// with it only what mu guards.
type worker struct {
	router *Router
	number int
	queue  chan job // Route and Flush send; Router.Shutdown closes it once they no longer do

	open         *accumulator
	routing      *routing // of the partitioners
	partitioners []*batch.Partitioner
	letters      *letters
	rows         []uint64 // take's, kept for their memory

	deliveries sync.WaitGroup

	mu      sync.Mutex
	flights map[*transit]struct{} // sealed and not settled
}

// job is a request, or a function to run between two requests.
type job struct {
	request *pending
	run     func(context.Context)
}

func newWorker(r *Router, number int) *worker {
	c := r.config
	return &worker{
		router: r, number: number, queue: make(chan job, queueLength),
		open:    newAccumulator(c.MaxBatchRows, int(c.MaxBatchBytes), c.MaxOpenBytes, c.Linger),
		letters: newLetters(),
		flights: map[*transit]struct{}{},
	}
}

// run takes jobs until the queue is closed and empty, then seals what is open and blocks until everything is settled or ctx ends.
func (w *worker) run(ctx context.Context) {
	linger := time.NewTimer(time.Hour)
	defer linger.Stop()
	for {
		w.arm(linger)
		select {
		case j, more := <-w.queue:
			if !more {
				w.seal(ctx, w.open.take(func(*transit) bool { return true }))
				w.deliveries.Wait()
				return
			}
			if j.run != nil {
				j.run(ctx)
				continue
			}
			w.take(ctx, j.request)
			w.seal(ctx, w.open.full())
		case <-linger.C:
		}
		w.seal(ctx, w.open.due(time.Now()))
	}
}

func (w *worker) arm(linger *time.Timer) {
	due, any := w.open.next()
	if !any {
		linger.Reset(time.Hour)
		return
	}
	linger.Reset(time.Until(due))
}

// take copies the request's entries of this shard into batches, those of one batch one after the other: where entries alternate between
// routes, all of a batch's columns would have to come into the CPU's caches for each row. Rows of one shard id keep the order of their
// entries.
func (w *worker) take(ctx context.Context, p *pending) {
	now := time.Now()
	if p.routing != w.routing { // after a reload
		w.routing, w.partitioners = p.routing, make([]*batch.Partitioner, len(p.routing.routes))
		if w.open.maxOpen = w.router.config.MaxOpenBatches; w.open.maxOpen == 0 {
			w.open.maxOpen = max(minOpenBatches, openPerTable*len(p.routing.routes))
		}
	}
	w.rows = w.rows[:0]
	for i := range p.Entries {
		id := p.shardIDOf(i)
		if id.worker != w {
			continue
		}
		none := true
		for n := range matched(p.set(i)) {
			none = false
			if p.Skip == nil || !p.Skip(p.routing.routes[n].Name, p.Place(i)) {
				w.rows = append(w.rows, uint64(n)<<48|uint64(p.shardOf[i])<<32|uint64(i))
			}
		}
		if none {
			w.unmatched(p, i, id)
		}
	}
	slices.Sort(w.rows)
	for _, row := range w.rows {
		r, i := p.routing.routes[row>>48], int(uint32(row))
		id := p.shardIDOf(i)
		if problem := w.add(r, p, i, id, now); problem != nil {
			w.refuse(r, p, i, id, problem)
		}
	}
	for _, b := range w.open.touched {
		w.open.bytes += w.charge(b)
	}
	w.writeLetters(ctx, p)
	p.copied(w.router.budget)
}

// add appends entry i to the route's batch of its partition.
func (w *worker) add(r *route, p *pending, i int, id *shardID, now time.Time) *batch.RowError {
	e := &p.Entries[i]
	if problem := r.outOfTime(e, p.Received); problem != nil {
		return problem
	}
	origin := batch.Origin{Tenant: p.Tenant, Producer: p.Producer, Epoch: p.Epoch, Sequence: p.Sequence, ShardID: id.text}
	partition, problem := w.partitioner(r).Of(e, &origin)
	if problem != nil {
		return problem
	}
	b := w.open.batch(r, partition, p, now, w.router.nextBatchID)
	origin.Request = len(b.requests) - 1
	b.Begin(origin, p.Received)
	problem = b.Append(e)
	if problem == nil && p.LSN != 0 {
		b.place(p.Place(i))
	}
	return problem
}

// partitioner returns the route's partitioner.
func (w *worker) partitioner(r *route) *batch.Partitioner {
	if w.partitioners[r.index] == nil {
		w.partitioners[r.index] = r.layout.NewPartitioner()
	}
	return w.partitioners[r.index]
}

// refuse reports the entry to the producer, or keeps it as a dead letter, depending on the problem's action.
func (w *worker) refuse(r *route, p *pending, i int, id *shardID, problem *batch.RowError) {
	if problem.Action == schema.DeadLetter {
		r.account.routed.Add(1)
		w.letters.add(r, p, i, id, problem)
		return
	}
	r.account.refused.Add(1)
	w.router.metrics.refused.WithLabelValues(r.Name, problem.Reason.String()).Inc()
	p.refuse(schema.Refusal{
		Index: p.Place(i), Field: problem.Field, Reason: problem.Reason, Message: problem.Message, Route: r.Name,
	})
}

// unmatched counts an entry that no route matches, and keeps or refuses it as configured.
func (w *worker) unmatched(p *pending, i int, id *shardID) {
	if p.Skip != nil && len(p.routing.routes) > 0 && p.Skip(p.routing.routes[0].Name, p.Place(i)) {
		return // no file can have a row of it, so it was refused at receipt
	}
	w.router.unmatched.Add(1)
	p.settlement.unmatched()
	problem := &batch.RowError{Reason: schema.Unmatched, Message: "no route matches the entry"}
	if p.allowed != nil {
		problem.Message = "no route that the tenant may use matches the entry"
	}
	if p.routing.KeepUnmatched {
		if p.Skip == nil || !p.Skip("", p.Place(i)) {
			w.letters.add(nil, p, i, id, problem)
		}
		return
	}
	p.refuse(schema.Refusal{Index: p.Place(i), Reason: problem.Reason, Message: problem.Message})
}

// charge charges the table's account for what a batch has grown by, and returns its bytes.
func (w *worker) charge(b *transit) int {
	bytes, rows := b.Bytes()+b.requestBytes()-b.bytes, b.Rows()-b.rows
	b.bytes += bytes
	b.rows += rows
	b.route.account.charge(bytes, rows)
	b.route.account.routed.Add(uint64(rows))
	return bytes
}
