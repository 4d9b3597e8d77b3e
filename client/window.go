package client

import (
	"slices"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// requestOverhead is counted for a request in memory, beside its bytes.
const requestOverhead = 256

// request is a sealed batch of entries. Its pieces get sequences when a stream sends them, so that it can be cut by the limits of the
// server that receives it; it rarely has more than one.
type request struct {
	stream  *stream
	number  uint64 // among the requests of its stream, from 1
	body    []byte // the entries, encoded. Nil: they are in the spill only
	size    int    // of the body
	entries int
	largest int            // bytes of the largest entry
	tokens  []any          // nil, or one for each entry
	mark    func() []byte  // nil: none
	saved   SpilledRequest // nil: not in the spill
	ready   bool           // may be sent

	from, first int              // the byte and the entry that the next piece begins with
	cuts        []*piece         // its pieces in this epoch, those that were dropped included
	left        map[int]struct{} // entries that were left out of pieces
	memory      int              // bytes that count for Config.MaxBytes
	exposed     bool             // restored from the spill: may have been sent by an earlier process
}

// piece is a part of a request that has a sequence.
type piece struct {
	of       *request
	from, to int // bytes of its body
	first    int // place of its first entry in the request
	entries  int
	last     bool // the request has no piece after it
	exposed  bool // may have been on the wire
	refused  map[refusal]struct{}
}

// refusal identifies a refusal within its piece.
type refusal struct {
	index        uint32
	route, field string
}

func (p *piece) bytes() int { return p.to - p.from }

// refusedEntries returns how many of the entries were refused.
func (p *piece) refusedEntries() int {
	entries := make(map[uint32]struct{}, len(p.refused))
	for r := range p.refused {
		entries[r.index] = struct{}{}
	}
	return len(entries)
}

// window holds the requests of a stream that have not reached the level, in order. It owns no goroutine and no lock.
type window struct {
	epoch                       uint64
	received, logged, committed uint64 // watermarks
	kept                        uint64 // the sequence before that of the first piece
	pieces                      []*piece
	sent                        int               // how many of the pieces were sent on the current stream
	waiting                     []*request        // without sequences
	untold                      map[uint64]*piece // have reached the level, are not committed, and have tokens: refusals may come
	bytes, entries              int               // of all that have not reached the level
}

func (w *window) empty() bool { return len(w.pieces) == 0 && len(w.waiting) == 0 }

// last returns the last sequence assigned.
func (w *window) last() uint64 { return w.kept + uint64(len(w.pieces)) }

func (w *window) add(r *request) {
	w.waiting = append(w.waiting, r)
	w.bytes += r.size
	w.entries += r.entries
}

// leftOut is an entry that can't be sent, and why.
type leftOut struct {
	place int // in its request
	bytes []byte
	why   string
}

// whole returns the rest of a request as one piece.
func (r *request) whole() *piece {
	return &piece{of: r, from: r.from, to: r.size, first: r.first, entries: r.entries - r.first, last: true}
}

// cut divides a request into pieces that may be sent, without the entries that fit none. The body is read only if it must be cut.
func (r *request) cut(l limits, body func() ([]byte, error)) (pieces []*piece, left []leftOut, err error) {
	if len(r.left) == 0 && l.fits(r.size-r.from, r.entries-r.first) && l.refuses(r.largest) == "" {
		return []*piece{r.whole()}, nil, nil
	}
	entries, err := body()
	if err != nil {
		return nil, nil, err
	}
	var current *piece
	place := r.first
	for at := r.from; at < len(entries); place++ {
		e, err := nextEntry(entries, at)
		if err != nil {
			return nil, nil, err
		}
		size := e.end - at
		_, known := r.left[place]
		why := l.refuses(len(e.bytes))
		switch {
		case known || why != "":
			if !known {
				left = append(left, leftOut{place, e.bytes, why})
			}
			current = nil
		case current == nil || !l.fits(current.bytes()+size, current.entries+1):
			current = &piece{of: r, from: at, to: e.end, first: place, entries: 1}
			pieces = append(pieces, current)
		default:
			current.to = e.end
			current.entries++
		}
		at = e.end
	}
	if current = nil; len(pieces) > 0 {
		pieces[len(pieces)-1].last = true
	}
	return pieces, left, nil
}

// number gives sequences to the pieces of the first waiting request, and takes out what was left out. It reports whether nothing is
// left of the request.
func (w *window) number(pieces []*piece, left []leftOut) (gone bool) {
	r := w.waiting[0]
	w.waiting[0] = nil
	w.waiting = w.waiting[1:]
	w.pieces = append(w.pieces, pieces...)
	for _, l := range left {
		if r.left == nil {
			r.left = map[int]struct{}{}
		}
		r.left[l.place] = struct{}{}
		w.bytes -= entrySize(len(l.bytes))
		w.entries--
	}
	if len(pieces) > 0 {
		return false
	}
	if n := len(w.pieces); n > 0 && w.pieces[n-1].of == r { // the rest of a request that was cut again
		w.pieces[n-1].last = true
		return false
	}
	return true
}

// takeBack takes the sequences of the pieces from the nth on back, so that their requests are cut again.
func (w *window) takeBack(n int) {
	if n == len(w.pieces) {
		return
	}
	var requests []*request
	for _, p := range w.pieces[n:] {
		if r := p.of; len(requests) == 0 || requests[len(requests)-1] != r {
			r.from, r.first = p.from, p.first
			requests = append(requests, r)
		}
	}
	clear(w.pieces[n:])
	w.pieces = w.pieces[:n]
	if last := requests[len(requests)-1]; len(w.waiting) > 0 && w.waiting[0] == last {
		requests = requests[:len(requests)-1] // the rest of it waits already
	}
	w.waiting = slices.Insert(w.waiting, 0, requests...)
	w.sent = min(w.sent, n)
}

// resume begins a stream: nothing has been sent on it, and what was never sent has no sequence any more.
func (w *window) resume(epoch uint64) {
	w.epoch, w.sent = epoch, 0
	n := slices.IndexFunc(w.pieces, func(p *piece) bool { return !p.exposed })
	if n >= 0 {
		w.takeBack(n)
	}
}

// skip counts the pieces up to a sequence as sent: the server has them.
func (w *window) skip(sequence uint64) {
	if sequence > w.kept {
		w.sent = int(min(sequence-w.kept, uint64(len(w.pieces))))
	}
}

// exceeds returns the first piece that is to be sent and that the server would not accept, or nil.
func (w *window) exceeds(l limits) *piece {
	for _, p := range w.pieces[w.sent:] {
		if !l.fits(p.bytes(), p.entries) {
			return p
		}
	}
	return nil
}

// restart takes all sequences back, for a new epoch.
func (w *window) restart() {
	w.takeBack(0)
	for _, r := range w.waiting {
		r.cuts = nil
	}
	clear(w.untold)
	w.epoch, w.kept, w.received, w.logged, w.committed = 0, 0, 0, 0, 0
}

// find returns the piece with a sequence, nil if it is not known any more.
func (w *window) find(sequence uint64) *piece {
	if at := sequence - w.kept - 1; sequence > w.kept && at < uint64(len(w.pieces)) {
		return w.pieces[at]
	}
	return w.untold[sequence]
}

// refuse records a refusal and returns its piece, nil if that is not known any more. fresh is false if the refusal was recorded before.
func (w *window) refuse(r *logbatcherv1.Refusal) (p *piece, fresh bool) {
	p = w.find(r.GetSequence())
	if p == nil || int(r.GetIndex()) >= p.entries {
		return nil, true
	}
	key := refusal{r.GetIndex(), r.GetRoute(), r.GetField()}
	if _, known := p.refused[key]; known {
		return p, false
	}
	if p.refused == nil {
		p.refused = map[refusal]struct{}{}
	}
	p.refused[key] = struct{}{}
	return p, true
}

// drop takes out the pieces up to a sequence, which have reached the level. It returns them.
func (w *window) drop(sequence uint64) []*piece {
	if sequence <= w.kept {
		return nil
	}
	n := min(int(min(sequence-w.kept, 1<<31)), len(w.pieces))
	dropped := slices.Clone(w.pieces[:n])
	for _, p := range dropped {
		w.bytes -= p.bytes()
		w.entries -= p.entries
	}
	clear(w.pieces[:n])
	w.pieces = w.pieces[n:]
	w.sent = max(0, w.sent-n)
	w.kept += uint64(n)
	return dropped
}

// unsent returns how many entries were never on the wire.
func (w *window) unsent() (entries int) {
	for _, p := range w.pieces {
		if !p.exposed {
			entries += p.entries
		}
	}
	for _, r := range w.waiting {
		if !r.exposed {
			entries += r.entries - r.first - r.leftBehind()
		}
	}
	return entries
}

// leftBehind returns how many of the entries behind the next piece's first were left out.
func (r *request) leftBehind() (entries int) {
	for place := range r.left {
		if place >= r.first {
			entries++
		}
	}
	return entries
}
