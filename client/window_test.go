package client

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// request returns an item with that many entries of 5 bytes.
func request(entries int) *item {
	i := newItem()
	for range entries {
		e := &logbatcherv1.Entry{Body: "x"}
		i.add(e, e.SizeVT())
	}
	return i
}

func TestWindowNumbersAndDropsInOrder(t *testing.T) {
	var w window
	next := func() uint64 {
		i, _ := w.next(limits{})
		if i == nil {
			return 0
		}
		return i.request.Sequence
	}
	for i := range 5 {
		w.add(request(i + 1))
	}
	for want := uint64(1); want <= 3; want++ {
		if got := next(); got != want {
			t.Fatalf("next is %d, want %d", got, want)
		}
	}
	w.refuse(&logbatcherv1.Refusal{Sequence: 2, Index: 1, Route: "a"})
	w.refuse(&logbatcherv1.Refusal{Sequence: 2, Index: 1, Route: "b"})
	if e, fresh := w.refuse(&logbatcherv1.Refusal{Sequence: 2, Index: 1, Route: "b"}); e != nil || fresh {
		t.Error("a refusal that was noted counts again")
	}
	for _, r := range []*logbatcherv1.Refusal{{Sequence: 0}, {Sequence: 4}, {Sequence: 2, Index: 2}, {Sequence: 1 << 63}} {
		if e, _ := w.refuse(r); e != nil {
			t.Errorf("%v names an entry that was not sent", r)
		}
	}
	c, requests := w.commit(2)
	if c != (Committed{Sequence: 2, Entries: 1 + 2, Refused: 1, Bytes: 15}) || requests != 2 || len(w.pending) != 3 || w.sent != 1 {
		t.Errorf("commit(2): %+v of %d requests, %d pending, %d sent", c, requests, len(w.pending), w.sent)
	}
	if _, requests := w.commit(1); requests != 0 || w.committed != 2 {
		t.Errorf("an older watermark dropped %d requests and moved it to %d", requests, w.committed)
	}
	w.resume(7)
	if got := next(); got != 3 || w.epoch != 7 {
		t.Errorf("after resuming, next is %d in epoch %d, want the first uncommitted, 3, in 7", got, w.epoch)
	}
	if w.commit(100); len(w.pending) != 2 {
		t.Errorf("%d requests are left, want the 2 that were never sent", len(w.pending))
	}
}

func TestWindowBounds(t *testing.T) {
	var w window
	if !w.fits(1000, 2, 100) {
		t.Error("an empty window takes no request larger than its bound: it would never be sent")
	}
	w.add(request(12)) // 60 bytes
	if w.fits(50, 2, 100) {
		t.Error("110 bytes fit in 100")
	}
	w.add(request(2))
	if w.fits(1, 2, 100) {
		t.Error("three requests fit in two")
	}
}

func TestBackoff(t *testing.T) {
	const most = 1<<63 - 1
	for _, b := range []backoff{{min: 1, max: 1}, {min: 100, max: 800}, {min: most - 1, max: most}, {min: 1, max: most}} {
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
