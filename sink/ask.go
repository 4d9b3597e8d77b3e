package sink

import (
	"context"
	"log/slog"
	"time"
)

// questionsBeforeGivingUp is how many questions must fail before a piece whose limits are reached is given up without an answer.
const questionsBeforeGivingUp = 3

// maxQuestions is how many pieces are asked for at the same time. A start after a kill has hundreds to ask for: asked all at once, none
// would be answered within its time where the server is slow, and all would be asked again.
const maxQuestions = 8

// ask looks the piece up in its table. It asks again while an attempt is running and while the sink can't answer. The error is that
// of ctx.
func (v *delivery) ask(ctx context.Context, p *piece) (answer, error) {
	s := &p.settling
	for questions := 1; ; questions++ {
		found, failure, err := v.askOnce(ctx, p)
		if err != nil {
			return absent, err
		}
		backoff := v.config.Backoff
		switch {
		case failure == nil && found.Rows > 0:
			v.noteRows(v.table.name, p.block.ID(), p.size(), found.Rows)
			return present, nil
		case failure == nil && !found.Running:
			return absent, nil
		case failure == nil:
		case failure.Class != Transient && failure.Class != Ambiguous:
			s.held = true
			if v.heldTooLong(s, questions) || v.exhausted(s) && questions >= questionsBeforeGivingUp {
				return unknowable, nil
			}
			v.noteHeld(p, failure)
			backoff = v.config.HoldBackoff
		case v.exhausted(s) && questions >= questionsBeforeGivingUp:
			return unknowable, nil
		}
		v.evict(p)
		if err := v.patience.wait(ctx, backoff, questions, nil); err != nil {
			return absent, err
		}
	}
}

// askFinally is ask before a step that can't be undone: a new token, parts, a dead letter. Rows count as absent only once no attempt
// can be under way any more. The error is that of ctx.
func (v *delivery) askFinally(ctx context.Context, p *piece) (answer, error) {
	for {
		found, err := v.ask(ctx, p)
		if err != nil || found != absent || p.settling.arrived.IsZero() {
			return found, err
		}
		left := time.Until(p.settling.arrived.Add(v.config.AttemptTimeout + v.config.LateAfter))
		if left <= 0 {
			return absent, nil
		}
		v.evict(p)
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return absent, ctx.Err()
		}
	}
}

// askOnce asks the sink. err is that of ctx, failure that of the sink.
func (v *delivery) askOnce(ctx context.Context, p *piece) (found Presence, failure *Error, err error) {
	if err := v.asking.acquire(ctx, func() { v.evict(p) }); err != nil { // before the question's time begins
		return found, asError(err, "ask for rows in", v.table.name), err
	}
	askCtx, cancel := context.WithTimeout(ctx, v.config.AttemptTimeout)
	found, err = v.config.Sink.Present(askCtx, p.block)
	cancel()
	v.asking.release(false, false)
	failure = asError(err, "ask for rows in", v.table.name)
	result := askedAbsent
	switch {
	case failure != nil:
		result = askedError
	case found.Rows >= p.size():
		result = askedPresent
	case found.Rows > 0:
		result = askedPartial
	case found.Running:
		result = askedRunning
	}
	v.metrics.asked.WithLabelValues(v.table.name, result).Inc()
	if failure == nil {
		if found.Running {
			v.forget(p) // the server is there; the piece waits for its own attempt
		}
		return found, nil, nil
	}
	if err := ctx.Err(); err != nil {
		return found, failure, err
	}
	v.last = failure
	p.settling.fail()
	v.noteFailure(p, failure)
	return found, failure, nil
}

// noteRows reports a block that is not there exactly once. It is stored as one part, so any row proves that all of it was stored:
// missing rows were deleted since.
func (d *Delivery) noteRows(table, id string, rows, found int) {
	if found == rows {
		return
	}
	d.metrics.partial.WithLabelValues(table).Inc()
	level, message := slog.LevelWarn, "batch partly present"
	if found > rows {
		level, message = slog.LevelError, "batch doubled"
	}
	d.seldom(level, message, table, rows, "batch", id, "found", found)
}
