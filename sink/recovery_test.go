package sink_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

type mortalSink struct {
	*sinktest.Memory
	m *sinktest.Mortal
}

func (s mortalSink) Insert(ctx context.Context, b *batch.Block, a sink.Attempt) error {
	return s.m.Step(func() error { return s.Memory.Insert(ctx, b, a) })
}

func (s mortalSink) Present(ctx context.Context, b *batch.Block) (found sink.Presence, err error) {
	err = s.m.Step(func() (err error) { found, err = s.Memory.Present(ctx, b); return err })
	return found, err
}

type mortalLetters struct {
	*sinktest.Letters
	m *sinktest.Mortal
}

func (l mortalLetters) Write(ctx context.Context, letter *sink.DeadLetter) error {
	return l.m.Step(func() error { return l.Letters.Write(ctx, letter) })
}

type mortalFile struct {
	*sinktest.File
	m *sinktest.Mortal
}

func (f mortalFile) Note(ctx context.Context, note []byte) error {
	return f.m.Step(func() error { return f.File.Note(ctx, note) })
}

// live delivers a block in a process, and reports whether that was killed.
func (b *bench) live(t *testing.T, m *sinktest.Mortal, block *batch.Block, file *sinktest.File) (killed bool) {
	t.Helper()
	config := sink.DefaultDeliveryConfig()
	config.Sink, config.DeadLetters = mortalSink{b.memory, m}, mortalLetters{b.letters, m}
	delivery, err := sink.NewDelivery(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.Cancel = cancel
	outcome, err := delivery.Deliver(ctx, block, mortalFile{file, m}, sink.Limits{}, nil)
	if m.Killed() {
		return true
	}
	settled := outcome.Committed
	for _, letter := range outcome.DeadLettered {
		settled += letter.Rows
	}
	if err != nil || settled != block.Rows() {
		t.Fatalf("%d of %d rows are settled, %v", settled, block.Rows(), err)
	}
	return false
}

// troubles are histories of a batch of 40 rows. The first process lives through them until it is killed; mend is what changes before the
// next one starts.
var troubles = map[string]struct {
	steps []sinktest.Step
	bad   []uint64
	mend  bool // the table takes all rows from then on
}{
	"none":                      {},
	"an answer is lost":         {steps: []sinktest.Step{{Err: lost, Stored: true}}},
	"a burned token":            {steps: []sinktest.Step{{Err: lost, Burned: true}, {}, {Err: lost, Arrives: 100 * time.Second}}},
	"A7: a zombie of the whole": {steps: []sinktest.Step{{Err: lost, Arrives: 110 * time.Second}, {Err: of(sink.Row, 469)}}},
	"bad rows":                  {bad: []uint64{5, 6, 31}},
	"B9: a mended constraint":   {bad: []uint64{5, 6}, mend: true},
	"bad rows and lost answers": {bad: []uint64{7, 30}, steps: []sinktest.Step{
		{Err: lost}, {Err: of(sink.Row, 469)}, {Err: lost, Stored: true}, {Err: lost, Burned: true}, {Err: lost, Arrives: 50 * time.Second},
	}},
	"it spans partitions": {steps: []sinktest.Step{{Err: of(sink.Shape, 252)}, {Err: lost, Stored: true}}},
}

// TestAKillAtEveryStepOfADelivery kills a process before and after each of its steps, and then the next one. Each row ends up once in the table
// or in the dead letters, also after everything that was under way has arrived.
func TestAKillAtEveryStepOfADelivery(t *testing.T) {
	secondKills := []int{0, 1, 2, 3, 5}
	if testing.Short() {
		secondKills = []int{0, 3}
	}
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			for at, more := 1, true; more; at++ {
				more = false
				for _, after := range []bool{false, true} {
					for _, again := range secondKills {
						synctest.Test(t, func(t *testing.T) {
							b := newBench(t)
							b.memory.Reject = bad(trouble.bad...)
							b.memory.Script(trouble.steps...)
							block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 40)...)
							file := sinktest.NewFile(t, block, nil)
							for generation, m := range []*sinktest.Mortal{{At: at, After: after}, {At: again, After: !after}, {}} {
								if generation > 0 {
									block = file.Open(t)
									if trouble.mend {
										b.memory.Reject = nil
									}
								}
								killed := b.live(t, m, block, file)
								more = more || killed
								if !killed {
									break
								}
							}
							time.Sleep(10 * time.Minute)
							b.conserves(t, sinktest.Numbers(0, 40))
							if t.Failed() {
								t.Fatalf("killed at %d, after its effect: %v; then at %d; notes: %s", at, after, again, file.Notes())
							}
						})
					}
				}
			}
		})
	}
}

// TestManyKills kills processes at random, in random troubles.
func TestManyKills(t *testing.T) {
	runs := 400
	if testing.Short() {
		runs = 100
	}
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			b := newBench(t)
			b.maker.Producers = 1 + r.IntN(3)
			var refused []uint64
			for range r.IntN(4) {
				refused = append(refused, r.Uint64N(40))
			}
			b.memory.Reject = bad(refused...)
			b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
				switch r.IntN(8) {
				case 0:
					return sinktest.Step{Err: lost}
				case 1:
					return sinktest.Step{Err: lost, Stored: true}
				case 2:
					return sinktest.Step{Err: lost, Burned: true}
				case 3:
					return sinktest.Step{Err: lost, Arrives: time.Duration(r.IntN(119)) * time.Second}
				case 4:
					return sinktest.Step{Err: of(sink.Transient, 0)}
				case 5:
					return sinktest.Step{Err: of(sink.Ambiguous, 209), LateAsks: 1 + r.IntN(3)}
				}
				return sinktest.Step{}
			}
			block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 40)...)
			file := sinktest.NewFile(t, block, nil)
			for kills := 0; ; kills++ {
				m := &sinktest.Mortal{At: 1 + r.IntN(20), After: r.IntN(2) == 0}
				if kills == 8 {
					m.At = 0
				}
				if !b.live(t, m, block, file) {
					break
				}
				time.Sleep(time.Duration(r.IntN(200)) * time.Second)
				block = file.Open(t)
			}
			time.Sleep(10 * time.Minute)
			b.conserves(t, sinktest.Numbers(0, 40))
			if t.Failed() {
				t.Fatalf("seed %d, notes: %s", seed, file.Notes())
			}
		})
	}
}

// B9: the operator mends the constraint between the first letter and the restart. The letters are written again under the same ids, and
// nothing is inserted.
func TestB9RefusedRowsStayRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Reject = bad(5, 6, 20)
		block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 40)...)
		file := sinktest.NewFile(t, block, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		config := sink.DefaultDeliveryConfig()
		config.Sink, config.DeadLetters = b.memory, &stuckLetters{Letters: b.letters, stuckAfter: 1}
		delivery, err := sink.NewDelivery(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := delivery.Deliver(ctx, block, file, sink.Limits{}, nil); err == nil {
			t.Fatal("settled without all letters")
		}
		inserts := len(b.memory.Attempts())
		b.memory.Reject = nil
		outcome, err := b.delivery.Deliver(t.Context(), file.Open(t), file, sink.Limits{}, nil)
		if err != nil || outcome.Committed != 37 || len(outcome.DeadLettered) != 2 {
			t.Fatalf("%+v, %v", outcome, err)
		}
		if got := len(b.memory.Attempts()); got != inserts {
			t.Errorf("%d inserts after the restart", got-inserts)
		}
		letters := b.letters.All()
		if len(letters) != 2 || letters[0].ID != "batch.5-6" || letters[1].ID != "batch.20-20" || letters[1].Code != 469 || letters[1].Attempts == 0 {
			t.Errorf("letters %+v", letters)
		}
		b.conserves(t, sinktest.Numbers(0, 40))
	})
}

// B9 once more: while the queue is away for days, retention drops the batch's rows. Once the letters are all that is left, no row is stored
// again.
func TestB9NoRowIsStoredAgainForTheLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Reject = bad(5)
		block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 40)...)
		file := sinktest.NewFile(t, block, nil)
		config := sink.DefaultDeliveryConfig()
		config.Sink, config.DeadLetters = b.memory, &stuckLetters{Letters: b.letters}
		delivery, err := sink.NewDelivery(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 72*time.Hour)
		defer cancel()
		if _, err := delivery.Deliver(ctx, block, file, sink.Limits{}, nil); err == nil {
			t.Fatal("settled without its letter")
		}
		b.memory.Forget()
		b.memory.RemoveRows("logs.numbered", func(sinktest.Row) bool { return true })
		outcome, err := b.delivery.Deliver(t.Context(), file.Open(t), file, sink.Limits{}, nil)
		if err != nil || outcome.Committed != 39 || len(b.inTable()) > 0 || !slices.Equal(b.inLetters(t), []uint64{5}) {
			t.Errorf("%+v, %v; the table has %v", outcome, err, b.inTable())
		}
	})
}

// B10: a token was burned, an attempt with the next one is a zombie when the process dies, and the table forgets the first token. The next
// process goes on with the second one.
func TestB10BurnedTokensAreKnownAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 10)...)
		file := sinktest.NewFile(t, block, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b.memory.Script(sinktest.Step{Err: lost, Burned: true}, sinktest.Step{})
		b.memory.Decide = func(_ *batch.Block, a sink.Attempt) sinktest.Step {
			if a.Token == "batch/1" && ctx.Err() == nil {
				cancel()
				return sinktest.Step{Err: lost, Arrives: 100 * time.Second}
			}
			return sinktest.Step{}
		}
		if _, err := b.delivery.Deliver(ctx, block, file, sink.Limits{}, nil); err == nil {
			t.Fatal("settled")
		}
		b.memory.Forget()
		if _, err := b.delivery.Deliver(t.Context(), file.Open(t), file, sink.Limits{}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		b.conserves(t, sinktest.Numbers(0, 10))
	})
}

// stuckLetters takes some letters, and then none.
type stuckLetters struct {
	*sinktest.Letters
	stuckAfter int
}

func (l *stuckLetters) Write(ctx context.Context, letter *sink.DeadLetter) error {
	if len(l.All()) >= l.stuckAfter {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.Letters.Write(ctx, letter)
}

// B11: the token was burned by the process that died, the insert is acknowledged, and SELECT was revoked in between. That the table can't
// be asked proves nothing.
func TestB11AcknowledgedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 10)...)
		file := sinktest.NewFile(t, block, nil)
		b.memory.Script(sinktest.Step{Err: lost, Burned: true})
		if !b.live(t, &sinktest.Mortal{At: 1, After: true}, block, file) {
			t.Fatal("not killed")
		}
		b.memory.FailQuestions(nil)
		for range 1000 {
			b.memory.FailQuestions(of(sink.Hold, 497))
		}
		outcome, err := b.delivery.Deliver(t.Context(), file.Open(t), file, sink.Limits{HoldFor: time.Hour}, nil)
		if err != nil || outcome.Committed != 0 || len(outcome.DeadLettered) != 1 || b.letters.All()[0].Reason != sink.ReasonFateUnknown {
			t.Fatalf("outcome %+v, %v; want a dead letter whose fate is unknown", outcome, err)
		}
	})
}

// A batch without notes may have been sent by the process that died. So it is not divided for suspects, whose parts would be stored beside it.
func TestARecoveredBatchIsNotDividedForSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.maker.Producers = 2
		block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 40)...)
		file := sinktest.NewFile(t, block, nil)
		b.memory.Script(sinktest.Step{Err: lost, Arrives: 90 * time.Second})
		b.live(t, &sinktest.Mortal{At: 1, After: true}, block, file)
		b.memory.Reject = bad(1000)
		b.deliverNumbers(t, "other", sinktest.Numbers(1000, 1040)...)
		if _, err := b.delivery.Deliver(t.Context(), file.Open(t), file, sink.Limits{}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		b.conserves(t, append(sinktest.Numbers(0, 40), sinktest.Numbers(1000, 1040)...))
	})
}

func (b *bench) deliverNumbers(t *testing.T, id string, numbers ...uint64) {
	t.Helper()
	if _, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, id, numbers...), nil, sink.Limits{}, nil); err != nil {
		t.Fatal(err)
	}
}

// B25: a batch of an earlier process is rejected because its table lacks a column. The table is migrated only if a current route has it.
func TestB25MigratedByTheCurrentRouteOnly(t *testing.T) {
	for _, routed := range []bool{true, false} {
		for _, recovered := range []bool{true, false} {
			t.Run(fmt.Sprintf("has a route: %v, of an earlier process: %v", routed, recovered), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &currentTables{routed: routed}
					b := newBench(t, func(c *sink.DeliveryConfig) { c.Migrator = m })
					block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 10)...)
					file := sinktest.NewFile(t, block, nil)
					if recovered {
						block = file.Open(t)
					}
					b.memory.Script(sinktest.Step{Err: of(sink.Schema, 16)}, sinktest.Step{Err: of(sink.Schema, 16)})
					b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
						if held := b.delivery.TableState("logs.numbered").Held; !held {
							t.Error("the batch is not held")
						}
						return sinktest.Step{}
					}
					if _, err := b.delivery.Deliver(t.Context(), block, file, sink.Limits{}, nil); err != nil {
						t.Fatal(err)
					}
					if want := routed || !recovered; m.migrated != want {
						t.Errorf("migrated: %v, want %v", m.migrated, want)
					}
				})
			})
		}
	}
}

type currentTables struct{ routed, migrated bool }

func (m *currentTables) Migrate(context.Context, *schema.Table) error {
	m.migrated = true
	return nil
}

func (m *currentTables) HasRoute(*schema.Table) bool { return m.routed }

// TestWaitingBatchesLeaveMemory makes a batch wait for each reason. It is read again from its file.
func TestWaitingBatchesLeaveMemory(t *testing.T) {
	for name, steps := range map[string][]sinktest.Step{
		"ClickHouse is away": {{Err: of(sink.Transient, 0)}},
		"held":               {{Err: of(sink.Hold, 497)}},
		"an answer is lost":  {{Err: lost}},
		"running":            {{Err: lost, LateAsks: 2}},
		"in parts":           {{Err: of(sink.Shape, 252)}, {Err: of(sink.Transient, 0)}, {Err: of(sink.Hold, 497)}},
	} {
		for _, compression := range []batch.Compression{batch.Uncompressed, batch.LZ4} {
			t.Run(name+", "+string(compression), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t)
					b.maker.Compression = compression
					b.maker.Body = strings.Repeat("a longer body ", 100)
					b.memory.Script(steps...)
					block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 500)...)
					before, freed := block.Bytes(), 0
					file := sinktest.NewFile(t, block, func() { freed++ })
					outcome, err := b.delivery.Deliver(t.Context(), block, file, sink.Limits{}, nil)
					if err != nil || outcome.Committed != 500 {
						t.Fatalf("%+v, %v", outcome, err)
					}
					if freed != 1 || block.Bytes() >= before || name == "in parts" && file.Reads() == 0 {
						t.Errorf("freed %d times, %d bytes of %d, %d reads", freed, block.Bytes(), before, file.Reads())
					}
					b.conserves(t, sinktest.Numbers(0, 500))
				})
			})
		}
	}
	t.Run("an insert at once", func(t *testing.T) {
		b := newBench(t)
		block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 500)...)
		file := sinktest.NewFile(t, block, func() { t.Error("evicted") })
		if _, err := b.delivery.Deliver(t.Context(), block, file, sink.Limits{}, nil); err != nil || len(file.Notes()) > 0 {
			t.Errorf("%d notes, %v", len(file.Notes()), err)
		}
	})
}

// finder is a Finder in memory.
type finder struct {
	*sinktest.Memory
	calls int
	err   error
}

func (f *finder) Find(ctx context.Context, blocks []*batch.Block) (map[string]int, error) {
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	found := map[string]int{}
	for _, b := range blocks {
		if p, err := f.Present(ctx, b); err == nil && p.Rows > 0 {
			found[b.ID()] = p.Rows
		}
	}
	return found, nil
}

func TestManyBatchesAreFoundAtOnce(t *testing.T) {
	f := &finder{}
	b := newBench(t, func(c *sink.DeliveryConfig) { c.Sink = f })
	f.Memory = b.memory
	var blocks []*batch.Block
	for i := range 1200 {
		block := b.maker.Batch(t, fmt.Sprint("batch-", i), uint64(i))
		if i%2 == 0 {
			b.deliverBlock(t, block)
		}
		blocks = append(blocks, block)
	}
	found := b.delivery.FindAll(t.Context(), blocks)
	if f.calls != 3 {
		t.Errorf("%d questions", f.calls)
	}
	for i, block := range blocks {
		if found[block] != (i%2 == 0) {
			t.Fatalf("batch %d: %v", i, found[block])
		}
	}
	for _, f.err = range []error{of(sink.Transient, 0), of(sink.Hold, 497), errors.New("broken")} {
		if found := b.delivery.FindAll(t.Context(), blocks); len(found) > 0 {
			t.Errorf("%d batches are found though it can't be asked", len(found))
		}
	}
}

func (b *bench) deliverBlock(t *testing.T, block *batch.Block) {
	t.Helper()
	if _, err := b.delivery.Deliver(t.Context(), block, nil, sink.Limits{}, nil); err != nil {
		t.Fatal(err)
	}
}

// FuzzNotes delivers a batch with any notes of an earlier process: each row is settled once, or it is told that a note is damaged.
func FuzzNotes(f *testing.F) {
	for _, seed := range []string{
		`{"version":1,"piece":"batch","parts":[[0,5],[6,14]],"refused":[{"rows":[5,1],"letter":{"Class":6,"Reason":"refused"}}]}`,
		`{"version":1,"piece":"batch","suffix":2}`,
		`{"version":1,"settled":true,"committed":20}`,
		`{"version":2}`, `{"version":1,"piece":"batch","parts":[[0,20]]}`, ``,
	} {
		f.Add([]byte(seed), []byte(`{"version":1,"piece":"batch.0-4","refused":[{"rows":[0,5],"letter":{"Class":6}}]}`))
	}
	b := &bench{table: sinktest.Table("logs", "numbered")}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		synctest.Test(t, func(t *testing.T) {
			b = newBench(t)
			block := b.maker.Batch(t, "batch", sinktest.Numbers(0, 20)...)
			file := sinktest.NewFile(t, block, nil)
			for _, note := range [][]byte{first, second} {
				if err := file.Note(t.Context(), note); err != nil {
					t.Fatal(err)
				}
			}
			outcome, err := b.delivery.Deliver(t.Context(), file.Open(t), file, sink.Limits{}, nil)
			if err != nil {
				if len(b.memory.Attempts()) > 0 || len(b.letters.All()) > 0 {
					t.Error("rows of a batch with a damaged note were sent")
				}
				return
			}
			settled := outcome.Committed
			for _, d := range outcome.DeadLettered {
				settled += d.Rows
			}
			all := append(b.inTable(), b.inLetters(t)...)
			slices.Sort(all)
			if settled != 20 || len(slices.Compact(all)) != len(all) {
				t.Errorf("%d rows are settled: %v", settled, all)
			}
		})
	})
}
