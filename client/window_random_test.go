package client

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// TestWindowAtRandom adds, sends under changing limits, drops, resumes and restarts at random. Entries must be sent in order, within the
// limits, a sequence always with the same entries, and each entry must be settled once: dropped, or left out because it is too large.
func TestWindowAtRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	w := window{untold: map[uint64]*piece{}}
	left := map[int]bool{}
	settled, added := 0, 0
	number := func(entry []byte) int {
		e := entryAt(entry, 0)
		n, err := strconv.Atoi(e.GetBody())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	sent := map[uint64]string{} // by the sequence in the epoch
	l := limits{}
	for range 100_000 {
		switch random.IntN(8) {
		case 0, 1:
			r := &request{ready: true}
			for range 1 + random.IntN(9) {
				e := &logbatcherv1.Entry{Body: fmt.Sprintf("%0*d", 1+random.IntN(60), added)}
				encoded, _ := e.MarshalVT()
				r.body = protowire.AppendBytes(protowire.AppendTag(r.body, entriesField, protowire.BytesType), encoded)
				r.entries++
				r.largest = max(r.largest, len(encoded))
				added++
			}
			r.size = len(r.body)
			if w.entries < 500 {
				w.add(r)
			} else {
				added -= r.entries
			}
		case 2, 3, 4:
			sequence, none := sendNext(&w, l)
			for _, n := range none {
				e := &logbatcherv1.Entry{}
				if err := e.UnmarshalVT(n.bytes); err != nil {
					t.Fatal(err)
				}
				place, _ := strconv.Atoi(e.GetBody())
				if l.refuses(len(n.bytes)) == "" || left[place] {
					t.Fatalf("left out %v: %q", e, n.why)
				}
				left[place] = true
				settled++
			}
			if sequence == 0 {
				if w.sent != len(w.pieces) || len(w.waiting) > 0 {
					t.Fatalf("nothing to send, though %d of %d are sent", w.sent, len(w.pieces))
				}
				continue
			}
			p := w.pieces[w.sent-1]
			body := string(p.of.body[p.from:p.to])
			if before, again := sent[sequence]; again && before != body {
				t.Fatalf("sequence %d was sent with other entries", sequence)
			}
			sent[sequence] = body
			if !l.fits(len(body), p.entries) || strings.Count(body, "") == 0 {
				t.Fatalf("sent %d entries with %d bytes, limits %+v", p.entries, len(body), l)
			}
			last, at := -1, 0
			for range p.entries {
				e, err := nextEntry([]byte(body), at)
				if err != nil {
					t.Fatal(err)
				}
				if n := number([]byte(body[at:e.end])); n <= last {
					t.Fatal("entries out of order")
				} else {
					last = n
				}
				at = e.end
			}
			if at != len(body) {
				t.Fatalf("a piece of %d entries has more of them", p.entries)
			}
		case 5:
			if exposed := w.kept + uint64(w.sent); exposed > w.kept {
				for _, p := range w.drop(w.kept + 1 + random.Uint64N(uint64(w.sent))) {
					settled += p.entries
				}
			}
		case 6:
			if random.IntN(20) == 0 {
				l = limits{requestBytes: random.IntN(3) * (60 + random.IntN(300)), requestEntries: random.IntN(8), entryBytes: random.IntN(2) * 50}
				w.resume(w.epoch)
				if w.exceeds(l) != nil {
					w.restart()
					clear(sent)
				}
			}
		}
		waiting, bytes := 0, 0
		for _, p := range w.pieces {
			waiting += p.entries
			bytes += p.bytes()
		}
		for _, r := range w.waiting {
			waiting += r.entries - r.first - r.leftBehind()
		}
		if waiting+settled != added || w.entries != waiting || len(w.waiting) == 0 && w.bytes != bytes {
			t.Fatalf("%d entries wait, counted %d, and %d are settled, of %d; %d bytes, counted %d", waiting, w.entries, settled, added, bytes, w.bytes)
		}
	}
	if len(left) == 0 || settled == len(left) {
		t.Fatalf("%d of %d entries were left out: the test tries nothing", len(left), settled)
	}
}
