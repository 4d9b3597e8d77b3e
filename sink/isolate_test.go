package sink_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// bad rejects these numbers with a message that names no row.
func bad(numbers ...uint64) func(sinktest.Row) *sink.Error {
	return func(row sinktest.Row) *sink.Error {
		if !slices.Contains(numbers, row.Number()) {
			return nil
		}
		return &sink.Error{Class: sink.Row, Code: 469, Err: fmt.Errorf("number %d is bad", row.Number())}
	}
}

func TestIsolation(t *testing.T) {
	const rows = 64
	for _, test := range []struct {
		name    string
		bad     []uint64
		letters []string // ids
	}{
		{"first", []uint64{0}, []string{"batch.0-0"}},
		{"middle", []uint64{31}, []string{"batch.31-31"}},
		{"last", []uint64{63}, []string{"batch.63-63"}},
		{"neighbours are one letter", []uint64{31, 32, 33}, []string{"batch.31-33"}},
		{"several", []uint64{0, 7, 40, 63}, []string{"batch.0-0", "batch.7-7", "batch.40-40", "batch.63-63"}},
		{"all", sinktest.Numbers(0, rows), []string{"batch.0-63"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.memory.Reject = bad(test.bad...)
				outcome := b.deliver(t, rows)
				if outcome.Committed != rows-len(test.bad) {
					t.Errorf("committed %d, want %d", outcome.Committed, rows-len(test.bad))
				}
				var ids []string
				for _, letter := range b.letters.All() {
					ids = append(ids, letter.ID)
					if letter.Code != 469 || letter.Class != sink.Row || letter.Reason != "refused" || letter.Table != "logs.numbered" ||
						letter.Route != "numbered" || letter.ShardID != "TST-1" || letter.Format != sink.FormatNative || letter.Attempts != 1 ||
						letter.SchemaHash == "" || !strings.Contains(letter.Message, "is bad") {
						t.Errorf("letter %+v", letter)
					}
				}
				if !slices.Equal(ids, test.letters) {
					t.Errorf("letters %q, want %q", ids, test.letters)
				}
			})
		})
	}
}

func TestIsolationAtEveryPosition(t *testing.T) {
	for position := range uint64(33) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.memory.Reject = bad(position)
			if outcome := b.deliver(t, 33); outcome.Committed != 32 {
				t.Errorf("row %d bad: committed %d, want 32", position, outcome.Committed)
			}
		})
	}
}

func TestNamedRowIsTriedByItself(t *testing.T) {
	for _, test := range []struct {
		name    string
		message string
		inserts int
	}{
		{"right", "Constraint `c` for table t is violated at row 701. Expression: (n < 10)", 4},
		{"none", "a value is bad", 0},
		{"wrong", "violated at row 5", 0},
		{"beyond the batch", "violated at row 5000", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.memory.Reject = func(row sinktest.Row) *sink.Error {
					if row.Number() != 700 {
						return nil
					}
					return &sink.Error{Class: sink.Row, Code: 469, Err: errors.New(test.message)}
				}
				b.deliver(t, 1000)
				if n := len(b.memory.Attempts()); test.inserts != 0 && n != test.inserts {
					t.Errorf("%d inserts, want %d", n, test.inserts)
				} else if n > 30 {
					t.Errorf("%d inserts, want no more than halving takes", n)
				}
				if letters := b.letters.All(); len(letters) != 1 || letters[0].Rows != 1 {
					t.Errorf("letters %+v, want one row", letters)
				}
			})
		})
	}
}

func TestIsolationIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Reject = func(row sinktest.Row) *sink.Error {
			if row.Number()%2 == 0 {
				return nil
			}
			return of(sink.Row, 27)
		}
		outcome := b.deliver(t, 2000)
		if n := len(b.memory.Attempts()); n > 201 {
			t.Errorf("%d inserts, want 200 and the first", n)
		}
		if len(outcome.DeadLettered) == 0 {
			t.Error("no dead letters")
		}
		for _, letter := range b.letters.All() {
			if letter.Reason != "not_isolated" {
				t.Errorf("reason %q", letter.Reason)
			}
		}
	})
}

func TestTransientErrorsInTheIsolationDeadLetterNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Reject = bad(17)
		tries := map[string]int{}
		b.memory.Decide = func(batch *batch.Block, _ sink.Attempt) sinktest.Step {
			if tries[batch.ID()]++; batch.ID() != "batch" && tries[batch.ID()] < 50 {
				return sinktest.Step{Err: of(sink.Transient, 242)}
			}
			return sinktest.Step{}
		}
		if outcome := b.deliver(t, 100); outcome.Committed != 99 {
			t.Errorf("committed %d, want 99", outcome.Committed)
		}
	})
}

func TestUnknownCodeIsTriedSomeTimesThenIsolated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Reject = func(row sinktest.Row) *sink.Error {
			if row.Number() != 5 {
				return nil
			}
			return of(sink.Unclassified, 4711)
		}
		if outcome := b.deliver(t, 8); outcome.Committed != 7 {
			t.Errorf("committed %d, want 7", outcome.Committed)
		}
		whole := 0
		for _, a := range b.memory.Attempts() {
			if a.Token == "batch" {
				whole++
			}
		}
		if whole != 8 {
			t.Errorf("the whole batch was tried %d times, want 8", whole)
		}
		if degraded := b.delivery.Degraded(); len(degraded) != 1 || !strings.Contains(degraded[0], "error code 4711 is in no table") {
			t.Errorf("degraded %q, want the code", degraded)
		}
	})
}

func TestSpanningBatchIsSplitAndCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		batch := b.maker.Straddling(t, "batch", sinktest.Numbers(0, 16)...)
		outcome, err := b.delivery.Deliver(t.Context(), batch, nil, sink.Limits{}, nil)
		if err != nil || outcome.Committed != 16 {
			t.Fatalf("outcome %+v, %v; want all rows committed", outcome, err)
		}
		b.conserves(t, sinktest.Numbers(0, 16))
	})
}

func TestLargeLettersAreDivided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.maker.Body = strings.Repeat("x", 100_000)
		b.memory.Reject = bad(sinktest.Numbers(0, 50)...)
		b.deliver(t, 50)
		letters := b.letters.All()
		if len(letters) < 5 {
			t.Errorf("%d letters of 5 MB, want more", len(letters))
		}
		for _, letter := range letters {
			if len(letter.Payload) > 1<<20 {
				t.Errorf("letter %s has %d bytes, want at most 1 MiB", letter.ID, len(letter.Payload))
			}
		}
	})
}

// ClickHouse quotes the values of a row in its error, however large they are.
func TestLongMessagesAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Reject = func(sinktest.Row) *sink.Error {
			return &sink.Error{Class: sink.Row, Code: 469, Err: errors.New("violated. Column values: " + strings.Repeat("é", 1<<20))}
		}
		b.memory.Script(sinktest.Step{Err: &sink.Error{Class: sink.Row, Code: 6, Err: errors.New("column " + strings.Repeat("A", 1<<20))}})
		outcome := b.deliver(t, 1)
		letter := b.letters.All()[0]
		if len(letter.Message) > 9<<10 || len(letter.Column) > 256 || len(outcome.DeadLettered[0].Message) > 9<<10 {
			t.Errorf("message of %d bytes, column of %d, want them cut", len(letter.Message), len(letter.Column))
		}
	})
}
