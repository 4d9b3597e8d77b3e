package sink_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// bench is a delivery to a sink and a queue in memory.
type bench struct {
	memory   *sinktest.Memory
	letters  *sinktest.Letters
	maker    *sinktest.Maker
	table    *schema.Table
	delivery *sink.Delivery
}

func newBench(t *testing.T, change ...func(*sink.DeliveryConfig)) *bench {
	t.Helper()
	b := &bench{memory: sinktest.NewMemory(), letters: sinktest.NewLetters(), table: sinktest.Table("logs", "numbered")}
	b.maker = sinktest.NewMaker(t, b.table)
	config := sink.DefaultDeliveryConfig()
	config.Sink, config.DeadLetters = b.memory, b.letters
	for _, c := range change {
		c(&config)
	}
	var err error
	if b.delivery, err = sink.NewDelivery(config); err != nil {
		t.Fatal(err)
	}
	return b
}

// deliver delivers rows 0 to rows and expects that all of them are settled.
func (b *bench) deliver(t *testing.T, rows uint64) sink.Outcome {
	t.Helper()
	return b.deliverHolding(t, rows, 0)
}

func (b *bench) deliverHolding(t *testing.T, rows uint64, holdFor time.Duration) sink.Outcome {
	t.Helper()
	outcome, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, "batch", sinktest.Numbers(0, rows)...), nil, sink.Limits{HoldFor: holdFor}, nil)
	if err != nil {
		t.Fatalf("deliver: %v", err)
	}
	dead := 0
	for _, d := range outcome.DeadLettered {
		dead += d.Rows
		origins := 0
		for _, o := range d.Origins {
			origins += o.Rows
		}
		if origins != d.Rows {
			t.Errorf("dead letter %s: origins of %d rows, want %d", d.ID, origins, d.Rows)
		}
	}
	if uint64(outcome.Committed+dead) != rows {
		t.Fatalf("settled %d committed and %d dead-lettered rows, want %d in all", outcome.Committed, dead, rows)
	}
	b.conserves(t, sinktest.Numbers(0, rows))
	return outcome
}

// conserves checks that each number is exactly once in the table or the dead letters.
func (b *bench) conserves(t *testing.T, want []uint64) {
	t.Helper()
	got := append(b.inTable(), b.inLetters(t)...)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("table and dead letters have %d rows %v, want %d, each once", len(got), summary(got), len(want))
	}
}

func summary(n []uint64) []uint64 { return n[:min(len(n), 20)] }

func (b *bench) inTable() []uint64 {
	var found []uint64
	for _, row := range b.memory.Rows(b.table.FullName()) {
		found = append(found, row.Number())
	}
	return found
}

func (b *bench) inLetters(t *testing.T) []uint64 {
	t.Helper()
	var found []uint64
	for _, letter := range b.letters.All() {
		rows, err := sinktest.Decode(letter.Payload)
		if err != nil {
			t.Fatalf("dead letter %s: %v", letter.ID, err)
		}
		if len(rows) != letter.Rows {
			t.Errorf("dead letter %s says %d rows and has %d", letter.ID, letter.Rows, len(rows))
		}
		for _, row := range rows {
			found = append(found, row.Number())
		}
	}
	return found
}

func of(class sink.Class, code int) *sink.Error { return &sink.Error{Class: class, Code: code} }

// tokens returns the tokens of the attempts that were made.
func (b *bench) tokens() []string {
	var tokens []string
	for _, a := range b.memory.Attempts() {
		tokens = append(tokens, a.Token)
	}
	return tokens
}

func TestSettling(t *testing.T) {
	lost := of(sink.Ambiguous, 0)
	tests := []struct {
		name   string
		steps  []sinktest.Step
		tokens []string
		asks   int
	}{
		{"the first acknowledgement settles", nil, []string{"batch"}, 0},
		{"a refused connection leaves nothing to ask for", []sinktest.Step{{Err: of(sink.Transient, 0)}}, []string{"batch", "batch"}, 0},
		{"an overloaded server is asked, tried again, and asked", []sinktest.Step{{Err: of(sink.Transient, 252)}}, []string{"batch", "batch"}, 2},
		{"lost before it was stored", []sinktest.Step{{Err: lost}}, []string{"batch", "batch"}, 2},
		{"lost after it was stored", []sinktest.Step{{Err: lost, Stored: true}}, []string{"batch"}, 1},
		{"token burned", []sinktest.Step{{Err: lost, Burned: true}}, []string{"batch", "batch", "batch/1"}, 3},
		{"token burned twice", []sinktest.Step{{Err: lost, Burned: true}, {}, {Err: lost, Burned: true}}, []string{"batch", "batch", "batch/1", "batch/1", "batch/2"}, 6},
		{"an attempt is still running", []sinktest.Step{{Err: lost, Burned: true}, {Err: lost, LateAsks: 3}}, []string{"batch", "batch", "batch", "batch/1"}, 6},
		{"refused, and there all the same", []sinktest.Step{{Err: of(sink.Row, 469), Stored: true}}, []string{"batch"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.memory.Script(test.steps...)
				outcome := b.deliver(t, 25)
				if outcome.Committed != 25 {
					t.Errorf("committed %d, want 25", outcome.Committed)
				}
				if got := b.tokens(); !slices.Equal(got, test.tokens) {
					t.Errorf("tokens %q, want %q", got, test.tokens)
				}
				if got := b.memory.Asks(); got != test.asks {
					t.Errorf("asked %d times, want %d", got, test.asks)
				}
			})
		})
	}
}

func TestAttemptsAreNumberedOverAllTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Script(sinktest.Step{Err: of(sink.Ambiguous, 0), Burned: true})
		b.deliver(t, 1)
		for i, a := range b.memory.Attempts() {
			if want := fmt.Sprintf("batch-%d", i+1); a.Number != i+1 || a.QueryID != want {
				t.Errorf("attempt %d is %+v, want query id %s", i+1, a, want)
			}
		}
	})
}

func TestHeldForEverUntilMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		start := time.Now()
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
			if time.Since(start) < 24*time.Hour {
				return sinktest.Step{Err: of(sink.Hold, 497)}
			}
			return sinktest.Step{}
		}
		done := make(chan struct{})
		go func() { defer close(done); b.deliver(t, 10) }()
		time.Sleep(time.Hour)
		state := b.delivery.TableState("logs.numbered")
		if !state.Held || state.LastFailure == nil || state.LastFailure.Code != 497 {
			t.Errorf("state %+v, want held by 497", state)
		}
		degraded := b.delivery.Degraded()
		if len(degraded) != 1 || !strings.Contains(degraded[0], "grant the ClickHouse user INSERT and SELECT on logs.numbered") {
			t.Errorf("degraded %q, want what to grant", degraded)
		}
		<-done
		if degraded := b.delivery.Degraded(); len(degraded) != 0 {
			t.Errorf("degraded %q after all was settled", degraded)
		}
		// The wait is anything up to the back-off's bound, half of it on average.
		if n, want := len(b.memory.Attempts()), int(24*time.Hour/(sink.DefaultDeliveryConfig().HoldBackoff.Max/2)); n < want*3/4 || n > want*3/2 {
			t.Errorf("%d attempts in a day, want about %d", n, want)
		}
	})
}

func TestHeldForAWhileThenDeadLettered(t *testing.T) {
	for name, step := range map[string]sinktest.Step{
		"hold":             {Err: of(sink.Hold, 81)},
		"schema, unmended": {Err: of(sink.Schema, 60)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step { return step }
				start := time.Now()
				b.deliverHolding(t, 10, time.Hour)
				if took := time.Since(start); took < time.Hour || took > time.Hour+2*time.Minute {
					t.Errorf("held for %s, want an hour", took)
				}
				letters := b.letters.All()
				if len(letters) != 1 || letters[0].Reason != "held_too_long" || letters[0].Rows != 10 || letters[0].Code != step.Err.Code {
					t.Errorf("letters %+v, want one with all rows", letters)
				}
			})
		})
	}
}

func TestHeldThoughThereIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
			return sinktest.Step{Err: of(sink.Hold, 81), Stored: true}
		}
		if outcome := b.deliverHolding(t, 10, time.Minute); outcome.Committed != 10 {
			t.Errorf("outcome %+v, want all committed: they are there", outcome)
		}
	})
}

// migrations is a migrator that fails a given number of times.
type migrations struct {
	fails, runs int
	mend        func()
}

func (m *migrations) Migrate(context.Context, *schema.Table) error {
	m.runs++
	if m.runs <= m.fails {
		return errors.New("migration failed")
	}
	if m.mend != nil {
		m.mend()
	}
	return nil
}

func TestSchemaErrorMigratesOnce(t *testing.T) {
	for _, test := range []struct {
		name        string
		fails, runs int
		mends       bool
	}{
		{"mended", 0, 1, true},
		{"mended at the third try", 2, 3, true},
		{"not mended by it", 0, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mended := false
				migrator := &migrations{fails: test.fails, mend: func() { mended = test.mends }}
				b := newBench(t, func(c *sink.DeliveryConfig) { c.Migrator = migrator })
				b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
					if mended {
						return sinktest.Step{}
					}
					return sinktest.Step{Err: of(sink.Schema, 16)}
				}
				outcome := b.deliverHolding(t, 10, time.Hour)
				if migrator.runs != test.runs {
					t.Errorf("migrated %d times, want %d", migrator.runs, test.runs)
				}
				if got := outcome.Committed == 10; got != test.mends {
					t.Errorf("outcome %+v, want committed %v", outcome, test.mends)
				}
			})
		})
	}
}

func TestDrainTriesOnceMoreAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *sink.DeliveryConfig) { c.HoldBackoff = sink.Backoff{Min: 24 * time.Hour, Max: 24 * time.Hour} })
		b.memory.Script(sinktest.Step{Err: of(sink.Hold, 497)})
		drain := make(chan struct{})
		start := time.Now()
		time.AfterFunc(time.Second, func() { close(drain) })
		outcome, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, "batch", 1, 2), nil, sink.Limits{}, drain)
		if err != nil || outcome.Committed != 2 {
			t.Fatalf("outcome %+v, %v", outcome, err)
		}
		if took := time.Since(start); took > time.Second+time.Millisecond {
			t.Errorf("settled %s after the start, want as soon as drain was closed", took)
		}
	})
}

func TestDrainEndsWithTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step { return sinktest.Step{Err: of(sink.Transient, 242)} }
		drain := make(chan struct{})
		close(drain)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := b.delivery.Deliver(ctx, b.maker.Batch(t, "batch", 1, 2, 3), nil, sink.Limits{}, drain)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 rows are not settled") || !strings.Contains(err.Error(), "insert into logs.numbered") {
			t.Errorf("error %v, want all three rows, the deadline and the last error", err)
		}
		if n := len(b.memory.Attempts()); n < 3 || n > 50 {
			t.Errorf("%d attempts in 5 s, want a growing pause between them", n)
		}
	})
}

func TestHangingInsertIsGivenUpAndAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Script(sinktest.Step{Hangs: true})
		start := time.Now()
		b.deliver(t, 10)
		if took := time.Since(start); took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("took %s, want the attempt's minute", took)
		}
		if b.memory.Asks() != 2 {
			t.Errorf("asked %d times, want before and after the second attempt", b.memory.Asks())
		}
	})
}

func TestDeadLettersWaitForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Reject = bad(3)
		away := make([]error, 100)
		for i := range away {
			away[i] = errors.New("connection refused")
		}
		b.letters.Fail(away...)
		done := make(chan struct{})
		go func() { defer close(done); b.deliver(t, 10) }()
		time.Sleep(time.Minute)
		degraded := b.delivery.Degraded()
		if len(degraded) != 1 || !strings.Contains(degraded[0], "dead-letter queue takes nothing since") {
			t.Errorf("degraded %q, want the queue", degraded)
		}
		<-done
		if len(b.letters.All()) != 1 || b.letters.Writes() != 101 {
			t.Errorf("%d letters after %d writes, want 1 after 101", len(b.letters.All()), b.letters.Writes())
		}
		if degraded := b.delivery.Degraded(); len(degraded) != 0 {
			t.Errorf("degraded %q after all was settled", degraded)
		}
	})
}

func TestQuestionThatIsRefusedHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Script(sinktest.Step{Err: of(sink.Ambiguous, 0)})
		refused := make([]error, 20)
		for i := range refused {
			refused[i] = of(sink.Hold, 497)
		}
		b.memory.FailQuestions(refused...)
		done := make(chan struct{})
		go func() { defer close(done); b.deliver(t, 10) }()
		time.Sleep(time.Minute)
		if state := b.delivery.TableState("logs.numbered"); !state.Held {
			t.Errorf("state %+v, want held", state)
		}
		<-done
		if len(b.inTable()) != 10 {
			t.Errorf("table has %d rows", len(b.inTable()))
		}
	})
}

func TestDegradedTellsOfAnOutage(t *testing.T) {
	for _, test := range []struct {
		class sink.Class
		code  int
		want  string
	}{
		{sink.Transient, 0, "ClickHouse is away since"},
		{sink.Ambiguous, 0, "ClickHouse is away since"}, // though it answers questions
		{sink.Transient, 252, "table logs.numbered takes no inserts since"},
	} {
		want := test.want
		t.Run(fmt.Sprint(test.class, test.code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				start := time.Now()
				b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
					if time.Since(start) < time.Minute {
						return sinktest.Step{Err: of(test.class, test.code)}
					}
					return sinktest.Step{}
				}
				done := make(chan struct{})
				go func() { defer close(done); b.deliver(t, 10) }()
				time.Sleep(time.Second)
				if degraded := b.delivery.Degraded(); len(degraded) != 0 {
					t.Errorf("degraded %q after a second", degraded)
				}
				time.Sleep(20 * time.Second)
				if degraded := b.delivery.Degraded(); len(degraded) != 1 || !strings.Contains(degraded[0], want) {
					t.Errorf("degraded %q, want %q", degraded, want)
				}
				<-done
				if degraded := b.delivery.Degraded(); len(degraded) != 0 {
					t.Errorf("degraded %q after the outage", degraded)
				}
			})
		})
	}
}
