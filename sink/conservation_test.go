package sink_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// faults draws steps at random. It may be used by several goroutines at once.
type faults struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (f *faults) draw(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.IntN(n)
}

func (f *faults) step(*batch.Block, sink.Attempt) sinktest.Step {
	delay := time.Duration(f.draw(100)) * time.Millisecond
	switch f.draw(16) {
	case 0:
		return sinktest.Step{Err: of(sink.Ambiguous, 0), Stored: true, Delay: delay}
	case 1:
		return sinktest.Step{Err: of(sink.Ambiguous, 210), Delay: delay}
	case 2:
		return sinktest.Step{Err: of(sink.Ambiguous, 0), Burned: true, Delay: delay}
	case 3:
		return sinktest.Step{Err: of(sink.Ambiguous, 159), LateAsks: 1 + f.draw(3), Delay: delay}
	case 4:
		return sinktest.Step{Err: of(sink.Transient, 0)}
	case 5:
		return sinktest.Step{Err: &sink.Error{Class: sink.Transient, Code: 252, Overload: true}, Delay: delay}
	case 6:
		return sinktest.Step{Err: of(sink.Hold, 497)}
	case 7:
		return sinktest.Step{Err: of(sink.Schema, 517)}
	case 8:
		return sinktest.Step{Err: of(sink.Row, 469), Stored: true}
	case 9:
		return sinktest.Step{Hangs: true}
	}
	return sinktest.Step{Delay: delay}
}

// Each row is once in the table or once in the dead letters, whatever happens on the way.
func TestNothingLostNothingDoubled(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { conserve(t, seed) })
		})
	}
}

func conserve(t *testing.T, seed uint64) {
	f := &faults{random: rand.New(rand.NewPCG(seed, 1))}
	b := newBench(t)
	b.memory.Decide = f.step
	b.memory.Reject = func(row sinktest.Row) *sink.Error {
		if row.Number()%97 != 13 {
			return nil
		}
		return &sink.Error{Class: sink.Row, Code: 469, Err: fmt.Errorf("number %d is bad", row.Number())}
	}
	b.letters.Fail(errors.New("away"), errors.New("away"))
	const batches, rows = 12, 150
	var group sync.WaitGroup
	var mu sync.Mutex
	settled := 0
	for i := range uint64(batches) {
		batch := b.maker.Batch(t, fmt.Sprintf("batch-%d", i), sinktest.Numbers(i*rows, (i+1)*rows)...)
		group.Go(func() {
			outcome, err := b.delivery.Deliver(t.Context(), batch, nil, sink.Limits{}, nil)
			if err != nil {
				t.Errorf("deliver: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			settled += outcome.Committed
			for _, d := range outcome.DeadLettered {
				settled += d.Rows
			}
		})
	}
	group.Wait()
	if settled != batches*rows {
		t.Errorf("settled %d rows, want %d", settled, batches*rows)
	}
	b.conserves(t, sinktest.Numbers(0, batches*rows))
	state := b.delivery.TableState("logs.numbered")
	if state.InFlight != 0 || state.Held {
		t.Errorf("state %+v", state)
	}
}
