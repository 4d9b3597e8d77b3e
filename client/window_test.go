package client

import (
	"math/rand/v2"
	"testing"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

func request(entries int) *logbatcherv1.IngestStreamRequest {
	return &logbatcherv1.IngestStreamRequest{Entries: make([]*logbatcherv1.Entry, entries)}
}

func TestWindow(t *testing.T) {
	var w window
	if w.next() != nil || !w.empty() {
		t.Error("a new window is not empty")
	}
	for n := range 3 {
		if !w.fits(10, 3, 100) {
			t.Fatalf("request %d does not fit", n)
		}
		w.add(request(n+1), 10)
	}
	if w.fits(10, 3, 100) || w.fits(71, 4, 100) || !w.fits(70, 4, 100) {
		t.Error("the bounds are not kept")
	}
	for want := uint64(1); want <= 3; want++ {
		if got := w.next().GetSequence(); got != want {
			t.Errorf("sent %d, want %d", got, want)
		}
	}
	if w.next() != nil {
		t.Error("something is left to send")
	}
	if entries, bytes := w.commit(2); entries != 3 || bytes != 20 || w.committed != 2 || w.sent != 1 || w.bytes != 10 {
		t.Errorf("committed %d entries, %d bytes: %+v", entries, bytes, w)
	}
	// A watermark never goes back, and repeats say nothing.
	if entries, bytes := w.commit(1); entries != 0 || bytes != 0 || w.committed != 2 {
		t.Errorf("committed %d entries, %d bytes again: %+v", entries, bytes, w)
	}
	// Another stream: what is not committed is sent again.
	w.resume(7)
	if w.epoch != 7 || w.next().GetSequence() != 3 {
		t.Errorf("resumed: %+v", w)
	}
	w.unsend()
	if w.next().GetSequence() != 3 {
		t.Errorf("taken back: %+v", w)
	}
	if w.commit(3); !w.empty() || w.bytes != 0 || w.sent != 0 {
		t.Errorf("all is committed: %+v", w)
	}
	if !w.fits(1000, 1, 100) {
		t.Error("one that is too large does not fit an empty window; it would wait for ever")
	}
	if w.add(request(1), 5); w.next().GetSequence() != 4 {
		t.Errorf("after all: %+v", w)
	}
}

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
