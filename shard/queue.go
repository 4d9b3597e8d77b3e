package shard

import (
	"container/list"
	"context"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

const (
	// movingFor is how long a table counts as moving after it has settled a batch.
	movingFor = 2 * time.Second
	// claimEvery is how often a request that waits for all tables together may keep the others waiting, for movingFor each time. Tables
	// at their usual pace settle what they hold within that time, and slow ones must not set the pace for all.
	claimEvery = 5 * movingFor
)

// queue holds the requests that wait for tables. A request gets room in all of its tables or in none, so that it holds nothing of one
// while it waits for another.
//
// Requests are considered in the order in which they came, as far as they are of one tenant; those of several take turns, by their bytes.
// One that can't have its room yet claims what it waits for, so that smaller
// ones do not take it forever, but only while all of it is moving: a request that waits for a stuck table keeps nobody waiting.
type queue struct {
	claims list.List // of *claim, by their turns
	pass   int       // counts the passes
	armed  bool      // a timer will make the next pass

	turn int            // the latest of those granted
	next map[string]int // of each tenant: the turn after its last claim's, later by the claim's bytes
}

// push gives a tenant's claim its turn, and its place behind all that have the same turn or an earlier one.
func (q *queue) push(tenant string, c *claim) *list.Element {
	c.turn = max(q.turn, q.next[tenant])
	if q.next == nil {
		q.next = map[string]int{}
	}
	q.next[tenant] = c.turn + c.bytes
	for before := q.claims.Back(); before != nil; before = before.Prev() {
		if before.Value.(*claim).turn <= c.turn {
			return q.claims.InsertAfter(c, before)
		}
	}
	return q.claims.PushFront(c)
}

// reservation is bytes reserved in a table for the rows of a request.
type reservation struct {
	account *tableAccount
	bytes   int
}

// claim is a request that waits for tables.
type claim struct {
	reservations []reservation
	bytes        int // of all of them
	turn         int
	granted      bool
	// obstacle is what it waits for: a table, or nil if the tables together hold too much.
	obstacle *tableAccount
	// at is the index of the obstacle in reservations.
	at int
	// since is when it began to wait for all tables together, or zero.
	since time.Time
	// news, with room for one, reports that granted or obstacle has changed.
	news chan struct{}
}

func (c *claim) tell() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// reserve reserves all the bytes of a tenant's request at once. If it has to wait it calls suspend first, and then waiting with what it waits for, again
// whenever that changes. If ctx ends first it has reserved nothing and returns its error.
func (b *Budget) reserve(ctx context.Context, tenant string, reservations []reservation, suspend func(), waiting func(schema.WaitCause, string)) error {
	if len(reservations) == 0 {
		return nil
	}
	c := &claim{reservations: reservations, news: make(chan struct{}, 1)}
	for _, r := range reservations {
		c.bytes += r.bytes
	}
	b.mu.Lock()
	place := b.queue.push(tenant, c)
	b.admitLocked()
	if c.granted {
		b.mu.Unlock()
		return nil
	}
	obstacle := c.obstacle
	b.mu.Unlock()

	suspend()
	waiting(causeOf(obstacle))
	for {
		select {
		case <-c.news:
		case <-ctx.Done():
		}
		b.mu.Lock()
		granted, changed := c.granted, c.obstacle != obstacle
		obstacle = c.obstacle
		if !granted && ctx.Err() != nil {
			b.queue.claims.Remove(place)
			b.queue.next[tenant] -= c.bytes
			b.admitLocked()
		}
		b.mu.Unlock()
		switch {
		case granted:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case changed:
			waiting(causeOf(obstacle))
		}
	}
}

func causeOf(obstacle *tableAccount) (schema.WaitCause, string) {
	if obstacle == nil {
		return schema.WaitMemory, ""
	}
	return schema.WaitTable, obstacle.name
}

// admitLocked makes a pass over the queue and grants what it can. Then it serves the waiters for memory, which may use what was freed.
func (b *Budget) admitLocked() {
	q := &b.queue
	q.pass++
	now := time.Now()
	claimed := false // a claim may keep somebody waiting
	for place := q.claims.Front(); place != nil; {
		c, at := place.Value.(*claim), place
		place = place.Next()
		found := b.blockedLocked(c, now)
		if !found.any {
			for _, r := range c.reservations {
				r.account.bytes += r.bytes
			}
			b.held += c.bytes
			c.granted = true
			q.turn = max(q.turn, c.turn)
			q.claims.Remove(at)
			c.tell()
			continue
		}
		if c.obstacle != found.by {
			c.tell()
		}
		c.obstacle, c.at = found.by, found.at
		if !found.moving {
			continue
		}
		claimed = true
		if found.by == nil && b.keepsAllLocked(c, now) {
			break // later ones would take what is being freed for this one
		}
		for _, r := range c.reservations {
			if !b.roomLocked(r.account, r.bytes) {
				r.account.pass = q.pass
			}
		}
	}
	b.armLocked(claimed)
	b.grantLocked()
}

// armLocked schedules another pass for when moving tables may have become stuck, if a claim depends on that.
func (b *Budget) armLocked(claimed bool) {
	q := &b.queue
	if !claimed || q.armed {
		return
	}
	q.armed = true
	time.AfterFunc(movingFor, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.queue.armed = false
		b.admitLocked()
	})
}

// blocked is why a claim can't be granted.
type blocked struct {
	any    bool          // false: it can be granted
	by     *tableAccount // nil: the tables together hold too much
	at     int           // the index of the table in the claim's reservations
	moving bool          // every table that it waits for is moving
}

func (b *Budget) blockedLocked(c *claim, now time.Time) blocked {
	// Check the obstacle of the last pass first: many claims may wait for one stuck table, and have many other tables.
	if t := c.obstacle; t != nil && !t.moving(now) && !b.roomLocked(t, c.reservations[c.at].bytes) {
		return blocked{any: true, by: t, at: c.at}
	}
	found := blocked{moving: true}
	for i, r := range c.reservations {
		t := r.account
		claimed := t.pass == b.queue.pass
		if !claimed && b.roomLocked(t, r.bytes) {
			continue
		}
		// Name a stuck table rather than a moving one.
		if moving := claimed || t.moving(now); !found.any || found.moving && !moving {
			found.any, found.by, found.at, found.moving = true, t, i, moving
		}
	}
	// A request for many tables is admitted like the largest request for one. Otherwise it might have to wait until nothing is in flight.
	bytes := min(c.bytes, b.config.LargestRequest)
	if !found.any && b.held > 0 && b.held+bytes > b.config.Tables {
		found.any = true
	} else {
		c.since = time.Time{}
	}
	return found
}

// keepsAllLocked reports whether a request that waits for all tables together may keep the others waiting: from time to time, and if the
// moving tables hold what it lacks.
func (b *Budget) keepsAllLocked(c *claim, now time.Time) bool {
	if c.since.IsZero() {
		c.since = now
	}
	if now.Sub(c.since)%claimEvery >= movingFor {
		return false
	}
	bytes := min(c.bytes, b.config.LargestRequest)
	free := b.config.Tables - b.held
	for _, t := range b.accounts {
		if t.moving(now) {
			free += t.bytes
		}
	}
	return free >= bytes
}

func (t *tableAccount) moving(now time.Time) bool { return now.Sub(t.freed) < movingFor }
