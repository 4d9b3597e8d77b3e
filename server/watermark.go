package server

import (
	"math"
	"math/bits"

	"github.com/logbatcher/logbatcher/schema"
)

// rememberedSums is for how many sequences back a repeat is compared with what it repeats.
const rememberedSums = 1024

// sumPlaces is one more, so that a sequence that is taken back has not overwritten one that is still compared.
const sumPlaces = rememberedSums + 1

// maxUnsettled is how many sequences of a producer may be accepted and not settled. The budget bounds the bytes of requests;
// this bounds what is kept of requests without entries. With a log, requests wait on the disk, whose bound is that of their number, too.
const (
	maxUnsettled       = 1 << 16
	maxUnsettledLogged = 1 << 24
)

// verdict is how a sequence relates to a cursor.
type verdict uint8

const (
	verdictNext    verdict = iota // it is the next one
	verdictRepeat                 // it was accepted before
	verdictAltered                // it was accepted before, with other bytes
	verdictGap                    // it is beyond the next one
)

// cursor follows the sequences of one epoch. They are accepted in order, logged in order, and settled in any order; all sequences up
// to committed are logged and settled.
type cursor struct {
	accepted, committed uint64
	// logged is the last sequence that the log has, or notLogged.
	logged uint64
	// settled has a flag for each sequence above committed, at (sequence-1) modulo its length, a power of two.
	settled []bool
	// sums has the hash of each request's entries, at (sequence-1-firstSum) modulo sumPlaces, for the sequences above firstSum.
	sums     []uint32
	firstSum uint64
}

// notLogged is the logged sequence where there is no log: nothing waits for it.
const notLogged = math.MaxUint64

// newCursor returns the cursor of an epoch in which everything up to start is settled.
func newCursor(start uint64, log bool) cursor {
	c := cursor{accepted: start, committed: start, logged: notLogged, firstSum: start}
	if log {
		c.logged = start
	}
	return c
}

// restoredCursor returns the cursor of a producer that the log knows.
func restoredCursor(l *schema.LoggedProducer) cursor {
	c := newCursor(l.Accepted, true)
	if len(l.Unsettled) > 0 {
		c.committed = l.Unsettled[0] - 1
		c.settled = make([]bool, max(64, 1<<bits.Len64(c.unsettled())))
		for i := range c.settled {
			c.settled[i] = true
		}
		for _, s := range l.Unsettled {
			c.settled[c.place(s)] = false
		}
	}
	sums := l.Sums[len(l.Sums)-min(len(l.Sums), rememberedSums):]
	c.firstSum -= uint64(len(sums))
	for _, sum := range sums {
		c.sums = append(c.sums, uint32(sum))
	}
	return c
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

// log records that the log has all sequences up to one. It returns by how much committed has moved.
func (c *cursor) log(sequence uint64) uint64 {
	c.logged = max(c.logged, sequence)
	return c.advance()
}

// settle marks a sequence as settled, and returns by how much committed has moved. It ignores a sequence that is not in flight.
func (c *cursor) settle(sequence uint64) uint64 {
	if sequence <= c.committed || sequence > c.accepted {
		return 0
	}
	c.settled[c.place(sequence)] = true
	return c.advance()
}

// trust marks all sequences up to one as settled, because the producer has seen that they are. It returns by how much committed has moved.
func (c *cursor) trust(sequence uint64) uint64 {
	for s := c.committed + 1; s <= min(sequence, c.accepted); s++ {
		c.settled[c.place(s)] = true
	}
	return c.advance()
}

func (c *cursor) advance() uint64 {
	before := c.committed
	for c.committed < c.safe() && c.settled[c.place(c.committed+1)] {
		c.committed++
	}
	if c.committed == c.accepted && len(c.settled) > maxUnsettled {
		c.settled = nil // what an outage has left
	}
	return c.committed - before
}

// isSettled reports whether an accepted sequence is logged and settled.
func (c *cursor) isSettled(sequence uint64) bool {
	return sequence <= c.committed || sequence <= c.logged && c.settled[c.place(sequence)]
}

// safe is the last sequence that was accepted and, where there is a log, is in it.
func (c *cursor) safe() uint64 { return min(c.accepted, c.logged) }

// unsettled returns how many sequences are above committed, unlogged how many the log does not have yet.
func (c *cursor) unsettled() uint64 { return c.accepted - c.committed }
func (c *cursor) unlogged() uint64  { return c.accepted - c.safe() }

func (c *cursor) place(sequence uint64) uint64 { return (sequence - 1) & uint64(len(c.settled)-1) }

func (c *cursor) grow() {
	grown := make([]bool, max(64, 2*len(c.settled)))
	for s := c.committed + 1; s <= c.accepted; s++ {
		grown[(s-1)&uint64(len(grown)-1)] = c.settled[c.place(s)]
	}
	c.settled = grown
}
