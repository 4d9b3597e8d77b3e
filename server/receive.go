package server

import (
	"context"
	"errors"
	"io"
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// receive is the stream's receiver: it reads the opening, waits for the welcome, and then takes request after request.
func (st *stream) receive() {
	st.received <- st.ingest.guard(func() error {
		o, err := st.receiveOpening()
		if err != nil {
			return err
		}
		st.opened <- o
		select {
		case <-st.welcomed:
		case <-st.ctx.Done():
			return context.Cause(st.ctx)
		}
		return st.receiveRequests()
	})
}

func (st *stream) receiveOpening() (*opening, error) {
	c := st.ingest.config
	var f frame
	if err := st.grpc.RecvMsg(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, statusNotOpened()
		}
		return nil, err
	}
	defer f.free()
	// What is not an opening need not be looked at, and an opening is too small to be counted in the budget.
	if size := f.data.Len(); size > c.MaxRequestBytes {
		return nil, statusTooLarge("max_request_bytes", c.MaxRequestBytes, size)
	}
	data := f.data.Materialize()
	o, err := readOutline(data)
	switch {
	case err != nil:
		return nil, err
	case !o.hasOpen:
		return nil, statusNotOpened()
	case o.entries > 0 || o.sequence != 0:
		return nil, statusOpeningNotAlone()
	}
	open, err := c.decodeOpening(data, &o)
	if err != nil {
		return nil, err
	}
	return c.checkOpening(open)
}

// receiveRequests takes requests until the client half-closes, which it returns as io.EOF.
func (st *stream) receiveRequests() error {
	c := st.ingest.config
	watch := newThrottleWatch(st.session, c.ThrottleAfter)
	defer watch.end()
	for {
		err := st.session.awaitRoom(st.intake, c.MaxPendingOutcomes, func(cause pb.ThrottleCause) { watch.begin(cause, "") })
		watch.end()
		if err != nil {
			return err
		}
		var f frame
		if err := st.grpc.RecvMsg(&f); err != nil {
			return err // gRPC's own: it has told the client already, if there is one
		}
		if err := st.take(&f, watch); err != nil {
			return err
		}
	}
}

// take takes one request: it decodes and routes it, or finds that it is a repeat, or a violation of the protocol.
func (st *stream) take(f *frame, watch *throttleWatch) error {
	defer watch.end()
	r, err := st.ingest.intake.admit(st.intake, f, time.Now(), watch)
	if err != nil {
		return err
	}
	v, err := st.judge(r)
	if err != nil || v == verdictRepeat {
		r.free()
		return err
	}
	_, err = st.ingest.route(st.intake, delivery{
		producer: st.producer, session: st.session, waiting: watch.beginFor, defaults: &st.opening.defaults,
	}, r)
	return err
}

// judge says what the request is, by its sequence. A repeat is told the watermarks again, and needs no more.
func (st *stream) judge(r *request) (verdict, error) {
	anonymous := st.opening.producer == ""
	switch {
	case r.outline.hasOpen:
		return 0, statusOpenedTwice()
	case anonymous && r.outline.sequence != 0:
		return 0, statusAnonymousSequence()
	case !anonymous && r.outline.sequence == 0:
		return 0, statusZeroSequence()
	}
	v, err := st.producer.judge(r.outline.sequence, r.sum)
	if err == nil && v == verdictRepeat {
		st.ingest.metrics.repeats.Inc()
		st.session.repeated()
	}
	return v, err
}
