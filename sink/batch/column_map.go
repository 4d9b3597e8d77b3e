package batch

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/logbatcher/logbatcher/schema"
)

// mapColumn stores the entries' own attributes as Map(LowCardinality(String), String) or
// Map(String, String). Keys are indexes of a dictionary in both; the second type's are written out when the block is.
type mapColumn struct {
	// names has the keys. It belongs to the attributeReader that fills the column.
	names *dictionary
	// plain says that the type is Map(String, String).
	plain bool
	// ends has for each row the number of pairs up to its end.
	ends   proto.ColUInt64
	keys   keyColumn
	values []byte
	// lastValues is where the last row's values begin.
	lastValues int
}

// begin starts a row. Pairs that follow belong to it.
func (c *mapColumn) begin() {
	c.names.mark()
	c.lastValues = len(c.values)
}

// end closes the row.
func (c *mapColumn) end() { c.ends = append(c.ends, uint64(c.keys.len())) }

// abandon takes back the pairs of the row that was begun and has not ended.
func (c *mapColumn) abandon() {
	c.keys.truncate(int(lastEnd(c.ends)))
	c.values = c.values[:c.lastValues]
}

// append adds a row without pairs. Rows with pairs come from the attributeReader.
func (c *mapColumn) append(*value) {
	c.begin()
	c.end()
}

func (c *mapColumn) undo() {
	c.ends = c.ends[:len(c.ends)-1]
	c.abandon()
	c.names.undo()
}

func (c *mapColumn) write(w *blockWriter) {
	writeMapKeys(w, c.plain, c.ends, c.names, &c.keys)
	w.ChainWrite(c.values)
}

// writeMapKeys writes what comes before the values of a Map.
func writeMapKeys(w *blockWriter, plain bool, ends proto.ColUInt64, names *dictionary, keys *keyColumn) {
	if !plain {
		w.buffer.PutInt64(dictionaryVersion)
	}
	ends.WriteColumn(w.Writer)
	if !plain {
		writeDictionary(w, names, keys)
		return
	}
	for i := range keys.len() {
		w.buffer.PutString(names.text(keys.at(i)))
		w.flushFull()
	}
}

func (c *mapColumn) memory() int { return 8*len(c.ends) + c.keys.memory() + len(c.values) }

func (c *mapColumn) reset() {
	c.ends = emptied(c.ends)
	c.keys.reset()
	c.values = emptied(c.values)
}

// appendAttribute adds the text of an attribute's value behind its length.
func appendAttribute(bytes []byte, a *schema.Attribute) []byte {
	switch a.Type {
	case schema.String, schema.Bytes, schema.JSON:
		return appendString(bytes, a.Text)
	}
	at := len(bytes)
	bytes = a.AppendText(append(bytes, 0))
	bytes[at] = byte(len(bytes) - at - 1) // at most 24: the length is one byte
	return bytes
}

// The places that an attribute's key can go to, beside the slots of columns.
const inMap = int32(-1)

// attributeReader goes over an entry's attributes once: those with a column of their own are noted for it, the
// others go to the map. Entries of one kind have the same keys at the same places, so the
// key that was last at a place is compared first, and no key is hashed twice.
type attributeReader struct {
	names dictionary
	// slots has the keys that have columns of their own, and the place in found of each.
	slots map[string]int32
	// column is the map. Nil: the table has none.
	column *mapColumn
	// marks has for each text of names where it goes, and where it was last seen.
	marks []keyMark
	// recent has the last key at each place.
	recent []recentKey
	// found has for each slot the place of its attribute in the entry, plus one. 0: not there.
	found []int32
	// row counts the rows that were read, so that a key can tell whether it has been in this one.
	row uint32
}

type keyMark struct {
	slot int32
	// row is where the key was last put in the map.
	row uint32
	// place is its last place in the entry, while duplicates are sorted out.
	place int32
}

type recentKey struct {
	key string
	id  uint32
}

// recentPlaces bounds recent.
const recentPlaces = 256

// read takes in one row's attributes.
func (r *attributeReader) read(attributes []schema.Attribute) {
	clear(r.found)
	r.row++
	if r.column == nil {
		for i := range attributes {
			if slot := r.marks[r.id(i, attributes[i].Key)].slot; slot != inMap {
				r.found[slot] = int32(i) + 1
			}
		}
		return
	}
	c := r.column
	c.begin()
	for i := range attributes {
		a := &attributes[i]
		id := r.id(i, a.Key)
		mark := &r.marks[id]
		if mark.slot != inMap {
			r.found[mark.slot] = int32(i) + 1
			continue
		}
		if mark.row == r.row {
			c.abandon()
			r.names.undo()
			r.readDuplicates(attributes)
			break
		}
		mark.row = r.row
		c.keys.append(r.names.use(id))
		c.values = appendAttribute(c.values, a)
	}
	c.end()
}

// readDuplicates reads a row that has a key twice, where the last one counts: a Map of ClickHouse would
// keep both.
func (r *attributeReader) readDuplicates(attributes []schema.Attribute) {
	for i := range attributes {
		mark := &r.marks[r.id(i, attributes[i].Key)]
		mark.place = int32(i)
		if mark.slot != inMap {
			r.found[mark.slot] = int32(i) + 1
		}
	}
	for i := range attributes {
		id := r.id(i, attributes[i].Key)
		if mark := &r.marks[id]; mark.slot != inMap || mark.place != int32(i) {
			continue
		}
		r.column.keys.append(r.names.use(id))
		r.column.values = appendAttribute(r.column.values, &attributes[i])
	}
}

// id returns the id of the key of the attribute at that place. Its mark is there.
func (r *attributeReader) id(place int, key string) uint32 {
	if place < len(r.recent) && r.recent[place].key == key {
		return r.recent[place].id
	}
	id := r.names.id(key)
	for len(r.marks) < len(r.names.texts) {
		slot, own := r.slots[r.names.texts[len(r.marks)].text]
		if !own {
			slot = inMap
		}
		r.marks = append(r.marks, keyMark{slot: slot})
	}
	if place < recentPlaces {
		for len(r.recent) <= place {
			r.recent = append(r.recent, recentKey{})
		}
		r.recent[place] = recentKey{key: r.names.texts[id].text, id: id}
	}
	return id
}

func (r *attributeReader) reset() {
	if r.names.reset() {
		r.marks, r.recent = nil, r.recent[:0]
	}
}
