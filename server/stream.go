package server

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// flushTimeout is how long the end of a stream waits for a client that does not read its last responses.
const flushTimeout = 2 * time.Second

// errDrained is the cause with which a stream's intake ends at the deadline of its Drain.
var errDrained = errors.New("drained")

// stream is one IngestStream. Its handler coordinates: it alone decides how the stream ends. The receiver
// reads and routes, the sender writes; what they share is the session, under the producer's lock.
type stream struct {
	ingest *ingest
	grpc   grpc.ServerStream

	// ctx ends with the handler, or when the producer opens again; intake, within it, when nothing more shall be read.
	ctx        context.Context
	stop       context.CancelCauseFunc
	intake     context.Context
	stopIntake context.CancelCauseFunc

	// opened has room for one: the receiver sends what the first request says.
	opened chan *opening
	// welcomed is closed by the handler when the receiver may go on. After that, producer and session do not change.
	welcomed chan struct{}
	// received has room for one: the receiver sends why it has ended, io.EOF for a half-close.
	received chan error
	// finish is closed by the handler when the sender shall send what is left and end; sent has room for its error.
	finish chan struct{}
	sent   chan error

	opening  *opening
	producer *producer
	session  *session
	shutdown bool // the stream is drained because the instance shuts down
}

// serve handles one IngestStream.
func (in *ingest) serve(_ any, gs grpc.ServerStream) error {
	if err := in.enter(); err != nil {
		return err
	}
	defer in.exit()
	st := &stream{
		ingest: in, grpc: gs,
		opened: make(chan *opening, 1), welcomed: make(chan struct{}), received: make(chan error, 1),
		finish: make(chan struct{}), sent: make(chan error, 1),
	}
	st.ctx, st.stop = context.WithCancelCause(gs.Context())
	defer st.stop(nil)
	st.intake, st.stopIntake = context.WithCancelCause(st.ctx)

	// The children end after this handler, because it is its return which unblocks RecvMsg and SendMsg. Shutdown joins them.
	in.children.Go(st.receive)
	if err := st.open(); err != nil {
		return in.statusOf(err)
	}
	defer in.registry.leave(st.producer)
	defer st.session.end()
	defer st.stop(nil) // before session.end, which waits for the Router to let go
	in.children.Go(st.send)
	return in.statusOf(st.coordinate())
}

// open waits for the opening and makes the stream its producer's.
func (st *stream) open() error {
	in := st.ingest
	ctx, cancel := context.WithTimeoutCause(st.ctx, in.config.OpenTimeout, statusOpenTimeout(in.config.OpenTimeout))
	defer cancel()
	select {
	case st.opening = <-st.opened:
	case err := <-st.received:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-in.life.draining.Done():
		return errShutdown
	}
	p, err := in.registry.use(st.opening.producer)
	if err != nil {
		return err
	}
	st.producer = p
	st.session = &session{producer: st.producer, stop: st.stop, wake: make(chan struct{}, 1)}

	ctx, cancel = context.WithTimeoutCause(st.ctx, in.config.FinishTimeout, statusOlderNotFinished())
	defer cancel()
	defer context.AfterFunc(in.life.draining, cancel)()
	w, err := st.producer.open(ctx, st.session, st.opening)
	if err != nil {
		in.registry.leave(st.producer)
		if in.life.draining.Err() != nil && errors.Is(err, context.Canceled) {
			return errShutdown
		}
		return err
	}
	st.session.welcome = st.welcomeMessage(w)
	in.logOpening(st.ctx, "stream opened", st.opening, p, w)
	close(st.welcomed)
	return nil
}

func (st *stream) welcomeMessage(w welcome) *pb.Welcome {
	c := st.ingest.config
	return &pb.Welcome{
		Producer: st.producer.id, Epoch: w.epoch, CommittedSequence: w.committed, Resumed: w.resumed,
		Acknowledgement: st.opening.level, Instance: text(c.Instance),
		Limits: &pb.Limits{
			MaxRequestBytes: uint64(c.MaxRequestBytes), MaxRequestEntries: uint32(c.MaxRequestEntries),
			MaxEntryBytes: uint64(c.MaxEntryBytes), MaxEntryAttributes: uint32(c.MaxEntryAttributes),
		},
	}
}

// coordinate runs the stream from its welcome to its end and returns why it ended.
func (st *stream) coordinate() error {
	in := st.ingest
	var age, deadline <-chan time.Time
	if in.config.StreamAge > 0 {
		timer := time.NewTimer(jittered(in.config.StreamAge, rand.Float64()))
		defer timer.Stop()
		age = timer.C
	}
	draining := in.life.draining.Done()
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
			age = nil
			drainEnds = time.Now().Add(in.config.StreamDrain)
			deadline = st.drain(pb.DrainReason_DRAIN_REASON_AGE, drainEnds)
		case <-draining:
			age, draining, st.shutdown = nil, nil, true
			if ends := in.life.drainDeadline(); drainEnds.IsZero() || ends.Before(drainEnds) {
				drainEnds = ends
			}
			deadline = st.drain(pb.DrainReason_DRAIN_REASON_SHUTDOWN, drainEnds)
		case <-deadline:
			st.stopIntake(errDrained)
			st.session.closeIntake()
			if err := st.finishAll(); err != nil {
				return err
			}
			return statusDrained(st.shutdown)
		}
	}
}

// drain tells the client to move, and returns a channel that fires when it should have.
func (st *stream) drain(reason pb.DrainReason, ends time.Time) <-chan time.Time {
	label := "age"
	if reason == pb.DrainReason_DRAIN_REASON_SHUTDOWN {
		label = "shutdown"
	}
	st.ingest.metrics.drains.WithLabelValues(label).Inc()
	st.session.tellDrain(&pb.Drain{Reason: reason, DeadlineUnixNano: uint64(ends.UnixNano())})
	return time.After(time.Until(ends))
}

// finishAfter ends the stream after the receiver has ended with err.
func (st *stream) finishAfter(err error) error {
	st.session.closeIntake()
	if errors.Is(err, io.EOF) {
		return st.finishAll()
	}
	if st.ctx.Err() != nil {
		return context.Cause(st.ctx) // it is why the receiver has ended, whatever that says
	}
	_ = st.flush() // what was accepted before the violation may have been committed by now
	return err
}

// finishAll waits until what was accepted is safe, but not for ever, and tells the client all that there is to tell.
func (st *stream) finishAll() error {
	in := st.ingest
	ctx, cancel := context.WithTimeoutCause(st.ctx, in.config.FinishTimeout, errNotFinished)
	defer cancel()
	ctx, hurry := context.WithCancelCause(ctx)
	defer hurry(nil)
	defer context.AfterFunc(in.life.hurrying, func() { hurry(errNotFinished) })()

	err := st.session.awaitSettled(ctx)
	if st.ctx.Err() != nil {
		return context.Cause(st.ctx)
	}
	if errors.Is(err, errNotFinished) {
		err = statusNotFinished(st.session.unsettled())
	}
	if flushed := st.flush(); flushed != nil && err == nil {
		err = flushed
	}
	return err
}

// errNotFinished is the cause with which the wait for what was accepted ends.
var errNotFinished = errors.New("not finished")

// flush has the sender send what is left, and waits until it has.
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
		return statusResponsesUnread()
	}
}

// jittered returns d, give or take a fifth; random is in [0, 1). Streams that were opened together should not all move together.
func jittered(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*random))
}
