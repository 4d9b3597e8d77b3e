package server

import (
	"context"

	"github.com/logbatcher/logbatcher/schema"
)

// reply is what a unary call waits for: what becomes of its request. It is guarded by the producer's lock.
type reply struct {
	outcomes
	settled bool
}

// expect has what becomes of a request go to the call that waits for it, in place of the outbox; what the server itself has
// refused of it is known by now.
func (p *producer) expect(sequence uint64, y *reply, refusals []schema.Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.replies == nil {
		p.replies = make(map[uint64]*reply)
	}
	p.replies[sequence] = y
	y.add(sequence, refusals, nil, false)
}

// awaitReply blocks until what becomes of the call's request is known.
func (p *producer) awaitReply(ctx context.Context, y *reply) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !y.settled {
		if err := p.awaitLocked(ctx); err != nil {
			return err
		}
	}
	return nil
}

// conclude ends a call's wait and returns what its answer says, with the watermark of its epoch. What the answer does not carry to the
// client, because the call is late or canceled, waits in the outbox: the call's repeat is told, or the next stream.
func (p *producer) conclude(c accepted, y *reply, carried bool) (outcomes, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := y.outcomes
	if p.replies[c.sequence] == y {
		delete(p.replies, c.sequence)
		if carried {
			p.outbox.told(own)
		} else {
			p.outbox.join(own)
			p.tellLocked()
		}
		p.trimLocked()
	}
	return own, p.committedInLocked(c.epoch, c.sequence)
}

// recall returns what there is to tell about a request that was sent again, with the watermark of its epoch.
func (p *producer) recall(c accepted) (outcomes, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != c.epoch {
		return outcomes{}, c.sequence
	}
	own := p.outbox.recall(c.sequence)
	p.trimLocked()
	if y := p.replies[c.sequence]; y != nil { // the first call is about to be answered
		own.join(y.outcomes)
	}
	return own, p.cursor.committed
}

// takeRepliesLocked moves what calls have not been answered yet to the outbox: a stream's welcome covers it.
func (p *producer) takeRepliesLocked() {
	for _, y := range p.replies {
		p.outbox.join(y.outcomes)
	}
	p.replies = nil
}

// forget counts what was never told.
func (p *producer) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.metrics.forgottenOutcomes.Add(float64(p.outbox.len()))
	p.total.Add(-int64(p.kept))
	p.outbox, p.kept = outbox{}, 0
}
