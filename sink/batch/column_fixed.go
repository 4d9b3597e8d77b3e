package batch

import "encoding/binary"

// fixedColumn stores the types of one to 16 bytes. Signed numbers, floats, times, addresses and enums are their bits: the
// column's type in the block says what they are.
type fixedColumn struct {
	bytes []byte
	size  int
}

func (c *fixedColumn) append(v *value) {
	switch c.size {
	case 1:
		c.bytes = append(c.bytes, byte(v.bits))
	case 2:
		c.bytes = binary.LittleEndian.AppendUint16(c.bytes, uint16(v.bits))
	case 4:
		c.bytes = binary.LittleEndian.AppendUint32(c.bytes, uint32(v.bits))
	case 8:
		c.bytes = binary.LittleEndian.AppendUint64(c.bytes, v.bits)
	case 16:
		c.bytes = binary.LittleEndian.AppendUint64(c.bytes, v.bits)
		c.bytes = binary.LittleEndian.AppendUint64(c.bytes, v.high)
	}
}

func (c *fixedColumn) undo() { c.bytes = c.bytes[:len(c.bytes)-c.size] }

func (c *fixedColumn) write(w *blockWriter) { w.write(c.bytes) }

func (c *fixedColumn) memory() int { return len(c.bytes) }

func (c *fixedColumn) reset() { c.bytes = emptied(c.bytes) }

// fixedStringColumn stores FixedString. What is shorter is padded with zero bytes, as ClickHouse does.
type fixedStringColumn struct{ fixedColumn }

func (c *fixedStringColumn) append(v *value) {
	c.bytes = append(c.bytes, v.text...)
	c.bytes = append(c.bytes, make([]byte, c.size-len(v.text))...)
}

// nullableColumn puts a mask of the rows that are NULL before another column.
type nullableColumn struct {
	column
	mask []byte
}

func (c *nullableColumn) append(v *value) {
	null := byte(0)
	if v.null {
		null = 1
	}
	c.mask = append(c.mask, null)
	c.column.append(v)
}

func (c *nullableColumn) undo() {
	c.mask = c.mask[:len(c.mask)-1]
	c.column.undo()
}

func (c *nullableColumn) write(w *blockWriter) {
	w.write(c.mask)
	c.column.write(w)
}

func (c *nullableColumn) memory() int { return len(c.mask) + c.column.memory() }

func (c *nullableColumn) reset() {
	c.mask = emptied(c.mask)
	c.column.reset()
}
