package sink

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// settling is what is known of a piece's attempts. The rules:
//
//   - the same bytes go under the same token until they are acknowledged;
//   - the acknowledgement of a first attempt settles;
//   - the sink is asked before every attempt that follows one that may have arrived, and after its acknowledgement. Any row
//     that is there proves that all were stored. Rows that are not there though they were acknowledged mean that an attempt
//     wrote the token and died before its part: the token is burned, and the next one takes its place;
//   - a new token, the pieces of a divided batch and a dead letter do not stop a late attempt from adding the rows once
//     more, so that none of them is made while an attempt may still be under way.
type settling struct {
	// attempts counts the inserts that were tried. It numbers query ids, so it never goes back.
	attempts int
	// suffix counts the tokens that were burned.
	suffix int
	// touched says that an attempt with this token may have reached the server.
	touched bool
	// uncertain says that the fate of an attempt is unknown, and not only refused.
	uncertain bool
	// arrived is when the last attempt whose fate is unknown began. Zero: there was none.
	arrived time.Time
	// failures counts the failures in a row, for the back-off; held says that they are those of a piece that is held.
	failures int
	held     bool
	// unclassified counts the attempts that ended with a code that is in no table.
	unclassified int
	// migration is the count of the table's migrations that this piece has seen; 0: it has asked for none.
	migration int
	// repeats is the error that comes back.
	repeats repeats
	// since is when the piece failed first, of whatever class. Zero: it has not.
	since time.Time
	// first and last are when the piece was tried first and last.
	first, last time.Time
}

// fail notes that the piece could not be settled.
func (s *settling) fail(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
}

// verdict is how the settling of a piece ended: it is committed, it is to be divided, or it was refused.
type verdict struct {
	committed, divides bool
	err                *Error // why it is to be divided
}

// answer is the sink's answer to whether a piece is there.
type answer uint8

const (
	absent answer = iota
	present
	// unknowable: the sink could not be asked for as long as the piece may wait.
	unknowable
)

var errUnknowable = errors.New("the table can't be asked whether the batch is there")

// settle tries the piece until its fate is known. The error is the context's.
func (v *delivery) settle(ctx context.Context, p *piece) (verdict, error) {
	defer v.settled(p)
	for {
		done, err := v.try(ctx, p)
		if err != nil {
			return verdict{}, err
		}
		if done != nil {
			return *done, nil
		}
	}
}

// try inserts the piece once, when the table takes batches and the piece is not there already. Nil: it is to be tried again.
func (v *delivery) try(ctx context.Context, p *piece) (*verdict, error) {
	if done, err := v.admitted(ctx, p); done != nil || err != nil {
		return done, err
	}
	if p.settling.touched {
		found, err := v.ask(ctx, p)
		if err != nil {
			return nil, err
		}
		switch last, ok := v.last.(*Error); {
		case found == unknowable && !p.settling.uncertain && ok:
			// It was refused each time: that it can't be asked for says no more.
			return v.conclude(p, absent, last, v.endReason(&p.settling)), nil
		case found != absent:
			return v.conclude(p, found, nil, ""), nil
		}
	}
	failure, err := v.attempt(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case failure == nil:
		return v.acknowledged(ctx, p)
	case failure.Deduplicated:
		p.settling.touched = true
		return v.acknowledged(ctx, p)
	}
	return v.failed(ctx, p, failure)
}

// attempt inserts the piece once. The error is the context's; the failure is the sink's.
func (v *delivery) attempt(ctx context.Context, p *piece) (failure *Error, err error) {
	if err := v.table.limiter.acquire(ctx); err != nil {
		return nil, err
	}
	if err := v.limiter.acquire(ctx); err != nil { // before the attempt's time begins
		v.table.limiter.release(false, false)
		return nil, err
	}
	s := &p.settling
	now := time.Now()
	s.attempts++
	s.last = now
	if s.first.IsZero() {
		s.first = now
	}
	token := p.block.ID()
	if s.suffix > 0 {
		token = fmt.Sprintf("%s/%d", token, s.suffix)
	}
	attemptCtx, cancel := context.WithTimeout(ctx, v.config.AttemptTimeout)
	v.metrics.inFlight.WithLabelValues(v.table.name).Inc()
	insertErr := v.config.Sink.Insert(attemptCtx, p.block, Attempt{
		Number: s.attempts, Token: token, QueryID: fmt.Sprintf("%s-%d", p.block.ID(), s.attempts),
	})
	v.metrics.inFlight.WithLabelValues(v.table.name).Dec()
	cancel()
	if insertErr != nil {
		failure = asError(insertErr, "insert into", v.table.name)
	}
	took := failure == nil || failure.Deduplicated
	v.limiter.release(took, false)
	v.table.limiter.release(took, failure != nil && failure.Overload)
	v.observeAttempt(p, failure, time.Since(now))
	if took {
		return failure, nil
	}
	v.last = failure
	s.fail(time.Now())
	// A refused connection has left nothing behind: only then is the next attempt as good as the first.
	if failure.Class != Transient || failure.Code != 0 {
		s.touched = true
	}
	switch failure.Class {
	case Ambiguous:
		s.uncertain, s.arrived = true, now
	case Unclassified:
		s.uncertain = true
	}
	return failure, ctx.Err()
}

// asError returns what a sink has returned as the *Error that it should be.
func asError(err error, op, table string) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Class: Ambiguous, Op: op, Table: table, Err: err}
}

// acknowledged reports whether an acknowledgement settles the piece. Nil: it is to be sent again.
func (v *delivery) acknowledged(ctx context.Context, p *piece) (*verdict, error) {
	s := &p.settling
	if !s.touched {
		return &verdict{committed: true}, nil
	}
	found, err := v.askFinally(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case found == unknowable && !s.uncertain:
		// What was refused each time before this, and is acknowledged now, is there.
		return &verdict{committed: true}, nil
	case found != absent:
		return v.conclude(p, found, nil, ""), nil
	}
	v.seldom(levelWarn, "token burned", v.table.name, p.size(), "batch", p.block.ID(), "suffix", s.suffix)
	v.metrics.burned.WithLabelValues(v.table.name).Inc()
	s.suffix++
	s.touched, s.arrived = false, time.Time{}
	return nil, nil
}

// failed decides what follows from a failure, and waits where that is to try again. Nil: it is.
func (v *delivery) failed(ctx context.Context, p *piece, failure *Error) (*verdict, error) {
	switch v.classOf(p, failure) {
	case Row, Shape:
		return v.refusedRows(ctx, p, failure)
	case Schema:
		again, err := v.migrate(ctx, p)
		if err != nil || again {
			return nil, err
		}
		return v.hold(ctx, p, failure, v.table.gateState().changed)
	case Hold:
		return v.hold(ctx, p, failure, v.table.gateState().changed)
	}
	return v.again(ctx, p, failure, v.config.Backoff, nil)
}

// classOf returns the class of a failure, seen with those that the piece had before.
func (v *delivery) classOf(p *piece, failure *Error) Class {
	s := &p.settling
	if failure.Class == Unclassified {
		if s.unclassified++; s.unclassified >= v.config.UnclassifiedAttempts {
			return Row
		}
		return Transient
	}
	if s.repeats.hopeless(failure, v.table.inserts()) {
		return Hold
	}
	return failure.Class
}

// refusedRows asks whether the rows are there after all: an error reply does not mean that nothing was
// written, for instance where a materialized view failed behind the table.
func (v *delivery) refusedRows(ctx context.Context, p *piece, failure *Error) (*verdict, error) {
	found, err := v.askFinally(ctx, p)
	if err != nil {
		return nil, err
	}
	if found == absent {
		return &verdict{divides: true, err: failure}, nil
	}
	if found == present {
		v.seldom(levelWarn, "insert refused, rows present", v.table.name, p.size(), "batch", p.block.ID(), "error", failure)
	}
	return v.conclude(p, found, failure, ""), nil
}

// conclude ends a piece after an answer that leaves nothing to try: it is there, or it goes to the
// dead-letter queue with what is known of it. The reason is that of an absent piece.
func (v *delivery) conclude(p *piece, found answer, failure *Error, reason string) *verdict {
	if found == present {
		return &verdict{committed: true}
	}
	if found == unknowable {
		reason, failure = reasonUnknown, &Error{Class: Hold, Op: "ask for rows in", Table: v.table.name, Err: errUnknowable}
		if last, ok := v.last.(*Error); ok {
			failure.Code, failure.Err = last.Code, fmt.Errorf("%w; the last error: %w", errUnknowable, last)
		}
	}
	v.refuse(p, p.rows, failure, reason)
	return &verdict{}
}

// hold waits for an operator, or until wake is closed. When the piece has waited for as long as it may, it is refused,
// unless it is there.
func (v *delivery) hold(ctx context.Context, p *piece, failure *Error, wake <-chan struct{}) (*verdict, error) {
	s := &p.settling
	if !s.held {
		s.held, s.failures = true, 0
	}
	v.noteHeld(p, failure)
	s.failures++
	if v.heldTooLong(s, s.failures) || v.exhausted(s) {
		return v.giveUp(ctx, p, failure, v.endReason(s))
	}
	return nil, v.patience.wait(ctx, v.config.HoldBackoff, s.failures, wake)
}

// again waits for the next attempt of a piece that nobody has to act for, or until wake is closed. When the piece was tried for
// as long as it may be, it is refused, unless it is there.
func (v *delivery) again(ctx context.Context, p *piece, failure *Error, backoff Backoff, wake <-chan struct{}) (*verdict, error) {
	s := &p.settling
	if s.held {
		s.held, s.failures = false, 0
		v.unhold(p)
	}
	if v.exhausted(s) {
		return v.giveUp(ctx, p, failure, reasonGivenUp)
	}
	s.failures++
	return nil, v.patience.wait(ctx, backoff, s.failures, wake)
}

// giveUp refuses the piece, unless it is there.
func (v *delivery) giveUp(ctx context.Context, p *piece, failure *Error, reason string) (*verdict, error) {
	found := absent
	if p.settling.touched {
		var err error
		if found, err = v.askFinally(ctx, p); err != nil {
			return nil, err
		}
		if found == unknowable && !p.settling.uncertain {
			found = absent // it was refused each time
		}
	}
	return v.conclude(p, found, failure, reason), nil
}

// heldTries is how often a piece is refused at least before it has been held for too long: after an outage that took longer,
// a server that has just started may lack its users or databases for a moment.
const heldTries = 4

// heldTooLong reports whether a piece that was refused so many times in a row has waited for as long as it may.
func (v *delivery) heldTooLong(s *settling, tries int) bool {
	return v.limits.HoldFor > 0 && s.held && tries >= heldTries && time.Since(s.since) >= v.limits.HoldFor
}

// endReason returns the reason of a piece that is given up.
func (v *delivery) endReason(s *settling) string {
	if v.exhausted(s) {
		return reasonGivenUp
	}
	return reasonHeld
}

// exhausted reports whether the piece has been tried for as long as its limits allow.
func (v *delivery) exhausted(s *settling) bool {
	return v.limits.MaxAttempts > 0 && s.attempts >= v.limits.MaxAttempts ||
		v.limits.GiveUpAfter > 0 && !s.since.IsZero() && time.Since(s.since) >= v.limits.GiveUpAfter
}
