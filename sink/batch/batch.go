package batch

import (
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Batch is rows of one table and one partition, in ClickHouse's columns. One goroutine fills it; once it is
// sealed, which is to say that nothing is added any more, any number may read it, until Release.
type Batch struct {
	id        string
	layout    *Layout
	partition *Partition
	columns   *columns
	rows      int
	origins   []Origin
	// current is the origin of the rows that come next. begun says that the last of origins is that one.
	current Origin
	begun   bool
}

// NewBatch returns an empty batch. The id has to be unique for ever.
func (l *Layout) NewBatch(id string, p *Partition) *Batch {
	c, pooled := l.pool.Get().(*columns)
	if !pooled {
		c = l.newColumns()
		c.reserve(l.lastBytes)
	}
	b := &Batch{id: id, layout: l, partition: p, columns: c}
	c.row.origin = &b.current
	for i := range c.cells {
		if constant, ok := c.cells[i].column.(*constantColumn); ok {
			constant.text = id
		}
	}
	return b
}

// Begin says which request the rows that follow come from, and when the server received it. The origin's strings
// are kept as they are, so they must not alias a receive buffer; its Rows do not count. Consecutive rows of
// one request and shard id become one origin of the batch.
func (b *Batch) Begin(o Origin, received time.Time) {
	o.Rows = 0
	if o != b.current {
		b.current, b.begun = o, false
	}
	b.columns.row.received = received.UnixNano()
}

// Append adds the entry as a row and keeps nothing of it. With an error the batch is as it was before.
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

// beginOrigin makes the last of origins the current one.
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

// ID returns the batch's id, which is also in the column of that source in every row.
func (b *Batch) ID() string { return b.id }

// Layout returns the layout that the rows were made for.
func (b *Batch) Layout() *Layout { return b.layout }

// Partition returns the partition that all rows belong to.
func (b *Batch) Partition() *Partition { return b.partition }

// Rows returns the number of rows.
func (b *Batch) Rows() int { return b.rows }

// originBytes is about what an origin occupies.
const originBytes = 64

// columnBytes is about what a column occupies before it has rows. Of a batch with few rows that is nearly all, and many tables have many such
// batches.
const columnBytes = 512

// blockBytes is about what a block occupies beside its frames.
const blockBytes = 512

// Bytes returns the memory that the batch occupies, or will as an uncompressed block: what all rows of a stream share is kept once
// here, and written for each row there. It asks each column, so it is for every request rather than for every row.
func (b *Batch) Bytes() int {
	return b.columns.memory() + b.columns.repeated() + columnBytes*len(b.columns.cells) + originBytes*len(b.origins)
}

// mostRepeated bounds how many times its columns' memory an uncompressed block may take up by repeating what its streams share. Beyond
// it is compressed, whatever the configuration says: 10 000 entries of a stream with 64 KiB of attributes would take 640 MB.
const mostRepeated = 8

// Seal encodes the rows, compresses them and releases the batch.
func (b *Batch) Seal(c Compression) *Block {
	if c == Uncompressed && b.columns.repeated() > mostRepeated*b.columns.memory() {
		c = LZ4
	}
	w := newBlockWriter(c)
	b.write(w)
	block := newBlock(b.id, b.layout, b.partition, b.rows, b.origins, c, w)
	b.Release()
	return block
}

// Release gives the memory to later batches. The batch may not be used afterwards. A second call does nothing.
func (b *Batch) Release() {
	c := b.columns
	if c == nil {
		return
	}
	b.columns, b.origins = nil, nil
	c.measure(b.layout.lastBytes)
	c.reset()
	b.layout.pool.Put(c)
}
