package shard

import (
	"context"
	"slices"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Shards returns the state of all shards, in the order of their numbers.
func (r *Router) Shards(ctx context.Context) ([]schema.ShardState, error) {
	return ask(ctx, r, func(_ context.Context, w *worker) schema.ShardState { return w.state(time.Now()) })
}

func (w *worker) state(now time.Time) schema.ShardState {
	s := schema.ShardState{Number: w.number, QueuedRequests: len(w.queue)}
	for _, b := range w.open.oldest {
		s.OpenBatches = append(s.OpenBatches, schema.OpenBatch{
			ID: b.ID(), Table: b.route.Table.FullName(), Partition: b.Partition().ID,
			Rows: b.Rows(), Bytes: b.Bytes(), Age: now.Sub(b.first),
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for f := range w.flights {
		s.InsertsInFlight++
		s.RowsInFlight += f.rows
	}
	return s
}

// Routes returns the state of all routes, in the order of the configuration, and how many entries matched none. The caller fills in what
// only the delivery knows.
func (r *Router) Routes() (states []schema.RouteState, unmatched uint64) {
	for _, route := range r.routing.Load().routes {
		bytes, rows := route.account.held()
		states = append(states, schema.RouteState{
			Name: route.Name, Table: route.Table.FullName(), Filter: route.Filter.String(), SchemaHash: route.layout.SchemaHash(),
			RowsRouted: int(route.account.routed.Load()), RowsCommitted: int(route.account.committed.Load()),
			RowsDeadLettered: int(route.account.deadLettered.Load()), RowsRefused: int(route.account.refused.Load()),
			RowsInFlight: rows, BytesInFlight: bytes,
		})
	}
	return states, r.unmatched.Load()
}

// Explain returns what would become of an entry received now. It stores nothing.
func (r *Router) Explain(e *schema.Entry) schema.Explanation {
	now, routing := time.Now(), r.routing.Load()
	id := r.shard(e.Colo, routing.bucketOf(now))
	explanation := schema.Explanation{ShardID: id.text}
	for _, route := range routing.routes {
		x := schema.RouteExplanation{
			Route: route.Name, Table: route.Table.FullName(),
			Matches: route.Filter.Match(e), Conditions: route.Filter.Explain(e),
		}
		if x.Matches {
			partition, problem := route.try(e, now, id.text)
			x.Partition = partition
			if problem != nil {
				x.Refusal = &schema.Refusal{Field: problem.Field, Reason: problem.Reason, Message: problem.Message, Route: route.Name}
			}
		}
		explanation.Routes = append(explanation.Routes, x)
	}
	return explanation
}

// try makes a row of the entry and discards it.
func (r *route) try(e *schema.Entry, received time.Time, shardID string) (partition string, problem *batch.RowError) {
	if problem := r.outOfTime(e, received); problem != nil {
		return "", problem
	}
	origin := batch.Origin{Producer: "explain", ShardID: shardID}
	at, problem := r.layout.NewPartitioner().Of(e, &origin)
	if problem != nil {
		return "", problem
	}
	b := r.layout.NewBatch("explain", at)
	defer b.Release()
	b.Begin(origin, received)
	if problem := b.Append(e); problem != nil {
		return "", problem
	}
	return at.ID, nil
}

// Has reports whether a route has the table ("database.table", or the table's name alone).
func (r *Router) Has(table string) bool {
	return slices.ContainsFunc(r.routing.Load().routes, func(route *route) bool {
		return table == route.Table.FullName() || table == route.Table.Name
	})
}
