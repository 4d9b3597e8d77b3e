package batch

import (
	"unsafe"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/logbatcher/logbatcher/schema"
)

// streamMapColumn stores the resource's or the scope's attributes as Map(LowCardinality(String), String) or
// Map(String, String). All entries of a stream have the same, so a row is the number of its map, and maps
// are repeated only when the block is written.
type streamMapColumn struct {
	plain bool
	// own are the keys that have columns of their own, and are left out.
	own   map[string]int32
	scope bool
	names dictionary
	// rows has the place in maps of each row's.
	rows proto.ColUInt32
	maps []streamMap
	// keys and values are those of all maps, values with their lengths.
	keys   []uint32
	values []byte
	// seen has the streams that maps were made for, last the one that was asked for last. They are
	// compared by address, and kept, so that no other stream gets the address of one of them.
	seen   map[*schema.Stream]uint32
	last   *schema.Stream
	lastID uint32
	// pairs counts the pairs of all rows. repeated is about the bytes that they take in the block.
	pairs, repeated int
}

// streamMap is one map: pairs of keys from keyStart, values in the bytes from valueStart to valueEnd.
type streamMap struct {
	keyStart, pairs      int
	valueStart, valueEnd int
	// bytes is about what a row with the map takes in the block.
	bytes int
}

func newStreamMapColumn(plain, scope bool, own map[string]int32) *streamMapColumn {
	c := &streamMapColumn{plain: plain, scope: scope, own: own, seen: make(map[*schema.Stream]uint32)}
	c.names.init(false)
	return c
}

// fill is the column's fill function.
func (c *streamMapColumn) fill(e *schema.Entry) *RowError {
	stream := e.Stream
	if stream != c.last {
		id, known := c.seen[stream]
		if !known {
			attributes := stream.ResourceAttributes
			if c.scope {
				attributes = stream.ScopeAttributes
			}
			id = c.add(attributes)
			c.seen[stream] = id
		}
		c.last, c.lastID = stream, id
	}
	c.appendRow(c.lastID)
	return nil
}

func (c *streamMapColumn) appendRow(id uint32) {
	c.rows = append(c.rows, id)
	m := &c.maps[id]
	c.pairs += m.pairs
	c.repeated += m.bytes
}

// add makes the map of the attributes and returns its place in maps. Of a key that is there twice the last one
// counts.
func (c *streamMapColumn) add(attributes []schema.Attribute) uint32 {
	m := streamMap{keyStart: len(c.keys), valueStart: len(c.values)}
	places := make(map[string]int, len(attributes))
	for i := range attributes {
		places[attributes[i].Key] = i
	}
	for i := range attributes {
		a := &attributes[i]
		if _, own := c.own[a.Key]; own || places[a.Key] != i {
			continue
		}
		c.keys = append(c.keys, c.names.index(a.Key))
		c.values = appendAttribute(c.values, a)
		m.bytes++ // the key's place in the dictionary
		if c.plain {
			m.bytes += len(a.Key)
		}
	}
	m.pairs, m.valueEnd = len(c.keys)-m.keyStart, len(c.values)
	m.bytes += m.valueEnd - m.valueStart
	c.maps = append(c.maps, m)
	return uint32(len(c.maps) - 1)
}

// append adds a row without pairs, for a column without a source. In such a column all rows are so.
func (c *streamMapColumn) append(*value) {
	if len(c.maps) == 0 {
		c.add(nil)
	}
	c.appendRow(0)
}

// undo leaves a map that was made for the row: the next entry of its stream will want it.
func (c *streamMapColumn) undo() {
	m := &c.maps[c.rows[len(c.rows)-1]]
	c.pairs -= m.pairs
	c.repeated -= m.bytes
	c.rows = c.rows[:len(c.rows)-1]
}

func (c *streamMapColumn) write(w *blockWriter) {
	if !c.plain {
		w.buffer.PutInt64(dictionaryVersion)
	}
	c.writeEnds(w)
	if c.pairs == 0 {
		return
	}
	c.writeKeys(w)
	for _, id := range c.rows {
		m := &c.maps[id]
		w.buffer.PutRaw(c.values[m.valueStart:m.valueEnd])
		w.flushFull()
	}
}

func (c *streamMapColumn) writeEnds(w *blockWriter) {
	end := uint64(0)
	for _, id := range c.rows {
		end += uint64(c.maps[id].pairs)
		w.buffer.PutUInt64(end)
		w.flushFull()
	}
}

func (c *streamMapColumn) writeKeys(w *blockWriter) {
	width := c.keyWidth()
	if !c.plain {
		writeDictionaryHead(w, width, c.names.size())
		w.ChainWrite(c.names.bytes)
		w.buffer.PutInt64(int64(c.pairs))
	}
	for _, id := range c.rows {
		m := &c.maps[id]
		for _, key := range c.keys[m.keyStart:][:m.pairs] {
			switch {
			case c.plain:
				w.buffer.PutString(c.names.text(key))
			case width == proto.KeyUInt8:
				w.buffer.PutUInt8(uint8(key))
			case width == proto.KeyUInt16:
				w.buffer.PutUInt16(uint16(key))
			default:
				w.buffer.PutUInt32(key)
			}
		}
		w.flushFull()
	}
}

func (c *streamMapColumn) keyWidth() proto.CardinalityKey {
	switch size := c.names.size(); {
	case size <= 1<<8:
		return proto.KeyUInt8
	case size <= 1<<16:
		return proto.KeyUInt16
	}
	return proto.KeyUInt32
}

func (c *streamMapColumn) memory() int {
	return 4*len(c.rows) + 4*len(c.keys) + len(c.values) + c.names.memory() +
		len(c.maps)*int(unsafe.Sizeof(streamMap{}))
}

func (c *streamMapColumn) reset() {
	c.names.reset()
	c.rows = emptied(c.rows, 4)
	c.maps = emptied(c.maps, int(unsafe.Sizeof(streamMap{})))
	c.keys = emptied(c.keys, 4)
	c.values = emptied(c.values, 1)
	clear(c.seen)
	c.last, c.lastID, c.pairs, c.repeated = nil, 0, 0, 0
}
