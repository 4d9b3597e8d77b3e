package sink_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// lost is the error of an insert whose answer was lost.
var lost = of(sink.Ambiguous, 0)

// settles delivers ten rows and checks that each is in the table exactly once.
func (b *bench) settles(t *testing.T) {
	t.Helper()
	if outcome := b.deliver(t, 10); outcome.Committed != 10 {
		t.Errorf("committed %d, want 10", outcome.Committed)
	}
}

// Error 389 acknowledges a batch whose token is known. On a first attempt only a proxy or a bug of the server can have used it, so
// the batch is looked up (A2).
func TestDeduplicatedIsAskedFor(t *testing.T) {
	known := &sink.Error{Class: sink.Ambiguous, Code: 389, Deduplicated: true}
	for name, step := range map[string]sinktest.Step{"stored": {Err: known, Stored: true}, "burned": {Err: known, Burned: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.memory.Script(step)
				b.settles(t)
				want := []string{"batch"}
				if step.Burned {
					want = []string{"batch", "batch/1"}
				}
				if got := b.tokens(); !slices.Equal(got, want) || b.memory.Asks() == 0 {
					t.Errorf("tokens %q after %d questions, want %q", got, b.memory.Asks(), want)
				}
			})
		})
	}
}

// The token may leave the server's window at any time, because others insert too (A3).
func TestAskedBeforeEveryAttemptThatFollowsOneThatMayHaveArrived(t *testing.T) {
	for _, class := range []sink.Class{sink.Ambiguous, sink.Transient, sink.Hold, sink.Unclassified} {
		t.Run(class.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				attempts := 0
				b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
					if attempts++; attempts > 1 {
						t.Error("sent again, though it is there")
					}
					time.AfterFunc(time.Nanosecond, b.memory.Forget)
					return sinktest.Step{Err: of(class, 4711), Stored: true}
				}
				b.settles(t)
			})
		})
	}
	t.Run("later attempts too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.memory.Script(sinktest.Step{Err: lost}, sinktest.Step{Err: lost}, sinktest.Step{Err: lost, Stored: true})
			b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
				t.Error("sent again, though it is there")
				return sinktest.Step{}
			}
			time.AfterFunc(time.Nanosecond, b.memory.Forget)
			b.settles(t)
		})
	})
}

// A5. A batch is one part, so any row proves that all were stored and others deleted since.
func TestAnyRowProvesThatTheBatchWasStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Script(sinktest.Step{Err: lost, Stored: true})
		b.memory.FailQuestions(of(sink.Transient, 0)) // so the deletion comes before the answer
		time.AfterFunc(time.Nanosecond, func() {
			b.memory.RemoveRows("logs.numbered", func(r sinktest.Row) bool { return r.Number() != 4 })
		})
		outcome, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, "batch", sinktest.Numbers(0, 10)...), nil, sink.Limits{}, nil)
		if err != nil || outcome.Committed != 10 || len(outcome.DeadLettered) != 0 {
			t.Fatalf("outcome %+v, %v; want all rows committed", outcome, err)
		}
		if got := b.inTable(); !slices.Equal(got, []uint64{4}) {
			t.Errorf("table has %v, want what was left of the batch", got)
		}
	})
}

// A7. An attempt may be stuck in a proxy until a minute after its time-out. Anything that would be stored beside it waits that long.
func TestNothingNewWhileAnAttemptMayStillArrive(t *testing.T) {
	zombie := sinktest.Step{Err: lost, Arrives: 110 * time.Second}
	for name, script := range map[string][]sinktest.Step{
		"a new token": {zombie, {Err: lost, Burned: true}, {}}, // the third is acknowledged by the second's token
		"pieces":      {zombie, {Err: of(sink.Row, 469)}},
		"shape":       {zombie, {Err: of(sink.Shape, 252)}},
		"held too long": {zombie, {Err: of(sink.Hold, 497)}, {Err: of(sink.Hold, 497)}, {Err: of(sink.Hold, 497)}, {Err: of(sink.Hold, 497)},
			{Err: of(sink.Hold, 497)}, {Err: of(sink.Hold, 497)}, {Err: of(sink.Hold, 497)}, {Err: of(sink.Hold, 497)}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(c *sink.DeliveryConfig) { c.HoldBackoff.Max = time.Second })
				b.memory.Script(script...)
				start := time.Now()
				b.deliverHolding(t, 10, time.Second)
				time.Sleep(10 * time.Minute) // everything under way arrives
				b.conserves(t, sinktest.Numbers(0, 10))
				if letters := b.letters.All(); len(letters) != 0 {
					t.Errorf("%d dead letters though the rows came", len(letters))
				}
				if took := time.Since(start) - 10*time.Minute; took > 3*time.Minute {
					t.Errorf("settled after %s", took)
				}
			})
		})
	}
}

// If the server refuses rows and no other attempt was sent, the rows are isolated at once.
func TestPiecesDoNotWaitWhereNothingCanArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Reject = bad(3)
		start := time.Now()
		b.deliver(t, 100)
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// ClickHouse reports some permanent errors with the codes of broken connections. The batch is held with the text, and hold_for
// counts from the first failure.
func TestAmbiguousCodeThatComesBackIsHeld(t *testing.T) {
	for _, othersPass := range []bool{false, true} {
		t.Run(fmt.Sprintf("others pass %v", othersPass), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				at := 0
				b.memory.Decide = func(batch *batch.Block, _ sink.Attempt) sinktest.Step {
					if batch.ID() != "batch" {
						return sinktest.Step{}
					}
					at++
					return sinktest.Step{Err: &sink.Error{Class: sink.Ambiguous, Code: 32, Err: fmt.Errorf(`while converting column "EventName", at byte %d`, at)}}
				}
				start := time.Now()
				done := make(chan struct{})
				go func() { defer close(done); b.deliverHolding(t, 10, time.Hour) }()
				passed := 0
				for range 60 {
					time.Sleep(10 * time.Second)
					if othersPass {
						other := b.maker.Batch(t, fmt.Sprintf("other-%d", passed), 1)
						if _, err := b.delivery.Deliver(t.Context(), other, nil, sink.Limits{}, nil); err != nil {
							t.Error(err)
						}
						b.memory.RemoveRows("logs.numbered", func(sinktest.Row) bool { return true })
						passed++
					}
				}
				state := b.delivery.TableState("logs.numbered")
				if !state.Held || !strings.Contains(state.HeldReason, "EventName") {
					t.Errorf("state %+v, want held with the text", state)
				}
				inserts := len(b.memory.Attempts())
				<-done
				if took := time.Since(start); took < time.Hour || took > time.Hour+5*time.Minute {
					t.Errorf("dead-lettered after %s, want an hour after the first failure", took)
				}
				if inserts > 120+passed { // the pauses are random, 15 s on average; this is far off
					t.Errorf("%d inserts in ten minutes", inserts)
				}
				if letters := b.letters.All(); len(letters) != 1 || letters[0].Code != 32 || letters[0].Reason != "held_too_long" {
					t.Errorf("letters %+v, want one with the code 32", letters)
				}
			})
		})
	}
}

// After an outage longer than hold_for, a server that has just started refuses for a moment.
func TestOneRefusalAfterALongOutageIsNotTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		start := time.Now()
		refused := 0
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
			if time.Since(start) < 2*time.Hour {
				return sinktest.Step{Err: of(sink.Transient, 0)}
			}
			if refused++; refused <= 2 {
				return sinktest.Step{Err: of(sink.Hold, 81)}
			}
			return sinktest.Step{}
		}
		if outcome := b.deliverHolding(t, 10, time.Hour); outcome.Committed != 10 {
			t.Errorf("outcome %+v, want committed", outcome)
		}
	})
}

// The rights to insert and to select are revoked together. An attempt that was refused has no unknown outcome.
func TestHeldWithoutRightsToAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step { return sinktest.Step{Err: of(sink.Hold, 497)} }
		for range 1000 {
			b.memory.FailQuestions(of(sink.Hold, 497))
		}
		b.deliverHolding(t, 10, time.Hour)
		if letters := b.letters.All(); len(letters) != 1 || letters[0].Reason != "held_too_long" || letters[0].Code != 497 {
			t.Errorf("letters %+v, want one that was held too long", letters)
		}
	})
}

// Changing texts, as networks produce them, are no reason to hold.
func TestAmbiguousCodesThatChangeAreTriedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		at := 0
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
			if at++; at > 40 {
				return sinktest.Step{}
			}
			return sinktest.Step{Err: &sink.Error{Class: sink.Ambiguous, Code: 210, Err: errors.New([]string{"reset by peer", "broken pipe"}[at%2])}}
		}
		done := make(chan struct{})
		go func() { defer close(done); b.settles(t) }()
		time.Sleep(5 * time.Minute)
		if b.delivery.TableState("logs.numbered").Held {
			t.Error("held")
		}
		<-done
	})
}

func TestGivenUpAfterAttemptsOrTime(t *testing.T) {
	for name, limits := range map[string]sink.Limits{"attempts": {MaxAttempts: 5}, "time": {GiveUpAfter: 10 * time.Minute}} {
		for _, class := range []sink.Class{sink.Transient, sink.Ambiguous, sink.Hold} {
			for _, stored := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, stored %v", name, class, stored), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := newBench(t)
						start, attempts := time.Now(), 0
						b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
							attempts++
							last := attempts == limits.MaxAttempts || limits.GiveUpAfter > 0 && time.Since(start) > limits.GiveUpAfter
							return sinktest.Step{Err: &sink.Error{Class: class, Code: 242, Err: fmt.Errorf("failure %d", attempts)}, Stored: stored && last}
						}
						outcome, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, "batch", sinktest.Numbers(0, 10)...), nil, limits, nil)
						if err != nil {
							t.Fatal(err)
						}
						b.conserves(t, sinktest.Numbers(0, 10))
						if took := time.Since(start); limits.GiveUpAfter > 0 && (took < 10*time.Minute || took > 13*time.Minute) {
							t.Errorf("given up after %s", took)
						}
						if limits.MaxAttempts > 0 && attempts != limits.MaxAttempts {
							t.Errorf("%d attempts", attempts)
						}
						if stored {
							if outcome.Committed != 10 {
								t.Errorf("outcome %+v, want committed: it is there", outcome)
							}
							return
						}
						letters := b.letters.All()
						if len(letters) != 1 || letters[0].Reason != "given_up" || letters[0].Attempts != attempts || letters[0].Code != 242 ||
							!strings.Contains(letters[0].Message, fmt.Sprintf("failure %d", attempts)) {
							t.Errorf("letters %+v, want one with the last error and %d attempts", letters, attempts)
						}
					})
				})
			}
		}
	}
}

// What was never sent need not be looked up. What was sent and can't be looked up has an unknown outcome.
func TestGivenUpWhileTheSinkIsAway(t *testing.T) {
	for _, sent := range []bool{false, true} {
		t.Run(fmt.Sprintf("sent %v", sent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				if sent {
					b.memory.Script(sinktest.Step{Err: lost})
				}
				b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step { return sinktest.Step{Err: of(sink.Transient, 0)} }
				for range 1000 {
					b.memory.FailQuestions(of(sink.Transient, 0))
				}
				limits := sink.Limits{GiveUpAfter: 10 * time.Minute}
				outcome, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, "batch", sinktest.Numbers(0, 10)...), nil, limits, nil)
				want := map[bool]string{false: "given_up", true: "fate_unknown"}[sent]
				if err != nil || len(outcome.DeadLettered) != 1 || b.letters.All()[0].Reason != want {
					t.Errorf("outcome %+v, %v; want a dead letter with the reason %s", outcome, err, want)
				}
				if tried := b.letters.All()[0].Tried; sent != slices.Equal(tried, []string{"batch"}) {
					t.Errorf("the letter is to be looked up as %q", tried)
				}
			})
		})
	}
}
