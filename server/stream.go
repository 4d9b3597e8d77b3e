package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/server/access"
)

// flushTimeout is how long the end of a stream waits for a client that does not read its last responses.
const flushTimeout = 2 * time.Second

var (
	// errDrained is the cause with which a stream's reading ends at the deadline of its Drain.
	errDrained = errors.New("drained")
	// errNotFinished is the cause with which the wait for what was accepted ends.
	errNotFinished = errors.New("not finished")
)

// stream is one IngestStream. Its handler coordinates: it alone decides how the stream ends. The receiver reads and routes, the
// sender writes; what they share is in the session, under the producer's lock.
type stream struct {
	ingest *ingest
	grpc   grpc.ServerStream
	caller *access.Caller
	tenant *tenant

	// ctx ends with the handler, or when the producer opens again. reading is derived from it and ends when reading must stop.
	ctx         context.Context
	stop        context.CancelCauseFunc
	reading     context.Context
	stopReading context.CancelCauseFunc

	session *session
	// received gets the receiver's error, io.EOF for a half-close; sent gets the sender's.
	received, sent chan error
	// finish is closed by the handler to make the sender send what is left and end.
	finish chan struct{}
}

// serveStream handles one IngestStream.
func (in *ingest) serveStream(_ any, gs grpc.ServerStream) error {
	caller := callerOf(gs.Context())
	t := in.tenants.of(caller.Tenant)
	return in.serve(t, func() error {
		st := &stream{ingest: in, grpc: gs, caller: caller, tenant: t, received: make(chan error, 1), sent: make(chan error, 1), finish: make(chan struct{})}
		st.ctx, st.stop = context.WithCancelCause(gs.Context())
		defer st.stop(nil)
		st.reading, st.stopReading = context.WithCancelCause(st.ctx)
		return st.run()
	})
}

func (st *stream) run() error {
	in := st.ingest
	o, err := st.receiveOpening()
	if err != nil {
		return err
	}
	p, err := in.registry.use(st.tenant.name, o.producer)
	if err != nil {
		return err
	}
	defer in.registry.leave(p)
	st.session = newStreamSession(p, o, st.stop, in.config.ThrottleAfter)
	if err := st.open(); err != nil {
		return err
	}
	defer st.session.end()
	defer st.stop(nil) // before session.end, which waits for the Router to let go
	in.spawn(st.received, st.receiveRequests)
	in.spawn(st.sent, st.sendResponses)
	return st.coordinate()
}

// receiveOpening receives the first request and checks it.
func (st *stream) receiveOpening() (*opening, error) {
	c, life := st.ingest.config, st.ingest.life
	ctx, cancel := within(st.ctx, c.OpenTimeout, statusOpenTimeout(c.OpenTimeout), life.draining, errShutdown)
	defer cancel()
	f, err := st.ingest.receiveFirst(ctx, st.grpc.RecvMsg)
	if errors.Is(err, io.EOF) {
		return nil, errNotOpened
	}
	if err != nil {
		return nil, err
	}
	defer f.free()
	data := f.Materialize() // an opening is small enough not to be counted in the budget
	l, err := readOutline(data)
	switch {
	case err != nil:
		return nil, err
	case !l.hasOpen:
		return nil, errNotOpened
	case l.entries > 0 || l.sequence != 0:
		return nil, errOpeningNotAlone
	}
	o, err := c.decodeOpening(data, &l)
	if err != nil {
		return nil, err
	}
	o.tenant = st.tenant
	return o, nil
}

// open makes the session its producer's and prepares the Welcome.
func (st *stream) open() error {
	in, s := st.ingest, st.session
	ctx, cancel := within(st.ctx, in.config.FinishTimeout, errOlderNotFinished, in.life.draining, errShutdown)
	defer cancel()
	w, err := s.producer.open(ctx, s)
	if err != nil {
		return err
	}
	c := in.config
	s.welcome = &pb.Welcome{
		Producer: s.producer.id, Epoch: w.epoch, LoggedSequence: w.logged, CommittedSequence: w.committed, Resumed: w.resumed,
		Acknowledgement: s.opening.level, Instance: text(c.Instance),
		Limits: &pb.Limits{
			MaxRequestBytes: uint64(c.MaxRequestBytes), MaxRequestEntries: uint32(c.MaxRequestEntries),
			MaxEntryBytes: uint64(c.MaxEntryBytes), MaxEntryAttributes: uint32(c.MaxEntryAttributes),
		},
	}
	in.logOpening(st.ctx, "stream opened", s, w)
	return nil
}

// coordinate runs the stream from its Welcome to its end and returns why it ended.
func (st *stream) coordinate() error {
	in := st.ingest
	var age, deadline <-chan time.Time
	if in.config.StreamAge > 0 {
		timer := time.NewTimer(jittered(in.config.StreamAge, rand.Float64()))
		defer timer.Stop()
		age = timer.C
	}
	draining := in.life.draining.Done()
	replaced, expired := st.askAgain()
	var reason pb.DrainReason
	var drainEnds time.Time
	for {
		select {
		case err := <-st.received:
			return st.finishAfter(err)
		case err := <-st.sent: // only when SendMsg fails: the client is gone
			return err
		case <-st.ctx.Done():
			return context.Cause(st.ctx)
		case <-age:
			age, replaced, expired = nil, nil, nil
			reason, drainEnds = pb.DrainReason_DRAIN_REASON_AGE, time.Now().Add(in.config.StreamDrain)
			deadline = st.drain(reason, drainEnds)
		case <-replaced:
			replaced, expired = st.askAgain()
		case <-expired:
			age, replaced, expired = nil, nil, nil
			reason, drainEnds = pb.DrainReason_DRAIN_REASON_CREDENTIALS, time.Now().Add(in.config.StreamDrain)
			deadline = st.drain(reason, drainEnds)
		case <-draining:
			age, draining, replaced, expired = nil, nil, nil, nil
			if ends := in.life.deadline; drainEnds.IsZero() || ends.Before(drainEnds) {
				drainEnds = ends
			}
			reason = pb.DrainReason_DRAIN_REASON_SHUTDOWN
			deadline = st.drain(reason, drainEnds)
		case <-deadline:
			st.stopReading(errDrained)
			st.session.close()
			if err := st.finishAll(); err != nil {
				return err
			}
			return drains[reason].err
		}
	}
}

// askAgain asks whether the caller's credentials still open a stream. It returns a channel that is closed when to ask again, and one
// that fires when they do not any more.
func (st *stream) askAgain() (replaced <-chan struct{}, expired <-chan time.Time) {
	caller, replaced, err := st.ingest.config.Gate.Again(st.caller)
	if err != nil || !caller.May(access.Ingest) || caller.Tenant.Name != st.tenant.name {
		return nil, time.After(0)
	}
	st.caller = caller
	st.ingest.tenants.of(caller.Tenant) // its bounds may have changed
	if !caller.Expires.IsZero() {
		expired = time.After(time.Until(caller.Expires))
	}
	return replaced, expired
}

// drain tells the client to move, and returns a channel that fires when it should have.
func (st *stream) drain(reason pb.DrainReason, ends time.Time) <-chan time.Time {
	st.ingest.metrics.drains.WithLabelValues(drains[reason].label).Inc()
	s := st.session
	s.tell(func() { s.drain = &pb.Drain{Reason: reason, DeadlineUnixNano: uint64(ends.UnixNano())} })
	return time.After(time.Until(ends))
}

// finishAfter ends the stream after the receiver has ended with err.
func (st *stream) finishAfter(err error) error {
	st.session.close()
	if errors.Is(err, io.EOF) {
		return st.finishAll()
	}
	if st.ctx.Err() != nil {
		return context.Cause(st.ctx) // the receiver's error only follows from it
	}
	_ = st.flush() // what was accepted before the violation may have been committed by now
	return err
}

// finishAll waits for a bounded time until what was accepted is safe, and sends the client everything left to send.
func (st *stream) finishAll() error {
	in := st.ingest
	ctx, cancel := within(st.ctx, in.config.FinishTimeout, errNotFinished, in.life.hurrying, errNotFinished)
	defer cancel()
	err := st.session.awaitLevel(ctx)
	if st.ctx.Err() != nil {
		return context.Cause(st.ctx)
	}
	flushed := st.flush()
	return cmp.Or(err, flushed)
}

// flush makes the sender send what is left, and waits until it has.
func (st *stream) flush() error {
	close(st.finish)
	timer := time.NewTimer(flushTimeout)
	defer timer.Stop()
	select {
	case err := <-st.sent:
		return err
	case <-st.ctx.Done():
		return context.Cause(st.ctx)
	case <-timer.C:
		return errResponsesUnread
	}
}

// jittered returns d plus or minus up to a fifth, so that streams opened together do not all move together. random is in [0, 1).
func jittered(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*random))
}
