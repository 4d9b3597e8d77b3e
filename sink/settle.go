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
//   - the acknowledgement of the first attempt settles;
//   - after a later one the sink is asked. Rows that are not there, though no attempt runs any more, mean
//     that an attempt wrote the token and died before its part: the token is burned, and the next one takes its place;
//   - the sink is asked before an attempt where the token may have left the server's window, and
//     before a piece is divided, since the tokens of the parts are new.
type settling struct {
	// attempts counts the inserts that were tried. It numbers query ids, so it never goes back.
	attempts int
	// suffix counts the tokens that were burned.
	suffix int
	// touched says that an attempt with this token may have reached the server.
	touched bool
	// asksFirst says that the sink is to be asked before the next attempt.
	asksFirst bool
	// uncertain says that the fate of an attempt is unknown, and not only refused.
	uncertain bool
	// failures counts the failures in a row, for the back-off.
	failures int
	// unclassified counts the attempts that ended with a code that is in no table.
	unclassified int
	// migration is the count of the table's migrations that this piece has seen; 0: it has asked for none.
	migration int
	// heldSince is when the piece began to wait for an operator. Zero: it does not.
	heldSince time.Time
	// first and last are when the piece was tried first and last, tokenSince when its token was.
	first, last, tokenSince time.Time
	// tokenInserts is the table's count of inserts at the token's first use.
	tokenInserts int
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
	// unknowable: the sink could not be asked, for rights' sake, for as long as a batch is held.
	unknowable
	// partial: some rows were there and some were not, for as long as a batch is held.
	partial
)

var (
	answerReasons = [...]string{absent: reasonHeld, unknowable: reasonUnknown, partial: reasonPartial}
	answerErrors  = [...]error{
		absent:     errors.New("the batch was held for as long as it may be"),
		unknowable: errors.New("the table can't be asked whether the batch is there"),
		partial:    errors.New("some rows of the batch are there and some are not"),
	}
)

// settle tries the piece until its fate is known. The error is the context's.
func (v *delivery) settle(ctx context.Context, p *piece) (verdict, error) {
	s := &p.settling
	defer func() { v.table.unhold(p) }()
	for {
		if v.shouldAsk(s) {
			found, err := v.ask(ctx, p)
			if err != nil {
				return verdict{}, err
			}
			if found != absent {
				return v.conclude(p, found, nil), nil
			}
			s.asksFirst = false
			s.tokenSince, s.tokenInserts = time.Time{}, v.table.inserts()
		}
		failure, err := v.attempt(ctx, p)
		if err != nil {
			return verdict{}, err
		}
		var done *verdict
		if failure == nil {
			done, err = v.acknowledged(ctx, p)
		} else {
			done, err = v.failed(ctx, p, failure)
		}
		if err != nil {
			return verdict{}, err
		}
		if done != nil {
			return *done, nil
		}
	}
}

// shouldAsk says whether the token may have left the server's window.
func (v *delivery) shouldAsk(s *settling) bool {
	if s.asksFirst {
		return true
	}
	return s.touched && !s.tokenSince.IsZero() &&
		(time.Since(s.tokenSince) > v.config.AskAfter || v.table.inserts()-s.tokenInserts > v.config.AskAfterInserts)
}

// attempt inserts the piece once. The error is the context's; the failure is the sink's.
func (v *delivery) attempt(ctx context.Context, p *piece) (failure *Error, err error) {
	if err := v.table.limiter.acquire(ctx); err != nil {
		return nil, err
	}
	s := &p.settling
	now := time.Now()
	s.attempts++
	s.last = now
	if s.first.IsZero() {
		s.first = now
	}
	if s.tokenSince.IsZero() {
		s.tokenSince, s.tokenInserts = now, v.table.inserts()
	}
	token := p.batch.ID()
	if s.suffix > 0 {
		token = fmt.Sprintf("%s/%d", token, s.suffix)
	}
	attemptCtx, cancel := context.WithTimeout(ctx, v.config.AttemptTimeout)
	v.metrics.inFlight.WithLabelValues(v.table.name).Inc()
	insertErr := v.config.Sink.Insert(attemptCtx, p.batch, Attempt{
		Number: s.attempts, Token: token, QueryID: fmt.Sprintf("%s-%d", p.batch.ID(), s.attempts),
	})
	v.metrics.inFlight.WithLabelValues(v.table.name).Dec()
	cancel()
	if insertErr != nil {
		failure = asError(insertErr, "insert into", v.table.name)
	}
	v.table.limiter.release(failure == nil, failure != nil && failure.Overload)
	v.observeAttempt(p, failure, time.Since(now))
	if failure == nil {
		return nil, nil
	}
	v.last = failure
	// A refused connection has left nothing behind: only then is the next attempt as good as the first.
	if failure.Class != Transient || failure.Code != 0 {
		s.touched = true
	}
	if failure.Class == Ambiguous || failure.Class == Unclassified {
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

// acknowledged says whether an acknowledgement settles the piece. Nil: it is to be sent again.
func (v *delivery) acknowledged(ctx context.Context, p *piece) (*verdict, error) {
	s := &p.settling
	if !s.touched {
		return &verdict{committed: true}, nil
	}
	found, err := v.ask(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case found == unknowable && !s.uncertain:
		// What was refused each time before this, and is acknowledged now, is there.
		return &verdict{committed: true}, nil
	case found != absent:
		done := v.conclude(p, found, nil)
		return &done, nil
	}
	v.log.Warn("token burned", "batch", p.batch.ID(), "table", v.table.name, "rows", p.size(), "suffix", s.suffix)
	v.metrics.burned.WithLabelValues(v.table.name).Inc()
	s.suffix++
	s.touched, s.tokenSince = false, time.Time{}
	return nil, nil
}

// failed decides what follows from a failure, and waits where that is to try again. Nil: it is.
func (v *delivery) failed(ctx context.Context, p *piece, failure *Error) (*verdict, error) {
	s := &p.settling
	class := failure.Class
	if class == Unclassified {
		s.unclassified++
		if class = Transient; s.unclassified >= v.config.UnclassifiedAttempts {
			class = Row
		}
	}
	switch class {
	case Row, Shape:
		return v.refusedRows(ctx, p, failure)
	case Schema:
		again, err := v.migrate(ctx, p)
		if err != nil || again {
			return nil, err
		}
		return v.hold(ctx, p, failure)
	case Hold:
		return v.hold(ctx, p, failure)
	}
	v.table.unhold(p)
	s.heldSince = time.Time{}
	s.failures++
	return nil, v.patience.wait(ctx, v.config.Backoff, s.failures, nil)
}

// refusedRows asks whether the rows are there after all: an error reply does not mean that nothing was
// written, for instance where a materialized view failed behind the table.
func (v *delivery) refusedRows(ctx context.Context, p *piece, failure *Error) (*verdict, error) {
	found, err := v.ask(ctx, p)
	if err != nil {
		return nil, err
	}
	if found == absent {
		return &verdict{divides: true, err: failure}, nil
	}
	if found == present {
		v.log.Warn("insert refused, rows present", "batch", p.batch.ID(), "table", v.table.name, "rows", p.size(), "error", failure)
	}
	done := v.conclude(p, found, failure)
	return &done, nil
}

// conclude ends a piece after an answer that leaves nothing to try: it is there, or it goes to the
// dead-letter queue with what is known of it.
func (v *delivery) conclude(p *piece, found answer, failure *Error) verdict {
	if found == present {
		return verdict{committed: true}
	}
	if found == partial || failure == nil {
		failure = &Error{Class: Hold, Op: "ask for rows in", Table: v.table.name, Err: answerErrors[found]}
	}
	v.refuse(p, p.rows, failure, answerReasons[found])
	return verdict{}
}

// hold waits for an operator. When the batch has been held for as long as it may be, it is refused,
// unless it is there.
func (v *delivery) hold(ctx context.Context, p *piece, failure *Error) (*verdict, error) {
	s := &p.settling
	v.table.hold(p, failure, v.advice(failure))
	if s.heldSince.IsZero() {
		s.heldSince = time.Now()
		s.failures = 0
		v.log.Error("batch held", "batch", p.batch.ID(), "table", v.table.name, "rows", p.size(),
			"error", failure, "todo", v.advice(failure))
	}
	if v.heldTooLong(s) {
		found, err := v.ask(ctx, p)
		if err != nil {
			return nil, err
		}
		if found == unknowable && !s.uncertain {
			found = absent // it was refused each time
		}
		done := v.conclude(p, found, failure)
		return &done, nil
	}
	s.failures++
	return nil, v.patience.wait(ctx, v.config.HoldBackoff, s.failures, nil)
}

func (v *delivery) heldTooLong(s *settling) bool {
	return v.limits.HoldFor > 0 && !s.heldSince.IsZero() && time.Since(s.heldSince) >= v.limits.HoldFor
}
