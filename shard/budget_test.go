package shard

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

func TestBudgetGrantsInTheOrderOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{Limit: 100, Tables: 80, TableShare: 0.25, LargestRequest: 10})
		if err := b.Acquire(t.Context(), 80); err != nil {
			t.Fatal(err)
		}
		granted := make(chan int, 2)
		for _, bytes := range []int{50, 10} { // the small one would fit, but must not overtake the large one
			go func() {
				if err := b.Acquire(t.Context(), bytes); err == nil {
					granted <- bytes
				}
			}()
			synctest.Wait()
		}
		if len(granted) != 0 {
			t.Fatalf("granted %d while 80 of 100 are in use and 50 wait first", <-granted)
		}
		b.Release(80)
		synctest.Wait()
		if len(granted) != 2 || b.Used() != 60 {
			t.Errorf("granted %d of two, used %d", len(granted), b.Used())
		}
	})
}

func TestBudgetTakesNothingWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{Limit: 100, Tables: 80, TableShare: 0.25, LargestRequest: 10})
		table := account(b, "t")
		table.charge(150, 1) // rows are charged even beyond the limit
		if err := b.Acquire(t.Context(), 1); err != nil {
			t.Errorf("tables alone keep a request out: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Acquire(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Acquire beyond the limit returned %v", err)
		}
		if b.Used() != 151 {
			t.Errorf("used %d, want the 151 charged", b.Used())
		}
		b.Release(1)
		table.settle(150, 1)
		if err := b.Acquire(t.Context(), 1000); err != nil {
			t.Errorf("a request larger than an idle budget was not let in: %v", err)
		}
	})
}

func TestBudgetPassesOnWhatAGivenUpWaiterHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{Limit: 100, Tables: 80, TableShare: 0.25, LargestRequest: 10})
		if err := b.Acquire(t.Context(), 60); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = b.Acquire(ctx, 90) }()
		synctest.Wait()
		second := make(chan error, 1)
		go func() { second <- b.Acquire(t.Context(), 30) }()
		synctest.Wait()
		cancel()
		if err := <-second; err != nil || b.Used() != 90 {
			t.Errorf("second waiter: %v, used %d, want 90", err, b.Used())
		}
	})
}

// account returns the account of a table.
func account(b *Budget, table string) *tableAccount {
	t, _ := b.account(table)
	return t
}

// TestTinyRequestsAreBounded floods a table that takes nothing with requests of one small entry: what each occupies besides its row
// is charged, too.
func TestTinyRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		gate := make(chan struct{})
		delivery.deliver = func(_ context.Context, b *batch.Block) (sink.Outcome, error) {
			<-gate
			return sink.Outcome{Committed: b.Rows()}, nil
		}
		r := start(t, testConfig(), delivery, firehose(t))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		sent := 0
		for waits := false; !waits; sent++ {
			if _, err := r.tryPieces(ctx, func(schema.WaitCause, string) { waits = true; cancel() }, []schema.Entry{{Stream: &schema.Stream{}, Time: time.Now().UnixNano(), Colo: "EWR"}}); err != nil {
				break
			}
		}
		if most := r.budget.config.Tables / RequestBytes; sent < most/2 || sent > most {
			t.Errorf("%d requests are in flight; of %d bytes, with %d for each, it should be at most %d", sent, r.budget.config.Tables, RequestBytes, most)
		}
		close(gate)
		r.stop()
	})
}

// TestSealedBatchesCountAsTheirBlocks checks what a batch is charged while it is open, sealed, and settled.
func TestSealedBatchesCountAsTheirBlocks(t *testing.T) {
	for _, compression := range batch.Compressions() {
		t.Run(string(compression), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := testConfig()
				config.Compression = compression
				delivery := &scripted{}
				var block atomic.Int64
				delivery.deliver = func(_ context.Context, b *batch.Block) (sink.Outcome, error) {
					block.Store(int64(b.Bytes()))
					time.Sleep(time.Minute)
					return sink.Outcome{Committed: b.Rows()}, nil
				}
				r := start(t, config, delivery, firehose(t))
				for range 20 {
					r.send(entry("a", "EWR", time.Now()), entry("a", "EWR", time.Now()))
				}
				synctest.Wait()
				open := r.budget.Used()
				time.Sleep(2 * config.Linger)
				sealed, occupied := r.budget.Used()-20*RequestBytes, int(block.Load())
				open -= 20 * RequestBytes
				if occupied == 0 || sealed != occupied || sealed > open {
					t.Errorf("%d bytes were used by the open batch, %d by its block, which has %d", open, sealed, occupied)
				}
				if compression != batch.Uncompressed && sealed > open/2 {
					t.Errorf("%d bytes were used by the open batch, %d by its block", open, sealed)
				}
				time.Sleep(time.Minute)
				if used := r.budget.Used(); used != 0 {
					t.Errorf("%d bytes are used after all is settled", used)
				}
				r.stop()
			})
		})
	}
}
