package batch

import (
	"encoding/binary"

	"github.com/ClickHouse/ch-go/proto"
)

// stringColumn stores String as a block has it: each text behind its length. ch-go's ColStr keeps texts
// and places apart and joins them when it writes, which is a second copy and 16 more bytes a text;
// here places are needed for slices alone, which are rare and look for them.
type stringColumn struct {
	bytes []byte
	// last is where the last row begins.
	last int
}

// appendString adds a text behind its length.
func appendString(bytes []byte, text string) []byte {
	if n := len(text); n < 0x80 {
		bytes = append(bytes, byte(n))
	} else {
		bytes = binary.AppendUvarint(bytes, uint64(n))
	}
	return append(bytes, text...)
}

// skipStrings returns where the text n texts after the one at the place begins.
func skipStrings(bytes []byte, at, n int) int {
	for range n {
		length, size := binary.Uvarint(bytes[at:])
		at += size + int(length)
	}
	return at
}

// stringReader reads ranges of strings with their lengths, each range after the one before.
type stringReader struct {
	bytes    []byte
	at, next int // the place of the string with the number next
}

func (r *stringReader) read(from, to int) []byte {
	begin := skipStrings(r.bytes, r.at, from-r.next)
	r.at, r.next = skipStrings(r.bytes, begin, to-from), to
	return r.bytes[begin:r.at]
}

func (c *stringColumn) appendText(text string) {
	c.last = len(c.bytes)
	c.bytes = appendString(c.bytes, text)
}

func (c *stringColumn) append(v *value) { c.appendText(v.text) }

func (c *stringColumn) undo() { c.bytes = c.bytes[:c.last] }

func (c *stringColumn) appendRows(from column, rows RowSet) {
	texts := stringReader{bytes: from.(*stringColumn).bytes}
	for _, r := range rows {
		c.bytes = append(c.bytes, texts.read(r.From, r.To)...)
	}
}

func (c *stringColumn) writeState(*proto.Buffer) {}

func (c *stringColumn) write(w *nativeWriter) error {
	w.ChainWrite(c.bytes)
	return nil
}

func (c *stringColumn) memory() int { return len(c.bytes) }

func (c *stringColumn) encoded() int { return len(c.bytes) }

func (c *stringColumn) reset() { c.bytes = emptied(c.bytes, 1) }

// arrayColumn stores Array(String).
type arrayColumn struct {
	// ends has for each row the number of elements up to its end.
	ends     proto.ColUInt64
	elements []byte
	last     int
}

func (c *arrayColumn) append(v *value) {
	c.last = len(c.elements)
	count := lastEnd(c.ends)
	switch {
	case v.empty || v.null:
	case v.list:
		elements := jsonArray{text: v.text}
		for {
			element, more := elements.next()
			if !more {
				break
			}
			c.elements = appendString(c.elements, element)
			count++
		}
	default:
		c.elements = appendString(c.elements, v.text)
		count++
	}
	c.ends = append(c.ends, count)
}

func (c *arrayColumn) undo() {
	c.ends = c.ends[:len(c.ends)-1]
	c.elements = c.elements[:c.last]
}

func (c *arrayColumn) appendRows(from column, rows RowSet) {
	other := from.(*arrayColumn)
	elements := stringReader{bytes: other.elements}
	for _, r := range rows {
		var first, after uint64
		c.ends, first, after = appendEnds(c.ends, other.ends, r.From, r.To)
		c.elements = append(c.elements, elements.read(int(first), int(after))...)
	}
}

func (c *arrayColumn) writeState(*proto.Buffer) {}

func (c *arrayColumn) write(w *nativeWriter) error {
	c.ends.WriteColumn(w.Writer)
	w.ChainWrite(c.elements)
	return nil
}

func (c *arrayColumn) memory() int { return 8*len(c.ends) + len(c.elements) }

func (c *arrayColumn) encoded() int { return 8*len(c.ends) + len(c.elements) }

func (c *arrayColumn) reset() {
	c.ends = emptied(c.ends, 8)
	c.elements = emptied(c.elements, 1)
}

// lastEnd returns the number of elements of all rows.
func lastEnd(ends []uint64) uint64 {
	if len(ends) == 0 {
		return 0
	}
	return ends[len(ends)-1]
}

// appendEnds adds the ends of the rows start to end of another column, and returns which of its elements
// these rows have.
func appendEnds(ends proto.ColUInt64, from []uint64, start, end int) (_ proto.ColUInt64, first, after uint64) {
	first = lastEnd(from[:start])
	shift := lastEnd(ends) - first // may wrap: adding it wraps back
	for _, e := range from[start:end] {
		ends = append(ends, e+shift)
	}
	return ends, first, lastEnd(from[:end])
}
