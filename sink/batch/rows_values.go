package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/logbatcher/logbatcher/schema"
)

// Values returns the values of a column as texts: times in RFC 3339 and UTC, arrays and maps as JSON, everything else as a column of
// that type takes it from a text.
func (r *Rows) Values(column int) ([]schema.Value, error) {
	c := &r.columns[column]
	in := &valueReader{data: c.data}
	values := in.column(&c.kind, r.count)
	if in.err != nil {
		return nil, fmt.Errorf("column %q: %w", c.name, in.err)
	}
	return values, nil
}

// valueReader reads the data of a column. After an error it returns zero values.
type valueReader struct {
	data []byte
	err  error
}

var errShort = errors.New("its data is damaged")

func (r *valueReader) next(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.data) {
		r.err = errShort
		return nil
	}
	read := r.data[:n]
	r.data = r.data[n:]
	return read
}

// number reads an unsigned little-endian number of that width.
func (r *valueReader) number(width int) uint64 {
	var bytes [8]byte
	copy(bytes[:], r.next(width))
	return binary.LittleEndian.Uint64(bytes[:])
}

// count reads a number of things that take at least a byte each.
func (r *valueReader) count() int {
	n := r.number(8)
	if n > uint64(len(r.data)) {
		r.err = errShort
		return 0
	}
	return int(n)
}

func (r *valueReader) text() string {
	n, size := binary.Uvarint(r.data)
	if size <= 0 || n > uint64(len(r.data)) {
		r.err = errShort
		return ""
	}
	r.data = r.data[size:]
	return string(r.next(int(n)))
}

func (r *valueReader) texts(n int) []string {
	texts := make([]string, 0, min(n, len(r.data)))
	for range n {
		if texts = append(texts, r.text()); r.err != nil {
			return make([]string, n)
		}
	}
	return texts
}

func (r *valueReader) column(t *schema.Type, n int) []schema.Value {
	if n > len(r.data) { // a row takes at least a byte
		r.err = errShort
		return nil
	}
	if t.LowCardinality {
		r.number(8) // the dictionary's version
		return r.dictionary(n, t.Nullable)
	}
	var nulls []byte
	if t.Nullable {
		nulls = r.next(n)
	}
	values := make([]schema.Value, n)
	for i, text := range r.plain(t, n) {
		if values[i].Null = i < len(nulls) && nulls[i] != 0; !values[i].Null {
			values[i].Text = text
		}
	}
	return values
}

// plain reads values that are neither LowCardinality nor Nullable.
func (r *valueReader) plain(t *schema.Type, n int) []string {
	switch t.Kind {
	case schema.KindString:
		return r.texts(n)
	case schema.KindArray:
		ends := r.ends(n)
		elements := r.texts(last(ends))
		return r.eachRow(ends, '[', ']', func(b []byte, i int) []byte { return appendQuoted(b, elements[i]) })
	case schema.KindMap:
		return r.maps(t, n)
	}
	size := t.Kind.Size()
	if t.Kind == schema.KindFixedString {
		size = t.Length
	}
	texts := make([]string, n)
	for i := range texts {
		if value := r.next(size); r.err == nil {
			texts[i] = fixedText(t, value)
		}
	}
	return texts
}

func (r *valueReader) maps(t *schema.Type, n int) []string {
	var ends []int
	var keys []schema.Value
	if t.Key.LowCardinality {
		r.number(8) // the dictionary's version
		ends = r.ends(n)
		keys = r.dictionary(last(ends), false)
	} else {
		ends = r.ends(n)
		for _, key := range r.texts(last(ends)) {
			keys = append(keys, schema.Value{Text: key})
		}
	}
	values := r.texts(last(ends))
	return r.eachRow(ends, '{', '}', func(b []byte, i int) []byte {
		b = append(appendQuoted(b, keys[i].Text), ':')
		return appendQuoted(b, values[i])
	})
}

// ends reads where each row's elements end.
func (r *valueReader) ends(n int) []int {
	ends := make([]int, n)
	before := 0
	for i := range ends {
		end := r.number(8)
		if end < uint64(before) || end > uint64(len(r.data)) {
			r.err = errShort
			return nil
		}
		before = int(end)
		ends[i] = before
	}
	return ends
}

func last(ends []int) int {
	if len(ends) == 0 {
		return 0
	}
	return ends[len(ends)-1]
}

// eachRow joins each row's elements.
func (r *valueReader) eachRow(ends []int, open, closed byte, element func(b []byte, i int) []byte) []string {
	if r.err != nil {
		return nil
	}
	texts := make([]string, len(ends))
	begin := 0
	for row, end := range ends {
		b := []byte{open}
		for i := begin; i < end; i++ {
			if i > begin {
				b = append(b, ',')
			}
			b = element(b, i)
		}
		texts[row] = string(append(b, closed))
		begin = end
	}
	return texts
}

func (r *valueReader) dictionary(n int, nullable bool) []schema.Value {
	if n == 0 {
		return nil
	}
	width := 1 << (r.number(8) & 3)
	texts := r.texts(r.count())
	r.number(8) // n
	if r.err != nil || n > len(r.data) {
		r.err = errShort
		return make([]schema.Value, 0)
	}
	values := make([]schema.Value, n)
	for i := range values {
		key := r.number(width)
		switch {
		case key >= uint64(len(texts)):
			r.err = errShort
		case nullable && key == 0:
			values[i].Null = true
		default:
			values[i].Text = texts[key]
		}
	}
	return values
}

// fixedText returns the text of a value of a fixed size.
func fixedText(t *schema.Type, value []byte) string {
	if t.Kind == schema.KindFixedString {
		return strings.TrimRight(string(value), "\x00")
	}
	var wide [16]byte
	copy(wide[:], value)
	bits, high := binary.LittleEndian.Uint64(wide[:8]), binary.LittleEndian.Uint64(wide[8:])
	unused := 64 - 8*len(value)
	switch t.Kind {
	case schema.KindInt8, schema.KindInt16, schema.KindInt32, schema.KindInt64:
		return strconv.FormatInt(int64(bits)<<unused>>unused, 10)
	case schema.KindEnum8, schema.KindEnum16:
		n := int64(bits) << unused >> unused
		for _, e := range t.Enum {
			if int64(e.Value) == n {
				return e.Name
			}
		}
		return strconv.FormatInt(n, 10)
	case schema.KindFloat32:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(bits))), 'g', -1, 32)
	case schema.KindFloat64:
		return strconv.FormatFloat(math.Float64frombits(bits), 'g', -1, 64)
	case schema.KindBool:
		return strconv.FormatBool(bits != 0)
	case schema.KindDate:
		return time.Unix(int64(bits)*24*60*60, 0).UTC().Format(time.DateOnly)
	case schema.KindDateTime:
		return time.Unix(int64(bits), 0).UTC().Format(time.RFC3339)
	case schema.KindDateTime64:
		perSecond := int64(math.Pow10(t.Precision))
		seconds := schema.FloorDivide(int64(bits), perSecond)
		nanoseconds := (int64(bits) - seconds*perSecond) * (int64(time.Second) / perSecond)
		return time.Unix(seconds, nanoseconds).UTC().Format(time.RFC3339Nano)
	case schema.KindUUID:
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:8], bits)
		binary.BigEndian.PutUint64(id[8:], high)
		return id.String()
	case schema.KindIPv4:
		var address [4]byte
		binary.BigEndian.PutUint32(address[:], uint32(bits))
		return netip.AddrFrom4(address).String()
	case schema.KindIPv6:
		return netip.AddrFrom16(wide).String()
	}
	return strconv.FormatUint(bits, 10)
}

// appendQuoted appends a text as a JSON string. Bytes that are not UTF-8 are kept, as in the column.
func appendQuoted(b []byte, text string) []byte {
	b = append(b, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
