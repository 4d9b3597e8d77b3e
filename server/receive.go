package server

import "time"

// receiveRequests is the stream's receiver. It receives and routes requests until the client half-closes,
// for which it returns io.EOF.
func (st *stream) receiveRequests() error {
	s := st.session
	defer s.endWait()
	for {
		if err := s.awaitRoom(st.reading, st.ingest.config.MaxPendingOutcomes); err != nil {
			return err
		}
		var f frame
		if err := st.grpc.RecvMsg(&f); err != nil {
			return err
		}
		if err := st.take(&f); err != nil {
			return err
		}
	}
}

// take routes one request, or answers a repeat by sending the watermarks again.
func (st *stream) take(f *frame) error {
	s := st.session
	r, err := st.ingest.intake.admit(st.reading, f, time.Now(), s)
	if err != nil {
		return err
	}
	err = s.opening.checkSequence(r.outline.sequence)
	if r.outline.hasOpen {
		err = errOpenedTwice
	}
	if err != nil {
		r.free()
		return err
	}
	a, err := st.ingest.route(st.reading, s, r)
	s.endWait()
	if err == nil && a.verdict == verdictRepeat {
		s.tell(func() { s.repeat = true })
	}
	return err
}
