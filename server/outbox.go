package server

import (
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
)

// outbox has the refusals and dead letters that a producer has not been told yet, and the latest that it was told.
type outbox struct {
	refusals, sentRefusals []*pb.Refusal
	letters, sentLetters   []*pb.DeadLettered
}

// len returns how many wait to be sent.
func (b *outbox) len() int { return len(b.refusals) + len(b.letters) }

// add takes what the server itself has refused of a request, and what became of the rest. Either may be absent.
func (b *outbox) add(sequence uint64, refusals []schema.Refusal, outcome *schema.Outcome) {
	for i := range refusals {
		b.refusals = append(b.refusals, refused(sequence, &refusals[i]))
	}
	if outcome == nil {
		return
	}
	for i := range outcome.Refusals {
		b.refusals = append(b.refusals, refused(sequence, &outcome.Refusals[i]))
	}
	for i := range outcome.DeadLettered {
		b.addLetter(deadLettered(sequence, &outcome.DeadLettered[i]))
	}
}

// addLetter makes one range of the requests that share a dead letter: a batch has rows of many.
func (b *outbox) addLetter(l *pb.DeadLettered) {
	if n := len(b.letters); n > 0 && l.DeadLetter != "" {
		if last := b.letters[n-1]; last.DeadLetter == l.DeadLetter && last.Route == l.Route {
			// Not in place: what is told again may be on its way out still.
			l.FirstSequence = min(last.FirstSequence, l.FirstSequence)
			l.LastSequence = max(last.LastSequence, l.LastSequence)
			l.Rows += last.Rows
			b.letters[n-1] = l
			return
		}
	}
	b.letters = append(b.letters, l)
}

// take moves up to maxResponseOutcomes into the response.
func (b *outbox) take(r *pb.IngestStreamResponse) {
	n := min(len(b.refusals), maxResponseOutcomes)
	r.Refusals = b.refusals[:n:n]
	b.refusals = b.refusals[n:]
	b.sentRefusals = latest(b.sentRefusals, r.Refusals)

	n = min(len(b.letters), maxResponseOutcomes-n)
	r.DeadLettered = b.letters[:n:n]
	b.letters = b.letters[n:]
	b.sentLetters = latest(b.sentLetters, r.DeadLettered)
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
	for _, r := range b.sentRefusals {
		if r.Sequence > committed {
			refusals = append(refusals, r)
		}
	}
	var letters []*pb.DeadLettered
	for _, l := range b.sentLetters {
		if l.LastSequence > committed {
			letters = append(letters, l)
		}
	}
	b.refusals, b.sentRefusals = append(refusals, b.refusals...), nil
	b.letters, b.sentLetters = append(letters, b.letters...), nil
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
