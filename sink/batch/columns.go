package batch

import (
	"slices"
	"sync/atomic"

	"github.com/logbatcher/logbatcher/schema"
)

// columns are the columns of one batch. The layout's pool passes them from batch to batch with their memory and dictionaries.
type columns struct {
	list []column
	// fills fill the columns. The attributes' map has none: the attributeReader fills it.
	fills  []fill
	reader attributeReader
	// reads is true if any column needs the entry's attributes.
	reads bool
	row   row
	value value
}

func (l *Layout) newColumns() *columns {
	c := &columns{list: make([]column, len(l.projections)), fills: make([]fill, len(l.projections))}
	c.reader.names.init(false)
	c.reader.slots = l.attributes
	c.reader.found = make([]int32, len(l.attributes))
	c.row.found = c.reader.found
	c.reads = len(l.attributes) > 0
	for i := range l.projections {
		p := &l.projections[i]
		c.list[i] = l.newColumn(p, c)
		c.fills[i] = c.compile(p, c.list[i])
	}
	return c
}

// texts returns the buffer of the column at i that grows with the rows' texts, or nil. These buffers are most of a batch.
func (c *columns) texts(i int) *[]byte {
	switch column := c.list[i].(type) {
	case *stringColumn:
		return &column.bytes
	case *mapColumn:
		return &column.values
	}
	return nil
}

// measure stores the lengths of the buffers of texts.
func (c *columns) measure(lengths []atomic.Int64) {
	for i := range c.list {
		if texts := c.texts(i); texts != nil {
			lengths[i].Store(int64(len(*texts)))
		}
	}
}

// reserve makes room for as many texts as the last batch had. Growing the buffers from nothing was half of the gateway's CPU in a
// run's first batches.
func (c *columns) reserve(lengths []atomic.Int64) {
	for i := range c.list {
		if texts := c.texts(i); texts != nil {
			*texts = slices.Grow(*texts, int(lengths[i].Load()))
		}
	}
}

func (l *Layout) newColumn(p *projection, c *columns) column {
	switch {
	case p.Source.Field == schema.FieldBatchID:
		return &idColumn{lowCardinality: p.Type.LowCardinality}
	case p.Type.Kind != schema.KindMap:
		return newColumn(&p.Type)
	}
	plain := !p.Type.Key.LowCardinality
	switch p.Source.Field {
	case schema.FieldResourceAttributes:
		return newStreamMapColumn(plain, false, l.resource)
	case schema.FieldScopeAttributes:
		return newStreamMapColumn(plain, true, l.scope)
	case schema.FieldAttributes:
		m := &mapColumn{names: &c.reader.names, plain: plain}
		c.reader.column = m
		c.reads = true
		return m
	}
	// A Map without a source is always empty.
	return newStreamMapColumn(plain, false, nil)
}

// append adds the entry as a row. On an error all columns are unchanged.
func (c *columns) append(e *schema.Entry) *RowError {
	c.row.entry = e
	if c.reads {
		c.reader.read(e.Attributes)
	}
	for i, fill := range c.fills {
		if fill == nil {
			continue
		}
		if err := fill(e); err != nil {
			c.undo(i)
			return err
		}
	}
	return nil
}

// undo removes a row of which the column at failed could not be filled.
func (c *columns) undo(failed int) {
	for i := range c.list {
		if i < failed || c.fills[i] == nil {
			c.list[i].undo()
		}
	}
}

func (c *columns) memory() int {
	size := 0
	if c.reads {
		size += c.reader.names.memory()
	}
	for i := range c.list {
		size += c.list[i].memory()
	}
	return size
}

// repeated is about the bytes of streams' maps in the block, which repeats them for each row.
func (c *columns) repeated() int {
	size := 0
	for i := range c.list {
		if m, ok := c.list[i].(*streamMapColumn); ok {
			size += m.repeated
		}
	}
	return size
}

func (c *columns) reset() {
	c.row.entry, c.row.origin, c.row.own = nil, nil, schema.Attribute{}
	c.value.clear()
	c.reader.reset()
	for i := range c.list {
		c.list[i].reset()
	}
}
