package batch

import (
	"unsafe"

	"github.com/ClickHouse/ch-go/proto"
)

// fixedColumn stores the kinds of one to eight bytes. Signed numbers, floats, times, addresses
// and enums are their bits: the column's name in the block says what they are.
type fixedColumn[T uint8 | uint16 | uint32 | uint64] struct {
	values []T
}

func (c *fixedColumn[T]) append(v *value) { c.values = append(c.values, T(v.bits)) }

func (c *fixedColumn[T]) undo() { c.values = c.values[:len(c.values)-1] }

func (c *fixedColumn[T]) write(w *blockWriter) {
	switch values := any(c.values).(type) {
	case []uint8:
		proto.ColUInt8(values).WriteColumn(w.Writer)
	case []uint16:
		proto.ColUInt16(values).WriteColumn(w.Writer)
	case []uint32:
		proto.ColUInt32(values).WriteColumn(w.Writer)
	case []uint64:
		proto.ColUInt64(values).WriteColumn(w.Writer)
	}
}

func (c *fixedColumn[T]) memory() int { return len(c.values) * c.size() }

func (c *fixedColumn[T]) reset() { c.values = emptied(c.values, c.size()) }

func (c *fixedColumn[T]) size() int { return int(unsafe.Sizeof(T(0))) }

// wideColumn stores UUID and IPv6.
type wideColumn struct {
	values proto.ColFixedStr16
}

func (c *wideColumn) append(v *value) { c.values = append(c.values, v.wide) }

func (c *wideColumn) undo() { c.values = c.values[:len(c.values)-1] }

func (c *wideColumn) write(w *blockWriter) {
	c.values.WriteColumn(w.Writer)
}

func (c *wideColumn) memory() int { return len(c.values) * 16 }

func (c *wideColumn) reset() { c.values = emptied(c.values, 16) }

// fixedStringColumn stores FixedString. What is shorter is padded with zero bytes, as ClickHouse does.
type fixedStringColumn struct {
	bytes []byte
	size  int
}

func (c *fixedStringColumn) append(v *value) {
	c.bytes = append(c.bytes, v.text...)
	for range c.size - len(v.text) {
		c.bytes = append(c.bytes, 0)
	}
}

func (c *fixedStringColumn) undo() { c.bytes = c.bytes[:len(c.bytes)-c.size] }

func (c *fixedStringColumn) write(w *blockWriter) {
	proto.ColFixedStr{Buf: c.bytes, Size: c.size}.WriteColumn(w.Writer)
}

func (c *fixedStringColumn) memory() int { return len(c.bytes) }

func (c *fixedStringColumn) reset() { c.bytes = emptied(c.bytes, 1) }

// nullableColumn puts a mask of the rows that are NULL before another column.
type nullableColumn struct {
	column
	mask proto.ColUInt8
}

func (c *nullableColumn) append(v *value) {
	null := uint8(0)
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
	c.mask.WriteColumn(w.Writer)
	c.column.write(w)
}

func (c *nullableColumn) memory() int { return len(c.mask) + c.column.memory() }

func (c *nullableColumn) reset() {
	c.mask = emptied(c.mask, 1)
	c.column.reset()
}
