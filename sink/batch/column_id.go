package batch

import (
	"bytes"

	"github.com/logbatcher/logbatcher/schema"
)

// idColumn is the batch's id in every row, as String or LowCardinality(String). A row costs nothing until the block is written.
type idColumn struct {
	id             string
	rows           int
	lowCardinality bool
}

// fill is the column's fill function.
func (c *idColumn) fill(*schema.Entry) *RowError {
	c.rows++
	return nil
}

func (c *idColumn) append(*value) { c.rows++ }

func (c *idColumn) undo() { c.rows-- }

func (c *idColumn) write(w *blockWriter) {
	if !c.lowCardinality {
		for range c.rows {
			w.buffer.PutString(c.id)
			w.flushFull()
		}
		return
	}
	ids := newLowCardinalityColumn(false)
	ids.texts.index(c.id)
	ids.keys.bytes = bytes.Repeat([]byte{0}, c.rows)
	ids.write(w)
}

// memory is the number of bytes that write writes.
func (c *idColumn) memory() int {
	id := len(appendString(nil, c.id))
	if !c.lowCardinality {
		return id * c.rows
	}
	return 4*8 + id + c.rows
}

func (c *idColumn) reset() { c.id, c.rows = "", 0 }
