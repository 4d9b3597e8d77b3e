package client

import (
	"errors"
	"io"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// receive handles responses until the stream ends, and closes drained when the server asks to drain. It returns nil if the stream
// ended with OK.
func (s *stream) receive(stream ingestStream, drained chan struct{}) error {
	asked := false
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.take(response); err != nil {
			return err
		}
		if response.GetDrain() != nil && !asked {
			asked = true
			close(drained)
		}
	}
}

// take reports what is in a response, the watermarks last.
func (s *stream) take(response *logbatcherv1.IngestStreamResponse) error {
	p := s.p
	for _, r := range response.GetRefusals() {
		p.mu.Lock()
		piece, fresh := s.window.refuse(r)
		p.mu.Unlock()
		if fresh {
			s.tellRefused(piece, r)
		}
	}
	for _, l := range response.GetDeadLettered() {
		key := letter{l.GetDeadLetter(), l.GetRoute(), l.GetFirstSequence(), l.GetLastSequence()}
		p.mu.Lock()
		_, known := s.letters[key]
		if l.GetDeadLetter() != "" && l.GetLastSequence() > s.window.committed {
			s.letters[key] = l.GetLastSequence()
		}
		p.mu.Unlock()
		if !known {
			tell(p, p.config.OnDeadLettered, l)
		}
	}
	if throttle := response.GetThrottle(); throttle != nil {
		p.mu.Lock()
		s.throttled = throttle.GetCause() != logbatcherv1.ThrottleCause_THROTTLE_CAUSE_UNSPECIFIED
		p.mu.Unlock()
		tell(p, p.config.OnThrottle, throttle)
	}
	return s.advance(response.GetReceivedSequence(), response.GetLoggedSequence(), response.GetCommittedSequence())
}

// advance moves the watermarks, and drops the requests that have reached the level.
func (s *stream) advance(received, logged, committed uint64) error {
	p := s.p
	p.mu.Lock()
	w := &s.window
	if most := max(logged, committed); most > w.last() {
		last := w.last()
		p.mu.Unlock()
		return violation("the server's watermark %d is beyond the last one sent, %d: is another process sending as producer %q?", most, last, s.id)
	}
	moved := logged > w.logged || committed > w.committed
	w.committed = max(w.committed, committed)
	w.logged = max(w.logged, logged, w.committed)
	w.received = max(w.received, min(received, w.last()), w.logged)
	level := w.committed
	switch p.level {
	case logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED:
		level = w.received
	case logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_LOGGED:
		level = w.logged
	}
	first := w.kept
	dropped := w.drop(level)
	passed := Progress{Stream: s.id, Logged: w.logged, Committed: w.committed}
	for i, d := range dropped {
		passed.Entries += d.entries
		passed.Bytes += d.bytes()
		passed.Refused += d.refusedEntries()
		s.dropLocked(d, first+uint64(i)+1)
	}
	for sequence, d := range w.untold {
		if sequence <= w.committed {
			delete(w.untold, sequence)
			if d.last {
				p.releaseLocked(d.of, d.of.memory)
			}
		}
	}
	for l, last := range s.letters {
		if last <= w.committed {
			delete(s.letters, l)
		}
	}
	if len(dropped) > 0 {
		p.reached += uint64(passed.Entries)
		p.refused += uint64(passed.Refused)
		s.steps++
		s.since = time.Now()
		if s.finishedLocked() {
			s.sayFarewellLocked()
		}
		p.notifyLocked()
	}
	p.mu.Unlock()
	if moved || len(dropped) > 0 {
		tell(p, p.config.OnProgress, passed)
	}
	return nil
}

// dropLocked gives back what a piece that has reached the level takes. Its tokens stay until it is committed: refusals may come.
func (s *stream) dropLocked(d *piece, sequence uint64) {
	p, r := s.p, d.of
	tokens := len(r.tokens) > 0 && sequence > s.window.committed
	if tokens {
		s.window.untold[sequence] = d
	}
	if !d.last {
		return
	}
	r.body = nil
	if tokens {
		p.releaseLocked(r, r.memory-len(r.tokens)*tokenBytes)
	} else {
		p.releaseLocked(r, r.memory)
	}
	if r.saved != nil {
		p.finished = append(p.finished, r)
	}
}

// refuse reports entries that are not sent.
func (s *stream) refuse(r *request, left []leftOut) {
	if len(left) == 0 {
		return
	}
	p := s.p
	passed := Progress{Stream: s.id, Entries: len(left), Refused: len(left)}
	p.mu.Lock()
	passed.Logged, passed.Committed = s.window.logged, s.window.committed
	p.reached += uint64(len(left))
	p.refused += uint64(len(left))
	s.since = time.Now()
	p.notifyLocked()
	if s.finishedLocked() {
		s.sayFarewellLocked()
	}
	p.mu.Unlock()
	for _, l := range left {
		passed.Bytes += entrySize(len(l.bytes))
		refused := Refused{
			Refusal: &logbatcherv1.Refusal{Reason: logbatcherv1.RefusalReason_REFUSAL_REASON_TOO_LARGE, Message: l.why},
			Stream:  s.id, Token: r.token(l.place),
		}
		if e := (&logbatcherv1.Entry{}); e.UnmarshalVT(l.bytes) == nil {
			refused.Entry = e
		}
		tell(p, p.config.OnRefusal, refused)
	}
	tell(p, p.config.OnProgress, passed)
}

// token returns the token of an entry.
func (r *request) token(place int) any {
	if place < len(r.tokens) {
		return r.tokens[place]
	}
	return nil
}

// tellRefused reports a refusal, with its entry if that is still there.
func (s *stream) tellRefused(d *piece, r *logbatcherv1.Refusal) {
	p := s.p
	if p.config.OnRefusal == nil {
		return
	}
	refused := Refused{Refusal: r, Stream: s.id}
	if d != nil {
		refused.Token = d.of.token(d.first + int(r.GetIndex()))
		p.mu.Lock()
		body := d.of.body
		p.mu.Unlock()
		switch {
		case body != nil:
			body = body[d.from:d.to]
		case d.of.saved != nil:
			body, _ = d.of.load(d.from, d.to) // the refusal is reported without its entry
		}
		refused.Entry = entryAt(body, int(r.GetIndex()))
	}
	tell(p, p.config.OnRefusal, refused)
}
