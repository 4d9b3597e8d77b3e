package server

import (
	"context"
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// sendResponses is the stream's sender. It sends whatever there is to send, and ends when finish is closed and all is sent, or
// when the client is gone.
func (st *stream) sendResponses() error {
	pause := time.NewTimer(st.ingest.config.ResponseInterval)
	defer pause.Stop()
	for {
		final := isClosed(st.finish)
		sent := false
		for r := st.session.response(final); r != nil; r = st.session.response(final) {
			if err := st.grpc.SendMsg(r); err != nil {
				return err
			}
			sent = true
		}
		if final {
			return nil
		}
		if sent { // what happens in the meantime goes into one response
			pause.Reset(st.ingest.config.ResponseInterval)
			if err := awaitOrFinish(st, pause.C); err != nil {
				return err
			}
		}
		if err := awaitOrFinish(st, st.session.wake); err != nil {
			return err
		}
	}
}

// awaitOrFinish blocks until something arrives, or the stream is to finish, or its context ends.
func awaitOrFinish[T any](st *stream, c <-chan T) error {
	select {
	case <-c:
	case <-st.finish:
	case <-st.ctx.Done():
		return context.Cause(st.ctx)
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// response returns the next response, or nil. It carries the watermarks only if no outcome is left for a later response: they
// might cover it. The final one carries them even if they alone would not be worth a response.
func (s *session) response(final bool) *pb.IngestStreamResponse {
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session != s {
		return nil // what there is to send belongs to the newer session
	}
	r := &pb.IngestStreamResponse{Welcome: s.welcome, Drain: s.drain}
	worth := s.welcome != nil || s.drain != nil
	s.welcome, s.drain = nil, nil
	if t := s.throttleLocked(); t != s.throttleTold {
		s.throttleTold = t
		r.Throttle = throttleMessage(t)
		worth = true
	}
	if p.outbox.len() > 0 {
		p.outbox.take(r)
		p.changeLocked() // the receiver may be waiting for room
		worth = true
	}
	if p.outbox.len() == 0 {
		worth = s.watermarksLocked(r, worth, final) || worth
	}
	if !worth {
		return nil
	}
	return r
}

// watermarksLocked sets the watermarks that the client does not know, and reports whether they alone are worth a response.
func (s *session) watermarksLocked(r *pb.IngestStreamResponse, others, final bool) bool {
	p := s.producer
	now := watermarks{committed: p.cursor.committed, logged: p.loggedLocked(), received: p.cursor.accepted}
	if p.routing != nil && now.received > max(now.committed, now.logged) {
		now.received--
	}
	level := s.opening.level
	worth := now.committed != s.told.committed || s.repeat ||
		now.logged != s.told.logged && (final || level == pb.Acknowledgement_ACKNOWLEDGEMENT_LOGGED) ||
		now.received != s.told.received && (final || level == pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED)
	if !worth && !others {
		return false
	}
	if s.repeat || now.committed != s.told.committed {
		r.CommittedSequence = now.committed
	}
	if s.repeat || now.logged != s.told.logged {
		r.LoggedSequence = now.logged
	}
	if s.repeat || now.received != s.told.received {
		r.ReceivedSequence = now.received
	}
	s.told, s.repeat = now, false
	return worth
}
