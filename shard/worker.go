package shard

import (
	"context"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// worker is one shard. run is the one goroutine that touches its accumulator and its partitioners; the
// goroutines that see batches settled share with it only what mu guards.
type worker struct {
	router *Router
	number int
	queue  chan job // sent to by Route and Flush; closed by Router.Shutdown once nobody sends any more

	open         *accumulator
	routing      *routing // that partitioners are of
	partitioners []*batch.Partitioner
	letters      *letters

	deliveries sync.WaitGroup

	mu      sync.Mutex
	flights map[*flight]struct{}
}

// job is a request, or a function to run between two requests.
type job struct {
	request *pending
	run     func(context.Context)
}

// flight is a sealed batch until it is settled.
type flight struct {
	*openBatch
	rows    int
	landed  chan struct{} // closed when it is settled, or given up at shutdown
	settled bool          // written before landed is closed
}

func newWorker(r *Router, number int) *worker {
	c := r.config
	return &worker{
		router: r, number: number, queue: make(chan job, queueLength),
		open:    newAccumulator(c.MaxBatchRows, int(c.MaxBatchBytes), c.MaxOpenBytes, c.Linger),
		letters: newLetters(),
		flights: map[*flight]struct{}{},
	}
}

// run takes jobs until the queue is closed and empty, then seals what is open and waits
// until everything is settled, or ctx ends.
func (w *worker) run(ctx context.Context) {
	linger := time.NewTimer(time.Hour)
	defer linger.Stop()
	for {
		w.arm(linger)
		select {
		case j, more := <-w.queue:
			if !more {
				w.seal(ctx, w.open.take(func(*openBatch) bool { return true }))
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

// take copies the request's entries of this shard into batches.
func (w *worker) take(ctx context.Context, p *pending) {
	now := time.Now()
	if p.routing != w.routing { // those of a routing that a reload has replaced are forgotten
		w.routing, w.partitioners = p.routing, make([]*batch.Partitioner, len(p.routing.routes))
		if w.open.maxOpen = w.router.config.MaxOpenBatches; w.open.maxOpen == 0 {
			w.open.maxOpen = max(minOpenBatches, openPerTable*len(p.routing.routes))
		}
	}
	for i := range p.Entries {
		id := p.shardIDOf(i)
		if id.worker != w {
			continue
		}
		none := true
		for n := range matched(p.set(i)) {
			none = false
			r := p.routing.routes[n]
			if problem := w.add(r, p, i, id, now); problem != nil {
				w.refuse(r, p, i, id, problem)
			}
		}
		if none {
			w.unmatched(p, i, id)
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
	origin := batch.Origin{Producer: p.Producer, Epoch: p.Epoch, Sequence: p.Sequence, ShardID: id.text}
	partition, problem := w.partitioner(r).Of(e, &origin)
	if problem != nil {
		return problem
	}
	b := w.open.batch(r, partition, p, now, w.router.nextBatchID)
	origin.Request = len(b.requests) - 1
	b.Begin(origin, p.Received)
	return b.Append(e)
}

// partitioner returns the route's.
func (w *worker) partitioner(r *route) *batch.Partitioner {
	if w.partitioners[r.index] == nil {
		w.partitioners[r.index] = r.layout.NewPartitioner()
	}
	return w.partitioners[r.index]
}

// refuse tells the producer, or keeps the entry as a dead letter, as the problem says.
func (w *worker) refuse(r *route, p *pending, i int, id *shardID, problem *batch.RowError) {
	if problem.Action == schema.DeadLetter {
		r.account.routed.Add(1)
		w.letters.add(r, &p.Entries[i], id, problem)
		return
	}
	r.account.refused.Add(1)
	w.router.metrics.refused.WithLabelValues(r.Name, problem.Reason.String()).Inc()
	p.refuse(schema.Refusal{
		Index: p.Place(i), Field: problem.Field, Reason: problem.Reason, Message: problem.Message, Route: r.Name,
	})
}

// unmatched counts an entry that no route takes, and keeps or refuses it as configured.
func (w *worker) unmatched(p *pending, i int, id *shardID) {
	w.router.unmatched.Add(1)
	p.mu.Lock()
	p.outcome.Unmatched++
	p.mu.Unlock()
	problem := &batch.RowError{Reason: schema.Unmatched, Message: "no route matches the entry"}
	if w.router.config.KeepUnmatched {
		w.letters.add(nil, &p.Entries[i], id, problem)
		return
	}
	p.refuse(schema.Refusal{Index: p.Place(i), Reason: problem.Reason, Message: problem.Message})
}

// charge tells the table's account what a batch has grown by, and returns it.
func (w *worker) charge(b *openBatch) int {
	bytes, rows := b.Bytes()-b.charged, b.Rows()-b.counted
	b.charged += bytes
	b.counted += rows
	b.route.account.charge(bytes, rows)
	b.route.account.routed.Add(uint64(rows))
	return bytes
}

// seal closes the batches and starts their delivery.
func (w *worker) seal(ctx context.Context, batches []*openBatch) {
	for _, b := range batches {
		f := &flight{openBatch: b, rows: b.Rows(), landed: make(chan struct{})}
		w.mu.Lock()
		w.flights[f] = struct{}{}
		w.mu.Unlock()
		w.router.metrics.sealed.WithLabelValues(b.route.Table.FullName()).Inc()
		w.deliveries.Go(func() { w.deliver(ctx, f) })
	}
}

// deliver sees the batch settled, and its requests.
func (w *worker) deliver(ctx context.Context, f *flight) {
	defer func() {
		w.mu.Lock()
		delete(w.flights, f)
		w.mu.Unlock()
		close(f.landed)
	}()
	var outcome sink.Outcome
	if f.rows > 0 {
		var err error
		outcome, err = w.router.delivery.Deliver(ctx, w.encode(f), f.route.limits(), w.router.draining)
		left := f.rows - outcome.Committed
		f.route.account.committed.Add(uint64(outcome.Committed))
		for _, d := range outcome.DeadLettered {
			f.route.account.deadLettered.Add(uint64(d.Rows))
			left -= d.Rows
		}
		if err != nil {
			w.router.leave(leftBatch, f.ID(), f.route.account.name, left, err)
			return
		}
	}
	f.settled = true
	for i := range outcome.DeadLettered {
		f.tell(&outcome.DeadLettered[i])
	}
	f.route.account.settle(f.charged, f.rows)
	f.Release() // where no row was left to encode
	for _, p := range f.requests {
		p.settle()
	}
}

// encode makes the block of a sealed batch. From here on the table is charged for what the block occupies.
func (w *worker) encode(f *flight) *batch.Block {
	w.router.encoding <- struct{}{}
	block := f.Seal(w.router.config.Compression)
	<-w.router.encoding
	f.route.account.release(f.charged - block.Bytes())
	f.charged = block.Bytes()
	return block
}

// tell adds dead-lettered rows to the outcomes of the requests that they came from.
func (f *flight) tell(d *sink.DeadLetter) {
	for _, o := range d.Origins {
		theirs := d.DeadLettered
		theirs.Rows = o.Rows
		f.requests[o.Request].deadLettered(theirs)
	}
}
