package batch

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/logbatcher/logbatcher/schema"
)

// cutter copies rows of a Native block written by a Batch into another block, column by column and byte for byte: not all values
// would survive a conversion to Go types. It reads the block as a stream, because a block may be much larger than its frames.
type cutter struct {
	in *bufio.Reader
	w  *blockWriter
	// total is the number of rows in the block, rows are the ones to copy.
	total int
	rows  RowSet
	most  int   // no length is larger
	err   error // the first one; nothing is read after it
}

// cut writes rows of the block under another id.
func cut(w *blockWriter, b *Block, id string, rows RowSet) error {
	c := &cutter{in: bufio.NewReader(b.Native()), w: w, total: b.rows, rows: rows, most: b.plainBytes}
	if columns, total := c.length(), c.length(); c.err == nil && (columns != len(b.layout.projections) || total != b.rows) {
		c.err = fmt.Errorf("it has %d columns and %d rows", columns, total)
	}
	b.layout.writeHeader(w, rows.Size())
	for i := range b.layout.projections {
		p := &b.layout.projections[i]
		for _, want := range []string{p.Name, p.typeText} {
			if got := c.text(); c.err == nil && got != want {
				c.err = fmt.Errorf("column %d has %q, want %q", i, got, want)
			}
		}
		p.writeColumnHeader(w)
		switch {
		case p.Source.Field == schema.FieldBatchID:
			column := idColumn{id: b.id, rows: b.rows, lowCardinality: p.Type.LowCardinality}
			c.skip(column.memory())
			column.id, column.rows = id, rows.Size()
			column.write(w)
		case p.Type.Kind == schema.KindMap:
			c.maps(!p.Type.Key.LowCardinality)
		default:
			c.column(&p.Type)
		}
		w.flushFull()
	}
	return c.err
}

// column copies a column of any type except Map.
func (c *cutter) column(t *schema.Type) {
	if t.LowCardinality {
		c.w.buffer.PutInt64(int64(c.uint64())) // the dictionary's version
		c.dictionary(c.total, c.rows, t.Nullable)
		return
	}
	if t.Nullable {
		c.fixed(c.total, c.rows, 1)
	}
	switch t.Kind {
	case schema.KindString:
		c.strings(c.total, c.rows)
	case schema.KindArray:
		elements, theirs := c.ends()
		c.strings(elements, theirs)
	case schema.KindFixedString:
		c.fixed(c.total, c.rows, t.Length)
	default:
		c.fixed(c.total, c.rows, t.Kind.Size())
	}
}

// maps copies a Map column.
func (c *cutter) maps(plain bool) {
	if plain {
		pairs, theirs := c.ends()
		c.strings(pairs, theirs)
		c.strings(pairs, theirs)
		return
	}
	c.w.buffer.PutInt64(int64(c.uint64())) // the dictionary's version
	pairs, theirs := c.ends()
	c.dictionary(pairs, theirs, false)
	c.strings(pairs, theirs)
}

// fixed copies rows out of n values of a fixed size.
func (c *cutter) fixed(n int, rows RowSet, size int) {
	at := 0
	for _, r := range rows {
		c.skip((r.From - at) * size)
		c.copy((r.To - r.From) * size)
		at = r.To
	}
	c.skip((n - at) * size)
}

// strings copies rows out of n strings.
func (c *cutter) strings(n int, rows RowSet) {
	at := 0
	for _, r := range append(rows[:len(rows):len(rows)], RowRange{n, n}) {
		for ; at < r.From && c.err == nil; at++ {
			c.skip(c.length())
		}
		for ; at < r.To && c.err == nil; at++ {
			size := c.length()
			c.w.buffer.PutInt(size)
			c.copy(size)
		}
	}
}

// ends copies the offsets of an Array or Map column. It returns the number of elements in the block and the elements of the copied
// rows.
func (c *cutter) ends() (elements int, theirs RowSet) {
	last, end := 0, 0
	rows := c.rows
	for row := 0; row < c.total && c.err == nil; row++ {
		next := int(c.uint64())
		if len(rows) > 0 && row == rows[0].To {
			rows = rows[1:]
		}
		if len(rows) > 0 && row >= rows[0].From && next > last {
			theirs = theirs.Add(RowRange{last, next})
			end += next - last
		}
		if len(rows) > 0 && row >= rows[0].From {
			c.w.buffer.PutUInt64(uint64(end))
		}
		last = next
	}
	return last, theirs
}

// dictionary copies rows out of n LowCardinality values. The new dictionary has only the texts in use, in order of their first use, as
// if the rows had been appended to a batch.
func (c *cutter) dictionary(n int, rows RowSet, nullable bool) {
	if n == 0 {
		return
	}
	width := 1 << (c.uint64() & 0xff)
	if c.err == nil && (width < 1 || width > 4) {
		c.err = fmt.Errorf("keys of %d bytes", width)
	}
	texts := make([]string, 0, 256)
	for size := c.uint64(); size > 0 && c.err == nil; size-- {
		texts = append(texts, c.text())
	}
	c.skip(8) // n
	var used dictionary
	used.init(nullable)
	var keys keyColumn
	at := 0
	for _, r := range rows {
		c.skip((r.From - at) * width)
		for range r.To - r.From {
			key := c.number(width)
			switch {
			case c.err != nil:
				return
			case key >= uint64(len(texts)):
				c.err = fmt.Errorf("key %d of a dictionary of %d", key, len(texts))
				return
			case key >= uint64(used.base):
				key = uint64(used.index(texts[key]))
			}
			keys.append(uint32(key))
		}
		at = r.To
	}
	c.skip((n - at) * width)
	writeDictionary(c.w, &used, &keys)
}

// number reads an unsigned little-endian number of that width.
func (c *cutter) number(width int) uint64 {
	var bytes [8]byte
	if c.err == nil {
		_, c.err = io.ReadFull(c.in, bytes[:width])
	}
	return binary.LittleEndian.Uint64(bytes[:])
}

func (c *cutter) uint64() uint64 { return c.number(8) }

func (c *cutter) length() int {
	if c.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(c.in)
	if err == nil && n > uint64(c.most) {
		err = fmt.Errorf("a length of %d in a block of %d bytes", n, c.most)
	}
	if err != nil {
		c.err = err
		return 0
	}
	return int(n)
}

func (c *cutter) text() string {
	text := make([]byte, c.length())
	if c.err == nil {
		_, c.err = io.ReadFull(c.in, text)
	}
	return string(text)
}

func (c *cutter) skip(n int) {
	if c.err == nil {
		_, c.err = c.in.Discard(n)
	}
}

func (c *cutter) copy(n int) {
	for n > 0 && c.err == nil {
		var piece []byte
		if piece, c.err = c.in.Peek(min(n, c.in.Size())); c.err != nil {
			return
		}
		c.w.buffer.PutRaw(piece)
		c.w.flushFull()
		n -= len(piece)
		c.skip(len(piece))
	}
}
