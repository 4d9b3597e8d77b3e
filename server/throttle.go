package server

import (
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// waits is told when a call begins to wait and when it goes on.
type waits interface {
	begin(cause pb.ThrottleCause, table string)
	end()
}

// noWaits is for who can't be told.
type noWaits struct{}

func (noWaits) begin(pb.ThrottleCause, string) {}
func (noWaits) end()                           {}

// throttleWatch tells a stream's client that the stream waits, if it waits for long enough. The receiver is its only user.
type throttleWatch struct {
	session *session
	after   time.Duration
	timer   *time.Timer
}

func newThrottleWatch(s *session, after time.Duration) *throttleWatch {
	w := &throttleWatch{session: s, after: after}
	w.timer = time.AfterFunc(time.Hour, w.tell)
	w.timer.Stop()
	return w
}

// begin says that the receiver begins to wait, or that it waits for something else now.
func (w *throttleWatch) begin(cause pb.ThrottleCause, table string) {
	s := w.session
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	waited := s.waiting.cause != 0
	w.setLocked(throttle{cause, table})
	switch {
	case s.throttled.cause != 0: // the client knows that it waits
		s.throttled = s.waiting
		s.wakeSender()
	case !waited:
		w.timer.Reset(w.after)
	}
}

// beginFor is begin for a cause of the Router.
func (w *throttleWatch) beginFor(cause schema.WaitCause, table string) {
	if cause == schema.WaitTable {
		w.begin(pb.ThrottleCause_THROTTLE_CAUSE_TABLE, table)
		return
	}
	w.begin(pb.ThrottleCause_THROTTLE_CAUSE_MEMORY, table)
}

// end says that the receiver goes on.
func (w *throttleWatch) end() {
	s := w.session
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	w.timer.Stop()
	w.setLocked(throttle{})
	if s.throttled != (throttle{}) {
		s.throttled = throttle{}
		s.wakeSender()
	}
}

// setLocked says what the receiver waits for from now on, and counts the time until now as waited for what it was.
func (w *throttleWatch) setLocked(now throttle) {
	s := w.session
	if s.waiting.cause != 0 {
		s.producer.metrics.throttled.add(s.waiting.cause, -1)
	}
	if s.waiting = now; now.cause != 0 {
		s.producer.metrics.throttled.add(now.cause, 1)
	}
}

// tell is what the timer does.
func (w *throttleWatch) tell() {
	s := w.session
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	if s.waiting.cause != 0 {
		s.throttled = s.waiting
		s.wakeSender()
	}
}

func causeName(cause pb.ThrottleCause) string {
	switch cause {
	case pb.ThrottleCause_THROTTLE_CAUSE_MEMORY:
		return schema.WaitMemory.String()
	case pb.ThrottleCause_THROTTLE_CAUSE_TABLE:
		return schema.WaitTable.String()
	case pb.ThrottleCause_THROTTLE_CAUSE_RESPONSES:
		return "responses"
	}
	return "none"
}

// throttleMessage puts a throttle into words of the wire.
func throttleMessage(t throttle) *pb.Throttle {
	m := &pb.Throttle{Cause: t.cause, Table: text(t.table)}
	switch t.cause {
	case pb.ThrottleCause_THROTTLE_CAUSE_MEMORY:
		m.Message = "the memory for entries in flight is used up; the stream goes on when some are committed"
	case pb.ThrottleCause_THROTTLE_CAUSE_TABLE:
		m.Message = "too much is in flight for the table; the stream goes on when some of it is committed"
	case pb.ThrottleCause_THROTTLE_CAUSE_RESPONSES:
		m.Message = "too many refusals and dead letters wait for the producer to read them"
	default:
		m.Message = "the stream goes on"
	}
	return m
}
