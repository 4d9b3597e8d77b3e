package sink

import (
	"context"
	"fmt"
	"time"
)

// ask finds out whether the piece is in its table. It asks again while an attempt may still be running, while
// the sink can't answer, and while only some of the rows are there. The error is the context's.
func (v *delivery) ask(ctx context.Context, p *piece) (answer, error) {
	failures := 0
	for {
		found, failure, err := v.askOnce(ctx, p)
		if err != nil {
			return absent, err
		}
		failures++
		backoff := v.config.Backoff
		switch {
		case failure != nil && failure.Class != Transient && failure.Class != Ambiguous:
			if v.heldTooLong(&p.settling) {
				return unknowable, nil
			}
			v.holdQuestion(p, failure)
			backoff = v.config.HoldBackoff
		case failure != nil || found.Running:
		case found.Rows == 0:
			return absent, nil
		case found.Rows == p.size():
			return present, nil
		case found.Rows > p.size():
			v.metrics.partial.WithLabelValues(v.table.name).Inc()
			v.log.Error("batch doubled", "batch", p.batch.ID(), "table", v.table.name, "rows", p.size(), "found", found.Rows)
			return present, nil
		default:
			if v.holdPartial(p, found.Rows) {
				return partial, nil
			}
			backoff = v.config.HoldBackoff
		}
		if err := v.patience.wait(ctx, backoff, failures, nil); err != nil {
			return absent, err
		}
	}
}

// askOnce asks the sink. The error is the context's; the failure is the sink's.
func (v *delivery) askOnce(ctx context.Context, p *piece) (Presence, *Error, error) {
	askCtx, cancel := context.WithTimeout(ctx, v.config.AttemptTimeout)
	found, err := v.config.Sink.Present(askCtx, p.batch)
	cancel()
	result := askedAbsent
	var failure *Error
	switch {
	case err != nil:
		failure = asError(err, "ask for rows in", v.table.name)
		result = askedError
	case found.Running:
		result = askedRunning
	case found.Rows >= p.size():
		result = askedPresent
	case found.Rows > 0:
		result = askedPartial
	}
	v.metrics.asked.WithLabelValues(v.table.name, result).Inc()
	if failure == nil {
		v.table.answered()
		return found, nil, nil
	}
	if err := ctx.Err(); err != nil {
		return found, failure, err
	}
	v.last = failure
	v.table.failed(failure, time.Now())
	return found, failure, nil
}

// holdQuestion holds the piece because its table may not be asked for it.
func (v *delivery) holdQuestion(p *piece, failure *Error) {
	if p.settling.heldSince.IsZero() {
		p.settling.heldSince = time.Now()
		v.log.Error("batch held", "batch", p.batch.ID(), "table", v.table.name, "rows", p.size(),
			"error", failure, "todo", v.advice(failure))
	}
	v.table.hold(p, failure, v.advice(failure))
}

// holdPartial holds a piece of which only some rows are there, which breaks the rule that a batch is one part.
// Sending it again would double rows, so only an operator can tell what is right. It says
// whether the piece has been held for as long as it may be.
func (v *delivery) holdPartial(p *piece, found int) bool {
	failure := &Error{Class: Hold, Op: "ask for rows in", Table: v.table.name, Err: answerErrors[partial]}
	if p.settling.heldSince.IsZero() {
		p.settling.heldSince = time.Now()
		v.metrics.partial.WithLabelValues(v.table.name).Inc()
	}
	v.log.Error("batch partly present", "batch", p.batch.ID(), "table", v.table.name, "rows", p.size(), "found", found)
	v.table.hold(p, failure, fmt.Sprintf("%d of %d rows of batch %s are there, which must not happen: find out what has deleted or split them",
		found, p.size(), p.batch.ID()))
	return v.heldTooLong(&p.settling)
}
