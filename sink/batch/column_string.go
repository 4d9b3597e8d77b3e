package batch

import "encoding/binary"

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
	w.write(c.bytes)
}

func (c *stringColumn) memory() int { return len(c.bytes) }

func (c *stringColumn) reset() { c.bytes = emptied(c.bytes) }

// arrayColumn stores Array(String).
type arrayColumn struct {
	ends     endColumn
	elements []byte
	last     int
}

func (c *arrayColumn) append(v *value) {
	c.last = len(c.elements)
	for _, element := range v.elements {
		c.elements = appendString(c.elements, element)
	}
	c.ends.append(c.ends.last() + len(v.elements))
}

func (c *arrayColumn) undo() {
	c.ends.undo()
	c.elements = c.elements[:c.last]
}

func (c *arrayColumn) write(w *blockWriter) {
	w.write(c.ends)
	w.write(c.elements)
}

func (c *arrayColumn) memory() int { return len(c.ends) + len(c.elements) }

func (c *arrayColumn) reset() {
	c.ends = emptied(c.ends)
	c.elements = emptied(c.elements)
}

// endColumn stores for each row of an Array or Map the number of elements up to its end.
type endColumn []byte

// endBytes is what a row takes in it.
const endBytes = 8

func (c *endColumn) append(end int) { *c = binary.LittleEndian.AppendUint64(*c, uint64(end)) }

func (c *endColumn) undo() { *c = (*c)[:len(*c)-endBytes] }

// last returns the number of elements in all rows.
func (c endColumn) last() int {
	if len(c) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint64(c[len(c)-endBytes:]))
}
