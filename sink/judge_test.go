package sink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// judging is a sink in memory that reports which rows it would refuse. Its first answers may be errors.
type judging struct {
	*sinktest.Memory
	asked int
	fails []error
}

func (j *judging) Violations(_ context.Context, b *batch.Block) ([]sink.Violation, error) {
	j.asked++
	if len(j.fails) > 0 {
		err := j.fails[0]
		j.fails = j.fails[1:]
		return nil, err
	}
	rows, err := j.Decode(b)
	if err != nil {
		return nil, err
	}
	byMessage := map[string]*sink.Violation{}
	var found []sink.Violation
	for i, row := range rows {
		if refusal := j.Reject(row); refusal != nil {
			v := byMessage[refusal.Err.Error()]
			if v == nil {
				v = &sink.Violation{Message: refusal.Err.Error(), Column: "Number"}
				byMessage[v.Message] = v
			}
			v.Rows = append(v.Rows, batch.RowRange{From: i, To: i + 1})
		}
	}
	for _, v := range byMessage {
		found = append(found, *v)
	}
	return found, nil
}

// newJudged returns a bench whose sink reports them.
func newJudged(t *testing.T) (*bench, *judging) {
	t.Helper()
	j := &judging{}
	b := newBench(t, func(c *sink.DeliveryConfig) {
		j.Memory = c.Sink.(*sinktest.Memory)
		c.Sink = j
	})
	return b, j
}

// badWhere refuses rows by their number, for one of two reasons.
func badWhere(bad func(n uint64) bool) func(sinktest.Row) *sink.Error {
	return func(row sinktest.Row) *sink.Error {
		if n := row.Number(); bad(n) {
			return &sink.Error{Class: sink.Row, Code: 469, Err: fmt.Errorf("Constraint `c%d` is violated", n%2)}
		}
		return nil
	}
}

func TestJudgedRowsNeedNoSearch(t *testing.T) {
	for _, test := range []struct {
		name      string
		producers int
		bad       func(n uint64) bool
		inserts   int
	}{
		{"one", 1, func(n uint64) bool { return n == 1234 }, 2},
		{"first and last", 1, func(n uint64) bool { return n == 0 || n == 1999 }, 2},
		{"every other", 1, func(n uint64) bool { return n%2 == 0 }, 2},
		{"all", 1, func(uint64) bool { return true }, 1},
		{"one producer of five", 5, func(n uint64) bool { return n/10%5 == 2 }, 2},
		{"all producers", 200, func(n uint64) bool { return n%10 == 3 }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, j := newJudged(t)
				b.maker.Producers = test.producers
				j.Reject = badWhere(test.bad)
				outcome := b.deliver(t, 2000)
				bad := 0
				for n := range uint64(2000) {
					if test.bad(n) {
						bad++
					}
				}
				if outcome.Committed != 2000-bad || len(b.memory.Attempts()) != test.inserts || j.asked != 1 {
					t.Errorf("committed %d of %d good rows with %d inserts and %d questions, want all with %d and one",
						outcome.Committed, 2000-bad, len(b.memory.Attempts()), j.asked, test.inserts)
				}
				for _, letter := range b.letters.All() {
					if letter.Reason != "refused" || letter.Column != "Number" {
						t.Errorf("letter %s: %s for column %q", letter.ID, letter.Reason, letter.Column)
					}
					inside, err := sinktest.Decode(letter.Payload)
					if err != nil {
						t.Fatal(err)
					}
					for _, row := range inside {
						if want := fmt.Sprintf("`c%d`", row.Number()%2); !strings.Contains(letter.Message, want) {
							t.Errorf("row %d is in a letter that says %q, want %s", row.Number(), letter.Message, want)
						}
					}
				}
			})
		})
	}
}

// Good rows are stored beside bad ones, even if the sink can't report which those are.
func TestAProducersBadRowsDontTakeItsNeighbours(t *testing.T) {
	const rows = 4000
	for _, test := range []struct {
		name      string
		producers int
		named     bool // the error names the row
		bad       func(producer, n uint64) bool
	}{
		{"a tenth of all, named", 5, true, func(p, n uint64) bool { return p == 4 && n%2 == 0 }},
		{"a tenth of all", 5, false, func(p, n uint64) bool { return p == 4 && n%2 == 0 }},
		{"two producers, named", 8, true, func(p, n uint64) bool { return (p == 1 || p == 6) && n%3 == 0 }},
		{"two producers", 8, false, func(p, n uint64) bool { return (p == 1 || p == 6) && n%3 == 0 }},
		{"all rows of one", 5, false, func(p, _ uint64) bool { return p == 0 }},
		{"wrongly named", 200, true, func(p, _ uint64) bool { return p == 150 }},
		{"one of many", 1000, false, func(p, _ uint64) bool { return p == 517 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.maker.Producers = test.producers
				producer := func(n uint64) uint64 { return n / 10 % uint64(test.producers) }
				b.memory.Decide = func(batch *batch.Block, _ sink.Attempt) sinktest.Step {
					all, err := b.memory.Decode(batch)
					if err != nil {
						t.Error(err)
					}
					for i, row := range all {
						n := row.Number()
						if !test.bad(producer(n), n) {
							continue
						}
						text := "a value is bad"
						if test.named {
							if text = fmt.Sprintf("violated at row %d", i+1); test.name == "wrongly named" {
								text = "violated at row 1"
							}
						}
						return sinktest.Step{Err: &sink.Error{Class: sink.Row, Code: 469, Err: errors.New(text)}}
					}
					return sinktest.Step{}
				}
				for round := range uint64(2) {
					before := len(b.memory.Attempts())
					numbers := sinktest.Numbers(round*rows, (round+1)*rows)
					if _, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, fmt.Sprintf("batch%d", round), numbers...), nil, sink.Limits{}, nil); err != nil {
						t.Fatal(err)
					}
					if n := len(b.memory.Attempts()) - before; n > 201 {
						t.Errorf("round %d: %d inserts, want at most 200 after the first", round, n)
					}
				}
				b.conserves(t, sinktest.Numbers(0, 2*rows))
				stored := map[uint64]bool{}
				for _, n := range b.inTable() {
					stored[n] = true
				}
				lost := 0
				for n := range uint64(2 * rows) {
					clean := true
					for other := range uint64(6) { // whatever the number
						clean = clean && !test.bad(producer(n), other)
					}
					if clean && !stored[n] {
						lost++
					}
				}
				if lost > 0 {
					t.Errorf("%d rows of clean producers are in the dead-letter queue", lost)
				}
			})
		})
	}
}

func TestASuspectsRowsAreTriedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newJudged(t)
		b.maker.Producers = 5
		j.Reject = badWhere(func(n uint64) bool { return n/10%5 == 2 && n%10 == 0 })
		inserts := func(id string) int {
			t.Helper()
			before := len(b.memory.Attempts())
			if _, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, id, sinktest.Numbers(0, 500)...), nil, sink.Limits{}, nil); err != nil {
				t.Fatal(err)
			}
			return len(b.memory.Attempts()) - before
		}
		for i, want := range []int{2, 2, 2} {
			before := len(b.inTable())
			if got := inserts(fmt.Sprint(i)); got != want {
				t.Errorf("batch %d took %d inserts, want %d", i, got, want)
			}
			if stored := len(b.inTable()) - before; stored != 490 {
				t.Errorf("batch %d: %d rows stored, want 490", i, stored)
			}
		}
		j.Reject = badWhere(func(uint64) bool { return false })
		if got := inserts("mended"); got != 2 {
			t.Errorf("a batch soon after the producer's last bad row took %d inserts, want 2", got)
		}
		time.Sleep(2 * time.Minute)
		if got := inserts("later"); got != 1 {
			t.Errorf("a batch long after the producer's last bad row took %d inserts, want 1", got)
		}
	})
}

func TestAJudgeThatCantTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newJudged(t)
		j.Reject = badWhere(func(n uint64) bool { return n == 3 || n == 11 })
		deliver := func(id string) {
			t.Helper()
			outcome, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, id, sinktest.Numbers(0, 16)...), nil, sink.Limits{}, nil)
			if err != nil || outcome.Committed != 14 {
				t.Errorf("%s: %+v, %v; want 14 rows committed", id, outcome, err)
			}
		}
		j.fails = []error{of(sink.Transient, 0), errors.New("connection lost")}
		if deliver("away"); j.asked < 3 {
			t.Errorf("asked %d times, want again after it could not be reached", j.asked)
		}
		j.asked, j.fails = 0, []error{of(sink.Hold, 497)}
		deliver("no rights")
		if deliver("soon after"); j.asked != 1 {
			t.Errorf("asked %d times, want once: rights don't come so soon", j.asked)
		}
		time.Sleep(11 * time.Minute)
		if deliver("later"); j.asked != 2 {
			t.Errorf("asked %d times, want once more", j.asked)
		}
	})
}
