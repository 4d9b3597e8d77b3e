package client

import (
	"fmt"
	"math/rand/v2"
	"testing"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// TestWindowAtRandom adds, sends under changing limits, commits, resumes and restarts at random. Entries must be sent in order, within the
// limits, and each must be settled once: committed, or left out because it is too large.
func TestWindowAtRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var w window
	var entries []*logbatcherv1.Entry // all, in order
	place := map[*logbatcherv1.Entry]int{}
	left := map[*logbatcherv1.Entry]bool{}
	settled, added := 0, 0
	firstOf := map[uint64]int{} // sequences of the epoch, by the place of their first entry
	l, sequence := limits{}, uint64(0)
	for range 100_000 {
		switch random.IntN(8) {
		case 0, 1:
			i := newItem()
			for range random.IntN(9) {
				e := &logbatcherv1.Entry{Body: fmt.Sprintf("%0*d", 1+random.IntN(60), added)}
				entries, place[e] = append(entries, e), added
				i.add(e, e.SizeVT())
				added++
			}
			if w.fits(i.bytes, 50, 5000) {
				w.add(i)
			} else {
				added -= len(i.request.Entries)
				entries = entries[:added]
			}
		case 2, 3, 4:
			i, none := w.next(l)
			for _, n := range none {
				if why := l.refuses(n.entry.SizeVT()); why == "" || left[n.entry] {
					t.Fatalf("left out %v: %q", n.entry, why)
				}
				left[n.entry] = true
				settled++
			}
			if i == nil {
				if w.sent != len(w.pending) {
					t.Fatalf("nothing to send, though %d of %d are sent", w.sent, len(w.pending))
				}
				continue
			}
			sequence++
			if i.request.Sequence != sequence || !l.takes(i) {
				t.Fatalf("sent sequence %d with %d bytes after %d, limits %+v", i.request.Sequence, i.request.SizeVT(), sequence-1, l)
			}
			if l.requestBytes > 0 && i.request.SizeVT() > l.requestBytes {
				t.Fatalf("%d bytes, want at most %d", i.request.SizeVT(), l.requestBytes)
			}
			for k, e := range i.request.Entries {
				if k == 0 {
					if known, again := firstOf[sequence]; again && known != place[e] {
						t.Fatalf("sequence %d begins with entry %d, and began with %d", sequence, place[e], known)
					}
					firstOf[sequence] = place[e]
				} else if place[e] <= place[i.request.Entries[k-1]] {
					t.Fatal("entries out of order")
				}
			}
		case 5:
			if sequence > w.committed {
				c, _ := w.commit(w.committed + 1 + random.Uint64N(sequence-w.committed))
				settled += c.Entries
			}
		case 6:
			if random.IntN(20) == 0 {
				l = limits{requestBytes: random.IntN(3) * (60 + random.IntN(300)), requestEntries: random.IntN(8), entryBytes: random.IntN(2) * 50}
				w.resume(w.epoch)
				sequence = w.committed
				if w.exceeds(l) != nil {
					w.restart()
					sequence = 0
					clear(firstOf)
				}
			}
		}
		waiting, bytes := 0, 0
		for _, i := range w.pending {
			waiting += len(i.request.Entries)
			bytes += i.bytes
		}
		if waiting+settled != added || w.bytes != bytes {
			t.Fatalf("%d entries wait and %d are settled, of %d; %d bytes, counted %d", waiting, settled, added, w.bytes, bytes)
		}
	}
	if len(left) == 0 || settled == len(left) {
		t.Fatalf("%d of %d entries were left out: the test tries nothing", len(left), settled)
	}
}
