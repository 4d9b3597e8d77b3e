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

func (c *fixedColumn[T]) appendRows(from column, rows RowSet) {
	for _, r := range rows {
		c.values = append(c.values, from.(*fixedColumn[T]).values[r.From:r.To]...)
	}
}

func (c *fixedColumn[T]) writeState(*proto.Buffer) {}

func (c *fixedColumn[T]) write(w *nativeWriter) error {
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
	return nil
}

func (c *fixedColumn[T]) memory() int { return len(c.values) * c.size() }

func (c *fixedColumn[T]) encoded() int { return len(c.values) * c.size() }

func (c *fixedColumn[T]) reset() { c.values = emptied(c.values, c.size()) }

func (c *fixedColumn[T]) size() int { return int(unsafe.Sizeof(T(0))) }

// wideColumn stores UUID and IPv6.
type wideColumn struct {
	values proto.ColFixedStr16
}

func (c *wideColumn) append(v *value) { c.values = append(c.values, v.wide) }

func (c *wideColumn) undo() { c.values = c.values[:len(c.values)-1] }

func (c *wideColumn) appendRows(from column, rows RowSet) {
	for _, r := range rows {
		c.values = append(c.values, from.(*wideColumn).values[r.From:r.To]...)
	}
}

func (c *wideColumn) writeState(*proto.Buffer) {}

func (c *wideColumn) write(w *nativeWriter) error {
	c.values.WriteColumn(w.Writer)
	return nil
}

func (c *wideColumn) memory() int { return len(c.values) * 16 }

func (c *wideColumn) encoded() int { return len(c.values) * 16 }

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

func (c *fixedStringColumn) appendRows(from column, rows RowSet) {
	for _, r := range rows {
		c.bytes = append(c.bytes, from.(*fixedStringColumn).bytes[r.From*c.size:r.To*c.size]...)
	}
}

func (c *fixedStringColumn) writeState(*proto.Buffer) {}

func (c *fixedStringColumn) write(w *nativeWriter) error {
	proto.ColFixedStr{Buf: c.bytes, Size: c.size}.WriteColumn(w.Writer)
	return nil
}

func (c *fixedStringColumn) memory() int { return len(c.bytes) }

func (c *fixedStringColumn) encoded() int { return len(c.bytes) }

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

func (c *nullableColumn) appendRows(from column, rows RowSet) {
	other := from.(*nullableColumn)
	for _, r := range rows {
		c.mask = append(c.mask, other.mask[r.From:r.To]...)
	}
	c.column.appendRows(other.column, rows)
}

func (c *nullableColumn) write(w *nativeWriter) error {
	c.mask.WriteColumn(w.Writer)
	return c.column.write(w)
}

func (c *nullableColumn) memory() int { return len(c.mask) + c.column.memory() }

func (c *nullableColumn) encoded() int { return len(c.mask) + c.column.encoded() }

func (c *nullableColumn) reset() {
	c.mask = emptied(c.mask, 1)
	c.column.reset()
}
