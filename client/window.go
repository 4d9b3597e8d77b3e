package client

import logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"

// window holds the requests that are not committed, in order of their sequences. It owns no goroutine and no lock.
type window struct {
	epoch     uint64
	committed uint64 // watermark
	last      uint64 // the last sequence given out
	pending   []sized
	sent      int // how many of pending are sent on the stream at hand
	bytes     int
}

type sized struct {
	request *logbatcherv1.IngestStreamRequest
	bytes   int
}

func (w *window) empty() bool { return len(w.pending) == 0 }

// fits says whether a request of that many bytes may be added. One always fits an empty window.
func (w *window) fits(bytes, maxRequests, maxBytes int) bool {
	return w.empty() || (len(w.pending) < maxRequests && w.bytes+bytes <= maxBytes)
}

func (w *window) add(request *logbatcherv1.IngestStreamRequest, bytes int) {
	w.last++
	request.Sequence = w.last
	w.pending = append(w.pending, sized{request: request, bytes: bytes})
	w.bytes += bytes
}

// next returns the first request that is not sent, and counts it as sent; nil when there is none.
func (w *window) next() *logbatcherv1.IngestStreamRequest {
	if w.sent == len(w.pending) {
		return nil
	}
	w.sent++
	return w.pending[w.sent-1].request
}

// unsend takes the last next back.
func (w *window) unsend() { w.sent-- }

// resume begins a stream: nothing is sent on it yet.
func (w *window) resume(epoch uint64) {
	w.epoch = epoch
	w.sent = 0
}

// commit drops what the watermark covers and returns how much that was.
func (w *window) commit(sequence uint64) (entries, bytes int) {
	n := 0
	for n < len(w.pending) && w.pending[n].request.GetSequence() <= sequence {
		entries += len(w.pending[n].request.GetEntries())
		bytes += w.pending[n].bytes
		n++
	}
	clear(w.pending[:n])
	w.pending = w.pending[n:]
	w.sent = max(0, w.sent-n)
	w.bytes -= bytes
	w.committed = max(w.committed, sequence)
	return entries, bytes
}
