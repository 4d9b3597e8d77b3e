package server

import (
	"context"

	"github.com/logbatcher/logbatcher/schema"
)

// Router takes requests. It is implemented by package shard.
type Router interface {
	// Route takes the request: it matches the entries and hands them to shards. It blocks while memory, or a table that the
	// request has entries for, has reached its bound, and calls waiting each time it begins to wait, with the cause and the table. When
	// ctx ends, or the Router takes nothing any more, it returns an error and has neither released nor settled the
	// request, nor kept anything of it. Once it has returned nil it calls Release once and then Settled once; it may do so
	// before it returns.
	Route(ctx context.Context, r *schema.Request, waiting func(cause schema.WaitCause, table string)) error
}

// Budget bounds the bytes in flight of the process.
type Budget interface {
	// Acquire takes bytes once they are free. It grants more than the whole budget when nothing else is in flight.
	// When ctx ends first it takes nothing and returns an error.
	Acquire(ctx context.Context, bytes int) error
	// Release gives bytes back.
	Release(bytes int)
}

// Admin shows and does what operators ask for. An error that is schema.ErrUnknownTable is told as such.
type Admin interface {
	// ListShards returns the state of all shards, in the order of their numbers.
	ListShards(ctx context.Context) ([]schema.ShardState, error)
	// ListRoutes returns the state of all routes, in the order of the configuration, and how
	// many entries matched none.
	ListRoutes(ctx context.Context) (routes []schema.RouteState, unmatched int, err error)
	// Flush seals the open batches of the table, or all where it is empty, and returns when they are settled.
	Flush(ctx context.Context, table string) (batches, rows int, err error)
	// Explain says what would become of the entry. It keeps nothing of it.
	Explain(ctx context.Context, e *schema.Entry) (*schema.Explanation, error)
}

// Readiness says whether the instance can accept. It is asked every second and must not block.
type Readiness interface {
	// Ready returns whether the instance can accept, and if not, why.
	Ready() (ok bool, reasons []string)
	// Degraded returns what does not work although the instance can accept. Empty: all works.
	Degraded() []string
}
