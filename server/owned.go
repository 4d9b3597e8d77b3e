package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// errOwner is that it is not known, or could not be recorded, whom a producer belongs to.
var errOwner = errors.New("the producer's owner is not known now")

// ownLocked makes sure that no other instance owns the producer, and takes over what the last owner has left. It releases the lock while
// it asks.
func (p *producer) ownLocked(ctx context.Context, o *opening) error {
	if p.owners == nil || p.anonymous {
		return nil
	}
	if err := p.awaitLocked(ctx, func() bool { return !p.beginning }); err != nil || p.owned {
		return err
	}
	p.beginning = true
	p.mu.Unlock()
	left, mine, err := p.owners.Own(ctx, p.tenant, p.id, o.epoch)
	p.mu.Lock()
	p.beginning = false
	p.changeLocked()
	if err != nil {
		return ownerError(ctx, err)
	}
	if p.owned = mine; mine {
		return nil // what the log knows is here already
	}
	p.metrics.lag.Sub(float64(p.cursor.unsettled()))
	p.dropOutcomesLocked()
	p.restoreLocked(&left)
	p.left = p.epoch != 0
	return nil
}

// takeLocked records that the producer is ours from now on, as its last owner has left it.
func (p *producer) takeLocked(ctx context.Context) error {
	err := p.tellLocked(ctx, p.epoch, p.cursor.committed)
	if err == nil {
		p.left = false
	}
	return err
}

// tellLocked tells the owners and the log, in this order, that the producer begins or continues with an epoch, and that everything up to
// start is settled in it. It releases the lock.
func (p *producer) tellLocked(ctx context.Context, epoch, start uint64) (err error) {
	owned := p.owned || p.owners == nil
	p.beginning = true
	p.mu.Unlock()
	if !owned {
		if err = p.owners.Claim(ctx, p.tenant, p.id, epoch, start); err != nil {
			err = ownerError(ctx, err)
		}
		owned = err == nil
	}
	if owned {
		switch err = p.log.Begin(ctx, p.tenant, p.id, epoch, start); {
		case err == nil:
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		default:
			err = fmt.Errorf("%w: begin an epoch of producer %q: %w", errLog, p.id, err)
		}
	}
	p.mu.Lock()
	p.beginning = false
	p.owned = owned && p.owners != nil
	p.changeLocked()
	return err
}

// ownerError is the error of a failed Own or Claim.
func ownerError(ctx context.Context, err error) error {
	var elsewhere *schema.OwnedError
	switch {
	case errors.As(err, &elsewhere):
		return statusOwned(elsewhere)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", errOwner, err)
}

// yield gives up a producer that nobody uses: Server.Yield has the rules.
func (r *registry) yield(key producerKey, epoch uint64, before time.Time, settled bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.producers[key]
	if p == nil {
		return true
	}
	p.end(epoch, before)
	if p.uses.count > 0 || !settled && !p.idle() || settled && !p.unused() {
		return false
	}
	r.dropLocked(p)
	return true
}

// unused returns the producers that nobody has used for that long and that are settled.
func (r *registry) unused(idle time.Duration) (names []schema.ProducerName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.idle.Front(); e != nil; e = e.Next() {
		p := e.Value.(*producer)
		if r.now().Sub(p.uses.since) < idle {
			break
		}
		if p.idle() {
			names = append(names, schema.ProducerName{Tenant: p.tenant, Producer: p.id})
		}
	}
	return names
}

// end ends the stream of a producer that has opened elsewhere after that with the epoch.
func (p *producer) end(epoch uint64, before time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session != nil && p.session.opened.Before(before) && (epoch == 0 || epoch >= p.epoch) {
		p.session.stop(errSuperseded)
	}
}

// unused reports whether nothing is on its way into the log.
func (p *producer) unused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session == nil && p.routing == nil && p.cursor.unlogged() == 0
}

// Yield ends the stream of a producer that has opened elsewhere, if the stream was opened before that, and unless the opening's epoch is older;
// epoch 0 is a new one. It reports whether nobody uses the producer and nothing of it is unsettled. If so it has forgotten it, and asks
// Owners before it uses it again. With settled it counts as settled, whatever is known here.
func (s *Server) Yield(tenant, id string, epoch uint64, before time.Time, settled bool) bool {
	return s.ingest.registry.yield(producerKey{tenant, id}, epoch, before, settled)
}

// Unused returns the producers that nobody has used for that long, and of which nothing is unsettled.
func (s *Server) Unused(idle time.Duration) []schema.ProducerName {
	return s.ingest.registry.unused(idle)
}

// Producers returns the producers that this instance knows.
func (s *Server) Producers() []schema.ProducerName {
	r := s.ingest.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]schema.ProducerName, 0, len(r.producers))
	for key := range r.producers {
		names = append(names, schema.ProducerName{Tenant: key.tenant, Producer: key.id})
	}
	return names
}

// Known returns what this instance knows of a producer, nil if that is nothing.
func (s *Server) Known(tenant, id string) *schema.OwnProducer {
	r := s.ingest.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.producers[producerKey{tenant, id}]
	if p == nil {
		return nil
	}
	own := &schema.OwnProducer{}
	if p.uses.count == 0 {
		own.Idle = max(r.now().Sub(p.uses.since), 1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	own.Epoch, own.Accepted, own.Logged, own.Committed = p.epoch, p.cursor.accepted, p.loggedLocked(), p.cursor.committed
	return own
}

// forgotten tells the log that a producer has been forgotten. If it fails, the producer's next use finds in the log what it was.
func (r *registry) forgotten(p *producer) {
	if r.owners != nil {
		r.owners.Forget(p.tenant, p.id)
		return
	}
	if err := r.log.Forget(p.tenant, p.id); err != nil {
		r.errors.log(r.logger, slog.LevelWarn, "the write-ahead log can't forget a producer", "producer", p.id, "error", err)
	}
}
