package batch

import (
	"unsafe"

	"github.com/logbatcher/logbatcher/schema"
)

// value is what a column stores in one row. The column's type decides which fields count. Texts may alias the entry or scratch.
type value struct {
	// text is for String and FixedString.
	text string
	// elements are an Array's.
	elements []string
	// bits is for types of up to eight bytes; bits and high are the halves of those of 16. Both are as ClickHouse stores them.
	bits, high uint64
	// null is for Nullable columns.
	null bool
	// scratch holds the text of a number.
	scratch [64]byte
}

// set copies w's value, and its elements, because v's next value overwrites v's.
func (v *value) set(w *value) {
	v.text, v.bits, v.high, v.null = w.text, w.bits, w.high, w.null
	v.elements = v.elements[:0]
	if len(w.elements) > 0 { // append would call memmove for nothing
		v.elements = append(v.elements, w.elements...)
	}
}

// clear makes v the zero value of every type.
func (v *value) clear() { v.text, v.elements, v.bits, v.high, v.null = "", v.elements[:0], 0, 0, false }

// setText sets text to bytes in scratch.
func (v *value) setText(bytes []byte) { v.text = unsafe.String(unsafe.SliceData(bytes), len(bytes)) }

// valueTypes is the number of types that a source's value can have.
const valueTypes = int(schema.Time) + 1
