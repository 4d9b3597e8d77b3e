package owner

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// lookup is what is known when the owner of a producer is looked up again.
type lookup struct {
	// live is set while the instance serves: what it has accepted is in batches, and can't be dropped.
	live bool
	// taken has from where others have taken producers from this log, or that an operator has released them.
	taken map[producer]string
	// seen is when this log was there last, by Redis's clock. The zero time: Redis does not know.
	seen time.Time
}

// reclaimTries bounds the attempts to look up a producer whose owner changes meanwhile.
const reclaimTries = 5

// Recover claims again what the log has, before anything of it is replayed. What was taken from it meanwhile, and is in no file, is dropped: the
// new owner has it, or will get it. While Redis does not answer Recover tries again, until ctx ends; then everything that the log has counts
// as its own, and Run claims it.
func (o *Owners) Recover(ctx context.Context) error {
	var producers []producer
	for tenant, id := range o.journal.Producers() {
		p := producer{tenant, id}
		producers = append(producers, p)
		o.setOwned(p, &record{Log: o.id})
	}
	pause := 50 * time.Millisecond
	for {
		err := o.recover(ctx, producers)
		var failed *dropError
		if err == nil || errors.As(err, &failed) {
			return err
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, time.Second)
		case <-ctx.Done():
			o.log.Warn("owners of producers: Redis does not answer; what the log has counts as its own", "producers", len(producers), "error", err)
			o.mu.Lock()
			defer o.mu.Unlock()
			o.away, o.why = time.Now(), err
			return nil
		}
	}
}

// dropError is an error of the log.
type dropError struct{ err error }

// Error returns what was tried and the cause.
func (e *dropError) Error() string { return "forget what another instance has: " + e.err.Error() }

// Unwrap returns the cause.
func (e *dropError) Unwrap() error { return e.err }

func (o *Owners) recover(ctx context.Context, producers []producer) error {
	seen, err := o.books.seen(ctx, o.id)
	if err != nil {
		return err
	}
	n, err := o.books.check(ctx, o.id, o.self)
	if err != nil {
		return err
	}
	for _, p := range producers {
		if err := o.reclaim(ctx, p, lookup{taken: n.taken, seen: seen}); err != nil {
			return err
		}
	}
	o.mu.Lock()
	o.mark = n.mark
	o.mu.Unlock()
	return o.lookForOrphans(ctx)
}

// reclaim looks up who owns a producer of this log, and writes its record again if Redis has lost it.
func (o *Owners) reclaim(ctx context.Context, p producer, l lookup) error {
	unlock, err := o.lock(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	for range reclaimTries {
		if err = o.tryReclaim(ctx, p, l); !errors.Is(err, errChanged) {
			break
		}
	}
	return err
}

func (o *Owners) tryReclaim(ctx context.Context, p producer, l lookup) error {
	mine, lost := o.ownedRecord(p)
	if lost {
		return o.heard(ctx, p, l)
	}
	r, _, err := o.books.read(ctx, p)
	if err != nil {
		return err
	}
	from, taken := parseMark(l.taken[p])
	switch {
	case r.Log == o.id && mine != nil && mine.revision == r.revision && !mine.unsure:
		return o.heard(ctx, p, l)
	case r.Log == o.id:
		if err := o.rewrite(ctx, p, r, mine); err != nil {
			return err
		}
		return o.heard(ctx, p, l)
	case mine == nil: // given up
		return o.heard(ctx, p, l)
	case taken:
	case r.revision < mine.revision && l.live, r.revision == 0, r.Released == o.id && !l.live:
		// Redis has lost the record, or has an older one; or it was released, and nobody has come for it.
		if err := o.rewrite(ctx, p, r, mine); err != nil {
			return err
		}
		return o.heard(ctx, p, l)
	case r.first > uint64(max(l.seen.UnixMicro(), 0)): // its record was lost after this log was there last
		from, taken = r.First, true
	case r.Log != "":
		from, taken = r.From, true
	}
	if mine.unsure && r.Log == "" && r.Released == "" { // giving it up had no answer, but it had succeeded
		o.forgetLater(p)
		return nil
	}
	if l.live {
		o.lose(p, "Redis has another owner, or an operator has released it")
		return o.heard(ctx, p, l)
	}
	if taken {
		err = o.drop(p, from)
	} else {
		err = o.journal.Forget(p.tenant, p.id)
	}
	if err != nil {
		return &dropError{fmt.Errorf("producer %s: %w", p.field(), err)}
	}
	o.setOwned(p, nil)
	o.server.Yield(p.tenant, p.id, 0, time.Now(), true) // it has learnt of the producer from the log
	return o.heard(ctx, p, l)
}

// rewrite writes the record of a producer that this log owns in the place of r, which may be its own: a script that an earlier process has
// sent, or that had no answer, may come late, and must not find the record that it was meant for.
func (o *Owners) rewrite(ctx context.Context, p producer, r, mine *record) error {
	next := &record{Log: o.id, From: r.From, First: r.First}
	switch {
	case r.Log == o.id:
	case mine.revision > 0:
		next.From = mine.From
	default: // it was not seen since the start
		if known, ok := o.journal.Producer(p.tenant, p.id); ok {
			next.From = mark{known.Epoch, known.Start}
		}
	}
	if r.revision == 0 {
		next.First = next.From
	}
	if err := o.books.write(ctx, p, r, next, true, "", ""); err != nil {
		return err
	}
	o.setOwned(p, next)
	return nil
}

// heard tells Redis that this log knows what was taken from it.
func (o *Owners) heard(ctx context.Context, p producer, l lookup) error {
	if _, told := l.taken[p]; !told {
		return nil
	}
	return o.books.heard(ctx, p, o.id)
}

// drop drops what the log would replay of a producer that another instance has from there on.
func (o *Owners) drop(p producer, from mark) error {
	entries, err := o.journal.Drop(p.tenant, p.id, from.Epoch, from.Sequence)
	if err != nil {
		return err
	}
	o.metrics.taken.Inc()
	o.metrics.dropped.Add(float64(entries))
	o.log.Warn("owners of producers: one was taken from this instance while it was away; its entries that were in the log alone are dropped, the new owner gets them from the client",
		"tenant", p.tenant, "producer", p.id, "epoch", from.Epoch, "from", from.Sequence, "entries", entries)
	return nil
}
