package shard

import (
	"sync/atomic"

	"github.com/logbatcher/logbatcher/schema"
)

// pending is a request on its way into batches: the routes and shards that its entries go to, and who still copies them.
type pending struct {
	*schema.Request
	*settlement
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

// copied records that one shard is done copying, and drops its holds.
func (p *pending) copied(b *Budget) {
	if p.copying.Add(-1) == 0 {
		if p.piece < p.pieces-1 {
			p.taken <- struct{}{}
		} else {
			b.unreserve(p.reserved)
			p.Release()
		}
	}
	p.place()
	p.settle()
}
