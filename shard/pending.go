package shard

import (
	"sync"
	"sync/atomic"

	"github.com/logbatcher/logbatcher/schema"
)

// pending is a request on its way: which routes and shards its entries go to, who
// still copies it, and what has become of its rows so far.
type pending struct {
	*schema.Request
	routing *routing
	pieces  int // how many pieces the entries come in
	// reserved are the bytes promised to tables until the entries are in their batches.
	reserved []reservation

	// What follows is of the piece at hand.

	// piece is its number.
	piece int
	// sets has routing.matcher.Words() words an entry: the routes that it matches.
	sets []uint64
	// shards are the shard ids of the entries, each once.
	shards []shardID
	// shardOf has the place in shards of each entry's shard id.
	shardOf []uint16
	// copying counts the shards that still read Entries.
	copying atomic.Int32
	// taken has room for one: a piece that is not the last has been copied.
	taken chan struct{}

	// unsettled counts what the outcome waits for: Route, each shard until it has copied its entries, each batch and
	// each dead letter with rows of this request.
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

// copied notes that one shard has copied its entries. It ends with a settle of its own.
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

// settle takes one from what the outcome waits for.
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
