package server

import (
	"context"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
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

// awaitLevel blocks until an accepted sequence has reached the level. One epoch follows another when all of it is settled or, with a
// log, logged: then nobody is told any more when the rest is settled.
func (p *producer) awaitLevel(ctx context.Context, a accepted, level pb.Acknowledgement) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	replaced := false
	err := p.awaitLocked(ctx, func() bool {
		replaced = p.epoch != a.epoch
		switch {
		case replaced, level == pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED:
			return true
		case level == pb.Acknowledgement_ACKNOWLEDGEMENT_LOGGED:
			return a.sequence <= p.cursor.logged
		}
		return p.cursor.isSettled(a.sequence)
	})
	if replaced && p.log != nil && level == pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED {
		return statusOldEpoch(a.epoch, p.epoch)
	}
	return err
}

// conclude ends a call and returns the outcomes of its request and the watermarks of its epoch. If the call is late or canceled,
// carried is false, and the outcomes are kept for the call's repeat or the next stream.
func (p *producer) conclude(s *session, a accepted, carried bool) (own outcomes, now watermarks) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own = *s.answer
	if p.epoch != a.epoch {
		now.committed = a.sequence
		if p.log != nil {
			now = watermarks{logged: a.sequence}
		}
		return own, now
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
	return own, watermarks{committed: p.cursor.committed, logged: p.loggedLocked()}
}

// takeAnswersLocked moves the outcomes that calls have not been answered with to the outbox: a stream's Welcome covers them.
func (p *producer) takeAnswersLocked() {
	for _, answer := range p.answers {
		p.outbox.join(*answer)
	}
	clear(p.answers)
}
