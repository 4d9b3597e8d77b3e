package shard

import (
	"context"
	"errors"
	"slices"

	"github.com/logbatcher/logbatcher/schema"
)

// errLeft is returned by Flush if a batch that it waited for was given up at shutdown.
var errLeft = errors.New("a batch was left when the router stopped")

// Flush seals the open batches of the table ("database.table", or the table's name alone; empty: all) and blocks until these and those
// already in flight are settled. It returns their batches and rows.
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

// sealAll has each worker seal its open batches of the table, after the requests that are already in its queue, and returns all
// that are not settled.
func (r *Router) sealAll(ctx context.Context, table string) ([]*transit, error) {
	matches := func(b *transit) bool {
		t := b.route.Table
		return table == "" || table == t.FullName() || table == t.Name
	}
	flights, err := ask(ctx, r, func(running context.Context, w *worker) []*transit {
		w.seal(running, w.open.take(matches))
		return w.inFlight(matches)
	})
	return slices.Concat(flights...), err
}

// ask has each worker call question between two requests, and returns the answers in the order of the workers.
func ask[T any](ctx context.Context, r *Router, question func(context.Context, *worker) T) ([]T, error) {
	answers := make([]chan T, len(r.workers))
	r.entrance.RLock()
	if r.closed {
		r.entrance.RUnlock()
		return nil, ErrClosed
	}
	for i, w := range r.workers {
		answer := make(chan T, 1)
		answers[i] = answer
		w.queue <- job{run: func(running context.Context) { answer <- question(running, w) }}
	}
	r.entrance.RUnlock()
	var all []T
	for _, answer := range answers {
		select {
		case a := <-answer:
			all = append(all, a)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return all, nil
}

// inFlight returns the sealed batches that match and are not settled.
func (w *worker) inFlight(matches func(*transit) bool) []*transit {
	w.mu.Lock()
	defer w.mu.Unlock()
	var flights []*transit
	for f := range w.flights {
		if matches(f) {
			flights = append(flights, f)
		}
	}
	return flights
}
