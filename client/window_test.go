package client

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

func request(entries int) *logbatcherv1.IngestStreamRequest {
	r := &logbatcherv1.IngestStreamRequest{}
	for range entries {
		r.Entries = append(r.Entries, &logbatcherv1.Entry{Body: "x"})
	}
	return r
}

func TestWindowNumbersAndDropsInOrder(t *testing.T) {
	var w window
	for i := range 5 {
		w.add(request(i+1), 10)
	}
	for want := uint64(1); want <= 3; want++ {
		if got := w.next().GetSequence(); got != want {
			t.Fatalf("next is %d, want %d", got, want)
		}
	}
	entries, bytes := w.commit(2)
	if entries != 1+2 || bytes != 20 || len(w.pending) != 3 || w.sent != 1 {
		t.Errorf("commit(2): %d entries, %d bytes, %d pending, %d sent", entries, bytes, len(w.pending), w.sent)
	}
	if entries, _ := w.commit(1); entries != 0 || w.committed != 2 {
		t.Errorf("an older watermark dropped %d entries and moved it to %d", entries, w.committed)
	}
	w.resume(7)
	if got := w.next().GetSequence(); got != 3 || w.epoch != 7 {
		t.Errorf("after resuming, next is %d in epoch %d, want the first uncommitted, 3, in 7", got, w.epoch)
	}
	w.commit(100) // a server that knows more than we have sent on this stream
	if !w.empty() || w.bytes != 0 || w.next() != nil {
		t.Errorf("%d requests, %d bytes are left", len(w.pending), w.bytes)
	}
}

func TestWindowBounds(t *testing.T) {
	var w window
	if !w.fits(1000, 2, 100) {
		t.Error("an empty window takes no request larger than its bound: it would never be sent")
	}
	w.add(request(1), 60)
	if w.fits(50, 2, 100) {
		t.Error("110 bytes fit in 100")
	}
	w.add(request(1), 10)
	if w.fits(1, 2, 100) {
		t.Error("three requests fit in two")
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
