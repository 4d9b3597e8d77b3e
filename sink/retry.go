package sink

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait between attempts: between nothing and a bound that doubles with each
// attempt, from Min up to Max.
type Backoff struct {
	// Min is the bound of the first wait, Max the greatest bound.
	Min time.Duration `yaml:"min" min:"1ms"`
	Max time.Duration `yaml:"max" min:"1ms" max:"1h"`
}

// shortestWait keeps a run of low random numbers from becoming a hot loop.
const shortestWait = time.Millisecond

// Delay returns the wait after so many failed attempts, at least 1, for a random number from 0 to 1.
// It is full jitter: what failed together must not come back together.
func (b Backoff) Delay(failures int, random float64) time.Duration {
	bound := b.Min
	for i := 1; i < failures && bound < b.Max; i++ {
		bound *= 2
	}
	bound = min(bound, b.Max)
	return max(shortestWait, time.Duration(random*float64(bound)))
}

// patience waits between the attempts of one delivery. The closing of drain ends a wait at once, so that each batch is
// tried once more promptly; from then on the back-off grows afresh, within the context's deadline.
type patience struct {
	drain   <-chan struct{}
	drained bool
	// before is the number of failures before drain was closed.
	before int
}

// wait blocks for about the back-off's delay after so many failures in a row, and returns early when drain or wake is
// closed. The error is the context's.
func (p *patience) wait(ctx context.Context, b Backoff, failures int, wake <-chan struct{}) error {
	p.before = min(p.before, failures-1) // another run of failures
	timer := time.NewTimer(b.Delay(failures-p.before, rand.Float64()))
	defer timer.Stop()
	drain := p.drain
	if p.drained {
		drain = nil
	}
	select {
	case <-ctx.Done():
	case <-drain:
		p.drained, p.before = true, failures
	case <-wake:
	case <-timer.C:
	}
	return ctx.Err()
}
