package sink_test

import (
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/sink"
)

func TestBackoffDelay(t *testing.T) {
	b := sink.Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second}
	for _, test := range []struct {
		failures int
		random   float64
		want     time.Duration
	}{
		{1, 1, 100 * time.Millisecond},
		{1, 0.5, 50 * time.Millisecond},
		{1, 0, time.Millisecond},
		{2, 1, 200 * time.Millisecond},
		{5, 1, 1600 * time.Millisecond},
		{9, 1, 25600 * time.Millisecond},
		{10, 1, 30 * time.Second},
		{1_000_000_000, 1, 30 * time.Second},
		{0, 1, 100 * time.Millisecond},
	} {
		if got := b.Delay(test.failures, test.random); got != test.want {
			t.Errorf("after %d failures, random %g: %s, want %s", test.failures, test.random, got, test.want)
		}
	}
}
