package client

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// sealed returns a request with that many entries of 5 bytes on the wire.
func sealed(entries int) *request {
	r := &request{entries: entries, largest: 3, ready: true}
	for range entries {
		r.body = append(r.body, "\x12\x03\x22\x01x"...)
	}
	r.size = len(r.body)
	return r
}

// sendNext sends the next piece of a window, numbering a request by the limits if need be. It returns its sequence, 0 if there is none.
func sendNext(w *window, l limits) (sequence uint64, left []leftOut) {
	for w.sent == len(w.pieces) && len(w.waiting) > 0 {
		pieces, more, err := w.waiting[0].cut(l, func() ([]byte, error) { return w.waiting[0].body, nil })
		if err != nil {
			panic(err)
		}
		w.number(pieces, more)
		left = append(left, more...)
	}
	if w.sent == len(w.pieces) {
		return 0, left
	}
	w.pieces[w.sent].exposed = true
	w.sent++
	return w.kept + uint64(w.sent), left
}

func TestWindowNumbersAndDropsInOrder(t *testing.T) {
	var w window
	next := func() uint64 { sequence, _ := sendNext(&w, limits{}); return sequence }
	for i := range 5 {
		w.add(sealed(i + 1))
	}
	for want := uint64(1); want <= 3; want++ {
		if got := next(); got != want {
			t.Fatalf("next is %d, want %d", got, want)
		}
	}
	w.refuse(&logbatcherv1.Refusal{Sequence: 2, Index: 1, Route: "a"})
	w.refuse(&logbatcherv1.Refusal{Sequence: 2, Index: 1, Route: "b"})
	if p, fresh := w.refuse(&logbatcherv1.Refusal{Sequence: 2, Index: 1, Route: "b"}); p == nil || fresh {
		t.Error("a refusal that was noted counts again")
	}
	for _, r := range []*logbatcherv1.Refusal{{Sequence: 0}, {Sequence: 4}, {Sequence: 2, Index: 2}, {Sequence: 1 << 63}} {
		if p, _ := w.refuse(r); p != nil {
			t.Errorf("%v names an entry that was not sent", r)
		}
	}
	dropped := w.drop(2)
	if len(dropped) != 2 || dropped[1].refusedEntries() != 1 || w.entries != 3+4+5 || w.bytes != 5*w.entries || w.sent != 1 || w.kept != 2 {
		t.Errorf("drop(2): %d pieces, %d refused, %+v", len(dropped), dropped[1].refusedEntries(), w)
	}
	if dropped := w.drop(1); len(dropped) != 0 || w.kept != 2 {
		t.Errorf("an older watermark dropped %d and moved it to %d", len(dropped), w.kept)
	}
	w.resume(7)
	if got := next(); got != 3 || w.epoch != 7 {
		t.Errorf("after resuming, next is %d in epoch %d, want the first that is kept, 3, in 7", got, w.epoch)
	}
	if w.drop(100); len(w.pieces) != 0 || len(w.waiting) != 2 {
		t.Errorf("%d requests wait, want the 2 that were never sent", len(w.waiting))
	}
	w.resume(7)
	next()
	w.resume(7)
	if w.skip(4); w.sent != 1 || next() != 5 {
		t.Errorf("what the server has is sent again: %+v", w)
	}
}

func TestBackoff(t *testing.T) {
	const most = 1<<63 - 1
	for _, b := range []pauses{{min: 1, max: 1}, {min: 100, max: 800}, {min: most - 1, max: most}, {min: 1, max: most}} {
		for range 2 {
			for range 100 {
				if got := b.next(0); got < b.min/2 || got > b.max {
					t.Fatalf("%+v waits %d", b, got)
				}
			}
			if b.current < b.max/2 {
				t.Errorf("after a hundred waits %+v has not grown", b)
			}
			b.reset()
		}
		if got := b.next(b.max); got != b.max {
			t.Errorf("%+v waits %d, and the server asked for %d", b, got, b.max)
		}
	}
}

func TestRetryable(t *testing.T) {
	for code, want := range map[codes.Code]bool{
		codes.Unavailable: true, codes.Internal: true, codes.DeadlineExceeded: true,
		codes.Aborted: false, codes.OutOfRange: false, codes.InvalidArgument: false,
		codes.FailedPrecondition: false, codes.ResourceExhausted: false, codes.Unauthenticated: false,
	} {
		if got := retryable(status.Error(code, "x")); got != want {
			t.Errorf("%v: retryable %v, want %v", code, got, want)
		}
	}
}
