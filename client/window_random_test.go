package client

import (
	"math/rand/v2"
	"testing"
)

// TestWindowAtRandom sends, commits and resumes at random, and checks that requests are sent in order, none left out.
func TestWindowAtRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var w window
	sent, committed, added := uint64(0), uint64(0), uint64(0) // sent on the stream at hand
	for range 100_000 {
		switch random.IntN(6) {
		case 0, 1:
			if w.fits(1, 50, 50) {
				w.add(request(1), 1)
				added++
			}
		case 2, 3:
			r := w.next()
			switch {
			case r == nil && sent != added:
				t.Fatalf("nothing to send, though %d of %d are sent: %+v", sent, added, w)
			case r != nil && r.GetSequence() != sent+1:
				t.Fatalf("sent %d after %d: %+v", r.GetSequence(), sent, w)
			case r != nil:
				sent++
			}
		case 4:
			if sent > committed {
				to := committed + 1 + random.Uint64N(sent-committed)
				entries, bytes := w.commit(to)
				if entries != int(to-committed) || bytes != entries {
					t.Fatalf("committed %d entries from %d to %d", entries, committed, to)
				}
				committed = to
			}
		case 5:
			if random.IntN(20) == 0 {
				w.resume(w.epoch)
				sent = committed
			}
		}
		if len(w.pending) != int(added-committed) || w.bytes != len(w.pending) {
			t.Fatalf("%d pending, want %d: %+v", len(w.pending), added-committed, w)
		}
	}
}
