package access

import (
	"sync/atomic"
	"time"
)

// Gate holds the policy in force. The zero value asks nobody who they are: everybody may do everything, as the tenant "".
type Gate struct{ current atomic.Pointer[inForce] }

// inForce is a policy with what tells that it is no longer in force.
type inForce struct {
	policy   *Policy // nil: nobody is asked
	replaced chan struct{}
}

// Use replaces the policy. Nil asks nobody who they are.
func (g *Gate) Use(p *Policy) {
	before := g.current.Swap(&inForce{policy: p, replaced: make(chan struct{})})
	if before != nil {
		close(before.replaced)
	}
}

// Asks reports whether callers are asked who they are.
func (g *Gate) Asks() bool {
	c := g.current.Load()
	return c != nil && c.policy != nil
}

// Authenticate returns who shows the credentials, or a *RefusedError.
func (g *Gate) Authenticate(c Credentials) (*Caller, error) {
	if now := g.current.Load(); now != nil && now.policy != nil {
		return now.policy.Authenticate(c, time.Now())
	}
	return anyone, nil
}

// Again returns who shows a caller's credentials now, and a channel that is closed when that may have changed. Nil: it never does.
func (g *Gate) Again(c *Caller) (now *Caller, replaced <-chan struct{}, err error) {
	current := g.current.Load() // before the policy is asked, so that no change is missed
	if current != nil {
		replaced = current.replaced
	}
	now, err = g.Authenticate(c.credentials)
	return now, replaced, err
}
