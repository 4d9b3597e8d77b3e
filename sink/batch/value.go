package batch

import (
	"unsafe"

	"github.com/logbatcher/logbatcher/schema"
)

// value is what a column is to hold in one row, in the form that the column stores. Which of its
// fields count depends on the column's kind; text may alias the entry, or scratch.
type value struct {
	// text is for String, FixedString, and Array (see list).
	text string
	// bits is for kinds of one to eight bytes, as ClickHouse stores them.
	bits uint64
	// wide is for UUID and IPv6, as ClickHouse stores them.
	wide [16]byte
	// null is for Nullable columns; the other fields are then zero.
	null bool
	// list says that text is a JSON array whose elements are the Array's; without it, text is the
	// one element. empty is an Array without elements.
	list, empty bool
	// scratch holds text that is made from a number.
	scratch [64]byte
}

// clear makes v the zero value of every kind. The scratch stays as it is.
func (v *value) clear() {
	v.text, v.bits, v.wide, v.null, v.list, v.empty = "", 0, [16]byte{}, false, false, false
}

// set makes v hold what w holds. It is for the prepared defaults, whose text is not in scratch.
func (v *value) set(w *value) {
	v.text, v.bits, v.wide, v.null, v.list, v.empty = w.text, w.bits, w.wide, w.null, w.list, w.empty
}

// setText makes text the bytes, which are a piece of scratch.
func (v *value) setText(bytes []byte) { v.text = unsafe.String(unsafe.SliceData(bytes), len(bytes)) }

// The types of what a column can be given: the attributes' types, and the entry's own times.
const (
	ofString   = schema.String
	ofInt      = schema.Int
	ofDouble   = schema.Double
	ofBool     = schema.Bool
	ofBytes    = schema.Bytes
	ofJSON     = schema.JSON
	ofTime     = schema.JSON + 1 // nanoseconds since the Unix epoch, in Bits
	valueTypes = int(ofTime) + 1
)

// typeName returns the name of a type of value as messages and docs/coercions.md write it.
func typeName(t schema.AttributeType) string {
	if t == ofTime {
		return "time"
	}
	return t.String()
}
