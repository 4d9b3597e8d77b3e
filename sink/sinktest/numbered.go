package sinktest

import (
	"fmt"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// NumberColumn is the column with a row's number in Table's tables.
const NumberColumn = "Number"

// Day is the day of all rows that Maker makes, unless a method takes another.
var Day = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// Table returns a table for numbered rows, with one partition a day.
func Table(database, name string) *schema.Table {
	column := func(name, text string, source schema.Source) schema.Column {
		t, err := schema.ParseType(text)
		if err != nil {
			panic(fmt.Sprintf("sinktest: %v", err))
		}
		return schema.Column{Name: name, Type: t, Source: source}
	}
	return &schema.Table{
		Database: database, Name: name,
		Columns: []schema.Column{
			column("Timestamp", "DateTime64(9, 'UTC')", schema.Source{Field: schema.FieldTime}),
			column(NumberColumn, "UInt64", schema.Source{Field: schema.FieldAttribute, Key: "number"}),
			column("Body", "String", schema.Source{Field: schema.FieldBody}),
			column(schema.BatchIDColumn, "LowCardinality(String)", schema.Source{Field: schema.FieldBatchID}),
		},
		PartitionBy: "toDate(Timestamp)",
		OrderBy:     "Timestamp",
	}
}

// Maker makes batches of numbered rows. It is safe for concurrent use.
type Maker struct {
	// Layout is the table's.
	Layout *batch.Layout
	// Body is the text in every row.
	Body string
	// RequestRows is the number of rows of a request; 0 is ten.
	RequestRows int
	// Producers is the number of producers that send the requests in turn; 0 is one.
	Producers int
	// Compression of the blocks.
	Compression batch.Compression
}

// NewMaker returns a maker for a table that Table has returned.
func NewMaker(t testing.TB, table *schema.Table) *Maker {
	t.Helper()
	layout, err := batch.NewLayout(table, "numbered", time.UTC)
	if err != nil {
		t.Fatalf("layout: %v", err)
	}
	return &Maker{Layout: layout, Body: "numbered", Compression: batch.Uncompressed}
}

// Batch returns a batch with rows of these numbers, all of one day.
func (m *Maker) Batch(t testing.TB, id string, numbers ...uint64) *batch.Block {
	return m.batch(t, id, func(int) time.Time { return Day }, numbers)
}

// Straddling returns a batch whose rows alternate between two days, although its partition is the first day's.
func (m *Maker) Straddling(t testing.TB, id string, numbers ...uint64) *batch.Block {
	return m.batch(t, id, func(i int) time.Time { return Day.AddDate(0, 0, i%2) }, numbers)
}

func (m *Maker) batch(t testing.TB, id string, at func(int) time.Time, numbers []uint64) *batch.Block {
	t.Helper()
	stream := &schema.Stream{}
	requestRows := m.RequestRows
	if requestRows == 0 {
		requestRows = 10
	}
	var b *batch.Batch
	for i, number := range numbers {
		entry := schema.Entry{
			Time: at(i).UnixNano(), ObservedTime: at(i).UnixNano(), Body: m.Body, Stream: stream,
			Attributes: []schema.Attribute{schema.IntAttribute("number", int64(number))},
		}
		producer := "producer"
		if m.Producers > 1 {
			producer = fmt.Sprintf("producer-%d", i/requestRows%m.Producers)
		}
		origin := batch.Origin{Producer: producer, Epoch: 1, Sequence: uint64(1 + i/requestRows), ShardID: "TST-1"}
		if b == nil {
			partition, refused := m.Layout.NewPartitioner().Of(&entry, &origin)
			if refused != nil {
				t.Fatalf("partition of row %d: %v", i, refused)
			}
			b = m.Layout.NewBatch(id, partition)
		}
		if i%requestRows == 0 {
			b.Begin(origin, Day)
		}
		if refused := b.Append(&entry); refused != nil {
			t.Fatalf("append row %d: %v", i, refused)
		}
	}
	return b.Seal(m.Compression)
}

// Numbers returns the numbers [from, to).
func Numbers(from, to uint64) []uint64 {
	numbers := make([]uint64, 0, to-from)
	for n := from; n < to; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}
