package server

import (
	"context"

	"github.com/logbatcher/logbatcher/schema"
)

// A unary call is answered with the outcomes of its own request. They are collected in its session's answer instead of the
// producer's outbox; what the answer does not carry to the client waits in the outbox.

// note adds what the server itself refused to a call's answer, which has it whatever the level.
func (p *producer) note(answer *outcomes, sequence uint64, refusals []schema.Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer.add(sequence, refusals, nil, false)
}

// awaitSettled blocks until an accepted sequence is settled. One epoch follows another only when all of it is.
func (p *producer) awaitSettled(ctx context.Context, a accepted) error {
	return p.await(ctx, func() bool { return p.epoch != a.epoch || p.cursor.isSettled(a.sequence) })
}

// conclude ends a call and returns the outcomes of its request and the watermark of its epoch. If the call is late or canceled,
// carried is false, and the outcomes are kept for the call's repeat or the next stream.
func (p *producer) conclude(s *session, a accepted, carried bool) (own outcomes, committed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own = *s.answer
	if p.epoch != a.epoch {
		return own, a.sequence
	}
	first := p.answers[a.sequence]
	switch {
	case a.verdict == verdictRepeat && carried:
		own = p.outbox.recall(a.sequence)
		if first != nil { // the first call is about to be answered
			own.join(*first)
		}
	case a.verdict == verdictNext && first == s.answer:
		delete(p.answers, a.sequence)
		if carried {
			p.outbox.keep(own)
		} else {
			p.outbox.join(own)
			p.changeLocked()
		}
	}
	p.trimLocked()
	return own, p.cursor.committed
}

// takeAnswersLocked moves the outcomes that calls have not been answered with to the outbox: a stream's Welcome covers them.
func (p *producer) takeAnswersLocked() {
	for _, answer := range p.answers {
		p.outbox.join(*answer)
	}
	clear(p.answers)
}
