package server

import (
	"math/rand/v2"
	"testing"
)

// naive is a cursor as one would write it first.
type naive struct {
	low, accepted uint64
	settled       map[uint64]bool
	sums          map[uint64]uint32
}

func (n *naive) committed() uint64 {
	for n.settled[n.low+1] {
		n.low++
	}
	return n.low
}

func (n *naive) judge(sequence uint64, sum uint32) verdict {
	switch {
	case sequence == n.accepted+1:
		return verdictNext
	case sequence > n.accepted+1:
		return verdictGap
	}
	known, ok := n.sums[sequence]
	if ok && n.accepted-sequence < rememberedSums && known != sum {
		return verdictAltered
	}
	return verdictRepeat
}

func TestCursorAgainstNaive(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		start := uint64(random.IntN(3)) * 1_000_000_007
		c := newCursor(start, false)
		n := &naive{low: start, accepted: start, settled: map[uint64]bool{}, sums: map[uint64]uint32{}}
		var flying []uint64
		for step := range 6000 {
			switch sum := uint32(random.IntN(2)); random.IntN(8) {
			case 0, 1, 2:
				n.accepted++
				n.sums[n.accepted] = sum
				if c.accept(sum); c.accepted != n.accepted {
					t.Fatalf("seed %d step %d: accepted %d, want %d", seed, step, c.accepted, n.accepted)
				}
				if random.IntN(10) == 0 {
					c.retract()
					delete(n.sums, n.accepted)
					n.accepted--
				} else {
					flying = append(flying, n.accepted)
				}
			case 3, 4, 5:
				if len(flying) == 0 {
					continue
				}
				i := random.IntN(len(flying))
				before := n.committed()
				n.settled[flying[i]] = true
				if moved := c.settle(flying[i]); moved != n.committed()-before {
					t.Fatalf("seed %d step %d: moved by %d", seed, step, moved)
				}
				c.settle(flying[i]) // again changes nothing
				flying = append(flying[:i], flying[i+1:]...)
			default:
				sequence := n.accepted + 3 - min(uint64(random.IntN(1200)), n.accepted+3-start-1)
				if got, want := c.judge(sequence, sum), n.judge(sequence, sum); got != want {
					t.Fatalf("seed %d step %d: judge(%d) is %d with %d accepted, want %d", seed, step, sequence, got, n.accepted, want)
				}
			}
			if at := n.accepted - min(uint64(random.IntN(100)), n.accepted-start); at > 0 && c.isSettled(at) != (at <= start || n.settled[at]) {
				t.Fatalf("seed %d step %d: isSettled(%d) is %v", seed, step, at, c.isSettled(at))
			}
			if c.committed != n.committed() || c.unsettled() != n.accepted-n.committed() {
				t.Fatalf("seed %d step %d: committed %d, want %d", seed, step, c.committed, n.committed())
			}
		}
	}
}

func TestCursorBelowItsStart(t *testing.T) {
	c := newCursor(10, false)
	if got := c.judge(3, 1); got != verdictRepeat {
		t.Errorf("judge(3) is %d", got)
	}
	if c.settle(3) != 0 || c.settle(11) != 0 || c.committed != 10 {
		t.Error("settled what is not in flight")
	}
}

func BenchmarkCursor(b *testing.B) {
	c := newCursor(0, false)
	b.ReportAllocs()
	for b.Loop() {
		c.accept(1)
		c.settle(c.accepted)
	}
}
