package sinktest

import (
	"context"
	"errors"
	"sync"
)

// Mortal is a process that is killed at one of its steps to the outside, before or after this has taken effect. It is safe for concurrent use.
type Mortal struct {
	// At is the number of the step, from 1. 0: the process lives on.
	At int
	// After means that the step takes effect.
	After bool
	// Cancel ends the process. Set it before its first step.
	Cancel context.CancelFunc

	mu     sync.Mutex // guards what follows
	steps  int
	killed bool
}

var errKilled = errors.New("killed")

// Step takes a step, which is a call of effect, unless the process is dead.
func (m *Mortal) Step(effect func() error) error {
	m.mu.Lock()
	m.steps++
	dead, dies := m.killed, m.steps == m.At
	m.killed = dead || dies
	m.mu.Unlock()
	switch {
	case dead:
		return errKilled
	case !dies:
		return effect()
	}
	defer m.Cancel()
	if m.After {
		_ = effect()
	}
	return errKilled
}

// Killed reports whether the process is dead.
func (m *Mortal) Killed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.killed
}
