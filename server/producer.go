package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

var (
	// errSuperseded is the cause with which a session ends whose producer has opened again.
	errSuperseded = errors.New("superseded")
	// errClosed says that a session takes no further request.
	errClosed = errors.New("the session takes no further request")
)

// producer is what the server knows of one producer: its epoch, the sequences of
// that epoch, what it has not been told yet, and who speaks for it.
type producer struct {
	id      string
	now     func() time.Time
	metrics *metrics
	// total counts the outcomes that all producers keep while nobody reads them.
	total *atomic.Int64
	// anonymous says that nobody can come back as this producer.
	anonymous bool

	mu     sync.Mutex
	epoch  uint64 // 0: never opened
	cursor cursor
	outbox outbox
	// replies has what unary calls of this epoch wait for, by their sequences.
	replies map[uint64]*reply
	// kept is this producer's part of total.
	kept int
	// session is the newest opening, which may still wait for the older one. Nil: none.
	session *session
	// attached counts the sessions that have the right to accept: 0 or 1.
	attached int
	// routing says that the last accepted sequence is with the Router, and may be taken back.
	routing bool
	// changed, where somebody waits for it, is closed at the next change of anything above.
	changed chan struct{}
}

// welcome is what an opening has led to.
type welcome struct {
	epoch, committed uint64
	resumed          bool
}

// changeLocked wakes all who wait for a change.
func (p *producer) changeLocked() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// awaitLocked releases the lock until something changes or ctx ends, and takes it again.
func (p *producer) awaitLocked(ctx context.Context) error {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// open makes s the producer's session. It stops the older one at once, returns when all that was accepted before is settled, and
// fails when ctx ends, when the epoch is old, or when a newer opening comes first.
func (p *producer) open(ctx context.Context, s *session, o *opening) (welcome, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Before anything is stopped: a process that is thought dead must not disturb the one that took its place.
	if err := p.checkEpochLocked(o); err != nil {
		return welcome{}, err
	}
	if p.session != nil {
		p.session.stop(errSuperseded)
	}
	p.session = s
	p.changeLocked()
	err := p.awaitQuietLocked(ctx, s)
	if err == nil {
		err = p.checkEpochLocked(o)
	}
	if err != nil {
		if p.session == s {
			p.session = nil
			p.trimLocked()
			p.changeLocked()
		}
		return welcome{}, err
	}
	w := p.enterLocked(o)
	p.trimLocked() // what is kept is this session's now
	p.attached++
	s.attached = true
	s.level = o.level
	s.told = watermarks{committed: w.committed, received: w.committed}
	return w, nil
}

// checkEpochLocked returns why the producer can't be opened with an epoch as it stands.
func (p *producer) checkEpochLocked(o *opening) error {
	switch {
	case o.epoch != 0 && o.epoch < p.epoch:
		return statusOldEpoch(o.epoch, p.epoch)
	case o.epoch == 0 && p.epoch >= maxNumber: // the next one could not be claimed
		return statusInvalidOpening(violation{"open.epoch", "no epoch is left after " + decimal(p.epoch) + ", which the producer itself has claimed: use another producer id"})
	}
	return nil
}

// awaitQuietLocked waits until nobody else accepts and everything accepted is settled.
func (p *producer) awaitQuietLocked(ctx context.Context, s *session) error {
	for p.attached > 0 || p.routing || p.cursor.unsettled() > 0 {
		if err := p.awaitLocked(ctx); err != nil {
			return err
		}
		if p.session != s {
			return errSuperseded
		}
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
		p.takeRepliesLocked()
		p.outbox.resend(o.committed)
		return welcome{epoch: p.epoch, committed: p.cursor.committed, resumed: true}
	}
	// The epoch is of another process, or has been with another in between: what the producer was told there counts.
	p.beginEpochLocked(o.epoch, o.committed)
	return welcome{epoch: p.epoch, committed: o.committed}
}

func (p *producer) beginEpochLocked(epoch, start uint64) {
	p.epoch = epoch
	p.cursor = newCursor(start)
	p.metrics.forgottenOutcomes.Add(float64(p.outbox.len()))
	p.outbox, p.replies = outbox{}, nil // they are of an epoch that nobody asks for any more
}

// join is what a unary call does in place of open. It holds no session, so that several calls of one
// epoch may be in flight at a time, but it ends a stream's.
func (p *producer) join(ctx context.Context, o *opening) (welcome, error) {
	p.mu.Lock()
	if o.epoch != 0 && o.epoch == p.epoch && p.session == nil && p.attached == 0 && o.committed <= p.cursor.committed {
		defer p.mu.Unlock()
		return welcome{epoch: p.epoch, committed: p.cursor.committed, resumed: true}, nil
	}
	p.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &session{producer: p, stop: cancel}
	w, err := p.open(ctx, s, o)
	s.end()
	return w, err
}

// accepted is what has become of a sequence.
type accepted struct {
	epoch, sequence uint64
	verdict         verdict
}

// accept accepts a sequence, or says that it is a repeat, or why it is neither. Zero stands for the next one. Who accepts is a
// session, or for a unary call nil and its epoch. After verdictNext the request is with the
// Router, and routed must be called.
func (p *producer) accept(ctx context.Context, s *session, epoch, sequence uint64, sum uint32) (accepted, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.routing { // by another unary call: only the last accepted sequence can be taken back
		if err := p.awaitLocked(ctx); err != nil {
			return accepted{}, err
		}
	}
	switch {
	case s != nil && (s.closed || p.session != s):
		return accepted{}, errClosed
	case s == nil && p.epoch != epoch:
		return accepted{}, statusOldEpoch(epoch, p.epoch)
	case s == nil && p.session != nil:
		return accepted{}, statusSuperseded()
	}
	if sequence == 0 {
		sequence = p.cursor.accepted + 1
	}
	v, err := p.judgeLocked(sequence, sum)
	if v == verdictNext {
		p.cursor.accept(sum)
		p.routing = true
		p.metrics.lag.Inc()
	}
	return accepted{p.epoch, sequence, v}, err
}

// judge says what a sequence is, before any work is put into it; accept has the last word.
func (p *producer) judge(sequence uint64, sum uint32) (verdict, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sequence == 0 {
		return verdictNext, nil
	}
	return p.judgeLocked(sequence, sum)
}

func (p *producer) judgeLocked(sequence uint64, sum uint32) (verdict, error) {
	v := p.cursor.judge(sequence, sum)
	switch v {
	case verdictGap:
		return v, statusGap(p.cursor.accepted+1, sequence)
	case verdictAltered:
		return v, statusAltered(sequence)
	}
	return v, nil
}

// routed says whether the Router has taken the request that was accepted last.
func (p *producer) routed(taken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routing = false
	if !taken {
		delete(p.replies, p.cursor.accepted)
		p.cursor.retract()
		p.metrics.lag.Dec()
	}
	p.tellLocked()
}

// settle takes in what became of a request. Any goroutine may call it.
func (p *producer) settle(epoch, sequence uint64, refusals []schema.Refusal, outcome *schema.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != epoch {
		return
	}
	if y := p.replies[sequence]; y != nil {
		y.settled = true
		y.add(sequence, refusals, outcome, false)
	} else {
		p.outbox.add(sequence, refusals, outcome, p.session != nil)
		p.trimLocked()
	}
	before := p.cursor.committed
	if p.cursor.settle(sequence) {
		p.metrics.lag.Sub(float64(p.cursor.committed - before))
	}
	p.tellLocked()
}

func (p *producer) tellLocked() {
	p.changeLocked()
	if p.session != nil {
		p.session.wakeSender()
	}
}

// awaitCommitted returns when the sequence is committed.
func (p *producer) awaitCommitted(ctx context.Context, epoch, sequence uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.epoch == epoch && p.cursor.committed < sequence {
		if err := p.awaitLocked(ctx); err != nil {
			return err
		}
	}
	if p.epoch != epoch {
		return statusOldEpoch(epoch, p.epoch)
	}
	return nil
}

// committedIn returns the watermark of an epoch of which the sequence was accepted. An epoch is followed by another only when all of it is
// settled, so of one that is over at least the sequence is.
func (p *producer) committedIn(epoch, sequence uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.committedInLocked(epoch, sequence)
}

func (p *producer) committedInLocked(epoch, sequence uint64) uint64 {
	if p.epoch != epoch {
		return sequence
	}
	return p.cursor.committed
}

// trimLocked bounds what waits to be told while nobody reads it: the next welcome must be able to tell all of it, and
// many producers together must not fill the memory.
func (p *producer) trimLocked() {
	keep := 0
	if p.session == nil {
		p.metrics.forgottenOutcomes.Add(float64(p.outbox.trim()))
		keep = p.outbox.len() + p.outbox.sent.len()
		if p.anonymous || keep > p.kept && p.total.Load()+int64(keep-p.kept) > maxKeptOutcomes {
			p.metrics.forgottenOutcomes.Add(float64(p.outbox.len()))
			p.outbox, keep = outbox{}, 0
		}
	}
	p.total.Add(int64(keep - p.kept))
	p.kept = keep
}

// idle says whether nothing but the watermark would be lost if the producer were forgotten.
func (p *producer) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session == nil && p.attached == 0 && !p.routing && p.cursor.unsettled() == 0
}
