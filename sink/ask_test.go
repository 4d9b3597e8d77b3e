package sink_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// slowSink answers one question at a time, and takes a second for each.
type slowSink struct {
	*sinktest.Memory
	t    *testing.T
	busy chan struct{}
}

func (s slowSink) Present(ctx context.Context, b *batch.Block) (sink.Presence, error) {
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		s.t.Errorf("batch %s: nobody answers in time", b.ID())
		return sink.Presence{}, ctx.Err()
	}
	time.Sleep(time.Second)
	<-s.busy
	return s.Memory.Present(ctx, b)
}

// A start after a kill asks for hundreds of batches. If it asked for all at once, most questions would time out where the server is slow,
// and be asked again, all at once.
func TestQuestionsWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step { return sinktest.Step{Err: lost, Stored: true} }
		config := sink.DefaultDeliveryConfig()
		config.Sink, config.DeadLetters, config.AttemptTimeout = slowSink{b.memory, t, make(chan struct{}, 1)}, b.letters, 10*time.Second
		delivery, err := sink.NewDelivery(config)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for n := range uint64(100) {
			block := b.maker.Batch(t, fmt.Sprint("batch-", n), sinktest.Numbers(n, n+1)...)
			all.Go(func() {
				if outcome, err := delivery.Deliver(t.Context(), block, nil, sink.Limits{}, nil); err != nil || outcome.Committed != 1 {
					t.Errorf("committed %d, %v", outcome.Committed, err)
				}
			})
		}
		all.Wait()
	})
}
