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

	// sets has routing.matcher.Words() words an entry: the routes that it matches.
	sets []uint64
	// shards are the shard ids of the entries, each once.
	shards []shardID
	// shardOf has for each entry its place in shards. It is empty where all entries have the same shard id.
	shardOf []uint16
	// reserved are the bytes promised to tables until the entries are in their batches.
	reserved []reservation

	// copying counts the shards that still read Entries.
	copying atomic.Int32
	// unsettled counts what the outcome waits for: each shard until it has copied its entries, each batch and
	// each dead letter with rows of this request.
	unsettled atomic.Int32

	mu      sync.Mutex
	outcome schema.Outcome
}

// shardID is where and when a request's entries came in.
type shardID struct {
	text   string
	worker int
}

type reservation struct {
	account *tableAccount
	bytes   int
}

// shardIDOf returns the shard id of entry i.
func (p *pending) shardIDOf(i int) *shardID {
	if len(p.shardOf) == 0 {
		return &p.shards[0]
	}
	return &p.shards[p.shardOf[i]]
}

// copied says that one shard has copied its entries. It ends with a settle of its own.
func (p *pending) copied() {
	if p.copying.Add(-1) == 0 {
		p.unreserve()
		p.Release()
	}
	p.settle()
}

// unreserve gives back what was promised to the request: its rows are in their batches, or will not be.
func (p *pending) unreserve() {
	for _, r := range p.reserved {
		r.account.add(-r.bytes, 0)
	}
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
