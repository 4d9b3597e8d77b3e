package batch

import "github.com/logbatcher/logbatcher/schema"

// mapColumn stores the entries' own attributes as Map(LowCardinality(String), String) or Map(String, String). Keys are indexes of
// a dictionary in both; those of the second are expanded when the block is written.
type mapColumn struct {
	// names are the keys. They belong to the attributeReader that fills the column.
	names *dictionary
	// plain is true for Map(String, String).
	plain  bool
	ends   endColumn
	keys   keyColumn
	values []byte
	// lastValues is the offset of the last row's values.
	lastValues int
}

// begin starts a row.
func (c *mapColumn) begin() {
	c.names.mark()
	c.lastValues = len(c.values)
}

// end ends the row.
func (c *mapColumn) end() { c.ends.append(c.keys.len()) }

// abandon removes the pairs of a row that has begun and not ended.
func (c *mapColumn) abandon() {
	c.keys.truncate(c.ends.last())
	c.values = c.values[:c.lastValues]
}

// append adds a row without pairs. The attributeReader adds the others.
func (c *mapColumn) append(*value) {
	c.begin()
	c.end()
}

func (c *mapColumn) undo() {
	c.ends.undo()
	c.abandon()
	c.names.undo()
}

func (c *mapColumn) write(w *blockWriter) {
	writeMapKeys(w, c.plain, c.ends, c.names, &c.keys)
	w.write(c.values)
}

// writeMapKeys writes what comes before the values of a Map.
func writeMapKeys(w *blockWriter, plain bool, ends endColumn, names *dictionary, keys *keyColumn) {
	if !plain {
		w.buffer.PutInt64(dictionaryVersion)
	}
	w.write(ends)
	if !plain {
		writeDictionary(w, names, keys)
		return
	}
	for i := range keys.len() {
		w.buffer.PutString(names.text(keys.at(i)))
		w.flushFull()
	}
}

func (c *mapColumn) memory() int { return len(c.ends) + c.keys.memory() + len(c.values) }

func (c *mapColumn) reset() {
	c.ends = emptied(c.ends)
	c.keys.reset()
	c.values = emptied(c.values)
}

// appendAttribute appends an attribute's value as a text, after its length.
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

// inMap is the slot of keys without a column of their own.
const inMap = int32(-1)

// attributeReader goes over an entry's attributes once. It notes those with a column of their own and puts the others in the map.
// Entries of one kind have the same keys at the same places, so the last key at a place is compared first, and most keys are
// not hashed.
type attributeReader struct {
	names dictionary
	// slots maps the keys with a column of their own to their index in found.
	slots map[string]int32
	// column is the map, or nil if the table has none.
	column *mapColumn
	// marks has the keyMark of each text of names.
	marks []keyMark
	// recent is the last key at each place.
	recent []recentKey
	// found has the place in the entry of each slot's attribute, plus one; 0 if it is absent.
	found []int32
	// row counts the rows read.
	row uint32
}

// keyMark is what is known of a key.
type keyMark struct {
	slot int32
	// row is the last one with the key in the map.
	row uint32
	// place is the key's last place in the entry. Only readDuplicates uses it.
	place int32
}

type recentKey struct {
	key string
	id  uint32
}

// recentPlaces bounds recent.
const recentPlaces = 256

// read reads one row's attributes.
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

// readDuplicates reads a row that has a key twice. The last one counts; ClickHouse's Map would keep both.
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

// id returns the id of the key at a place in the entry, and makes its mark.
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
