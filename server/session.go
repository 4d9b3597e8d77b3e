package server

import (
	"context"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// watermarks are what a producer was told.
type watermarks struct{ committed, received uint64 }

// throttle is why a stream waits. The zero value: it does not.
type throttle struct {
	cause pb.ThrottleCause
	table string
}

// session is one stream's hold on its producer: the right to accept, and what
// the stream's client was told. The fields below wake are guarded by the producer's lock.
type session struct {
	producer *producer
	// stop ends the stream; the cause says why.
	stop context.CancelCauseFunc
	// wake has room for one; it tells the sender that there may be something to tell. Nil: nobody sends.
	wake chan struct{}

	level pb.Acknowledgement
	// attached says that the session counts in the producer's attached, closed that it accepts no more.
	attached, closed bool
	told             watermarks
	// repeat asks for the watermarks to be told although they have not moved: the client has sent
	// again what they cover.
	repeat bool
	// waiting is what the receiver waits for, throttled what the client should know, throttledTold what it knows.
	waiting, throttled, throttledTold throttle
	// welcome and drain are to be sent.
	welcome *pb.Welcome
	drain   *pb.Drain
}

func (s *session) wakeSender() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already, or nobody sends
	}
}

// repeated has the watermarks told again.
func (s *session) repeated() {
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	s.repeat = true
	s.wakeSender()
}

// tellDrain has a Drain told.
func (s *session) tellDrain(d *pb.Drain) {
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	s.drain = d
	s.wakeSender()
}

// closeIntake makes the session accept no more. It returns when no request of it is with the Router,
// which needs the context of that request to end.
func (s *session) closeIntake() {
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	s.closed = true
	for s.attached && p.routing {
		_ = p.awaitLocked(context.Background()) // the Router returns when the context ends, and routed is called
	}
}

// end gives the producer up. It is safe to call it twice.
func (s *session) end() {
	s.closeIntake()
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.attached {
		s.attached = false
		p.attached--
	}
	if p.session == s {
		p.session = nil
		p.trimLocked()
	}
	p.changeLocked()
}

// awaitSettled returns when everything accepted is settled; where the level is RECEIVED, at once.
func (s *session) awaitSettled(ctx context.Context) error {
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	for s.level != pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED && p.cursor.unsettled() > 0 {
		if err := p.awaitLocked(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitRoom returns when no more than limit outcomes wait to be sent and the cursor has room; waiting is called where it has to wait.
func (s *session) awaitRoom(ctx context.Context, limit int, waiting func(pb.ThrottleCause)) error {
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		cause := pb.ThrottleCause_THROTTLE_CAUSE_UNSPECIFIED
		switch {
		case p.outbox.len() > limit:
			cause = pb.ThrottleCause_THROTTLE_CAUSE_RESPONSES
		case p.cursor.unsettled() >= maxUnsettled:
			cause = pb.ThrottleCause_THROTTLE_CAUSE_MEMORY
		default:
			return nil
		}
		p.mu.Unlock()
		waiting(cause)
		p.mu.Lock()
		if p.outbox.len() <= limit && p.cursor.unsettled() < maxUnsettled {
			return nil // it changed while unlocked
		}
		if err := p.awaitLocked(ctx); err != nil {
			return err
		}
	}
}

// unsettled returns how many requests are accepted and not settled.
func (s *session) unsettled() uint64 {
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	return s.producer.cursor.unsettled()
}
