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

	placeSize = 4

	minSlab = 16
	// maxChunk is how many attributes lie together. A larger chunk wastes more at the end of a request.
	maxChunk = 4096
)

// slabs is a pool of slices whose capacities are powers of two. One capacity for all would let a
// request with one entry hold, uncounted, the memory of ten thousand.
type slabs[T any] struct {
	pools [32]sync.Pool
	// keep leaves the contents when a slice comes back.
	keep bool
}

func class(n int) int { return bits.Len(uint(max(n, minSlab) - 1)) }

// slabCap returns the capacity of the slice that get returns for n.
func slabCap(n int) int { return 1 << class(n) }

func (s *slabs[T]) get(n int) *[]T {
	c := class(n)
	if p, ok := s.pools[c].Get().(*[]T); ok {
		return p
	}
	slice := make([]T, 0, 1<<c)
	return &slice
}

func (s *slabs[T]) put(p *[]T) {
	if !s.keep {
		clear(*p)
	}
	*p = (*p)[:0]
	s.pools[class(cap(*p))].Put(p)
}

// bytePool is a mem.BufferPool of slabs. gRPC's own has 1 MiB as the step after 32 KiB: a
// request of 40 KB would hold 25 times what the budget was charged.
type bytePool struct{ slabs slabs[byte] }

func newBytePool() *bytePool { return &bytePool{slabs: slabs[byte]{keep: true}} }

// Get returns a buffer of the length.
func (b *bytePool) Get(length int) *[]byte {
	p := b.slabs.get(length)
	*p = (*p)[:length]
	return p
}

// Put takes a buffer back.
func (b *bytePool) Put(p *[]byte) { b.slabs.put(p) }

// memory is where requests live while they are in flight.
type memory struct {
	buffers    mem.BufferPool
	entries    slabs[schema.Entry]
	attributes slabs[schema.Attribute]
	decoders   sync.Pool
}

func newMemory() *memory {
	return &memory{buffers: newBytePool(), decoders: sync.Pool{New: func() any { return new(decoder) }}}
}

// arena holds the views of one piece of a request. An entry's attributes lie together in one chunk.
type arena struct {
	memory  *memory
	entries *[]schema.Entry
	chunks  []*[]schema.Attribute
	// index has the places of the entries, once one of them is not the place in entries.
	index []uint32
	// maxEntries is how many entries a piece may have. chunk is the size of a chunk; attributeBytes is what the chunks may occupy
	// together.
	maxEntries, chunk, attributeBytes int
}

// The views that a request's bytes pay for. One with more of them, in shorter entries or attributes, is decoded piece by piece.
const (
	// minPieceEntries is how many entries a piece may have whatever the request's bytes.
	minPieceEntries = 4096
	// entryBytesPaid and attributeBytesPaid are the bytes of views to a byte of the request: enough unless entries have less than some 60
	// bytes on average, or attributes less than 24.
	entryBytesPaid     = 4
	attributeBytesPaid = 2
	// minAttributeBytes is the least that an attribute has in an entry: tags, lengths and a key.
	minAttributeBytes = 5
)

// plan returns an arena for a request of that many bytes and entries, and the memory that it may take.
func (m *memory) plan(c *Config, requestBytes, entries int) (a arena, bytes int) {
	a = arena{memory: m, chunk: min(slabCap(requestBytes/32), maxChunk)}
	a.maxEntries = min(entries, max(minPieceEntries, entryBytesPaid*requestBytes/entrySize))
	// Any one entry fits into an empty arena.
	largest := slabCap(min(c.MaxEntryAttributes, requestBytes/minAttributeBytes))
	a.attributeBytes = attributeBytesPaid*requestBytes + max(a.chunk, largest)*attributeSize
	return a, slabCap(a.maxEntries)*(entrySize+placeSize) + a.attributeBytes
}

// RequestMemory returns the most that one request may occupy while it is decoded.
func (c *Config) RequestMemory() int {
	_, views := (*memory)(nil).plan(c, c.MaxRequestBytes, c.MaxRequestEntries)
	return slabCap(c.MaxRequestBytes) + views
}

// begin takes the memory for a piece of which the first entry has a place in the request.
func (a *arena) begin(entries, place int) {
	entries = min(entries, a.maxEntries)
	if entries > 0 {
		a.entries = a.memory.entries.get(entries)
	}
	if place > 0 {
		a.index = make([]uint32, 0, entries)
	}
}

// full reports whether the piece has all the entries that it may have.
func (a *arena) full() bool { return a.entries != nil && len(*a.entries) >= a.maxEntries }

// took notes that the entry at the place is the latest of entries.
func (a *arena) took(place int) {
	if a.index != nil {
		a.index = append(a.index, uint32(place))
	}
}

// skip notes that the entry at the place is not among entries.
func (a *arena) skip(place int) {
	if a.index != nil {
		return
	}
	a.index = make([]uint32, place, cap(*a.entries))
	for i := range a.index {
		a.index[i] = uint32(i)
	}
}

// attributes returns room for n attributes, or nil where the chunks may grow no more.
func (a *arena) attributes(n int) []schema.Attribute {
	if n == 0 {
		return nil
	}
	if len(a.chunks) > 0 {
		if last := a.chunks[len(a.chunks)-1]; cap(*last)-len(*last) >= n {
			from := len(*last)
			*last = (*last)[:from+n]
			return (*last)[from : from+n : from+n]
		}
	}
	size := slabCap(max(n, a.chunk))
	if a.chunkBytes()+size*attributeSize > a.attributeBytes {
		return nil
	}
	p := a.memory.attributes.get(size)
	*p = (*p)[:n]
	a.chunks = append(a.chunks, p)
	return (*p)[:n:n]
}

func (a *arena) chunkBytes() int {
	bytes := 0
	for _, c := range a.chunks {
		bytes += cap(*c) * attributeSize
	}
	return bytes
}

// bytes returns the memory that the arena occupies.
func (a *arena) bytes() int {
	bytes := a.chunkBytes() + cap(a.index)*placeSize
	if a.entries != nil {
		bytes += cap(*a.entries) * entrySize
	}
	return bytes
}

// free gives everything back. Nothing may read the views any more.
func (a *arena) free() {
	if a.entries != nil {
		a.memory.entries.put(a.entries)
		a.entries = nil
	}
	for _, c := range a.chunks {
		a.memory.attributes.put(c)
	}
	a.chunks, a.index = nil, nil
}
