package main

import "sync"

// status is what the service says of itself at /readyz and through the health service: ready once it can
// accept, degraded while something behind it is away.
type status struct {
	mu           sync.Mutex
	reason       string // why it is not ready; empty: it is
	degradations []func() []string
}

func newStatus() *status { return &status{reason: "starting"} }

// watch adds parts that know what doesn't work in them.
func (s *status) watch(degradations ...func() []string) {
	s.mu.Lock()
	s.degradations = append(s.degradations, degradations...)
	s.mu.Unlock()
}

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
	s.mu.Lock()
	degradations := s.degradations
	s.mu.Unlock()
	for _, degraded := range degradations {
		reasons = append(reasons, degraded()...)
	}
	return reasons
}
