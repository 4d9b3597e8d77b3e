//go:build linux

package rig

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Rounds measures all runs in turn, several times over, and returns the median of each.
func (s *Rig) Rounds(ctx context.Context, runs []Run, rounds int, pause time.Duration) ([]Result, error) {
	results := make([][]Result, len(runs))
	for round := range rounds {
		for i, run := range runs {
			if err := Rest(ctx, pause); err != nil {
				return nil, err
			}
			r, err := s.Measure(ctx, run)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", run.Name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d: %s\n", round+1, r)
			results[i] = append(results[i], r)
		}
	}
	medians := make([]Result, len(runs))
	for i := range results {
		medians[i] = Median(results[i])
	}
	return medians, nil
}
