package server

import (
	"context"
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// watermarks are those that a producer knows.
type watermarks struct{ committed, logged, received uint64 }

// session is the right of a call to send requests as its producer, and what the call's client knows. Only a producer's newest
// stream has it, or any number of unary calls of the same epoch. The fields below wake are guarded by the producer's lock.
type session struct {
	producer *producer
	opening  *opening
	// answer collects the outcomes of a unary call's request. Nil for streams, whose outcomes go to the producer's outbox.
	answer *outcomes
	// stop ends the stream with a cause. Unary calls notice by themselves that they are superseded.
	stop context.CancelCauseFunc
	// logged is the opening in the log. Nil: it has no request there yet. Only the goroutine that routes the session's requests uses it.
	logged *schema.LoggedOpening
	// wake has room for one; it signals the stream's sender that there may be something to send.
	wake chan struct{}
	// timer wakes the sender when the receiver has waited for throttleAfter. Nil for unary calls.
	timer         *time.Timer
	throttleAfter time.Duration
	// opened is when the stream's opening was received.
	opened time.Time

	epoch uint64
	// closed is set when no further request is accepted.
	closed bool
	told   watermarks
	// repeat asks for the watermarks to be sent although they have not moved: the client has sent again what they cover.
	repeat bool
	// waiting is what the receiver waits for, since when it waits, throttleTold what the client knows of it.
	waiting, throttleTold throttle
	since                 time.Time
	// welcome and drain wait to be sent.
	welcome *pb.Welcome
	drain   *pb.Drain
}

// newStreamSession returns a session for a stream. stop ends the stream with a cause.
func newStreamSession(p *producer, o *opening, stop context.CancelCauseFunc, throttleAfter time.Duration) *session {
	s := &session{producer: p, opening: o, stop: stop, wake: make(chan struct{}, 1), throttleAfter: throttleAfter, opened: time.Now()}
	s.timer = time.AfterFunc(time.Hour, s.wakeSender)
	s.timer.Stop()
	return s
}

// newCallSession returns a session for a unary call.
func newCallSession(p *producer, o *opening) *session {
	return &session{producer: p, opening: o, stop: func(error) {}, answer: &outcomes{}}
}

func (s *session) unary() bool { return s.answer != nil }

func (s *session) wakeSender() {
	select {
	case s.wake <- struct{}{}:
	default: // awake already, or a unary call
	}
}

// tell changes what is to be sent, under the producer's lock, and wakes the sender.
func (s *session) tell(change func()) {
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	change()
	s.wakeSender()
}

// close stops accepting requests. It blocks while the Router has one that it has not taken, so that request's context must end.
func (s *session) close() {
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	s.closed = true
	_ = p.awaitLocked(context.Background(), func() bool { return p.routing != s })
}

// end closes the session and leaves the producer to others.
func (s *session) end() {
	s.close()
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session == s {
		p.session = nil
		p.trimLocked()
	}
	p.changeLocked()
}

// awaitLevel blocks until everything accepted has reached the session's level. If ctx ends with errNotFinished it returns the status for
// that.
func (s *session) awaitLevel(ctx context.Context) error {
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	missing := func() uint64 {
		switch s.opening.level {
		case pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED:
			return 0
		case pb.Acknowledgement_ACKNOWLEDGEMENT_LOGGED:
			return p.cursor.unlogged()
		}
		return p.cursor.unsettled()
	}
	err := p.awaitLocked(ctx, func() bool { return missing() == 0 })
	if err == errNotFinished {
		return statusNotFinished(missing(), s.opening.level)
	}
	return err
}

// awaitRoom blocks until no more than limit outcomes wait to be sent and the cursor has room.
func (s *session) awaitRoom(ctx context.Context, limit int) error {
	p := s.producer
	defer s.endWait()
	return p.await(ctx, func() bool {
		switch {
		case p.outbox.len() > limit:
			s.setWaitLocked(throttle{cause: schema.WaitResponses})
		case p.cursor.unsettled() >= p.maxUnsettled():
			s.setWaitLocked(throttle{cause: schema.WaitMemory})
		default:
			return true
		}
		return false
	})
}
