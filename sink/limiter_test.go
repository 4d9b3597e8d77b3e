package sink

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiterLetsThroughInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(2)
		var mu sync.Mutex
		var order []int
		var group sync.WaitGroup
		for i := range 10 {
			group.Go(func() {
				if err := l.acquire(t.Context(), func() {}); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Duration(i+1) * time.Second)
				l.release(true, false)
			})
			synctest.Wait() // one after the other comes
		}
		if inFlight, limit := l.state(); inFlight != 2 || limit != 2 || len(l.waiting) != 8 {
			t.Errorf("state %d %d %d, want 2 2 8", inFlight, limit, len(l.waiting))
		}
		group.Wait()
		if !slices.IsSorted(order) {
			t.Errorf("order %v", order)
		}
	})
}

func TestLimiterFollowsTheServer(t *testing.T) {
	l := newLimiter(8)
	limit := func(succeeded, overloaded bool) int {
		if err := l.acquire(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		l.release(succeeded, overloaded)
		_, limit := l.state()
		return limit
	}
	for _, want := range []int{4, 2, 1, 1} {
		if got := limit(false, true); got != want {
			t.Errorf("limit %d after an overload, want %d", got, want)
		}
	}
	for _, want := range []int{2, 2, 3, 3, 3, 4} {
		if got := limit(true, false); got != want {
			t.Errorf("limit %d after a success, want %d", got, want)
		}
	}
	if got := limit(false, false); got != 4 {
		t.Errorf("limit %d after another failure, want 4", got)
	}
	for range 100 {
		limit(true, false)
	}
	if _, got := l.state(); got != 8 {
		t.Errorf("limit %d after many successes, want 8", got)
	}
}

func TestLimiterWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1)
		if err := l.acquire(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.acquire(ctx, func() {}); err == nil {
			t.Error("no error though the context has ended")
		}
		l.release(true, false)
		if inFlight, _ := l.state(); inFlight != 0 || len(l.waiting) != 0 {
			t.Errorf("%d in flight and %d waiting, want none", inFlight, len(l.waiting))
		}
	})
}
