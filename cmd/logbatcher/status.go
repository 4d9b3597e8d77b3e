package main

import "sync"

// status is what the service says of itself at /readyz and through the health service: ready once it can
// accept, degraded while something behind it is away.
type status struct {
	degradations []func() []string

	mu     sync.Mutex
	reason string // why it is not ready; empty: it is
}

func newStatus() *status { return &status{reason: "starting"} }

// starting says what the start waits for, or that the end has begun.
func (s *status) starting(reason string) {
	s.mu.Lock()
	s.reason = reason
	s.mu.Unlock()
}

// started says that entries are taken.
func (s *status) started() { s.starting("") }

// Ready implements server.Readiness.
func (s *status) Ready() (ok bool, reasons []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != "" {
		return false, []string{s.reason}
	}
	return true, nil
}

// Degraded implements server.Readiness.
func (s *status) Degraded() []string {
	var reasons []string
	for _, degraded := range s.degradations {
		reasons = append(reasons, degraded()...)
	}
	return reasons
}
