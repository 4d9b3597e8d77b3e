package shard

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// queueLength is how many requests may wait for one worker. The budget bounds their bytes; this bounds how long a request waits
// behind others.
const queueLength = 64

// ErrClosed is returned by Route and Flush after Shutdown has begun.
var ErrClosed = errors.New("the router is shutting down")

// Delivery settles batches. sink.Delivery implements it.
type Delivery interface {
	// Deliver blocks until every row of b is settled; it fails only if ctx ends first. file has b; nil: there is no log. After drain is
	// closed it waits no longer than it must.
	Deliver(ctx context.Context, b *batch.Block, file schema.LogFile, limits sink.Limits, drain <-chan struct{}) (sink.Outcome, error)
	// FindAll returns which of the blocks of an earlier process are in their tables. Those that can't be asked for are not among them.
	FindAll(ctx context.Context, blocks []*batch.Block) map[*batch.Block]bool
	// DeadLetter blocks until the letter is in the queue, divided if necessary, and returns what was written; it fails only if ctx
	// ends first.
	DeadLetter(ctx context.Context, letter *sink.DeadLetter) ([]sink.DeadLetter, error)
}

// Router matches requests to routes and hands them to shards.
type Router struct {
	config   Config
	budget   *Budget
	delivery Delivery
	metrics  *metrics

	routing   atomic.Pointer[routing]
	added     sync.Map               // of *routing, by their hashes in the log
	unusable  atomic.Pointer[string] // what Degraded returns; nil: nothing
	workers   []*worker
	batches   atomic.Uint64 // numbers the batches
	unmatched atomic.Uint64

	// encoding holds a token for each batch that is being encoded, to bound the memory that this needs beside the batches.
	encoding chan struct{}
	// draining is closed when Shutdown begins.
	draining chan struct{}
	// deliveries is the context of all deliveries; abandon cancels it.
	deliveries context.Context
	abandon    context.CancelCauseFunc

	entrance sync.RWMutex // held for reading by Route and Flush while they send to queues
	closed   bool         // guarded by entrance

	reloading sync.Mutex
	// unmatchedAccount holds the dead letters of entries that match no route.
	unmatchedAccount *tableAccount
	letterLane       lane // of the letters in files

	leftover leftover
}

// NewRouter returns a router for the routes. zone is the ClickHouse server's time zone. Run must be called before Route.
func NewRouter(config Config, budget *Budget, delivery Delivery, routes []*schema.Route, zone *time.Location) (*Router, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("router configuration: %w", err)
	}
	r := &Router{
		config: config, budget: budget, delivery: delivery, metrics: newMetrics(config.Registerer),
		encoding: make(chan struct{}, runtime.GOMAXPROCS(0)), draining: make(chan struct{}),
		letterLane: lane{width: letterLane},
	}
	r.unmatchedAccount, _ = budget.account("unmatched")
	r.deliveries, r.abandon = context.WithCancelCause(context.Background())
	first, err := r.configured(routes, zone)
	if err != nil {
		return nil, err
	}
	r.use(first)
	for number := range config.Shards {
		r.workers = append(r.workers, newWorker(r, number))
	}
	r.metrics.addRouter(r)
	return r, nil
}

// Reload replaces the routes for all later requests. Earlier ones keep theirs. On an error nothing changes.
func (r *Router) Reload(routes []*schema.Route, zone *time.Location) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	compiled, err := r.configured(routes, zone)
	if err == nil {
		err = compiled.log()
	}
	if err != nil {
		return err
	}
	r.use(compiled)
	return nil
}

func (r *Router) use(compiled *routing) {
	r.budget.setTables(compiled.several())
	r.routing.Store(compiled)
}

// Run runs the shards until Shutdown is called and everything is settled or given up. When ctx ends, deliveries are given up at once.
// Run returns a *LeftoverError if rows are left.
func (r *Router) Run(ctx context.Context) error {
	defer r.abandon(nil)
	stop := context.AfterFunc(ctx, func() {
		r.abandon(context.Cause(ctx))
		r.close()
	})
	defer stop()

	var workers sync.WaitGroup
	for _, w := range r.workers {
		workers.Go(func() { w.run(r.deliveries) })
	}
	workers.Wait()
	return r.left()
}

// Shutdown refuses further requests, seals the open batches, and lets Run return once everything is settled, or once ctx ends: what is
// not settled by then is left. It does not wait for Run.
func (r *Router) Shutdown(ctx context.Context) {
	r.close()
	context.AfterFunc(ctx, func() { r.abandon(context.Cause(ctx)) })
}

func (r *Router) close() {
	r.entrance.Lock()
	defer r.entrance.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	close(r.draining)
	for _, w := range r.workers {
		close(w.queue)
	}
}

// Route hands the request to the shards. The budget has granted its Bytes, which its Release returns. Route blocks while the log is full and
// while the tables that the request has entries for hold too much, and reports that to waiting with the table. On an error it has
// neither logged, released nor settled the request, and never will.
func (r *Router) Route(ctx context.Context, request *schema.Request, waiting func(cause schema.WaitCause, table string)) error {
	routing, err := r.routingOf(request.Routing)
	if err != nil {
		return err
	}
	p := r.survey(request, routing)
	if err := r.admit(ctx, p, waiting); err != nil {
		return err
	}
	r.entrance.RLock()
	defer r.entrance.RUnlock()
	if err := r.accept(p); err != nil {
		r.budget.unreserve(p.reserved)
		return err
	}
	p.taken = make(chan struct{}, 1)
	p.hold(1)
	for ; p.piece < p.pieces-1; p.piece++ {
		r.handOver(p)
		<-p.taken
		p.Decoder.Next()
		r.match(p)
	}
	r.handOver(p)
	p.place()
	p.settle()
	return nil
}

// admit reserves room for the request, in the log and then in all of its tables at once. While it waits, the request holds nothing of
// the budget, so that requests for one table do not keep out those for others.
func (r *Router) admit(ctx context.Context, p *pending, waiting func(schema.WaitCause, string)) (err error) {
	again := p.pieces > 1 // the first piece has to be decoded again
	suspend := func() {
		if again = true; p.Decoder != nil {
			p.Decoder.Suspend()
		}
	}
	if p.Log != nil {
		blocks := 0
		for _, r := range p.reserved {
			blocks += r.bytes
		}
		err = p.Log.Reserve(ctx, blocks, func() {
			suspend()
			waiting(schema.WaitLog, "")
		})
		if err != nil {
			return err
		}
		defer func() {
			if err != nil {
				p.Log.Unreserve()
			}
		}()
	}
	if err := r.budget.reserve(ctx, p.Tenant, p.reserved, suspend, waiting); err != nil {
		return err
	}
	if !again {
		return nil
	}
	if p.Decoder != nil {
		if err := p.Decoder.Resume(ctx); err != nil {
			r.budget.unreserve(p.reserved)
			return err
		}
	}
	r.match(p)
	return nil
}

// accept logs the request as accepted under its routing. After that it must go to the shards whatever happens, so the entrance is
// held. On an error the log's reservation is given back.
func (r *Router) accept(p *pending) error {
	if p.Log == nil {
		if r.closed {
			return ErrClosed
		}
		return nil
	}
	err := p.routing.log()
	if r.closed {
		err = ErrClosed
	}
	if err != nil {
		p.Log.Unreserve()
		return err
	}
	if p.LSN, err = p.Log.Append(p.routing.hash); err != nil {
		return fmt.Errorf("log the request: %w", err)
	}
	return nil
}

// handOver sends the current piece to its shards. Workers never wait for callers, so sending to their queues needs no cancellation: a
// piece is with all of its shards or with none.
func (r *Router) handOver(p *pending) {
	targets := r.targets(p)
	p.copying.Store(int32(len(targets)))
	p.hold(len(targets))
	for _, w := range targets {
		w.queue <- job{request: p}
	}
}

// targets returns the workers of the request's shard ids; a request without entries goes to the first, to be settled in turn.
func (r *Router) targets(p *pending) []*worker {
	if len(p.shards) == 0 {
		return r.workers[:1]
	}
	var targets []*worker
	for _, id := range p.shards {
		if !slices.Contains(targets, id.worker) {
			targets = append(targets, id.worker)
		}
	}
	return targets
}

func (r *Router) nextBatchID() string {
	return fmt.Sprintf("%s-%d", r.config.Instance, r.batches.Add(1))
}
