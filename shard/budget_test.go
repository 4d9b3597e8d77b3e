package shard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetGrantsInTheOrderOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{Limit: 100, Tables: 80, TableShare: 0.25, LargestRequest: 10})
		if err := b.Acquire(t.Context(), 80); err != nil {
			t.Fatal(err)
		}
		granted := make(chan int, 2)
		for _, bytes := range []int{50, 10} { // the small one would fit, and must not pass the large one
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
		table.charge(150, 1) // rows take their place even beyond the limit
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
