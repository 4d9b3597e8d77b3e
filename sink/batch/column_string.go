package batch

import (
	"encoding/binary"

	"github.com/ClickHouse/ch-go/proto"
)

// stringColumn stores String in the block's form: each text after its length. ch-go's ColStr keeps texts and offsets apart and
// joins them when it writes, which costs a second copy and 16 more bytes a text.
type stringColumn struct {
	bytes []byte
	// last is the offset of the last row.
	last int
}

// appendString appends a text after its length.
func appendString(bytes []byte, text string) []byte {
	if n := len(text); n < 0x80 {
		bytes = append(bytes, byte(n))
	} else {
		bytes = binary.AppendUvarint(bytes, uint64(n))
	}
	return append(bytes, text...)
}

func (c *stringColumn) appendText(text string) {
	c.last = len(c.bytes)
	c.bytes = appendString(c.bytes, text)
}

func (c *stringColumn) append(v *value) { c.appendText(v.text) }

func (c *stringColumn) undo() { c.bytes = c.bytes[:c.last] }

func (c *stringColumn) write(w *blockWriter) {
	w.ChainWrite(c.bytes)
}

func (c *stringColumn) memory() int { return len(c.bytes) }

func (c *stringColumn) reset() { c.bytes = emptied(c.bytes) }

// arrayColumn stores Array(String).
type arrayColumn struct {
	// ends has the number of elements up to the end of each row.
	ends     proto.ColUInt64
	elements []byte
	last     int
}

func (c *arrayColumn) append(v *value) {
	c.last = len(c.elements)
	for _, element := range v.elements {
		c.elements = appendString(c.elements, element)
	}
	c.ends = append(c.ends, lastEnd(c.ends)+uint64(len(v.elements)))
}

func (c *arrayColumn) undo() {
	c.ends = c.ends[:len(c.ends)-1]
	c.elements = c.elements[:c.last]
}

func (c *arrayColumn) write(w *blockWriter) {
	c.ends.WriteColumn(w.Writer)
	w.ChainWrite(c.elements)
}

func (c *arrayColumn) memory() int { return 8*len(c.ends) + len(c.elements) }

func (c *arrayColumn) reset() {
	c.ends = emptied(c.ends)
	c.elements = emptied(c.elements)
}

// lastEnd returns the number of elements in all rows.
func lastEnd(ends []uint64) uint64 {
	if len(ends) == 0 {
		return 0
	}
	return ends[len(ends)-1]
}
