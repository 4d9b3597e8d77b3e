package server

import (
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// throttle is why a stream waits. The zero value: it does not.
type throttle struct {
	cause schema.WaitCause
	table string
}

// setWait records that the receiver begins to wait, or waits for something else now. It does nothing for a nil session or that of
// a unary call: there is no stream to report it on.
func (s *session) setWait(cause schema.WaitCause, table string) {
	if s == nil {
		return
	}
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	s.setWaitLocked(throttle{cause, table})
}

func (s *session) setWaitLocked(t throttle) {
	if s.timer == nil || t == s.waiting {
		return
	}
	counts := s.producer.metrics.throttled
	switch {
	case s.waiting.cause != 0:
		counts.add(s.waiting.cause, -1)
	case t.cause != 0:
		s.since = time.Now()
		s.timer.Reset(s.throttleAfter)
	}
	if s.waiting = t; t.cause != 0 {
		counts.add(t.cause, 1)
	} else {
		s.timer.Stop()
	}
	if s.throttleTold.cause != 0 {
		s.wakeSender()
	}
}

// endWait records that the receiver waits no longer.
func (s *session) endWait() { s.setWait(0, "") }

// throttleLocked returns what the client should know: what the receiver waits for, if it has waited long enough.
func (s *session) throttleLocked() throttle {
	if s.waiting.cause == 0 || time.Since(s.since) < s.throttleAfter {
		return throttle{}
	}
	return s.waiting
}

var throttleMessages = map[schema.WaitCause]string{
	0:                    "the stream continues",
	schema.WaitMemory:    "the memory for entries in flight is used up; the stream continues when some of them are committed",
	schema.WaitTable:     "too much is in flight for the table; the stream continues when some of it is committed",
	schema.WaitResponses: "too many refusals and dead letters are waiting for the producer to read them",
	schema.WaitTenant:    "the tenant has sent as much as it may for now; the stream continues when it may send more",
	schema.WaitLog:       "the write-ahead log is full; the stream continues when some of it is committed",
}

// throttleMessage converts a throttle to protobuf.
func throttleMessage(t throttle) *pb.Throttle {
	return &pb.Throttle{Cause: pb.ThrottleCause(t.cause), Table: text(t.table), Message: throttleMessages[t.cause]}
}
