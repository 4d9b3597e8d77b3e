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

// slow takes a minute for an insert and counts those at work.
type slow struct {
	sink.Sink
	mu           sync.Mutex
	inside, most int
}

// Insert implements sink.Sink.
func (s *slow) Insert(ctx context.Context, b *batch.Block, a sink.Attempt) error {
	s.mu.Lock()
	s.inside++
	s.most = max(s.most, s.inside)
	s.mu.Unlock()
	time.Sleep(50 * time.Second)
	s.mu.Lock()
	s.inside--
	s.mu.Unlock()
	return s.Sink.Insert(ctx, b, a)
}

// TestInsertsOfAllTablesAreBounded has more tables than max_inserts. They take turns, and waiting does not count towards an attempt's
// time-out.
func TestInsertsOfAllTablesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		b := newBench(t, func(c *sink.DeliveryConfig) {
			s.Sink, c.Sink = c.Sink, s
			c.MaxInserts, c.MaxInsertsPerTable = 3, 2
		})
		var running sync.WaitGroup
		for i := range 20 {
			batch := sinktest.NewMaker(t, sinktest.Table("logs", fmt.Sprint("t", i))).Batch(t, fmt.Sprint("batch", i), sinktest.Numbers(0, 3)...)
			running.Go(func() {
				if outcome, err := b.delivery.Deliver(t.Context(), batch, nil, sink.Limits{}, nil); err != nil || outcome.Committed != 3 {
					t.Errorf("outcome %+v, %v", outcome, err)
				}
			})
		}
		running.Wait()
		if s.most != 3 || len(b.tokens()) != 20 {
			t.Errorf("%d inserts at a time, %d attempts, want 3 and one for each of 20 batches", s.most, len(b.tokens()))
		}
	})
}
