package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// settling is what is known about a piece's attempts. The rules:
//
//   - the same bytes are sent under the same token until they are acknowledged;
//   - the acknowledgement of a first attempt settles;
//   - the sink is asked before every attempt that follows one that may have arrived, and after its acknowledgement. Any row that is
//     there proves that all were stored. Rows that are absent although they were acknowledged mean that an attempt wrote the token
//     and died before it wrote its part: the token is burned, and the next one takes its place;
//   - a new token, the pieces of a divided batch and a dead letter can't keep a late attempt from adding the rows once more, so
//     none of them is made while an attempt may still be under way.
type settling struct {
	// attempts counts inserts. It numbers query ids, so it never goes back.
	attempts int
	// suffix counts burned tokens.
	suffix int
	// touched means that an attempt with this token may have reached the server.
	touched bool
	// uncertain means that the fate of an attempt is unknown, rather than refused.
	uncertain bool
	// arrived is when the last attempt whose fate is unknown began; zero if there was none.
	arrived time.Time
	// failures counts consecutive failures, for the back-off; held means that they are those of a held piece.
	failures int
	held     bool
	// unclassified counts the attempts that failed with an unknown code.
	unclassified int
	// migrated means that the table was migrated for this piece.
	migrated bool
	// repeats is the error that keeps coming back.
	repeats repeats
	// refusal is the error that the piece is to be divided for.
	refusal *Error
	// since is when the piece first failed, with an error of any class; zero if it has not.
	since time.Time
	// first and last are when the piece was first and last tried.
	first, last time.Time
}

// fail records that the piece could not be settled.
func (s *settling) fail() {
	if s.since.IsZero() {
		s.since = time.Now()
	}
}

// verdict is what became of a piece.
type verdict uint8

const (
	retry     verdict = iota // nothing yet: it is to be tried again, after a wait that is over
	committed                // its rows are in the table
	refused                  // its rows become dead letters
	divided                  // the sink rejects it for its rows or its shape: its parts are tried separately
)

// answer is the answer to whether a piece is in its table.
type answer uint8

const (
	absent answer = iota
	present
	// unknowable: the sink could not be asked for as long as the piece may wait.
	unknowable
)

var errUnknowable = errors.New("the table can't be asked whether the batch is there")

// settle tries the piece until its fate is known. The error is that of ctx.
func (v *delivery) settle(ctx context.Context, p *piece) (verdict, error) {
	defer v.unhold(p)
	defer v.forget(p)
	for {
		if verdict, err := v.try(ctx, p); err != nil || verdict != retry {
			return verdict, err
		}
	}
}

// try inserts the piece once, when the table accepts batches and unless the piece is there already.
func (v *delivery) try(ctx context.Context, p *piece) (verdict, error) {
	s := &p.settling
	if verdict, err := v.admitted(ctx, p); verdict != retry || err != nil {
		return verdict, err
	}
	if s.touched {
		found, err := v.ask(ctx, p)
		switch {
		case err != nil:
			return retry, err
		case found == unknowable && !s.uncertain:
			// It was refused each time; that the table can't be asked changes nothing.
			return v.conclude(p, absent, v.last, v.endReason(s)), nil
		case found != absent:
			return v.conclude(p, found, nil, ""), nil
		}
	}
	failure, err := v.attempt(ctx, p)
	if err != nil {
		return retry, err
	}
	if failure == nil {
		return v.acknowledged(ctx, p)
	}
	return v.failed(ctx, p, failure)
}

// attempt inserts the piece once. err is that of ctx, failure that of the sink.
func (v *delivery) attempt(ctx context.Context, p *piece) (failure *Error, err error) {
	wait := func() { v.evict(p) }
	if err := v.table.limiter.acquire(ctx, wait); err != nil {
		return nil, err
	}
	err = v.limiter.acquire(ctx, wait) // before the attempt's time begins
	if err != nil {
		v.table.limiter.release(false, false)
		return nil, err
	}
	if err := v.load(p); err != nil {
		v.limiter.release(false, false)
		v.table.limiter.release(false, false)
		return nil, err
	}
	s := &p.settling
	began := time.Now()
	s.attempts++
	s.last = began
	if s.first.IsZero() {
		s.first = began
	}
	failure = v.insert(ctx, p)
	accepted := failure == nil || failure.Deduplicated
	v.limiter.release(accepted, false)
	v.table.limiter.release(accepted, !accepted && failure.Overload)
	v.observeAttempt(p, failure, time.Since(began))
	if accepted {
		s.touched = s.touched || failure != nil // a known token proves nothing: it has to be asked for
		return nil, nil
	}
	v.last = failure
	s.fail()
	// A refused connection leaves nothing behind: only then is the next attempt as good as the first.
	if failure.Class != Transient || failure.Code != 0 {
		s.touched = true
	}
	switch failure.Class {
	case Ambiguous:
		s.uncertain, s.arrived = true, began
	case Unclassified:
		s.uncertain = true
	}
	return failure, ctx.Err()
}

// insert has the sink insert the piece.
func (v *delivery) insert(ctx context.Context, p *piece) *Error {
	ctx, cancel := context.WithTimeout(ctx, v.config.AttemptTimeout)
	defer cancel()
	inFlight := v.metrics.inFlight.WithLabelValues(v.table.name)
	inFlight.Inc()
	defer inFlight.Dec()
	id, s := p.block.ID(), &p.settling
	a := Attempt{Number: s.attempts, Token: id, QueryID: fmt.Sprintf("%s-%d", id, s.attempts)}
	if s.suffix > 0 {
		a.Token = fmt.Sprintf("%s/%d", id, s.suffix)
	}
	return asError(v.config.Sink.Insert(ctx, p.block, a), "insert into", v.table.name)
}

// asError returns a sink's error as the *Error that it should be.
func asError(err error, op, table string) *Error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return known
	}
	return &Error{Class: Ambiguous, Op: op, Table: table, Err: err}
}

// acknowledged decides whether an acknowledgement settles the piece.
func (v *delivery) acknowledged(ctx context.Context, p *piece) (verdict, error) {
	s := &p.settling
	if !s.touched {
		return committed, nil
	}
	found, err := v.askFinally(ctx, p)
	switch {
	case err != nil:
		return retry, err
	case found == unknowable && !s.uncertain:
		// It was refused each time before, and is acknowledged now: it is there.
		return committed, nil
	case found != absent:
		return v.conclude(p, found, nil, ""), nil
	}
	if err := v.noteBurned(ctx, p, s.suffix+1); err != nil {
		return retry, err
	}
	v.seldom(slog.LevelWarn, "token burned", v.table.name, p.size(), "batch", p.block.ID(), "suffix", s.suffix)
	v.metrics.burned.WithLabelValues(v.table.name).Inc()
	s.suffix++
	s.touched, s.arrived = false, time.Time{}
	return retry, nil
}

// failed decides the next step after a failure. A retry has backed off already.
func (v *delivery) failed(ctx context.Context, p *piece, failure *Error) (verdict, error) {
	switch v.classOf(p, failure) {
	case Row, Shape:
		return v.rejected(ctx, p, failure)
	case Schema:
		again, err := v.migrate(ctx, p)
		if err != nil || again {
			return retry, err
		}
		return v.hold(ctx, p, failure, v.table.gateState().changed)
	case Hold:
		return v.hold(ctx, p, failure, v.table.gateState().changed)
	}
	return v.again(ctx, p, failure, v.config.Backoff, nil)
}

// classOf returns the class of a failure in the light of those that the piece had before.
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

// rejected asks whether the rows are there after all: an error reply does not mean that nothing was written, for instance if a
// materialized view failed behind the table.
func (v *delivery) rejected(ctx context.Context, p *piece, failure *Error) (verdict, error) {
	found, err := v.askFinally(ctx, p)
	switch {
	case err != nil:
		return retry, err
	case found == absent:
		p.settling.refusal = failure
		return divided, nil
	case found == present:
		v.seldom(slog.LevelWarn, "insert refused, rows present", v.table.name, p.size(), "batch", p.block.ID(), "error", failure)
	}
	return v.conclude(p, found, failure, ""), nil
}

// conclude ends a piece after an answer that leaves nothing to try: it is there, or it goes to the dead-letter queue with what is
// known about it. failure and reason are those of an absent piece.
func (v *delivery) conclude(p *piece, found answer, failure *Error, reason string) verdict {
	if found == present {
		return committed
	}
	if found == unknowable {
		reason, failure = ReasonFateUnknown, &Error{Class: Hold, Op: "ask for rows in", Table: v.table.name, Err: errUnknowable}
		if v.last != nil {
			failure.Code, failure.Err = v.last.Code, fmt.Errorf("%w; the last error: %w", errUnknowable, v.last)
		}
	}
	v.refuse(p, p.rows, failure, reason)
	return refused
}

// hold waits for an operator, or until wake is closed. A piece that has waited for as long as it may is refused, unless it is
// there.
func (v *delivery) hold(ctx context.Context, p *piece, failure *Error, wake <-chan struct{}) (verdict, error) {
	s := &p.settling
	if !s.held {
		s.held, s.failures = true, 0
	}
	v.noteHeld(p, failure)
	s.failures++
	if v.heldTooLong(s, s.failures) || v.exhausted(s) {
		return v.giveUp(ctx, p, failure, v.endReason(s))
	}
	v.evict(p)
	return retry, v.patience.wait(ctx, v.config.HoldBackoff, s.failures, wake)
}

// again waits for the next attempt of a piece that needs no operator, or until wake is closed. A piece that was tried for as long
// as it may be is refused, unless it is there.
func (v *delivery) again(ctx context.Context, p *piece, failure *Error, backoff Backoff, wake <-chan struct{}) (verdict, error) {
	s := &p.settling
	if s.held {
		s.held, s.failures = false, 0
		v.unhold(p)
	}
	if v.exhausted(s) {
		return v.giveUp(ctx, p, failure, reasonGivenUp)
	}
	s.failures++
	v.evict(p)
	return retry, v.patience.wait(ctx, backoff, s.failures, wake)
}

// giveUp refuses the piece, unless it is there.
func (v *delivery) giveUp(ctx context.Context, p *piece, failure *Error, reason string) (verdict, error) {
	found := absent
	if p.settling.touched {
		var err error
		if found, err = v.askFinally(ctx, p); err != nil {
			return retry, err
		}
		if found == unknowable && !p.settling.uncertain {
			found = absent // it was refused each time
		}
	}
	return v.conclude(p, found, failure, reason), nil
}

// heldTries is the least number of refusals before a piece counts as held for too long: after a longer outage, a server that has
// just started may lack its users or databases for a moment.
const heldTries = 4

// heldTooLong reports whether a piece that was refused that many times in a row has waited for as long as it may.
func (v *delivery) heldTooLong(s *settling, tries int) bool {
	return v.limits.HoldFor > 0 && s.held && tries >= heldTries && time.Since(s.since) >= v.limits.HoldFor
}

// endReason returns the reason for giving up a piece.
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
