package shard

import (
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// transit is a batch and the requests that it has rows of, from its first row until it is settled.
type transit struct {
	*batch.Batch // nil if it is recovered
	route        *route
	first        time.Time // when its first row came in
	requests     []*settlement
	bytes        int // that the budget is charged for
	rows         int // that the table's account knows of
	touched      bool

	// places are the entries of the logged requests that it has rows of; those of requests[i] begin at begins[i]. Of a request in several
	// pieces, there may be others between two.
	places   []schema.PlaceRange
	begins   []int
	inPieces bool

	block *batch.Block   // once it is sealed
	file  schema.LogFile // nil: there is no log
	// recovered is told the outcome of a recovered batch. Nil: its requests are.
	recovered func([]schema.Outcome)

	landed  chan struct{} // closed once it is settled, or given up at shutdown
	settled bool          // written before landed is closed
}

const (
	// RequestBytes is what a request occupies besides its rows, in each batch that has some of them, until these are settled or in a file of
	// the log. Without it a flood of requests with one small entry each would hold many times what the budget knows of.
	RequestBytes = 1 << 10
	// settlementBytes is what it occupies after that, until the rows are settled: its settlement, and what the server and the log keep to hear of it.
	settlementBytes = 384
	// rangeBytes is the size of a schema.PlaceRange.
	rangeBytes = 8
)

// requestBytes returns what the requests of an open batch occupy besides their rows.
func (b *transit) requestBytes() int { return RequestBytes*len(b.requests) + rangeBytes*len(b.places) }

// place records that the batch has a row of the entry with that place in its last request.
func (b *transit) place(place uint32) {
	b.places = addPlace(b.places, b.begins[len(b.begins)-1], place)
}

// addPlace adds a place to the ranges of a request, which begin at index from.
func addPlace(places []schema.PlaceRange, from int, place uint32) []schema.PlaceRange {
	if last := len(places) - 1; last >= from && places[last].To == place {
		places[last].To++
		return places
	}
	return append(places, schema.PlaceRange{From: place, To: place + 1})
}

// contents returns what the batch has of the log's requests.
func (b *transit) contents() *schema.Contents {
	c := &schema.Contents{Routing: b.route.routing, Route: b.route.Name, Table: b.route.Table.FullName(), Parts: make([]schema.Part, 0, len(b.requests))}
	var known map[uint64]int // the parts by their numbers
	if b.inPieces {
		known = make(map[uint64]int, len(b.requests))
	}
	for i, s := range b.requests {
		places := b.places[b.begins[i]:]
		if i+1 < len(b.begins) {
			places = b.places[b.begins[i]:b.begins[i+1]:b.begins[i+1]]
		}
		if len(places) == 0 {
			continue // it is not logged, or its rows were refused
		}
		q := s.request
		if at, again := known[q.LSN]; again {
			c.Parts[at].Places = append(c.Parts[at].Places, places...)
			continue
		}
		if known != nil {
			known[q.LSN] = len(c.Parts)
		}
		c.Parts = append(c.Parts, partOf(q, places))
	}
	return c
}

// partOf returns the request's part with the places.
func partOf(q *schema.Request, places []schema.PlaceRange) schema.Part {
	return schema.Part{LSN: q.LSN, Tenant: q.Tenant, Producer: q.Producer, Epoch: q.Epoch, Sequence: q.Sequence, Places: places}
}
