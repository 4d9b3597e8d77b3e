package batch

import (
	"unsafe"

	"github.com/logbatcher/logbatcher/schema"
)

// value is what a column stores in one row. Which fields count depends on the column's type; text and elements may
// alias the entry, or scratch.
type value struct {
	// text is for String and FixedString.
	text string
	// elements are an Array's.
	elements []string
	// bits is for types of up to eight bytes and the first half of one of 16, high is the second half; both as ClickHouse stores them.
	bits, high uint64
	// null is for Nullable columns; the other fields are then zero.
	null bool
	// scratch holds text that is made from a number.
	scratch [64]byte
}

// set copies w's value. The elements are copied too, because v's are overwritten by its next value.
func (v *value) set(w *value) {
	v.text, v.bits, v.high, v.null = w.text, w.bits, w.high, w.null
	v.elements = append(v.elements[:0], w.elements...)
}

// clear makes v the zero value of every type.
func (v *value) clear() { v.set(&value{}) }

// setText makes text the bytes, which are a piece of scratch.
func (v *value) setText(bytes []byte) { v.text = unsafe.String(unsafe.SliceData(bytes), len(bytes)) }

// valueTypes is the number of types of what a column can be given: those of attributes, and schema.Time.
const valueTypes = int(schema.Time) + 1
