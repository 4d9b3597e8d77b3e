package shard

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
	"strconv"

	"github.com/logbatcher/logbatcher/schema"
)

// shardSeed makes the choice of a shard differ between processes, so that instances do not all assign the same colo to the same shard.
var shardSeed = maphash.MakeSeed()

// RowBytes estimates the bytes of a row beside the values of its entry: lengths, times and dictionary keys.
const RowBytes = 64

// survey matches all entries of the request, in however many pieces they come, and computes what each table will have to hold.
func (r *Router) survey(request *schema.Request, routing *routing) *pending {
	p := &pending{Request: request, settlement: &settlement{request: request, settled: request.Settled}, routing: routing}
	p.allowed = p.routing.allowed(request.Routes)
	counts := make([]int32, len(p.routing.routes))
	var touched []int
	entries, unmatched := 0, 0
	for {
		r.match(p)
		p.pieces++
		entries += len(p.Entries)
		for i := range p.Entries {
			none := true
			for n := range matched(p.set(i)) {
				none = false
				if counts[n] == 0 {
					touched = append(touched, n)
				}
				counts[n]++
			}
			if none {
				unmatched++
			}
		}
		if request.Decoder == nil || !request.Decoder.Next() {
			break
		}
	}
	size := request.Size
	if size == 0 {
		size = request.Bytes
	}
	bytes := func(count int) int { return size*count/entries + RowBytes*count + RequestBytes }
	for _, n := range touched {
		p.reserved = append(p.reserved, reservation{account: p.routing.routes[n].account, bytes: bytes(int(counts[n]))})
	}
	if unmatched > 0 && routing.KeepUnmatched {
		p.reserved = append(p.reserved, reservation{account: r.unmatchedAccount, bytes: bytes(unmatched)})
	}
	return p
}

// matched iterates over the routes in a match set.
func matched(set []uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, word := range set {
			for ; word != 0; word &= word - 1 {
				if !yield(i*64 + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}

// match finds the routes and the shard ids of the entries of the current piece.
func (r *Router) match(p *pending) {
	words := p.routing.matcher.Words()
	p.sets = slices.Grow(p.sets[:0], words*len(p.Entries))[:words*len(p.Entries)]
	p.shardOf = slices.Grow(p.shardOf[:0], len(p.Entries))
	p.shards = p.shards[:0]
	bucket := p.routing.bucketOf(p.Received)
	var colo string // of the entry before
	var place int   // of its shard id in p.shards
	for i := range p.Entries {
		e := &p.Entries[i]
		p.routing.matcher.Match(e, p.set(i))
		for word, mask := range p.allowed {
			p.set(i)[word] &= mask
		}
		if i == 0 || e.Colo != colo {
			colo, place = e.Colo, r.shardIDOf(p, e.Colo, bucket)
		}
		p.shardOf = append(p.shardOf, uint16(place))
	}
}

// shardIDOf returns the place in p.shards of the colo's shard id.
func (r *Router) shardIDOf(p *pending, colo string, bucket int64) int {
	at := slices.IndexFunc(p.shards, func(id shardID) bool {
		return len(id.text) > len(colo) && id.text[:len(colo)] == colo && id.text[len(colo)] == '-'
	})
	if at >= 0 {
		return at
	}
	p.shards = append(p.shards, r.shard(colo, bucket))
	return len(p.shards) - 1
}

// shard returns the shard id "COLO-BUCKET" and the worker that its hash chooses.
func (r *Router) shard(colo string, bucket int64) shardID {
	text := colo + "-" + strconv.FormatInt(bucket, 10)
	return shardID{text: text, worker: r.workers[maphash.String(shardSeed, text)%uint64(len(r.workers))]}
}
