package batch

import (
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Batch is an open batch: rows of one table and one partition that still grows, in ClickHouse's columns. It belongs to one
// goroutine at a time. Seal or Release ends it.
type Batch struct {
	id        string
	layout    *Layout
	partition *Partition
	columns   *columns
	rows      int
	origins   []Origin
	// current is the origin of the next rows. begun is true if it is the last of origins.
	current Origin
	begun   bool
}

// NewBatch returns an empty batch. The id must be globally unique.
func (l *Layout) NewBatch(id string, p *Partition) *Batch {
	c, pooled := l.pool.Get().(*columns)
	if !pooled {
		c = l.newColumns()
		c.reserve(l.lastBytes)
	}
	b := &Batch{id: id, layout: l, partition: p, columns: c}
	c.row.origin = &b.current
	for _, column := range c.list {
		if ids, ok := column.(*idColumn); ok {
			ids.id = id
		}
	}
	return b
}

// Begin sets the origin of the rows that follow, and when their request was received. The origin's strings are kept, so they must
// not alias a receive buffer; its Rows are ignored. Consecutive rows of one request and shard id share an origin.
func (b *Batch) Begin(o Origin, received time.Time) {
	o.Rows = 0
	if o != b.current {
		b.current, b.begun = o, false
	}
	b.columns.row.received = received.UnixNano()
}

// Append adds a copy of the entry as a row. An error leaves the batch unchanged.
func (b *Batch) Append(e *schema.Entry) *RowError {
	if err := b.columns.append(e); err != nil {
		return err
	}
	b.rows++
	if !b.begun {
		b.beginOrigin()
	}
	b.origins[len(b.origins)-1].Rows++
	return nil
}

// beginOrigin makes current the last of origins.
func (b *Batch) beginOrigin() {
	b.begun = true
	if len(b.origins) > 0 {
		last := b.origins[len(b.origins)-1]
		last.Rows = 0
		if last == b.current {
			return
		}
	}
	b.origins = append(b.origins, b.current)
}

// ID returns the batch's id, which is also in every row, in the column with that source.
func (b *Batch) ID() string { return b.id }

// Layout returns the layout of the rows.
func (b *Batch) Layout() *Layout { return b.layout }

// Partition returns the partition of all rows.
func (b *Batch) Partition() *Partition { return b.partition }

// Rows returns the number of rows.
func (b *Batch) Rows() int { return b.rows }

// originBytes is the approximate size of an origin.
const originBytes = 64

// columnBytes is the approximate size of a column without rows. It dominates batches with few rows, of which there may be many.
const columnBytes = 512

// blockBytes is the approximate size of a block without frames.
const blockBytes = 512

// Bytes returns the memory that the batch occupies now or as an uncompressed block, where attributes that a stream's entries share
// are repeated in every row. It visits every column, so call it per request rather than per row.
func (b *Batch) Bytes() int {
	return b.columns.memory() + b.columns.repeated() + columnBytes*len(b.columns.list) + originBytes*len(b.origins)
}

// mostRepeated limits the repetition in an uncompressed block, in multiples of its columns' memory. Beyond that the block is compressed
// anyway: 10 000 entries of a stream with 64 KiB of attributes would take 640 MB.
const mostRepeated = 8

// Seal returns the rows as a block, encoded and compressed, and ends the batch. A large uncompressed block keeps the columns until its release,
// because its frames are their memory; copying them would cost more than the rest of sealing.
func (b *Batch) Seal(c Compression) *Block {
	if c == Uncompressed && b.columns.repeated() > mostRepeated*b.columns.memory() {
		c = LZ4
	}
	w := newBlockWriter(c)
	w.copies = b.columns.memory() < leastKept
	b.write(w)
	lent := w.lent
	block := newBlock(b.id, b.layout, b.partition, b.rows, b.origins, c, w)
	columns := b.detach()
	if lent {
		block.columns = columns
	} else {
		b.layout.reuse(columns)
	}
	return block
}

// Release returns the columns to the pool. Only ID, Layout, Partition and Rows may be called afterwards. Further calls do nothing.
func (b *Batch) Release() {
	if b.columns != nil {
		b.layout.reuse(b.detach())
	}
}

// detach ends the batch and returns its columns.
func (b *Batch) detach() *columns {
	c := b.columns
	b.columns, b.origins = nil, nil
	c.measure(b.layout.lastBytes)
	return c
}

// reuse empties columns and keeps them for another batch.
func (l *Layout) reuse(c *columns) {
	c.reset()
	l.pool.Put(c)
}
