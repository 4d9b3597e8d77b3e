package server

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

var (
	// errClosed ends the receiver of a session that accepts no more requests.
	errClosed = errors.New("the session accepts no more requests")
	// errLog is that the write-ahead log did not take what must be in it.
	errLog = errors.New("the write-ahead log can't be written")
)

// producer is what the server knows of one producer: its epoch, the sequences of that epoch, the outcomes it has not been sent
// yet, and whose session speaks for it.
type producer struct {
	producerKey
	now     func() time.Time
	metrics *metrics
	// log is the write-ahead log. Nil: there is none.
	log Log
	// owners decide whether the producer is ours. Nil: all are.
	owners Owners
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
	// beginning is set while the log is told of a new epoch. unbegun is set if that failed, so that the log may not know the epoch.
	beginning, unbegun bool
	// owned is set once it is known that the producer is ours. left is set while its state is what another instance has left, so that neither
	// the owners nor the log know it as ours.
	owned, left bool
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
	// logged is 0 without a log.
	logged  uint64
	resumed bool
}

// changeLocked wakes everybody who waits for a change, and the sender.
func (p *producer) changeLocked() {
	if p.session != nil {
		p.session.wakeSender()
	}
	p.wakeLocked()
}

// wakeLocked wakes everybody who waits for a change.
func (p *producer) wakeLocked() {
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

// open gives s the right to send. It stops an older stream at once, returns when everything accepted before is logged or, without a
// log, settled, and fails when ctx ends, when the epoch is old, or when a newer opening comes first. A unary call that continues the
// producer's epoch joins the calls in flight instead.
func (p *producer) open(ctx context.Context, s *session) (w welcome, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := s.opening
	if err := p.ownLocked(ctx, o); err != nil {
		return welcome{}, err
	}
	if o.current {
		p.nameEpochLocked(o)
	}
	if s.unary() && p.session == nil && p.continuesLocked(o) {
		s.epoch = p.epoch
		return p.resumeLocked(o), nil
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
	err = p.awaitLocked(ctx, func() bool { return p.session != s || p.routing == nil && !p.beginning && p.isSafeLocked() })
	if err == nil && p.session == s {
		w, err = p.enterLocked(ctx, o)
	}
	if p.session != s {
		return welcome{}, errSuperseded
	}
	if err == nil {
		s.epoch = w.epoch
		s.told = watermarks{committed: w.committed, logged: w.logged, received: max(w.committed, w.logged)}
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
		o.epoch = nextEpoch(p.lastEpochLocked(), p.now())
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

// maxUnsettled returns how many sequences may be accepted and not settled.
func (p *producer) maxUnsettled() uint64 {
	if p.log != nil {
		return maxUnsettledLogged
	}
	return maxUnsettled
}

// lastEpochLocked returns the epoch that a new one must be above. The clock may have been set back since the log has forgotten the producer.
// An epoch that only a client can have claimed counts for its own producer alone: all others would have none left.
func (p *producer) lastEpochLocked() uint64 {
	if p.epoch == 0 && p.log != nil {
		if forgotten := p.log.ForgottenEpoch(); forgotten < maxNumber/2 {
			return forgotten
		}
	}
	return p.epoch
}

// isSafeLocked reports whether nothing that was accepted can be lost by this process.
func (p *producer) isSafeLocked() bool {
	if p.log != nil {
		return p.cursor.unlogged() == 0
	}
	return p.cursor.unsettled() == 0
}

// continuesLocked reports whether an opening continues the epoch as it is known here. The producer may have seen more committed than
// a log knows to be after a crash, but no more than it has.
func (p *producer) continuesLocked(o *opening) bool {
	known := p.cursor.committed
	if p.log != nil {
		known = p.cursor.safe()
	}
	return o.epoch != 0 && o.epoch == p.epoch && !p.unbegun && !p.left && o.start() <= known
}

// resumeLocked resumes the epoch.
func (p *producer) resumeLocked(o *opening) welcome {
	p.metrics.lag.Sub(float64(p.cursor.trust(o.committed)))
	return welcome{epoch: p.epoch, committed: p.cursor.committed, logged: p.loggedLocked(), resumed: true}
}

// loggedLocked returns the logged watermark: 0 without a log.
func (p *producer) loggedLocked() uint64 {
	if p.log == nil {
		return 0
	}
	return p.cursor.logged
}

// enterLocked begins, resumes or adopts the epoch that an opening asks for. What is in flight is logged.
func (p *producer) enterLocked(ctx context.Context, o *opening) (welcome, error) {
	if p.left && o.epoch == p.epoch && o.start() <= p.cursor.committed {
		if err := p.takeLocked(ctx); err != nil {
			return welcome{}, err
		}
	}
	if p.continuesLocked(o) {
		p.takeAnswersLocked()
		p.outbox.resend(o.committed)
		return p.resumeLocked(o), nil
	}
	// An epoch is from another process, or the producer was with one in between: what it was told there counts.
	epoch := o.epoch
	if epoch == 0 {
		epoch = nextEpoch(p.lastEpochLocked(), p.now())
	}
	err := p.beginEpochLocked(ctx, epoch, o.start())
	return welcome{epoch: p.epoch, committed: p.cursor.committed, logged: p.loggedLocked()}, err
}

// beginEpochLocked begins an epoch, in the log first, for which it releases the lock. If that fails the epoch counts all the same,
// because the log may have it, and the next opening tells the log again.
func (p *producer) beginEpochLocked(ctx context.Context, epoch, start uint64) (err error) {
	if p.log != nil && !p.anonymous {
		if err = p.tellLocked(ctx, epoch, start); err != nil && p.owners != nil && !p.owned {
			return err // nothing has begun; the next opening asks for the owner again
		}
	}
	p.unbegun, p.left = err != nil, false
	p.metrics.lag.Sub(float64(p.cursor.unsettled()))
	p.epoch = epoch
	p.cursor = newCursor(start, p.log != nil)
	p.dropOutcomesLocked() // they belong to an epoch that is over
	clear(p.answers)
	return err
}

// restore makes the producer what the log knows of it.
func (p *producer) restore(l *schema.LoggedProducer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restoreLocked(l)
}

func (p *producer) restoreLocked(l *schema.LoggedProducer) {
	p.epoch, p.cursor = l.Epoch, restoredCursor(l)
	p.metrics.lag.Add(float64(p.cursor.unsettled()))
	var told outcomes // its next opening says which of them it can't have seen
	for i := range l.Outcomes {
		told.add(l.Outcomes[i].Sequence, nil, &l.Outcomes[i].Outcome, true)
	}
	p.outbox.keep(told)
	p.trimLocked()
}

// accepted is the verdict on a sequence.
type accepted struct {
	epoch, sequence uint64
	verdict         verdict
}

// accept accepts a session's sequence, reports that it is a repeat, or returns why it is neither. Zero stands for the next one.
// After verdictNext the request is with the Router, and routed must be called.
func (p *producer) accept(ctx context.Context, s *session, sequence, sum uint64) (accepted, error) {
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
	a := accepted{epoch: p.epoch, sequence: sequence, verdict: p.cursor.judge(sequence, uint32(sum))}
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
	p.cursor.accept(uint32(sum))
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
	p.metrics.lag.Sub(float64(p.cursor.settle(sequence)))
	p.changeLocked()
}

// logged records that the log has a request. The log calls it.
func (p *producer) logged(epoch, sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != epoch {
		return
	}
	moved := p.cursor.log(sequence)
	p.metrics.lag.Sub(float64(moved))
	if p.session != nil && (moved > 0 || p.session.opening.level == pb.Acknowledgement_ACKNOWLEDGEMENT_LOGGED) {
		p.session.wakeSender() // others learn of it with the next response
	}
	p.wakeLocked()
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
	// Something may be unsettled if the producer is another instance's now. Nobody is told of it here.
	p.metrics.lag.Sub(float64(p.cursor.unsettled()))
	p.epoch, p.cursor = 0, cursor{}
}

// idle reports whether forgetting the producer would lose nothing but its watermark.
func (p *producer) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session == nil && p.routing == nil && p.cursor.unsettled() == 0
}
