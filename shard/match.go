package shard

import (
	"hash/maphash"
	"slices"
	"strconv"

	"github.com/logbatcher/logbatcher/schema"
)

// shardSeed makes the choice of a shard differ between processes, so that instances do not all put the same colo
// into the same place.
var shardSeed = maphash.MakeSeed()

// match finds the routes and the shard ids of all entries of the request.
func (r *Router) match(request *schema.Request) *pending {
	routing := r.routing.Load()
	words := routing.matcher.Words()
	p := &pending{Request: request, routing: routing}
	p.sets = make([]uint64, words*len(request.Entries))
	bucket := request.Received.UnixMilli() / r.config.Bucket.Milliseconds()
	var last string // the colo of the entry before
	at := -1        // its place in p.shards
	for i := range request.Entries {
		e := &request.Entries[i]
		routing.matcher.Match(e, p.sets[i*words:(i+1)*words])
		if at >= 0 && e.Colo == last {
			if len(p.shardOf) > 0 {
				p.shardOf = append(p.shardOf, uint16(at))
			}
			continue
		}
		last = e.Colo
		at = r.shardIDOf(p, e.Colo, bucket)
		if len(p.shards) > 1 && len(p.shardOf) == 0 {
			p.shardOf = make([]uint16, i, len(request.Entries)) // those before are all of the first
		}
		if len(p.shards) > 1 {
			p.shardOf = append(p.shardOf, uint16(at))
		}
	}
	return p
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
	return shardID{text: text, worker: int(maphash.String(shardSeed, text) % uint64(len(r.workers)))}
}
