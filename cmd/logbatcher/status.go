package main

import "sync"

// status is the service's state for /readyz and the health service: ready once it can accept entries, degraded while
// something behind it is down.
type status struct {
	mu           sync.Mutex
	reason       string // why it is not ready; empty if it is
	degradations []func() []string
	away         func() string // of ClickHouse; set before the service starts, as is log
	log          func() error  // why the write-ahead log takes nothing, or nil
}

func newStatus() *status {
	return &status{reason: "starting", away: func() string { return "" }, log: func() error { return nil }}
}

// watch adds functions that report what does not work.
func (s *status) watch(degradations ...func() []string) {
	s.mu.Lock()
	s.degradations = append(s.degradations, degradations...)
	s.mu.Unlock()
}

// starting sets what startup waits for, or that shutdown has begun.
func (s *status) starting(reason string) {
	s.mu.Lock()
	s.reason = reason
	s.mu.Unlock()
}

// waiting sets what startup waits for, unless it is over.
func (s *status) waiting(reason string) {
	s.mu.Lock()
	if s.reason != "" {
		s.reason = reason
	}
	s.mu.Unlock()
}

// started records that entries are accepted.
func (s *status) started() { s.starting("") }

// Ready implements server.Readiness.
func (s *status) Ready() (ok bool, reasons []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != "" {
		return false, []string{s.reason}
	}
	if err := s.log(); err != nil {
		return false, []string{err.Error()}
	}
	return true, nil
}

// Away implements server.Readiness.
func (s *status) Away() string { return s.away() }

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
