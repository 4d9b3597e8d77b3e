package batch

import (
	"unsafe"

	"github.com/logbatcher/logbatcher/schema"
)

// column stores what the rows of a batch have in one column. It belongs to one goroutine at a time.
type column interface {
	// append adds a row.
	append(v *value)
	// undo takes the last row back. It is called at most once after an append.
	undo()
	// write writes all rows, of which there is at least one. What it hands to w is not copied, so
	// w has to be flushed before the column changes.
	write(w *blockWriter)
	// memory is the bytes that the rows occupy.
	memory() int
	// reset takes all rows away and keeps the memory for the next batch, within bounds.
	reset()
}

// newColumn returns an empty column of the type. The columns of maps and of the batch's id are made elsewhere.
func newColumn(t *schema.Type) column {
	if t.LowCardinality {
		return newLowCardinalityColumn(t.Nullable)
	}
	var c column
	switch t.Kind {
	case schema.KindString:
		c = &stringColumn{}
	case schema.KindFixedString:
		c = &fixedStringColumn{fixedColumn{size: t.Length}}
	case schema.KindArray:
		c = &arrayColumn{}
	default:
		c = &fixedColumn{size: t.Kind.Size()}
	}
	if t.Nullable {
		return &nullableColumn{column: c}
	}
	return c
}

// The bounds of what a column keeps for its next batch. A buffer above keptAlways stays only where
// the last batch has filled a good part of it, and none above keptAtMost stays: a burst does not
// hold its memory for ever.
const (
	keptAlways = 256 << 10
	keptAtMost = 32 << 20
)

// emptied returns the slice without elements, and without its memory where that is too much to keep.
func emptied[T any](s []T) []T {
	var element T
	size := cap(s) * int(unsafe.Sizeof(element))
	if size > keptAtMost || size > keptAlways && cap(s) > 8*len(s) {
		return nil
	}
	return s[:0]
}
