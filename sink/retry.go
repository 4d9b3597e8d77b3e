package sink

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is the wait between attempts: a random time up to a bound that doubles with every failure, from Min to Max.
type Backoff struct {
	// Min is the first bound, Max the greatest.
	Min time.Duration `yaml:"min" min:"1ms"`
	Max time.Duration `yaml:"max" min:"1ms" max:"1h"`
}

// shortestWait keeps a run of low random numbers from becoming a hot loop.
const shortestWait = time.Millisecond

// Delay returns the wait after the given number of failures, at least 1, for a random number in [0, 1). The jitter is full: what
// failed together must not come back together.
func (b Backoff) Delay(failures int, random float64) time.Duration {
	bound := b.Min
	for i := 1; i < failures && bound < b.Max; i++ {
		bound *= 2
	}
	bound = min(bound, b.Max)
	return max(shortestWait, time.Duration(random*float64(bound)))
}

// patience waits between the attempts of one delivery. Closing drain ends a wait at once, so that every batch is retried promptly;
// from then on the back-off grows anew.
type patience struct {
	drain <-chan struct{} // nil once it was closed
	// before counts the failures before drain was closed.
	before int
}

// wait blocks for the back-off's delay after that many consecutive failures, or until drain or wake is closed. The error is that of
// ctx.
func (p *patience) wait(ctx context.Context, b Backoff, failures int, wake <-chan struct{}) error {
	p.before = min(p.before, failures-1) // a new run of failures
	select {
	case <-ctx.Done():
	case <-p.drain:
		p.drain, p.before = nil, failures
	case <-wake:
	case <-time.After(b.Delay(failures-p.before, rand.Float64())):
	}
	return ctx.Err()
}
