package batch

import (
	"maps"
	"slices"

	"github.com/logbatcher/logbatcher/schema"
)

// streamMapColumn stores the resource's or the scope's attributes as a Map. All entries of a stream have the same, so rows are
// runs of a stream's map, and maps are repeated only when the block is written.
type streamMapColumn struct {
	plain bool // Map(String, String), as in mapColumn
	scope bool
	// own are the keys that have columns of their own, and are left out.
	own   map[string]int32
	names dictionary
	runs  []mapRun
	// maps has the map of each stream. Streams are compared by address, and kept, so that no other one gets the address of one of them.
	maps map[*schema.Stream]*streamMap
	// last is the stream of the last run, or nil.
	last *schema.Stream
	// kept is the bytes of all maps and of the attributes that their streams keep, repeated is about the bytes that the rows take in the block.
	kept, repeated int
	// ends and keys are made when the block is written.
	ends endColumn
	keys keyColumn
}

// streamMap is a map: its keys as indexes of names, its values as the data of a String column.
type streamMap struct {
	keys   []uint32
	values []byte
	bytes  int // about what a row takes in the block
}

// mapRun is consecutive rows with the same map.
type mapRun struct {
	*streamMap
	rows int
}

func newStreamMapColumn(plain, scope bool, own map[string]int32) *streamMapColumn {
	c := &streamMapColumn{plain: plain, scope: scope, own: own, maps: make(map[*schema.Stream]*streamMap)}
	c.names.init(false)
	return c
}

// fill is the column's fill function.
func (c *streamMapColumn) fill(e *schema.Entry) *RowError {
	if e.Stream != c.last {
		c.runs = append(c.runs, mapRun{streamMap: c.mapOf(e.Stream)})
		c.last = e.Stream
	}
	run := &c.runs[len(c.runs)-1]
	run.rows++
	c.repeated += run.bytes
	return nil
}

// mapOf returns the stream's map.
func (c *streamMapColumn) mapOf(stream *schema.Stream) *streamMap {
	if m, known := c.maps[stream]; known {
		return m
	}
	attributes := stream.ResourceAttributes
	if c.scope {
		attributes = stream.ScopeAttributes
	}
	m := c.newMap(attributes)
	c.maps[stream] = m
	c.kept += 4*len(m.keys) + len(m.values) + schema.AttributeBytes(attributes)
	return m
}

// newMap makes a map of the attributes, sorted by key as in the collector's tables: who groups by the map sees a resource once,
// whatever order its senders have. Of a key that is there twice, the last one counts.
func (c *streamMapColumn) newMap(attributes []schema.Attribute) *streamMap {
	m := &streamMap{bytes: endBytes}
	places := make(map[string]int, len(attributes))
	for i := range attributes {
		places[attributes[i].Key] = i
	}
	for _, key := range slices.Sorted(maps.Keys(places)) {
		if _, own := c.own[key]; own {
			continue
		}
		a := &attributes[places[key]]
		m.keys = append(m.keys, c.names.index(a.Key))
		m.values = appendAttribute(m.values, a)
		m.bytes++ // the key's index
		if c.plain {
			m.bytes += len(a.Key)
		}
	}
	m.bytes += len(m.values)
	return m
}

// append adds a row without pairs, for a column without a source. All its rows are so.
func (c *streamMapColumn) append(*value) {
	if len(c.runs) == 0 {
		c.runs = append(c.runs, mapRun{streamMap: &streamMap{bytes: endBytes}})
	}
	c.runs[0].rows++
	c.repeated += endBytes
}

// undo keeps a map that was made for the row: the next entry of its stream needs it.
func (c *streamMapColumn) undo() {
	run := &c.runs[len(c.runs)-1]
	c.repeated -= run.bytes
	run.rows--
	if run.rows == 0 {
		c.runs, c.last = c.runs[:len(c.runs)-1], nil
	}
}

func (c *streamMapColumn) write(w *blockWriter) {
	c.ends, c.keys.bytes = c.ends[:0], c.keys.bytes[:0]
	for _, run := range c.runs {
		for range run.rows {
			for _, key := range run.keys {
				c.keys.append(key)
			}
			c.ends.append(c.keys.len())
		}
	}
	writeMapKeys(w, c.plain, c.ends, &c.names, &c.keys)
	for _, run := range c.runs {
		for range run.rows {
			w.buffer.PutRaw(run.values)
			w.flushFull()
		}
	}
}

func (c *streamMapColumn) memory() int { return 16*len(c.runs) + c.kept + c.names.memory() }

func (c *streamMapColumn) reset() {
	c.names.reset()
	clear(c.runs)
	c.runs = emptied(c.runs)
	clear(c.maps)
	c.last, c.kept, c.repeated = nil, 0, 0
	c.ends = emptied(c.ends)
	c.keys.reset()
}
