package server

import (
	"slices"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

const (
	// maxResponseOutcomes is the most refusals and dead letters in one response: with texts of at most maxTextBytes it
	// stays below the 4 MiB that clients take by default.
	maxResponseOutcomes = 1024
	// keptOutcomes is how many refusals, and how many dead letters, are kept for a producer whose stream
	// has ended; and how many are kept after they were sent, because a connection may break between the two ends.
	keptOutcomes = 128
	// maxKeptOutcomes is how many are kept for all producers together whose streams have ended: some 30 MiB.
	maxKeptOutcomes = 1 << 16
)

// outcomes are refusals and dead letters.
type outcomes struct {
	refusals []*pb.Refusal
	letters  []*pb.DeadLettered
}

// outbox has the outcomes that a producer has not been told yet, and the latest that it was told.
type outbox struct {
	outcomes
	sent outcomes
}

// len returns how many there are.
func (o *outcomes) len() int { return len(o.refusals) + len(o.letters) }

// add takes what the server itself has refused of a request, and what became of the rest. Either may be absent. With merge, requests that
// share a dead letter become one range.
func (o *outcomes) add(sequence uint64, refusals []schema.Refusal, outcome *schema.Outcome, merge bool) {
	for i := range refusals {
		o.refusals = append(o.refusals, refused(sequence, &refusals[i]))
	}
	if outcome == nil {
		return
	}
	for i := range outcome.Refusals {
		o.refusals = append(o.refusals, refused(sequence, &outcome.Refusals[i]))
	}
	for i := range outcome.DeadLettered {
		o.addLetter(deadLettered(sequence, &outcome.DeadLettered[i]), merge)
	}
}

// addLetter makes one range of the requests that share a dead letter: a batch has rows of many. A unary call is told only
// about its own request, so nothing is merged for it.
func (o *outcomes) addLetter(l *pb.DeadLettered, merge bool) {
	if n := len(o.letters); merge && n > 0 && l.DeadLetter != "" {
		if last := o.letters[n-1]; last.DeadLetter == l.DeadLetter && last.Route == l.Route {
			// Not in place: what is told again may be on its way out still.
			l.FirstSequence = min(last.FirstSequence, l.FirstSequence)
			l.LastSequence = max(last.LastSequence, l.LastSequence)
			l.Rows += last.Rows
			o.letters[n-1] = l
			return
		}
	}
	o.letters = append(o.letters, l)
}

// of returns those of one request.
func (o *outcomes) of(sequence uint64) (own outcomes) {
	for _, r := range o.refusals {
		if r.Sequence == sequence {
			own.refusals = append(own.refusals, r)
		}
	}
	for _, l := range o.letters {
		if l.FirstSequence <= sequence && sequence <= l.LastSequence {
			own.letters = append(own.letters, l)
		}
	}
	return own
}

// join adds those of other.
func (o *outcomes) join(other outcomes) {
	o.refusals, o.letters = append(o.refusals, other.refusals...), append(o.letters, other.letters...)
}

// without removes those of one request, but for letters that are about others too.
func (o *outcomes) without(sequence uint64) {
	o.refusals = slices.DeleteFunc(slices.Clone(o.refusals), func(r *pb.Refusal) bool { return r.Sequence == sequence })
	o.letters = slices.DeleteFunc(slices.Clone(o.letters), func(l *pb.DeadLettered) bool {
		return l.FirstSequence == sequence && l.LastSequence == sequence
	})
}

// told takes note that the producer was told these, in an answer of its own.
func (b *outbox) told(o outcomes) {
	b.sent.refusals, b.sent.letters = latest(b.sent.refusals, o.refusals), latest(b.sent.letters, o.letters)
}

// recall returns what there is to tell about one request, whether or not it was told before, and takes note that it is told now.
func (b *outbox) recall(sequence uint64) outcomes {
	waiting := b.of(sequence)
	own := b.sent.of(sequence)
	own.join(waiting)
	if waiting.len() > 0 {
		b.without(sequence)
		b.told(waiting)
	}
	return own
}

// take moves up to maxResponseOutcomes into the response.
func (b *outbox) take(r *pb.IngestStreamResponse) {
	n := min(len(b.refusals), maxResponseOutcomes)
	r.Refusals = b.refusals[:n:n]
	b.refusals = b.refusals[n:]
	b.sent.refusals = latest(b.sent.refusals, r.Refusals)

	n = min(len(b.letters), maxResponseOutcomes-n)
	r.DeadLettered = b.letters[:n:n]
	b.letters = b.letters[n:]
	b.sent.letters = latest(b.sent.letters, r.DeadLettered)
	if len(b.refusals) == 0 {
		b.refusals = nil // or the array, of which nothing is left, would stay
	}
	if len(b.letters) == 0 {
		b.letters = nil
	}
}

// latest returns the last keptOutcomes of two lists.
func latest[T any](before, after []T) []T {
	excess := len(before) + len(after) - keptOutcomes
	if excess <= 0 {
		return append(before, after...)
	}
	kept := make([]T, 0, keptOutcomes)
	if excess < len(before) {
		kept = append(kept, before[excess:]...)
		return append(kept, after...)
	}
	return append(kept, after[excess-len(before):]...)
}

// resend has those told again that the producer can't have seen, because it knows no watermark that covers them.
func (b *outbox) resend(committed uint64) {
	var refusals []*pb.Refusal
	for _, r := range b.sent.refusals {
		if r.Sequence > committed {
			refusals = append(refusals, r)
		}
	}
	var letters []*pb.DeadLettered
	for _, l := range b.sent.letters {
		if l.LastSequence > committed {
			letters = append(letters, l)
		}
	}
	b.refusals, b.letters = append(refusals, b.refusals...), append(letters, b.letters...)
	b.sent = outcomes{}
}

// trim forgets the oldest, so that what is left fits into the first response of the next stream. It returns how many.
func (b *outbox) trim() int {
	before := b.len()
	b.refusals, b.letters = latest(nil, b.refusals), latest(nil, b.letters)
	return before - b.len()
}

// refused puts a refusal into words of the wire.
func refused(sequence uint64, r *schema.Refusal) *pb.Refusal {
	return &pb.Refusal{
		Sequence: sequence, Index: r.Index, Field: text(r.Field), Reason: pb.RefusalReason(r.Reason),
		Message: text(r.Message), Route: text(r.Route),
	}
}

// deadLettered puts a dead letter into words of the wire.
func deadLettered(sequence uint64, d *schema.DeadLettered) *pb.DeadLettered {
	return &pb.DeadLettered{
		FirstSequence: sequence, LastSequence: sequence, Rows: uint64(d.Rows), Route: text(d.Route), Table: text(d.Table),
		DeadLetter: text(d.ID), Code: int32(d.Code), Message: text(d.Message),
	}
}
