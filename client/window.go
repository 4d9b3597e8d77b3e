package client

import (
	"slices"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// window holds the requests that are not committed, in order. It owns no goroutine and no lock. A request gets its sequence when
// it is first sent, so that it can be cut by the limits of the server that receives it.
type window struct {
	epoch     uint64
	committed uint64 // watermark
	last      uint64 // the last sequence assigned
	pending   []*item
	numbered  int // how many of pending, from the first, have a sequence
	sent      int // how many of these were sent on the current stream
	bytes     int
}

// item is a request in the window.
type item struct {
	request *logbatcherv1.IngestStreamRequest
	bytes   int  // of its entries on the wire
	largest int  // bytes of its largest entry
	exposed bool // may have been on the wire, with whatever sequence
	refused map[refusal]struct{}
}

// refusal identifies a refusal within its request.
type refusal struct {
	index        uint32
	route, field string
}

func newItem() *item { return &item{request: &logbatcherv1.IngestStreamRequest{}} }

func (i *item) add(e *logbatcherv1.Entry, bytes int) {
	i.request.Entries = append(i.request.Entries, e)
	i.bytes += entrySize(bytes)
	i.largest = max(i.largest, bytes)
}

// refusedEntries returns how many of the entries were refused.
func (i *item) refusedEntries() int {
	entries := make(map[uint32]struct{}, len(i.refused))
	for r := range i.refused {
		entries[r.index] = struct{}{}
	}
	return len(entries)
}

func (w *window) empty() bool { return len(w.pending) == 0 }

// fits reports whether a request of that many bytes may be added. One always fits an empty window.
func (w *window) fits(bytes, maxRequests, maxBytes int) bool {
	return w.empty() || (len(w.pending) < maxRequests && w.bytes+bytes <= maxBytes)
}

func (w *window) add(i *item) {
	w.pending = append(w.pending, i)
	w.bytes += i.bytes
}

// next returns the first request that is not sent on this stream, or nil, and counts it as sent. A request without a sequence is
// cut by the limits and gets one; next also returns the entries that fit no request.
func (w *window) next(l limits) (next *item, left []unsendable) {
	for w.sent == w.numbered && w.numbered < len(w.pending) {
		first := w.pending[w.numbered]
		pieces, none := l.cut(first)
		left = append(left, none...)
		w.pending = slices.Replace(w.pending, w.numbered, w.numbered+1, pieces...)
		w.bytes -= first.bytes
		for _, piece := range pieces {
			w.bytes += piece.bytes
		}
		if len(pieces) > 0 {
			w.numbered++
			w.last++
			pieces[0].request.Sequence = w.last
		}
	}
	if w.sent == w.numbered {
		return nil, left
	}
	w.sent++
	return w.pending[w.sent-1], left
}

// withdraw takes back a new request and its sequence, neither of which the server has seen. It reports false if the request is
// not the last one any more.
func (w *window) withdraw(i *item) bool {
	if w.sent == 0 || w.pending[w.sent-1] != i {
		return false
	}
	w.sent--
	w.numbered--
	i.request.Sequence = 0
	w.last--
	return true
}

// unsent returns how many entries were never on the wire.
func (w *window) unsent() (entries int) {
	for _, i := range w.pending {
		if !i.exposed {
			entries += len(i.request.GetEntries())
		}
	}
	return entries
}

// drop forgets the first request that has no sequence.
func (w *window) drop() {
	w.bytes -= w.pending[w.numbered].bytes
	w.pending = slices.Delete(w.pending, w.numbered, w.numbered+1)
}

// resume begins a stream: nothing has been sent on it.
func (w *window) resume(epoch uint64) {
	w.epoch = epoch
	w.sent = 0
}

// exceeds returns the first request that has a sequence and that the server does not accept, or nil.
func (w *window) exceeds(l limits) *item {
	for _, i := range w.pending[:w.numbered] {
		if !l.takes(i) {
			return i
		}
	}
	return nil
}

// restart takes all sequences back, for a new epoch.
func (w *window) restart() {
	for _, i := range w.pending[:w.numbered] {
		i.request.Sequence, i.refused = 0, nil
	}
	w.epoch, w.committed, w.last, w.numbered, w.sent = 0, 0, 0, 0, 0
}

// refuse records a refusal and returns its entry, nil if that is no longer known. fresh is false if the refusal was recorded
// before.
func (w *window) refuse(r *logbatcherv1.Refusal) (entry *logbatcherv1.Entry, fresh bool) {
	first := w.last - uint64(w.numbered) + 1 // sequence of pending[0]
	at := r.GetSequence() - first
	if r.GetSequence() < first || at >= uint64(w.numbered) {
		return nil, true
	}
	i := w.pending[at]
	if int(r.GetIndex()) >= len(i.request.GetEntries()) {
		return nil, true
	}
	key := refusal{r.GetIndex(), r.GetRoute(), r.GetField()}
	if _, known := i.refused[key]; known {
		return nil, false
	}
	if i.refused == nil {
		i.refused = map[refusal]struct{}{}
	}
	i.refused[key] = struct{}{}
	return i.request.Entries[r.GetIndex()], true
}

// commit drops the requests that the watermark covers and returns how much that was.
func (w *window) commit(sequence uint64) (c Committed, requests int) {
	for requests < w.numbered && w.pending[requests].request.GetSequence() <= sequence {
		i := w.pending[requests]
		c.Entries += len(i.request.GetEntries())
		c.Refused += i.refusedEntries()
		c.Bytes += i.bytes
		requests++
	}
	clear(w.pending[:requests])
	w.pending = w.pending[requests:]
	w.numbered -= requests
	w.sent = max(0, w.sent-requests)
	w.bytes -= c.Bytes
	w.committed = max(w.committed, sequence)
	c.Sequence = w.committed
	return c, requests
}
