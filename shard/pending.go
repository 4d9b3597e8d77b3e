package shard

import (
	"sync"
	"sync/atomic"

	"github.com/logbatcher/logbatcher/schema"
)

// pending is a request in the shards: the routes and shards that its entries go to, who still copies them, and the outcome so far.
type pending struct {
	*schema.Request
	routing *routing
	pieces  int // that the entries come in
	// allowed is the set of routes that the entries may match. Nil: all.
	allowed []uint64
	// reserved are the bytes reserved in tables until the entries are in their batches.
	reserved []reservation

	// What follows is about the current piece.

	// piece is its number.
	piece int
	// sets has routing.matcher.Words() words for each entry: the routes that it matches.
	sets []uint64
	// shards are the shard ids of the entries, each once.
	shards []shardID
	// shardOf has the place in shards of each entry's shard id.
	shardOf []uint16
	// copying counts the shards that still read Entries.
	copying atomic.Int32
	// taken, with room for one, reports that a piece other than the last has been copied.
	taken chan struct{}

	// unsettled counts what the outcome waits for: Route, each shard until it has copied its entries, and each batch and dead letter
	// with rows of this request.
	unsettled atomic.Int32

	mu      sync.Mutex
	outcome schema.Outcome
}

// shardID is where and when a request's entries came in.
type shardID struct {
	text   string
	worker *worker
}

// set returns the routes that entry i matches.
func (p *pending) set(i int) []uint64 {
	words := p.routing.matcher.Words()
	return p.sets[i*words : (i+1)*words]
}

// shardIDOf returns the shard id of entry i.
func (p *pending) shardIDOf(i int) *shardID { return &p.shards[p.shardOf[i]] }

// copied records that one shard is done copying, and drops its hold on the outcome.
func (p *pending) copied(b *Budget) {
	if p.copying.Add(-1) == 0 {
		if p.piece < p.pieces-1 {
			p.taken <- struct{}{}
		} else {
			b.unreserve(p.reserved)
			p.Release()
		}
	}
	p.settle()
}

// settle drops one hold on the outcome; the last one reports it.
func (p *pending) settle() {
	if p.unsettled.Add(-1) == 0 {
		p.Settled(&p.outcome)
	}
}

func (p *pending) refuse(refusals ...schema.Refusal) {
	p.mu.Lock()
	p.outcome.Refusals = append(p.outcome.Refusals, refusals...)
	p.mu.Unlock()
}

func (p *pending) deadLettered(d schema.DeadLettered) {
	p.mu.Lock()
	p.outcome.DeadLettered = append(p.outcome.DeadLettered, d)
	p.mu.Unlock()
}
