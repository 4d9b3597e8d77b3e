package sinktest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Limit is the first number that violates the constraint of the suite's tables.
const Limit = 1_000_000_000

// Constraint is the constraint of the suite's tables, in the form of CREATE TABLE.
var Constraint = fmt.Sprintf("CONSTRAINT small CHECK %s < %d", NumberColumn, Limit)

// Harness is a sink under test.
type Harness struct {
	// Sink is the sink.
	Sink sink.Sink
	// Table returns an empty table of Table's shape that has Constraint and remembers tokens.
	Table func(t *testing.T) *schema.Table
	// Numbers returns the numbers of a table's rows, in any order.
	Numbers func(t *testing.T, table *schema.Table) []uint64
	// Compression of the blocks; empty is none.
	Compression batch.Compression
}

func (h *Harness) maker(t *testing.T, table *schema.Table) *Maker {
	m := NewMaker(t, table)
	m.Compression = cmp.Or(h.Compression, m.Compression)
	return m
}

// Run checks that a sink keeps the contract of sink.Sink. Open is called once.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	h := open(t)
	for name, check := range map[string]func(*testing.T, Harness){
		"InsertedRowsAreThere":       checkInserted,
		"SameTokenAddsNothing":       checkToken,
		"OtherTokenAdds":             checkOtherToken,
		"PresentCountsOneBatch":      checkPresent,
		"PresentOfPiecesIsTheirOwn":  checkPieces,
		"BatchIsWholeOrNotAtAll":     checkWhole,
		"SpanningPartitionsIsShape":  checkShape,
		"MissingTableIsSchema":       checkMissingTable,
		"EndedContextIsAnError":      checkContext,
		"ConcurrentInserts":          checkConcurrency,
		"EmptyTableHasNothingOfIt":   checkEmpty,
		"ErrorsAreTypedAndNameTable": checkErrors,
	} {
		t.Run(name, func(t *testing.T) { check(t, h) })
	}
}

func first(id string) sink.Attempt {
	return sink.Attempt{Number: 1, Token: id, QueryID: id + "-1"}
}

func second(id string) sink.Attempt {
	return sink.Attempt{Number: 2, Token: id, QueryID: id + "-2"}
}

// unique makes ids that are unique in the process.
var unique struct {
	sync.Mutex
	n int
}

func newID(t testing.TB) string {
	unique.Lock()
	defer unique.Unlock()
	unique.n++
	return fmt.Sprintf("suite-%p-%d", t, unique.n)
}

func insert(t *testing.T, h Harness, b *batch.Block, a sink.Attempt) {
	t.Helper()
	if err := h.Sink.Insert(t.Context(), b, a); err != nil {
		t.Fatalf("insert: %v", err)
	}
}

func wantNumbers(t *testing.T, h Harness, table *schema.Table, want []uint64) {
	t.Helper()
	got := slices.Sorted(slices.Values(h.Numbers(t, table)))
	if !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Fatalf("the table has %d rows %v…, want %d", len(got), got[:min(len(got), 10)], len(want))
	}
}

func wantPresent(t *testing.T, h Harness, b *batch.Block, rows int) {
	t.Helper()
	found, err := h.Sink.Present(t.Context(), b)
	if err != nil {
		t.Fatalf("present: %v", err)
	}
	if found.Rows != rows || found.Running {
		t.Fatalf("present: %+v, want %d rows and nothing running", found, rows)
	}
}

func wantClass(t *testing.T, err error, class sink.Class) *sink.Error {
	t.Helper()
	failure, ok := err.(*sink.Error)
	if !ok {
		t.Fatalf("error %v is a %T, want a *sink.Error", err, err)
	}
	if failure.Class != class {
		t.Fatalf("error %v has class %s, want %s", err, failure.Class, class)
	}
	return failure
}

func checkInserted(t *testing.T, h Harness) {
	table := h.Table(t)
	b := h.maker(t, table).Batch(t, newID(t), Numbers(0, 1000)...)
	insert(t, h, b, first(b.ID()))
	wantNumbers(t, h, table, Numbers(0, 1000))
	wantPresent(t, h, b, 1000)
}

func checkToken(t *testing.T, h Harness) {
	table := h.Table(t)
	b := h.maker(t, table).Batch(t, newID(t), Numbers(0, 100)...)
	insert(t, h, b, first(b.ID()))
	insert(t, h, b, second(b.ID()))
	wantNumbers(t, h, table, Numbers(0, 100))
}

func checkOtherToken(t *testing.T, h Harness) {
	table := h.Table(t)
	maker := h.maker(t, table)
	b := maker.Batch(t, newID(t), Numbers(0, 10)...)
	insert(t, h, b, first(b.ID()))
	again := second(b.ID())
	again.Token += "/1"
	insert(t, h, b, again)
	wantNumbers(t, h, table, append(Numbers(0, 10), Numbers(0, 10)...))
	wantPresent(t, h, b, 20)
}

func checkPresent(t *testing.T, h Harness) {
	table := h.Table(t)
	maker := h.maker(t, table)
	id := newID(t)
	one, other := maker.Batch(t, id, Numbers(0, 10)...), maker.Batch(t, id+"0", Numbers(10, 15)...)
	insert(t, h, one, first(one.ID()))
	wantPresent(t, h, one, 10)
	wantPresent(t, h, other, 0)
	insert(t, h, other, first(other.ID()))
	wantPresent(t, h, other, 5)
}

func checkPieces(t *testing.T, h Harness) {
	table := h.Table(t)
	whole := h.maker(t, table).Batch(t, newID(t), Numbers(0, 10)...)
	cut := func(id string, from, to int) *batch.Block {
		piece, err := whole.Cut(whole.ID()+id, batch.RowSet{{From: from, To: to}})
		if err != nil {
			t.Fatal(err)
		}
		return piece
	}
	left, right := cut(".0-3", 0, 4), cut(".4-9", 4, 10)
	insert(t, h, left, first(left.ID()))
	wantPresent(t, h, left, 4)
	wantPresent(t, h, right, 0)
	wantPresent(t, h, whole, 0)
	insert(t, h, right, first(right.ID()))
	wantNumbers(t, h, table, Numbers(0, 10))
}

func checkWhole(t *testing.T, h Harness) {
	table := h.Table(t)
	b := h.maker(t, table).Batch(t, newID(t), append(Numbers(0, 100), Limit, 101)...)
	failure := wantClass(t, h.Sink.Insert(t.Context(), b, first(b.ID())), sink.Row)
	if failure.Code != 469 {
		t.Errorf("code %d, want 469", failure.Code)
	}
	wantPresent(t, h, b, 0)
	wantNumbers(t, h, table, nil)
}

func checkShape(t *testing.T, h Harness) {
	table := h.Table(t)
	b := h.maker(t, table).Straddling(t, newID(t), Numbers(0, 10)...)
	failure := wantClass(t, h.Sink.Insert(t.Context(), b, first(b.ID())), sink.Shape)
	if failure.Code != 252 {
		t.Errorf("code %d, want 252", failure.Code)
	}
	wantNumbers(t, h, table, nil)
}

func checkMissingTable(t *testing.T, h Harness) {
	table := *h.Table(t)
	table.Name = "missing"
	b := h.maker(t, &table).Batch(t, newID(t), 1)
	wantClass(t, h.Sink.Insert(t.Context(), b, first(b.ID())), sink.Schema)
	wantPresent(t, h, b, 0)
}

func checkContext(t *testing.T, h Harness) {
	table := h.Table(t)
	b := h.maker(t, table).Batch(t, newID(t), Numbers(0, 10)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Sink.Present(ctx, b); err == nil {
		t.Error("present: no error though the context has ended")
	}
	// Whatever an insert reports when its context has ended, its rows are stored at most once.
	_ = h.Sink.Insert(ctx, b, first(b.ID()))
	insert(t, h, b, second(b.ID()))
	wantNumbers(t, h, table, Numbers(0, 10))
}

func checkConcurrency(t *testing.T, h Harness) {
	table := h.Table(t)
	maker := h.maker(t, table)
	const batches, rows = 8, 200
	var group sync.WaitGroup
	errs := make(chan error, batches)
	for i := range uint64(batches) {
		b := maker.Batch(t, newID(t), Numbers(i*rows, (i+1)*rows)...)
		group.Go(func() {
			errs <- h.Sink.Insert(t.Context(), b, first(b.ID()))
		})
	}
	group.Wait()
	for range batches {
		if err := <-errs; err != nil {
			t.Errorf("insert: %v", err)
		}
	}
	wantNumbers(t, h, table, Numbers(0, batches*rows))
}

func checkEmpty(t *testing.T, h Harness) {
	table := h.Table(t)
	wantPresent(t, h, h.maker(t, table).Batch(t, newID(t), 1, 2, 3), 0)
}

func checkErrors(t *testing.T, h Harness) {
	table := h.Table(t)
	b := h.maker(t, table).Batch(t, newID(t), Limit)
	failure := wantClass(t, h.Sink.Insert(t.Context(), b, first(b.ID())), sink.Row)
	if failure.Table != table.FullName() || failure.Op == "" || failure.Err == nil {
		t.Errorf("error %+v lacks operation, table or cause", failure)
	}
}
