package batch

import (
	"unsafe"

	"github.com/logbatcher/logbatcher/schema"
)

// column stores the values of a batch's rows in one column. It belongs to one goroutine at a time.
type column interface {
	// append adds a row.
	append(v *value)
	// undo removes the last row. It is called at most once after an append.
	undo()
	// write writes all rows, at least one. w keeps references to the column's memory.
	write(w *blockWriter)
	// memory returns the bytes that the rows occupy.
	memory() int
	// reset removes all rows and keeps the memory for the next batch, within bounds.
	reset()
}

// newColumn returns an empty column of a type other than Map.
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

// The bounds of what a column keeps for its next batch. A buffer above keptAlways is kept only if the last batch filled a good
// part of it, and none above keptAtMost is: the memory of a burst is released.
const (
	keptAlways = 256 << 10
	keptAtMost = 32 << 20
)

// emptied returns the slice without elements, and without its memory if that is too much to keep.
func emptied[T any](s []T) []T {
	var element T
	size := cap(s) * int(unsafe.Sizeof(element))
	if size > keptAtMost || size > keptAlways && cap(s) > 8*len(s) {
		return nil
	}
	return s[:0]
}
