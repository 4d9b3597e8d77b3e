package sink_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// redeliver tries ten rows that were tried before as the blocks with these ids, the last time at last.
func (b *bench) redeliver(t *testing.T, last time.Time, tried ...string) sink.Redelivery {
	t.Helper()
	block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 10)...)
	var blocks []*batch.Block
	for _, id := range tried {
		blocks = append(blocks, block.Anywhere(id))
	}
	outcome, err := b.delivery.Redeliver(t.Context(), block, blocks, last)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// store has another process store the rows under an id.
func (b *bench) store(t *testing.T, id string) {
	t.Helper()
	block := b.maker.Batch(t, id, sinktest.Numbers(0, 10)...)
	if err := b.memory.Insert(t.Context(), block, sink.Attempt{Number: 1, Token: id, QueryID: id + "-1"}); err != nil {
		t.Fatal(err)
	}
	b.memory.Forget()
}

func TestRedeliver(t *testing.T) {
	known := &sink.Error{Class: sink.Ambiguous, Code: 389, Deduplicated: true}
	for name, c := range map[string]struct {
		before string // what another process has stored
		tried  []string
		steps  []sinktest.Step
		found  bool
		tokens []string // of the attempts of this process
	}{
		"absent":                {tokens: []string{"batch"}},
		"there":                 {before: "batch", found: true},
		"there as tried":        {before: "tried", tried: []string{"other", "tried"}, found: true},
		"the answer is lost":    {steps: []sinktest.Step{{Err: lost, Stored: true}}, tokens: []string{"batch"}},
		"it is still running":   {steps: []sinktest.Step{{Err: lost, LateAsks: 3}}, tokens: []string{"batch"}},
		"the token was burned":  {steps: []sinktest.Step{{Err: known, Burned: true}}, tokens: []string{"batch", "batch/1"}},
		"ClickHouse comes back": {steps: []sinktest.Step{{Err: of(sink.Transient, 0)}, {Err: of(sink.Transient, 0)}}, tokens: []string{"batch", "batch", "batch"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				if c.before != "" {
					b.store(t, c.before)
				}
				others := len(b.memory.Attempts())
				b.memory.Script(c.steps...)
				outcome := b.redeliver(t, time.Time{}, c.tried...)
				if !outcome.Committed || outcome.Found != c.found || len(b.memory.Rows("logs.numbered")) != 10 {
					t.Errorf("outcome %+v, %d rows", outcome, len(b.memory.Rows("logs.numbered")))
				}
				if got := b.tokens()[others:]; !slices.Equal(got, c.tokens) {
					t.Errorf("tokens %q, want %q", got, c.tokens)
				}
			})
		})
	}
}

// A letter of unknown fate is not inserted while the attempt that may have stored it may be under way.
func TestRedeliverWaitsForALateAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		begun := time.Now()
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
			if waited := time.Since(begun); waited < b.delivery.AttemptEnds() {
				t.Errorf("inserted after %v", waited)
			}
			return sinktest.Step{}
		}
		if outcome := b.redeliver(t, begun, "tried"); !outcome.Committed || outcome.Found {
			t.Errorf("outcome %+v", outcome)
		}
	})
}

// unwanted fails the test if a table is migrated.
type unwanted struct{ t *testing.T }

func (u unwanted) Migrate(context.Context, *schema.Table) error {
	u.t.Error("a table was made to fit the columns of a letter")
	return nil
}

// What an operator has to mend is given up soon, and no table is made to fit the columns of a letter.
func TestRedeliverGivesUp(t *testing.T) {
	for class, reason := range map[sink.Class]string{sink.Hold: "held_too_long", sink.Schema: "held_too_long", sink.Row: "not_isolated"} {
		t.Run(class.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(c *sink.DeliveryConfig) { c.Migrator = unwanted{t} })
				b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step { return sinktest.Step{Err: of(class, 4711)} }
				begun := time.Now()
				outcome := b.redeliver(t, time.Time{})
				if outcome.Committed || len(outcome.Refused) != 1 || outcome.Refused[0].Rows.Size() != 10 || outcome.Refused[0].Letter.Reason != reason ||
					outcome.Mixed != (class == sink.Row) || len(outcome.Rest) != 0 {
					t.Errorf("outcome %+v", outcome)
				}
				if waited := time.Since(begun); waited > time.Minute {
					t.Errorf("given up after %v", waited)
				}
				if len(b.letters.All()) != 0 {
					t.Error("a redelivery has written a letter")
				}
			})
		})
	}
}
