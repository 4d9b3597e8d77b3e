package server

import (
	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// throttle is why a stream waits. The zero value: it does not.
type throttle struct {
	cause schema.WaitCause
	table string
}

// waits records that the receiver begins to wait, or waits for something else now. A nil session and that of a unary call have
// nobody to tell.
func (s *session) waits(cause schema.WaitCause, table string) {
	if s == nil {
		return
	}
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	s.waitsLocked(throttle{cause, table})
}

func (s *session) waitsLocked(t throttle) {
	if s.timer == nil {
		return
	}
	waited := s.waiting.cause != 0
	s.countWaitLocked(t)
	switch {
	case s.throttled.cause != 0 && s.throttled != t: // the client knows that the stream waits, but not for this
		s.throttled = t
		s.wakeSender()
	case !waited:
		s.timer.Reset(s.throttleAfter)
	}
}

// goesOn records that the receiver waits no longer.
func (s *session) goesOn() {
	if s == nil || s.timer == nil {
		return
	}
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	s.timer.Stop()
	s.countWaitLocked(throttle{})
	if s.throttled != (throttle{}) {
		s.throttled = throttle{}
		s.wakeSender()
	}
}

// countWaitLocked sets what the receiver waits for, and counts the time until now for what it waited for before.
func (s *session) countWaitLocked(now throttle) {
	counts := s.producer.metrics.throttled
	if s.waiting.cause != 0 {
		counts.add(s.waiting.cause, -1)
	}
	if s.waiting = now; now.cause != 0 {
		counts.add(now.cause, 1)
	}
}

// throttle tells the client that the stream waits. The timer calls it.
func (s *session) throttle() {
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	if s.waiting.cause != 0 {
		s.throttled = s.waiting
		s.wakeSender()
	}
}

var throttleMessages = map[schema.WaitCause]string{
	0:                    "the stream goes on",
	schema.WaitMemory:    "the memory for entries in flight is used up; the stream goes on when some are committed",
	schema.WaitTable:     "too much is in flight for the table; the stream goes on when some of it is committed",
	schema.WaitResponses: "too many refusals and dead letters wait for the producer to read them",
}

// throttleMessage converts a throttle to protobuf.
func throttleMessage(t throttle) *pb.Throttle {
	return &pb.Throttle{Cause: pb.ThrottleCause(t.cause), Table: text(t.table), Message: throttleMessages[t.cause]}
}
