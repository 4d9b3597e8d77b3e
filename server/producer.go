package server

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// errClosed ends the receiver of a session that accepts no more requests.
var errClosed = errors.New("the session accepts no more requests")

// producer is what the server knows of one producer: its epoch, the sequences of that epoch, the outcomes it has not been sent
// yet, and whose session speaks for it.
type producer struct {
	producerKey
	now     func() time.Time
	metrics *metrics
	// total counts the outcomes that all producers keep while nobody reads them.
	total *atomic.Int64
	// anonymous producers never come back.
	anonymous bool
	// uses belongs to the registry.
	uses uses

	mu     sync.Mutex
	epoch  uint64 // 0: never opened
	cursor cursor
	outbox outbox
	// answers collect the outcomes that unary calls of this epoch wait for, by their sequences.
	answers map[uint64]*outcomes
	// kept is this producer's part of total.
	kept int
	// session is the newest stream's, which may still wait for the older one. Nil: none.
	session *session
	// routing is the session whose request, with the last accepted sequence, is with the Router and may be taken back. Nil: none.
	routing *session
	// changed, if somebody waits for it, is closed at the next change of anything above.
	changed chan struct{}
}

// uses is a producer's place in the registry.
type uses struct {
	count int
	since time.Time     // when the last user left
	idle  *list.Element // nil while there are users
}

// welcome is the result of an opening.
type welcome struct {
	epoch, committed uint64
	resumed          bool
}

// changeLocked wakes everybody who waits for a change, and the sender.
func (p *producer) changeLocked() {
	if p.session != nil {
		p.session.wakeSender()
	}
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// awaitLocked blocks until the condition holds, or ctx ends. It releases the lock while it waits.
func (p *producer) awaitLocked(ctx context.Context, condition func() bool) error {
	for !condition() {
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
			p.mu.Lock()
		case <-ctx.Done():
			p.mu.Lock()
			return context.Cause(ctx)
		}
	}
	return nil
}

func (p *producer) await(ctx context.Context, condition func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.awaitLocked(ctx, condition)
}

// open gives s the right to send. It stops an older stream at once, returns when everything accepted before is settled, and
// fails when ctx ends, when the epoch is old, or when a newer opening comes first. A unary call that continues the producer's
// epoch joins the calls in flight instead.
func (p *producer) open(ctx context.Context, s *session) (w welcome, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := s.opening
	if o.current {
		p.nameEpochLocked(o)
	}
	if s.unary() && p.session == nil && o.epoch != 0 && o.epoch == p.epoch && o.committed <= p.cursor.committed {
		s.epoch = p.epoch
		return welcome{epoch: p.epoch, committed: p.cursor.committed, resumed: true}, nil
	}
	// Before anything is stopped: a process that was thought dead must not disturb the one that took its place.
	if err := p.checkEpochLocked(o); err != nil {
		return welcome{}, err
	}
	if p.session != nil {
		p.session.stop(errSuperseded)
	}
	p.session = s
	p.changeLocked()
	err = p.awaitLocked(ctx, func() bool { return p.session != s || p.routing == nil && p.cursor.unsettled() == 0 })
	if p.session != s {
		return welcome{}, errSuperseded
	}
	if err == nil {
		w = p.enterLocked(o)
		s.epoch = w.epoch
		s.told = watermarks{committed: w.committed, received: w.committed}
	}
	if err != nil || s.unary() { // a unary call leaves room for others of its epoch
		p.session = nil
		p.changeLocked()
	}
	p.trimLocked()
	return w, err
}

// nameEpochLocked names the epoch of an opening that means the current one. The producer sends a request when it has done with the
// one before. So if that is not known here, it was sent to another instance, or given up, and the epoch continues after it.
func (p *producer) nameEpochLocked(o *opening) {
	if o.epoch = p.epoch; o.epoch == 0 {
		o.epoch = nextEpoch(0, p.now())
	}
	if o.sequence > p.cursor.accepted+1 {
		o.committed = o.sequence - 1
	}
}

// checkEpochLocked returns why the producer can't be opened with the opening's epoch.
func (p *producer) checkEpochLocked(o *opening) error {
	switch {
	case o.epoch != 0 && o.epoch < p.epoch:
		return statusOldEpoch(o.epoch, p.epoch)
	case o.epoch == 0 && p.epoch >= maxNumber: // the next one could not be claimed
		return statusInvalidOpening(violation{"open.epoch", "no epoch is left after " + decimal(p.epoch) + ", which the producer itself has claimed: use another producer id"})
	}
	return nil
}

// enterLocked begins, resumes or adopts the epoch that an opening asks for. Nothing is in flight.
func (p *producer) enterLocked(o *opening) welcome {
	switch {
	case o.epoch == 0:
		p.beginEpochLocked(nextEpoch(p.epoch, p.now()), 0)
		return welcome{epoch: p.epoch}
	case o.epoch == p.epoch && o.committed <= p.cursor.committed:
		p.takeAnswersLocked()
		p.outbox.resend(o.committed)
		return welcome{epoch: p.epoch, committed: p.cursor.committed, resumed: true}
	}
	// The epoch is from another process, or the producer was with one in between: what it was told there counts.
	p.beginEpochLocked(o.epoch, o.committed)
	return welcome{epoch: p.epoch, committed: o.committed}
}

func (p *producer) beginEpochLocked(epoch, start uint64) {
	p.epoch = epoch
	p.cursor = newCursor(start)
	p.dropOutcomesLocked() // they belong to an epoch that is over
	clear(p.answers)
}

// accepted is the verdict on a sequence.
type accepted struct {
	epoch, sequence uint64
	verdict         verdict
}

// accept accepts a session's sequence, reports that it is a repeat, or returns why it is neither. Zero stands for the next one.
// After verdictNext the request is with the Router, and routed must be called.
func (p *producer) accept(ctx context.Context, s *session, sequence uint64, sum uint32) (accepted, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Only the last accepted sequence can be taken back, so unary calls take turns.
	if err := p.awaitLocked(ctx, func() bool { return p.routing == nil }); err != nil {
		return accepted{}, err
	}
	switch {
	case !s.unary() && (s.closed || p.session != s):
		return accepted{}, errClosed
	case s.unary() && p.epoch != s.epoch:
		return accepted{}, statusOldEpoch(s.epoch, p.epoch)
	case s.unary() && p.session != nil:
		return accepted{}, errSuperseded
	}
	if sequence == 0 {
		sequence = p.cursor.accepted + 1
	}
	a := accepted{epoch: p.epoch, sequence: sequence, verdict: p.cursor.judge(sequence, sum)}
	switch a.verdict {
	case verdictGap:
		return a, statusGap(p.cursor.accepted+1, sequence)
	case verdictAltered:
		return a, statusAltered(sequence)
	case verdictRepeat:
		if s.opening.current && !p.cursor.remembers(sequence) {
			return a, statusForgotten(sequence, p.cursor.accepted)
		}
		p.metrics.repeats.Inc()
		return a, nil
	}
	p.cursor.accept(sum)
	p.routing = s
	p.metrics.lag.Inc()
	if s.unary() {
		p.answers[sequence] = s.answer
	}
	return a, nil
}

// routed records whether the Router has taken the request that was accepted last.
func (p *producer) routed(taken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routing = nil
	if !taken {
		delete(p.answers, p.cursor.accepted)
		p.cursor.retract()
		p.metrics.lag.Dec()
	}
	p.changeLocked()
}

// settle records the outcome of a request. Any goroutine may call it.
func (p *producer) settle(epoch, sequence uint64, refusals []schema.Refusal, outcome *schema.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != epoch {
		return
	}
	if answer := p.answers[sequence]; answer != nil {
		answer.add(sequence, refusals, outcome, false)
	} else {
		p.outbox.add(sequence, refusals, outcome, p.session != nil)
		p.trimLocked()
	}
	before := p.cursor.committed
	if p.cursor.settle(sequence) {
		p.metrics.lag.Sub(float64(p.cursor.committed - before))
	}
	p.changeLocked()
}

// trimLocked bounds the outcomes kept while nobody reads them: the next Welcome must be able to carry them all, and many
// producers together must not fill the memory.
func (p *producer) trimLocked() {
	keep := 0
	if p.session == nil {
		p.metrics.forgottenOutcomes.Add(float64(p.outbox.trim()))
		keep = p.outbox.len() + p.outbox.sent.len()
		if p.anonymous || keep > p.kept && p.total.Load()+int64(keep-p.kept) > maxKeptOutcomes {
			p.dropOutcomesLocked()
			keep = 0
		}
	}
	p.total.Add(int64(keep - p.kept))
	p.kept = keep
}

// dropOutcomesLocked forgets all outcomes and counts those that were never sent.
func (p *producer) dropOutcomesLocked() {
	p.metrics.forgottenOutcomes.Add(float64(p.outbox.len()))
	p.outbox = outbox{}
}

// forget drops the outcomes of a producer that leaves the registry.
func (p *producer) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropOutcomesLocked()
	p.total.Add(-int64(p.kept))
	p.kept = 0
}

// idle reports whether forgetting the producer would lose nothing but its watermark.
func (p *producer) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session == nil && p.routing == nil && p.cursor.unsettled() == 0
}
