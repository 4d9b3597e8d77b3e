package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Spill keeps requests on disk until they have reached the level. It is safe for concurrent use.
type Spill interface {
	// State returns what Save was given last, nil if nothing was.
	State() []byte
	// Requests returns the requests that were put and not removed, and how many more there are that can't be read.
	Requests() (requests []SpilledRequest, damaged int, err error)
	// Put keeps a request, under a number above all before. It returns once that is durable. The error is ErrSpillFull if there is no
	// room for it, which it does not wait for.
	Put(ctx context.Context, number uint64, head, body []byte) (SpilledRequest, error)
	// Save replaces the state. It returns once that is durable.
	Save(state []byte) error
	// Close ends the use, and whatever waits for the disk.
	Close() error
}

// SpilledRequest is a request in a Spill.
type SpilledRequest interface {
	// ReaderAt reads the body that Put was given.
	io.ReaderAt
	// Head is what Put was given.
	Head() []byte
	// Notes are what Note was given, in order.
	Notes() [][]byte
	// Note adds a note. It returns once that is durable.
	Note(ctx context.Context, note []byte) error
	// Remove removes the request.
	Remove() error
}

const (
	// spillPause is the wait before a failed Put is tried again.
	spillPause = 200 * time.Millisecond
	// cleanPause is the time between two removals of requests that have reached the level.
	cleanPause = time.Second
)

// The heads, notes and state of a spill are JSON.
type (
	// spillHead is about one request.
	spillHead struct {
		Put     uint64 // among all requests
		Stream  string
		Number  uint64 // among the requests of the stream
		Size    int
		Entries int
		Largest int
		Mark    []byte `json:",omitempty"`
	}
	// spillCut has the pieces of a request that was cut, in an epoch.
	spillCut struct {
		Epoch  uint64
		Pieces []spillPiece
	}
	spillPiece struct{ From, To, First, Entries int }
	// spillState is where the streams are.
	spillState struct {
		Producer string
		Put      uint64 // the number of the last request of all streams that was given to Put
		Mark     []byte `json:",omitempty"`
		Streams  []spillStream
	}
	// spillStream says which sequence the oldest kept piece of a stream has.
	spillStream struct {
		ID                                 string
		Epoch, Received, Logged, Committed uint64
		Kept                               uint64 // the sequence before it
		Number                             uint64 // its request
		From, First                        int    // the byte and the entry in it that the piece begins with
	}
)

// decodeHead reads and checks a head.
func decodeHead(data []byte) (h spillHead, err error) {
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("spill: the head of a request: %w", err)
	}
	if h.Put == 0 || h.Stream == "" || h.Number == 0 || h.Size <= 0 || h.Entries <= 0 || h.Largest < 0 || h.Largest > h.Size || h.Entries > h.Size {
		return h, fmt.Errorf("spill: the head of a request says %+v", h)
	}
	return h, nil
}

// decodeCut reads the pieces of a request that was cut.
func decodeCut(data []byte, r *request) (epoch uint64, pieces []*piece, err error) {
	var c spillCut
	if err := json.Unmarshal(data, &c); err != nil {
		return 0, nil, fmt.Errorf("spill: the note of a request: %w", err)
	}
	at, place := 0, 0
	for _, p := range c.Pieces {
		if p.From < at || p.To <= p.From || p.To > r.size || p.First < place || p.Entries <= 0 || p.Entries > r.entries-p.First {
			return 0, nil, fmt.Errorf("spill: the note of a request says %+v", c)
		}
		at, place = p.To, p.First+p.Entries
		pieces = append(pieces, &piece{of: r, from: p.From, to: p.To, first: p.First, entries: p.Entries, exposed: true})
	}
	if len(pieces) > 0 {
		pieces[len(pieces)-1].last = true
	}
	return c.Epoch, pieces, nil
}

// cutNote returns the note of a request that was cut.
func cutNote(epoch uint64, pieces []*piece) []byte {
	c := spillCut{Epoch: epoch}
	for _, p := range pieces {
		c.Pieces = append(c.Pieces, spillPiece{p.from, p.to, p.first, p.entries})
	}
	return encodeJSON(c)
}

// encodeJSON encodes a value that has no part that JSON can't encode.
func encodeJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// decodeState reads and checks a state.
func decodeState(data []byte) (s spillState, err error) {
	if data == nil {
		return s, nil
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("spill: state: %w", err)
	}
	for i, one := range s.Streams {
		again := slices.ContainsFunc(s.Streams[:i], func(other spillStream) bool { return other.ID == one.ID })
		if one.ID == "" || again || one.Number == 0 || one.From < 0 || one.First < 0 || one.Committed > one.Kept+1<<32 {
			return s, fmt.Errorf("spill: state says %+v", one)
		}
	}
	return s, nil
}

// state returns where a stream is.
func (s *stream) state() spillStream {
	w := &s.window
	one := spillStream{
		ID: s.id, Epoch: w.epoch, Received: w.received, Logged: w.logged, Committed: w.committed, Kept: w.kept, Number: s.next,
	}
	if len(w.pieces) > 0 {
		p := w.pieces[0]
		one.Number, one.From, one.First = p.of.number, p.from, p.first
	} else if len(w.waiting) > 0 {
		r := w.waiting[0]
		one.Number, one.From, one.First = r.number, r.from, r.first
	}
	return one
}

// SpilledProducer returns the id of the producer that a spill belongs to, "" if it is new.
func SpilledProducer(s Spill) (string, error) {
	state, err := decodeState(s.State())
	return state.Producer, err
}

// restore fills the streams with what an earlier process left in the spill.
func (p *Producer) restore() error {
	state, err := decodeState(p.spill.State())
	if err != nil {
		return err
	}
	if own := p.config.Open.GetProducer(); state.Producer != "" && state.Producer != own {
		return fmt.Errorf("the spill belongs to producer %q, not to %q", state.Producer, own)
	}
	p.mark, p.put = state.Mark, state.Put
	for _, one := range state.Streams {
		s := p.streamOf(one.ID)
		s.next = one.Number
		s.window.epoch, s.window.kept = one.Epoch, one.Kept
		s.window.received, s.window.logged, s.window.committed = one.Received, one.Logged, one.Committed
	}
	requests, damaged, err := p.spill.Requests()
	if err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	heads := make(map[SpilledRequest]spillHead, len(requests))
	for _, saved := range requests {
		if heads[saved], err = decodeHead(saved.Head()); err != nil {
			return err
		}
	}
	slices.SortFunc(requests, func(a, b SpilledRequest) int { return cmp.Compare(heads[a].Put, heads[b].Put) })
	for _, saved := range requests {
		head := heads[saved]
		if head.Put > p.put {
			p.put = head.Put
			if head.Mark != nil {
				p.mark = head.Mark
			}
		}
		s := p.streamOf(head.Stream)
		if head.Number < s.next { // it has reached the level, its removal was lost
			if err := saved.Remove(); err != nil {
				return fmt.Errorf("spill: %w", err)
			}
			continue
		}
		r := &request{
			stream: s, number: head.Number, size: head.Size, entries: head.Entries, largest: head.Largest, saved: saved, ready: true, exposed: true,
		}
		for _, one := range state.Streams {
			if one.ID == s.id && one.Number == r.number && one.From < r.size && one.First < r.entries {
				r.from, r.first = one.From, one.First
			}
		}
		if head.Number > s.next && s.window.epoch != 0 {
			damaged++
		}
		s.next = head.Number + 1
		s.window.waiting = append(s.window.waiting, r)
		s.window.bytes += r.size - r.from
		s.window.entries += r.entries - r.first
		p.given += uint64(r.entries - r.first)
	}
	if damaged > 0 {
		// They had sequences that are not known, so that the others can't be told from what the server has.
		p.doubtful += uint64(len(requests))
		p.config.Log.Error("requests in the spill are damaged or missing: their entries are lost, and what they are kept with may be stored twice", "requests", damaged)
	}
	for _, s := range p.streams {
		if damaged > 0 { // it may have had the last sequences of any stream
			s.window.restart()
		}
		if err := s.window.renumber(); err != nil {
			return err
		}
	}
	return nil
}

// renumber gives restored requests the sequences that they have.
func (w *window) renumber() error {
	if w.epoch == 0 {
		for _, r := range w.waiting {
			r.exposed = false
		}
		return nil
	}
	for _, r := range w.waiting {
		pieces := []*piece{r.whole()}
		pieces[0].exposed = true
		for _, note := range r.saved.Notes() {
			epoch, noted, err := decodeCut(note, r)
			if err != nil {
				return err
			}
			if epoch == w.epoch {
				pieces = slices.DeleteFunc(noted, func(p *piece) bool { return p.from < r.from })
			}
		}
		w.pieces = append(w.pieces, pieces...)
	}
	w.waiting = nil
	return nil
}

// save makes the places of all streams durable.
func (p *Producer) save() error {
	p.saving.Lock()
	defer p.saving.Unlock()
	p.mu.Lock()
	state := spillState{Producer: p.config.Open.GetProducer(), Put: p.put, Mark: p.durableMark}
	for _, s := range p.streams {
		state.Streams = append(state.Streams, s.state())
	}
	p.mu.Unlock()
	if err := p.spill.Save(encodeJSON(state)); err != nil {
		return &SpillError{err}
	}
	return nil
}

// spillAll is the goroutine that puts requests into the spill, and removes those that have reached the level.
func (p *Producer) spillAll(ctx context.Context) {
	clean := time.NewTicker(cleanPause)
	defer clean.Stop()
	for {
		p.mu.Lock()
		var next *request
		if len(p.unsaved) > 0 {
			next = p.unsaved[0]
		}
		done := len(p.finished)
		p.mu.Unlock()
		switch {
		case next == nil && ctx.Err() != nil:
			return
		case next == nil:
			select {
			case <-p.spillWake:
			case <-clean.C:
				if done > 0 {
					p.reportSpill(p.clean())
				}
			case <-ctx.Done():
			}
			continue
		}
		err := p.putOne(ctx, next)
		p.reportSpill(err)
		if err == nil {
			continue
		}
		if done > 0 {
			p.reportSpill(errors.Join(p.clean(), err)) // room for the next attempt
		}
		select {
		case <-time.After(spillPause):
		case <-ctx.Done():
			return
		}
	}
}

// putOne puts a request into the spill, after which it may be sent. Its body leaves the memory when that is more than half full.
func (p *Producer) putOne(ctx context.Context, r *request) error {
	head := spillHead{Put: p.put + 1, Stream: r.stream.id, Number: r.number, Size: r.size, Entries: r.entries, Largest: r.largest}
	if r.mark != nil {
		head.Mark = r.mark()
	}
	saved, err := p.spill.Put(ctx, p.put+1, encodeJSON(head), r.body)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put++
	if head.Mark != nil {
		p.durableMark = head.Mark
	}
	r.saved, r.ready = saved, true
	p.unsaved[0] = nil
	p.unsaved = p.unsaved[1:]
	if p.memory > p.config.MaxBytes/2 {
		p.releaseLocked(r, len(r.body))
		r.body = nil
	}
	r.stream.wakeUp()
	p.notifyLocked()
	return nil
}

// clean removes the requests that have reached the level, once the places of the streams behind them are durable.
func (p *Producer) clean() error {
	p.mu.Lock()
	finished := p.finished
	p.finished = nil
	p.mu.Unlock()
	err := p.save()
	for i, r := range finished {
		if err == nil {
			err = r.saved.Remove()
		}
		if err != nil { // the rest another time
			p.mu.Lock()
			p.finished = append(p.finished, finished[i:]...)
			p.mu.Unlock()
			return err
		}
	}
	return nil
}

// reportSpill keeps why the spill takes nothing, for Send, and tells when that begins and ends.
func (p *Producer) reportSpill(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	p.mu.Lock()
	before := p.spillErr
	p.spillErr = err
	p.notifyLocked()
	p.mu.Unlock()
	switch {
	case before == nil && err != nil:
		tell(p, p.config.OnError, error(&SpillError{err}))
		p.config.Log.Error("the spill takes no requests, entries wait in memory", "error", err)
	case before != nil && err == nil:
		p.config.Log.Info("the spill takes requests again")
	}
}

// load returns bytes of a request's body.
func (r *request) load(from, to int) ([]byte, error) {
	body := make([]byte, to-from)
	if _, err := r.saved.ReadAt(body, int64(from)); err != nil && !(errors.Is(err, io.EOF) && to == r.size) {
		return nil, &SpillError{err}
	}
	return body, nil
}
