//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// fate is what must become of an entry.
type fate uint8

const (
	stored    fate = iota // in the table
	poisoned              // violates the table's constraint: in the dead letters
	unmatched             // no route takes it: in the dead letters
	refused               // invalid: nowhere
)

// A fault is one misfortune of a run.
type fault struct {
	number int
	at     time.Duration // after the load has begun
	kind   *kind
	target int           // which of the things that the kind can strike
	length time.Duration // how long it lasts
	count  int           // how many times it strikes
	chance uint64        // for what else is drawn
}

// A plan is all that is drawn from the seed: the faults, and the fate of each entry.
type plan struct {
	seed      uint64
	producers int
	entries   uint64 // of each producer
	faults    []fault
	bursts    [][]burst // by producer, in order
}

// A burst is consecutive numbers of one producer with the same fate.
type burst struct {
	from, to uint64
	fate     fate
}

// newPlan draws a plan.
func newPlan(o *options, kinds []*kind) *plan {
	p := &plan{
		seed: o.seed, producers: o.producers, entries: uint64(o.entries / o.producers), bursts: make([][]burst, o.producers),
	}
	random := rand.New(rand.NewPCG(o.seed, 1))
	var deck []*kind
	for number := range o.faults {
		if len(deck) == 0 {
			// Each kind comes as often as its weight says before the first one comes again.
			for _, k := range kinds {
				for range k.weight {
					deck = append(deck, k)
				}
			}
			random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		k := deck[len(deck)-1]
		deck = deck[:len(deck)-1]
		f := fault{
			number: number + 1, kind: k, chance: random.Uint64(), count: 1 + random.IntN(4),
			at:     time.Duration((float64(number) + 0.2 + 0.6*random.Float64()) / float64(o.faults) * float64(o.duration)),
			length: k.shortest + time.Duration(random.Float64()*float64(k.longest-k.shortest)),
		}
		f.target = int(f.chance>>32) % max(1, k.targets(o))
		if k.fate != stored {
			p.burst(&f, o.duration)
		}
		p.faults = append(p.faults, f)
	}
	for _, bursts := range p.bursts {
		slices.SortFunc(bursts, func(a, b burst) int { return int(a.from) - int(b.from) })
	}
	return p
}

// has reports whether there is a fault whose name begins so.
func (p *plan) has(name string) bool {
	return slices.ContainsFunc(p.faults, func(f fault) bool { return strings.HasPrefix(f.kind.name, name) })
}

// burst gives entries that are due at the time of the fault its fate.
func (p *plan) burst(f *fault, duration time.Duration) {
	from := uint64(float64(f.at) / float64(duration) * float64(p.entries))
	to := min(from+1+f.chance%400, p.entries)
	for _, other := range p.bursts[f.target] {
		if from < other.to && other.from < to {
			return // the numbers have a fate
		}
	}
	p.bursts[f.target] = append(p.bursts[f.target], burst{from, to, f.kind.fate})
}

// fate returns what must become of a number of a producer.
func (p *plan) fate(producer int, n uint64) fate {
	bursts := p.bursts[producer]
	at, found := slices.BinarySearchFunc(bursts, n, func(b burst, n uint64) int {
		switch {
		case b.to <= n:
			return -1
		case b.from > n:
			return 1
		}
		return 0
	})
	if found {
		return bursts[at].fate
	}
	switch mix(p.seed^uint64(producer)<<48^n) % 50_000 {
	case 0:
		return poisoned
	case 1:
		return unmatched
	case 2:
		return refused
	}
	return stored
}

// mix spreads the bits of a number (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// String describes the fault for the log.
func (f *fault) String() string {
	return fmt.Sprintf("%s(target %d, %v, × %d)", f.kind.name, f.target, f.length.Round(time.Millisecond), f.count)
}
