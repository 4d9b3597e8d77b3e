package server

import (
	"math"
	"slices"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

const (
	// maxResponseOutcomes is the most outcomes in one response: with texts of at most maxTextBytes it stays below the 4 MiB that
	// clients receive by default.
	maxResponseOutcomes = 1024
	// keptOutcomes is how many refusals, and how many dead letters, are kept for a producer whose stream has ended; and how many
	// are kept after they were sent, because a connection may break between the two ends.
	keptOutcomes = 128
	// maxKeptOutcomes is how many are kept for all producers together whose streams have ended: some 30 MiB.
	maxKeptOutcomes = 1 << 16
)

// outcomes are refusals and dead letters.
type outcomes struct {
	refusals []*pb.Refusal
	letters  []*pb.DeadLettered
}

// outbox holds the outcomes that a producer has not been sent yet, and the latest that it was sent.
type outbox struct {
	outcomes
	sent outcomes
}

func (o *outcomes) len() int { return len(o.refusals) + len(o.letters) }

// add adds what the server itself refused of a request, and the outcome of the rest, which may be nil. With merge, requests that
// share a dead letter become one range; the answer of a unary call is about its own request only.
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
		l := deadLettered(sequence, &outcome.DeadLettered[i])
		if !merge || !o.merge(l) {
			o.letters = append(o.letters, l)
		}
	}
}

// merge replaces the last dead letter by one that includes l, if both are about the same letter: a batch has rows of many requests.
func (o *outcomes) merge(l *pb.DeadLettered) bool {
	if len(o.letters) == 0 || l.DeadLetter == "" {
		return false
	}
	last := &o.letters[len(o.letters)-1]
	if (*last).DeadLetter != l.DeadLetter || (*last).Route != l.Route {
		return false
	}
	// Not in place: a response that is being sent may have it.
	l.FirstSequence = min((*last).FirstSequence, l.FirstSequence)
	l.LastSequence = max((*last).LastSequence, l.LastSequence)
	l.Rows += (*last).Rows
	*last = l
	return true
}

// about returns the outcomes of the requests first to last.
func (o *outcomes) about(first, last uint64) (own outcomes) {
	for _, r := range o.refusals {
		if first <= r.Sequence && r.Sequence <= last {
			own.refusals = append(own.refusals, r)
		}
	}
	for _, l := range o.letters {
		if first <= l.LastSequence && l.FirstSequence <= last {
			own.letters = append(own.letters, l)
		}
	}
	return own
}

// join appends other.
func (o *outcomes) join(other outcomes) {
	o.refusals, o.letters = append(o.refusals, other.refusals...), append(o.letters, other.letters...)
}

// without removes the outcomes of one request, except letters that are about others too.
func (o *outcomes) without(sequence uint64) {
	o.refusals = slices.DeleteFunc(slices.Clone(o.refusals), func(r *pb.Refusal) bool { return r.Sequence == sequence })
	o.letters = slices.DeleteFunc(slices.Clone(o.letters), func(l *pb.DeadLettered) bool {
		return l.FirstSequence == sequence && l.LastSequence == sequence
	})
}

// keep records that these were sent.
func (b *outbox) keep(o outcomes) {
	b.sent.refusals, b.sent.letters = latest(b.sent.refusals, o.refusals), latest(b.sent.letters, o.letters)
}

// recall returns the outcomes of one request, sent before or not, and records that they are sent now.
func (b *outbox) recall(sequence uint64) outcomes {
	own, waiting := b.sent.about(sequence, sequence), b.about(sequence, sequence)
	own.join(waiting)
	b.without(sequence)
	b.keep(waiting)
	return own
}

// take moves up to maxResponseOutcomes into the response.
func (b *outbox) take(r *pb.IngestStreamResponse) {
	r.Refusals, b.refusals = split(b.refusals, maxResponseOutcomes)
	r.DeadLettered, b.letters = split(b.letters, maxResponseOutcomes-len(r.Refusals))
	b.keep(outcomes{r.Refusals, r.DeadLettered})
}

// split returns the first n of a list and the rest, which is nil if there is none: an empty slice would keep the array.
func split[T any](list []T, n int) (first, rest []T) {
	if len(list) <= n {
		return list, nil
	}
	return list[:n:n], list[n:]
}

// latest returns the last keptOutcomes of two lists.
func latest[T any](before, after []T) []T {
	if excess := len(before) + len(after) - keptOutcomes; excess > 0 {
		return slices.Concat(before[min(excess, len(before)):], after[max(0, excess-len(before)):])
	}
	return append(before, after...)
}

// resend moves outcomes back that the producer may not have seen, because it knows no watermark that covers them.
func (b *outbox) resend(committed uint64) {
	again := b.sent.about(committed+1, math.MaxUint64)
	again.join(b.outcomes)
	*b = outbox{outcomes: again}
}

// trim forgets the oldest, so that the rest fits the first response of the next stream. It returns how many.
func (b *outbox) trim() int {
	before := b.len()
	b.refusals, b.letters = latest(nil, b.refusals), latest(nil, b.letters)
	return before - b.len()
}

// refused converts a refusal to protobuf.
func refused(sequence uint64, r *schema.Refusal) *pb.Refusal {
	return &pb.Refusal{
		Sequence: sequence, Index: r.Index, Field: text(r.Field), Reason: pb.RefusalReason(r.Reason),
		Message: text(r.Message), Route: text(r.Route),
	}
}

// deadLettered converts a dead letter to protobuf.
func deadLettered(sequence uint64, d *schema.DeadLettered) *pb.DeadLettered {
	return &pb.DeadLettered{
		FirstSequence: sequence, LastSequence: sequence, Rows: uint64(d.Rows), Route: text(d.Route), Table: text(d.Table),
		DeadLetter: text(d.ID), Code: int32(d.Code), Message: text(d.Message),
	}
}
