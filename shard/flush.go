package shard

import (
	"context"
	"errors"

	"github.com/logbatcher/logbatcher/schema"
)

// errLeft says that a batch which Flush waited for was given up at shutdown.
var errLeft = errors.New("a batch was left when the router stopped")

// Flush seals the open batches of the table ("database.table", or a table's name alone; empty: all) and returns when these, and
// those already in flight, are settled. It returns how many batches and rows that were.
func (r *Router) Flush(ctx context.Context, table string) (batches, rows int, err error) {
	if table != "" && !r.Has(table) {
		return 0, 0, schema.ErrUnknownTable
	}
	flights, err := r.sealAll(ctx, table)
	if err != nil {
		return 0, 0, err
	}
	for _, f := range flights {
		select {
		case <-f.landed:
		case <-ctx.Done():
			return batches, rows, context.Cause(ctx)
		}
		if !f.settled {
			return batches, rows, errLeft
		}
		batches++
		rows += f.rows
	}
	return batches, rows, nil
}

// sealAll has each worker seal its open batches of the table, after the requests that are already in its queue.
func (r *Router) sealAll(ctx context.Context, table string) ([]*flight, error) {
	matches := func(b *openBatch) bool {
		t := b.route.Table
		return table == "" || table == t.FullName() || table == t.Name
	}
	answers := make(chan []*flight, len(r.workers))
	ask := func(w *worker) func(context.Context) {
		return func(running context.Context) {
			w.seal(running, w.open.take(matches))
			answers <- w.inFlight(matches)
		}
	}
	if err := r.askWorkers(ask); err != nil {
		return nil, err
	}
	var flights []*flight
	for range r.workers {
		select {
		case more := <-answers:
			flights = append(flights, more...)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return flights, nil
}

// askWorkers puts a function into each worker's queue.
func (r *Router) askWorkers(ask func(*worker) func(context.Context)) error {
	r.entrance.RLock()
	defer r.entrance.RUnlock()
	if r.closed {
		return ErrClosed
	}
	for _, w := range r.workers {
		w.queue <- job{run: ask(w)}
	}
	return nil
}

// inFlight returns the sealed batches that match and are not settled.
func (w *worker) inFlight(matches func(*openBatch) bool) []*flight {
	w.mu.Lock()
	defer w.mu.Unlock()
	var flights []*flight
	for f := range w.flights {
		if matches(f.openBatch) {
			flights = append(flights, f)
		}
	}
	return flights
}
