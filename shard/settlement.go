package shard

import (
	"sync"
	"sync/atomic"

	"github.com/logbatcher/logbatcher/schema"
)

// settlement is what is left of a request once its entries are copied: what its outcome waits for. Of many requests that wait for a
// table nothing else stays in memory.
type settlement struct {
	// request is nil once everything of it is placed.
	request *schema.Request
	settled func(*schema.Outcome)

	// unplaced counts what may still make a row that is in no durable file: Route, each shard until it has copied its entries, and each
	// batch and dead letter until its file is durable. Without a log, nothing waits for that.
	unplaced atomic.Int32
	// unsettled counts what the outcome waits for: the same, but each batch and dead letter until its rows are settled. So whoever
	// drops the last of unplaced still has one of unsettled.
	unsettled atomic.Int32

	mu      sync.Mutex
	outcome schema.Outcome
	after   []func() // called once settled has been
}

// hold adds n holds on both counts.
func (s *settlement) hold(n int) {
	s.unplaced.Add(int32(n))
	s.unsettled.Add(int32(n))
}

// place drops one hold on unplaced.
func (s *settlement) place() {
	if s.unplaced.Add(-1) > 0 {
		return
	}
	if s.request.LSN != 0 {
		s.mu.Lock()
		outcome := schema.Outcome{Refusals: s.outcome.Refusals, Unmatched: s.outcome.Unmatched}
		s.mu.Unlock()
		s.request.Placed(&outcome)
	}
	s.request = nil
}

// settle drops one hold on unsettled; the last one reports the outcome.
func (s *settlement) settle() {
	if s.unsettled.Add(-1) > 0 {
		return
	}
	s.settled(&s.outcome)
	for _, after := range s.after {
		after()
	}
}

// afterwards has f called once the request is settled.
func (s *settlement) afterwards(f func()) {
	s.mu.Lock()
	s.after = append(s.after, f)
	s.mu.Unlock()
}

func (s *settlement) refuse(refusals ...schema.Refusal) {
	s.mu.Lock()
	s.outcome.Refusals = append(s.outcome.Refusals, refusals...)
	s.mu.Unlock()
}

func (s *settlement) unmatched() {
	s.mu.Lock()
	s.outcome.Unmatched++
	s.mu.Unlock()
}

func (s *settlement) deadLettered(d schema.DeadLettered) {
	s.mu.Lock()
	s.outcome.DeadLettered = append(s.outcome.DeadLettered, d)
	s.mu.Unlock()
}
