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
	Min, Max time.Duration
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

// patience waits between the attempts of one delivery. Once drain is closed a wait that has begun
// ends at once, so that each batch is tried once more promptly, and later ones are short: then
// it is the context's deadline that decides.
type patience struct {
	drain    <-chan struct{}
	drained  bool
	shortest time.Duration
}

// wait returns after about the delay that the back-off gives, when drain is closed, or with the context's error.
func (p *patience) wait(ctx context.Context, b Backoff, failures int) error {
	delay := b.Delay(failures, rand.Float64())
	drain := p.drain
	if p.drained {
		delay, drain = min(delay, p.shortest), nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-drain:
		p.drained = true
	case <-timer.C:
	}
	return ctx.Err()
}
