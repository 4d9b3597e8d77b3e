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
	// whole says that the batch is no slice of another.
	whole   bool
	origins []Origin
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
	b := l.batchOf(id, p, c)
	b.whole = true
	return b
}

// batchOf returns an empty batch with the columns.
func (l *Layout) batchOf(id string, p *Partition, c *columns) *Batch {
	b := &Batch{id: id, layout: l, partition: p, columns: c}
	c.row.origin = &b.current
	for i := range c.cells {
		if constant := c.cells[i].constant; constant != nil {
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

// Bytes returns the memory that the batch occupies. It asks each column, so it is for every request rather than for
// every row.
func (b *Batch) Bytes() int {
	return b.columns.memory() + columnBytes*len(b.columns.cells) + originBytes*len(b.origins)
}

// Origins returns where the rows come from, in their order. The batch keeps the slice.
func (b *Batch) Origins() []Origin { return b.origins }

// OriginsOf returns where the rows from and up to to, without it, come from.
func (b *Batch) OriginsOf(from, to int) []Origin { return b.OriginsIn(RowSet{{from, to}}) }

// OriginsIn returns where rows of the batch come from, in their order.
func (b *Batch) OriginsIn(rows RowSet) []Origin {
	var origins []Origin
	start := 0
	for _, o := range b.origins {
		end, size := start+o.Rows, 0
		for len(rows) > 0 && rows[0].From < end {
			size += max(0, min(rows[0].To, end)-max(rows[0].From, start))
			if rows[0].To > end {
				break
			}
			rows = rows[1:]
		}
		if size > 0 {
			o.Rows = size
			origins = append(origins, o)
		}
		start = end
	}
	return origins
}

// Slice returns the rows from and up to to, without it, as a batch of its own with its own id. The two share no
// memory. Several goroutines may slice a sealed batch.
func (b *Batch) Slice(id string, from, to int) *Batch { return b.Pick(id, RowSet{{from, to}}) }

// Pick is Slice for any rows.
func (b *Batch) Pick(id string, rows RowSet) *Batch {
	c, pooled := b.layout.pool.Get().(*columns)
	if !pooled {
		c = b.layout.newColumns()
	}
	s := b.layout.batchOf(id, b.partition, c)
	for i := range s.columns.cells {
		s.columns.cells[i].column.appendRows(b.columns.cells[i].column, rows)
	}
	s.rows = rows.Size()
	s.origins = b.OriginsIn(rows)
	return s
}

// Release gives the memory to later batches. The batch may not be used afterwards. A second call does nothing.
func (b *Batch) Release() {
	c := b.columns
	if c == nil {
		return
	}
	b.columns, b.origins = nil, nil
	if b.whole {
		c.measure(b.layout.lastBytes)
	}
	c.reset()
	b.layout.pool.Put(c)
}
