package owner

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// unusedEvery is the number of looks at Redis between two looks for producers that are not used.
const unusedEvery = 10

// Run looks at what others ask for, gives producers up, and writes records again that Redis has lost, until ctx ends.
func (o *Owners) Run(ctx context.Context) error {
	tick := time.NewTicker(o.cfg.Every)
	defer tick.Stop()
	for round := 1; ; round++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		o.look(ctx)
		o.giveUpWanted(ctx)
		o.forgetLost()
		o.forgetExpired(ctx)
		if round%unusedEvery == 0 {
			for _, name := range o.server.Unused(o.cfg.Unused) {
				_ = o.giveUp(ctx, producer{name.Tenant, name.Producer}, wish{}) // the next look tries again
			}
		}
	}
}

// look asks Redis what is new for this log, and does what must not wait.
func (o *Owners) look(ctx context.Context) {
	n, err := o.books.check(ctx, o.id, o.self)
	if ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	before := o.mark
	switch {
	case err != nil && o.away.IsZero():
		o.away, o.why = time.Now(), err
		o.log.Warn("owners of producers: Redis does not answer; producers that are new to this instance wait", "error", err)
	case err != nil:
		o.why = err
	case !o.away.IsZero():
		o.log.Info("owners of producers: Redis answers again", "after", time.Since(o.away))
		o.away, o.why = time.Time{}, nil
	}
	if err != nil {
		o.mu.Unlock()
		return
	}
	maps.Copy(o.wanted, n.wanted)
	again := slices.Collect(maps.Keys(o.owned))
	o.mu.Unlock()
	for p := range n.taken {
		if err := o.reclaim(ctx, p, lookup{live: true, taken: n.taken}); err != nil {
			return
		}
	}
	if n.mark == before {
		return
	}
	for _, p := range again {
		if err := o.reclaim(ctx, p, lookup{live: true}); err != nil {
			o.log.Warn("owners of producers: not all are written again, trying again", "error", err)
			return
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mark = n.mark
}

// giveUpWanted gives up what others want, as far as it is settled.
func (o *Owners) giveUpWanted(ctx context.Context) {
	o.mu.Lock()
	wanted := maps.Clone(o.wanted)
	o.mu.Unlock()
	for p, w := range wanted {
		if time.Since(w.at) < wantedFor && !o.giveUp(ctx, p, w) {
			continue
		}
		o.mu.Lock()
		if o.wanted[p] == w {
			delete(o.wanted, p)
		}
		o.mu.Unlock()
	}
}

// forgetLost makes the server and the journal forget what was taken.
func (o *Owners) forgetLost() {
	o.mu.Lock()
	lost := slices.Collect(maps.Keys(o.lost))
	o.mu.Unlock()
	for _, p := range lost {
		if !o.server.Yield(p.tenant, p.id, 0, time.Now(), true) {
			continue
		}
		if err := o.journal.Forget(p.tenant, p.id); err != nil {
			o.log.Warn("owners of producers: the log does not forget a producer, trying again", "producer", p.field(), "error", err)
			continue
		}
		o.mu.Lock()
		delete(o.lost, p)
		o.mu.Unlock()
	}
}

// forgetExpired deletes the records of producers that went away.
func (o *Owners) forgetExpired(ctx context.Context) {
	o.mu.Lock()
	expired := slices.Collect(maps.Keys(o.expired))
	o.mu.Unlock()
	for _, p := range expired {
		o.expire(ctx, p)
	}
}

func (o *Owners) expire(ctx context.Context, p producer) {
	unlock, err := o.lock(ctx, p)
	if err != nil {
		return
	}
	defer unlock()
	o.mu.Lock()
	_, still := o.expired[p]
	o.mu.Unlock()
	if still && o.let(ctx, p, wish{}, nil) {
		o.mu.Lock()
		delete(o.expired, p)
		o.mu.Unlock()
	}
}

// giveUp gives the producer up to an opening elsewhere if nothing of it is unsettled, and writes what the next owner needs to know. It ends
// a stream only if that is older. It reports whether this log does not own the producer any more.
func (o *Owners) giveUp(ctx context.Context, p producer, w wish) bool {
	unlock, err := o.lock(ctx, p)
	if err != nil {
		return false
	}
	defer unlock()
	if mine, _ := o.ownedRecord(p); mine == nil {
		// The answer to a claim was lost, or Redis has gone back to an older record.
		r, _, err := o.books.read(ctx, p)
		if err != nil || r.Log != o.id {
			return err == nil
		}
		o.setOwned(p, r)
	}
	return o.let(ctx, p, w, func(r *record) *record {
		next := &record{From: r.From, First: r.First}
		known, ok := o.journal.Producer(p.tenant, p.id)
		if !ok {
			known = r.state(p)
		}
		next.Left = leave(&known)
		return next
	})
}

// let lets go of an owned producer, whose lock is held: next returns the record that is left, nil deletes it. It reports whether this log does not
// own the producer any more.
func (o *Owners) let(ctx context.Context, p producer, w wish, next func(*record) *record) bool {
	mine, lost := o.ownedRecord(p)
	if lost || mine == nil {
		return true
	}
	if !o.server.Yield(p.tenant, p.id, w.epoch, w.at, false) {
		return false
	}
	if known, ok := o.journal.Producer(p.tenant, p.id); ok && len(known.Unsettled) > 0 {
		return false
	}
	if mine.revision == 0 || mine.unsure {
		r, _, err := o.books.read(ctx, p)
		if err != nil {
			return false
		}
		switch {
		case r.Log == o.id:
		case mine.unsure && r.Released == "": // it had been given up
			o.forgetLater(p)
			return true
		default:
			o.lose(p, "Redis has another owner, or an operator has released it")
			return true
		}
		mine = r
	}
	var left *record
	if next != nil {
		left = next(mine)
	}
	switch err := o.books.leave(ctx, p, mine.revision, left); {
	case errors.Is(err, errChanged):
		o.lose(p, "another has it")
		return true
	case err != nil:
		unsure := *mine
		unsure.unsure = true
		o.setOwned(p, &unsure)
		return false
	}
	o.metrics.handedOver.Inc()
	o.forgetLater(p)
	if err := o.journal.Forget(p.tenant, p.id); err != nil {
		o.log.Warn("owners of producers: the log does not forget a producer, trying again", "producer", p.field(), "error", err)
		return true
	}
	o.mu.Lock()
	delete(o.lost, p)
	o.mu.Unlock()
	return true
}

// lose records that the producer belongs to another, or to nobody.
func (o *Owners) lose(p producer, why string) {
	o.log.Warn("owners of producers: one was taken from this instance, which had not given it up: what was accepted here and sent again there is stored twice",
		"tenant", p.tenant, "producer", p.id, "why", why)
	o.metrics.taken.Inc()
	o.forgetLater(p)
}

// forgetLater records that this log does not own the producer, and has the server and the journal forget it.
func (o *Owners) forgetLater(p producer) {
	o.setOwned(p, nil)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost[p] = struct{}{}
}

// Close gives up all producers of which nothing is unsettled, so that other instances can have them at once. It is called when the server has
// stopped.
func (o *Owners) Close(ctx context.Context) {
	o.mu.Lock()
	owned := slices.Collect(maps.Keys(o.owned))
	o.mu.Unlock()
	_, err := o.books.check(ctx, o.id, o.self)
	kept := 0
	for _, p := range owned {
		if err != nil || ctx.Err() != nil || !o.giveUp(ctx, p, wish{}) {
			kept++
		}
		if mine, _ := o.ownedRecord(p); err == nil && mine != nil && mine.unsure {
			err = errors.New("no answer from Redis") // and will not answer about thousands of others
		}
	}
	if kept > 0 {
		o.log.Warn("owners of producers: some stay with this instance until it returns", "producers", kept)
	}
}
