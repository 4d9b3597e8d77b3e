package server

// rememberedSums is for how many sequences back a repeat is compared with what it repeats.
const rememberedSums = 1024

// sumPlaces is one more, so that a sequence that is taken back has not overwritten one that is still compared.
const sumPlaces = rememberedSums + 1

// maxUnsettled is how many sequences of a producer may be accepted and not settled. The budget bounds the bytes of requests;
// this bounds what is kept of requests without entries.
const maxUnsettled = 1 << 16

// verdict is how a sequence relates to a cursor.
type verdict uint8

const (
	verdictNext    verdict = iota // it is the next one
	verdictRepeat                 // it was accepted before
	verdictAltered                // it was accepted before, with other bytes
	verdictGap                    // it is beyond the next one
)

// cursor follows the sequences of one epoch. They are accepted in order and settled in any order; all sequences up to committed
// are settled.
type cursor struct {
	accepted, committed uint64
	// settled has a flag for each sequence above committed, at (sequence-1) modulo its length, a power of two.
	settled []bool
	// sums has the hash of each request's entries, at (sequence-1-firstSum) modulo sumPlaces, for the sequences above firstSum.
	sums     []uint32
	firstSum uint64
}

// newCursor returns the cursor of an epoch in which everything up to start is settled.
func newCursor(start uint64) cursor {
	return cursor{accepted: start, committed: start, firstSum: start}
}

// judge returns the verdict on a sequence.
func (c *cursor) judge(sequence uint64, sum uint32) verdict {
	switch {
	case sequence > c.accepted+1:
		return verdictGap
	case sequence == c.accepted+1:
		return verdictNext
	case c.remembers(sequence) && c.sums[(sequence-1-c.firstSum)%sumPlaces] != sum:
		return verdictAltered
	}
	return verdictRepeat
}

// remembers reports whether an accepted sequence can be compared with its repeat.
func (c *cursor) remembers(sequence uint64) bool {
	return sequence > c.firstSum && c.accepted-sequence < rememberedSums
}

// accept accepts the next sequence.
func (c *cursor) accept(sum uint32) {
	if c.unsettled() == uint64(len(c.settled)) {
		c.grow()
	}
	c.accepted++
	c.settled[c.place(c.accepted)] = false
	if at := (c.accepted - 1 - c.firstSum) % sumPlaces; at < uint64(len(c.sums)) {
		c.sums[at] = sum
	} else {
		c.sums = append(c.sums, sum)
	}
}

// retract takes the last accepted sequence back, which must not be settled.
func (c *cursor) retract() { c.accepted-- }

// settle marks a sequence as settled and reports whether committed moved. It ignores a sequence that is not in flight.
func (c *cursor) settle(sequence uint64) bool {
	if sequence <= c.committed || sequence > c.accepted {
		return false
	}
	c.settled[c.place(sequence)] = true
	before := c.committed
	for c.committed < c.accepted && c.settled[c.place(c.committed+1)] {
		c.committed++
	}
	return c.committed != before
}

// isSettled reports whether an accepted sequence is settled.
func (c *cursor) isSettled(sequence uint64) bool {
	return sequence <= c.committed || c.settled[c.place(sequence)]
}

// unsettled returns how many sequences are above committed.
func (c *cursor) unsettled() uint64 { return c.accepted - c.committed }

func (c *cursor) place(sequence uint64) uint64 { return (sequence - 1) & uint64(len(c.settled)-1) }

func (c *cursor) grow() {
	grown := make([]bool, max(64, 2*len(c.settled)))
	for s := c.committed + 1; s <= c.accepted; s++ {
		grown[(s-1)&uint64(len(grown)-1)] = c.settled[c.place(s)]
	}
	c.settled = grown
}
