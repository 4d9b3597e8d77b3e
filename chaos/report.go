//go:build linux

package main

import (
	"fmt"
	"time"
)

// report prints what was found.
func (r *run) report(c *count, took time.Duration) {
	strikes := map[string][2]int{} // by kind: with effect, without
	effective := 0
	for _, o := range r.outcomes {
		n := strikes[o.fault.kind.name]
		if o.effect {
			n[0]++
			effective++
		} else {
			n[1]++
		}
		strikes[o.fault.kind.name] = n
	}
	fmt.Fprintf(r.out, "\n%-24s %8s %10s\n", "faults", "effect", "no effect")
	for _, k := range r.options.kinds() {
		if n := strikes[k.name]; n[0]+n[1] > 0 {
			fmt.Fprintf(r.out, "%-24s %8d %10d\n", k.name, n[0], n[1])
		}
	}
	for _, g := range r.gateways {
		fmt.Fprintf(r.out, "%s had %d lives; its disk did not let it start %d times\n", g.name, g.lives, g.restarts)
	}
	for _, c := range r.children {
		fmt.Fprintf(r.out, "%s had %d lives\n", c.name, c.lives)
	}
	sent := r.plan.entries * uint64(r.plan.producers)
	fmt.Fprintf(r.out, "%d of %d faults took effect; %d entries of %d producers in %v (%.0f a second), %d gateways\n",
		effective, len(r.plan.faults), sent, r.plan.producers, took.Round(time.Second), float64(sent)/took.Seconds(), len(r.gateways))
	for _, line := range c.details {
		fmt.Fprintln(r.out, line)
	}
	fmt.Fprintf(r.out, "%d rows, %d dead-lettered; lost %d, doubled %d, misplaced %d, out of order %d\n",
		c.rows, c.letters, c.lost, c.doubled, c.misplaced, c.disordered)
}
