package server

import (
	"math/bits"
	"sync"
	"unsafe"

	"google.golang.org/grpc/mem"

	"github.com/logbatcher/logbatcher/schema"
)

const (
	entrySize     = int(unsafe.Sizeof(schema.Entry{}))
	attributeSize = int(unsafe.Sizeof(schema.Attribute{}))
	placeSize     = 4

	minSlab = 16
	// maxChunk is how many attributes lie together. A larger chunk wastes more at the end of a request.
	maxChunk = 4096
	// textChunk is how many bytes of texts lie together for each attribute that does.
	textChunk = 16
)

// slabs is a pool of slices whose capacities are powers of two. With one capacity for all, a request with one entry could hold,
// uncounted, the memory of ten thousand. Slabs of bytes are a mem.BufferPool; gRPC's own goes from 32 KiB to 1 MiB in one step,
// so a request of 40 KB would hold 25 times what the budget was charged.
type slabs[T any] [32]sync.Pool

func class(n int) int { return bits.Len(uint(max(n, minSlab) - 1)) }

// slabCap returns the capacity of the slice that Get returns for n.
func slabCap(n int) int { return 1 << class(n) }

// Get returns a slice of length n.
func (s *slabs[T]) Get(n int) *[]T {
	p, ok := s[class(n)].Get().(*[]T)
	if !ok {
		slice := make([]T, slabCap(n))
		p = &slice
	}
	*p = (*p)[:n]
	return p
}

// Put returns a slice to the pool.
func (s *slabs[T]) Put(p *[]T) { s[class(cap(*p))].Put(p) }

// memory is where requests live while they are in flight.
type memory struct {
	// shared is set for a protocol whose requests bring what entries share, and whose values may need texts of their own.
	shared     bool
	buffers    mem.BufferPool
	entries    slabs[schema.Entry]
	attributes slabs[schema.Attribute]
	places     slabs[uint32]
}

func newMemory() *memory { return &memory{buffers: new(slabs[byte])} }

// arena holds the views of one piece of a request.
type arena struct {
	memory *memory
	// entries has the views, places the place of each one in the request. Nil: the piece is empty.
	entries *[]schema.Entry
	places  *[]uint32
	// chunks have the attributes; those of one entry lie together in one chunk.
	chunks []*[]schema.Attribute
	// texts are the chunks with texts that a decoder makes itself.
	texts []*[]byte
	// held is the memory that entries refer to and the arena does not own.
	held     int
	refusals []schema.Refusal
	// dropped is what an OTLP sender says that the entries lack.
	dropped droppedAttributes
	// place is that of the next entry.
	place int
	// maxEntries is how many entries a piece may have. chunk is the size of a chunk; attributeBytes is what
	// all chunks, the texts, and what is held may occupy.
	maxEntries, chunk, attributeBytes int
}

// The views that a request's bytes pay for. A request with more of them, in shorter entries or attributes, is decoded in pieces.
const (
	// minPieceEntries is how many entries a piece may have whatever the request's bytes.
	minPieceEntries = 4096
	// entryBytesPaid and attributeBytesPaid are the bytes of views per byte of the request: enough unless entries average less
	// than some 60 bytes, or attributes less than 24.
	entryBytesPaid     = 4
	attributeBytesPaid = 2
	// minAttributeBytes is the least that an attribute has in an entry: tags, lengths and a key.
	minAttributeBytes = 5
	// minSharedBytes is the same where keys may be empty, sharedOverhead what shared attributes need besides.
	minSharedBytes = 2
	sharedOverhead = 4 << 10
	// maxExpansion is how many times its bytes the texts made of a value may occupy: a byte becomes six in JSON, in a slab of twice that.
	maxExpansion = 12
)

// plan returns an arena for a request of that many bytes and entries, and the most memory it may occupy.
func (m *memory) plan(c *Config, requestBytes, entries int) (a arena, bytes int) {
	a = arena{memory: m, chunk: min(slabCap(requestBytes/32), maxChunk)}
	a.maxEntries = min(entries, max(minPieceEntries, entryBytesPaid*requestBytes/entrySize))
	// Any one entry fits into an empty arena.
	largest := slabCap(min(c.MaxEntryAttributes, requestBytes/minAttributeBytes))
	a.attributeBytes = attributeBytesPaid * requestBytes
	if m.shared {
		largest = slabCap(min(3*c.MaxEntryAttributes, requestBytes/minSharedBytes)) // its own, its resource's and its scope's
		a.attributeBytes += sharedOverhead + min(2*int(c.MaxEntryBytes), maxExpansion*requestBytes)
	}
	a.attributeBytes += max(a.chunk, largest) * attributeSize
	return a, slabCap(a.maxEntries)*(entrySize+placeSize) + a.attributeBytes
}

// RequestMemory returns the most that one request may occupy while it is decoded.
func (c *Config) RequestMemory() int {
	_, views := (&memory{shared: true}).plan(c, int(c.MaxRequestBytes), c.MaxRequestEntries)
	return slabCap(int(c.MaxRequestBytes)) + views
}

// begin empties the arena and takes memory for a piece of that many entries, or as many as it may have. place is the place of the
// first one in the request.
func (a *arena) begin(entries, place int) {
	a.free()
	a.place = place
	if n := min(entries, a.maxEntries); n > 0 {
		a.entries, a.places = a.memory.entries.Get(n), a.memory.places.Get(n)
		*a.entries, *a.places = (*a.entries)[:0], (*a.places)[:0]
	}
}

// views returns the entries of the piece and their places.
func (a *arena) views() ([]schema.Entry, []uint32) {
	if a.entries == nil {
		return nil, nil
	}
	return *a.entries, *a.places
}

// full reports whether the piece has as many entries as it may have.
func (a *arena) full() bool { return a.entries != nil && len(*a.entries) >= a.maxEntries }

// add returns the view of the next entry, for the caller to fill.
func (a *arena) add() *schema.Entry {
	n := len(*a.entries)
	*a.entries = (*a.entries)[:n+1]
	*a.places = append(*a.places, uint32(a.place))
	a.place++
	return &(*a.entries)[n]
}

// refuse records that the next entry is not among entries.
func (a *arena) refuse(refusal *schema.Refusal) {
	refusal.Index = uint32(a.place)
	a.refusals = append(a.refusals, *refusal)
	a.place++
}

// skip records that there is no entry in the next place.
func (a *arena) skip() { a.place++ }

// attributes returns room for n attributes. It reports false if the chunks may not grow any more.
func (a *arena) attributes(n int) ([]schema.Attribute, bool) {
	if n == 0 {
		return nil, true
	}
	if len(a.chunks) > 0 {
		if last := a.chunks[len(a.chunks)-1]; cap(*last)-len(*last) >= n {
			from := len(*last)
			*last = (*last)[:from+n]
			return (*last)[from : from+n : from+n], true
		}
	}
	size := slabCap(max(n, a.chunk))
	if a.charged()+size*attributeSize > a.attributeBytes {
		return nil, false
	}
	p := a.memory.attributes.Get(size)
	*p = (*p)[:n]
	a.chunks = append(a.chunks, p)
	return (*p)[:n:n], true
}

// text returns room for a text of n bytes. It reports false if the texts may not grow any more.
func (a *arena) text(n int) ([]byte, bool) {
	if n == 0 {
		return nil, true
	}
	if len(a.texts) > 0 {
		if last := a.texts[len(a.texts)-1]; cap(*last)-len(*last) >= n {
			from := len(*last)
			*last = (*last)[:from+n]
			return (*last)[from : from+n : from+n], true
		}
	}
	size := slabCap(max(n, a.chunk*textChunk))
	if a.charged()+size > a.attributeBytes {
		return nil, false
	}
	p := a.memory.buffers.Get(size)
	*p = (*p)[:n]
	a.texts = append(a.texts, p)
	return (*p)[:n:n], true
}

// hold charges memory that entries refer to and the arena does not own. It reports false if there is no room for it.
func (a *arena) hold(bytes int) bool {
	if a.charged()+bytes > a.attributeBytes {
		return false
	}
	a.held += bytes
	return true
}

// charged returns what counts against attributeBytes.
func (a *arena) charged() int {
	bytes := a.held
	for _, t := range a.texts {
		bytes += cap(*t)
	}
	for _, c := range a.chunks {
		bytes += cap(*c) * attributeSize
	}
	return bytes
}

// bytes returns the memory that the arena occupies.
func (a *arena) bytes() int {
	bytes := a.charged()
	if a.entries != nil {
		bytes += cap(*a.entries)*entrySize + cap(*a.places)*placeSize
	}
	return bytes
}

// free returns everything to the pools. Nothing may read the views any more.
func (a *arena) free() {
	if a.entries != nil {
		clear(*a.entries)
		a.memory.entries.Put(a.entries)
		a.memory.places.Put(a.places)
	}
	for _, c := range a.chunks {
		clear(*c)
		a.memory.attributes.Put(c)
	}
	for _, t := range a.texts {
		a.memory.buffers.Put(t)
	}
	a.entries, a.places, a.chunks, a.texts, a.refusals = nil, nil, nil, nil, nil
	a.held, a.dropped = 0, droppedAttributes{}
}
