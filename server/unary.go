package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// replyMargin is how long before its own deadline a call is answered, so that the answer still arrives.
const replyMargin = 50 * time.Millisecond

// errLate is the cause with which a unary call's wait ends at its deadline.
var errLate = errors.New("late")

// serveCall handles one Ingest.
func (in *ingest) serveCall(_ any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var response *pb.IngestResponse
	err := in.serve(func() (err error) {
		ctx, cancel := in.callContext(ctx)
		defer cancel()
		response, err = in.call(ctx, receive)
		return err
	})
	return response, err
}

// callContext returns the context in which a call waits. It ends a little before the call's own deadline, or when calls must end
// because the instance is shutting down.
func (in *ingest) callContext(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := in.config.UnaryTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		limit = min(limit, left-min(replyMargin, left/10))
	}
	return within(ctx, limit, errLate, in.life.hurrying, errShutdown)
}

// call handles the request of a unary call in a session of its own. ctx is from callContext.
func (in *ingest) call(ctx context.Context, receive func(any) error) (_ *pb.IngestResponse, err error) {
	known := metadata{"state": "not accepted"}
	defer func() {
		switch {
		case errors.Is(err, errLate):
			err = statusUnaryDeadline(known)
		case errors.Is(err, errShutdown):
			err = statusUnaryShutdown(known)
		}
	}()
	f, err := in.receiveFirst(ctx, receive)
	if err != nil {
		return nil, err
	}
	r, err := in.intake.admit(ctx, f, time.Now(), nil)
	if err != nil {
		return nil, err
	}
	s, w, err := in.openCall(ctx, r, known)
	if s != nil {
		defer in.registry.leave(s.producer)
	}
	if err != nil {
		r.free()
		return nil, err
	}
	response := &pb.IngestResponse{
		Producer: s.producer.id, Epoch: w.epoch, CommittedSequence: w.committed, Acknowledgement: s.opening.level,
	}
	if s.opening.begins() {
		r.free()
		return response, nil
	}
	a, err := in.route(ctx, s, r)
	known["epoch"], known["sequence"] = decimal(w.epoch), decimal(a.sequence)
	if err != nil {
		return nil, err
	}
	known["state"] = "accepted"
	if s.opening.level != pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED {
		err = s.producer.awaitSettled(ctx, a)
	}
	own, committed := s.producer.conclude(s, a, err == nil && ctx.Err() == nil)
	if err != nil {
		known["committed_sequence"] = decimal(committed)
		return nil, err
	}
	response.CommittedSequence, response.Refusals, response.DeadLettered = committed, own.refusals, own.letters
	return response, nil
}

// openCall opens a session for the request of a unary call. If it returns one, also with an error, its producer is in use.
func (in *ingest) openCall(ctx context.Context, r *request, known metadata) (*session, welcome, error) {
	o, err := in.config.decodeOpening(*r.buffer, &r.outline)
	if err != nil {
		return nil, welcome{}, err
	}
	if err := o.checkSequence(r.outline.sequence); err != nil && !o.begins() {
		return nil, welcome{}, err
	}
	if o.begins() && (r.outline.sequence != 0 || r.outline.entries != 0) {
		return nil, welcome{}, errSequenceWithoutEpoch
	}
	r.Suspend() // other calls of the producer may go first, and wait for a table
	p, err := in.registry.use(o.producer)
	if err != nil {
		return nil, welcome{}, err
	}
	known["producer"] = p.id
	s := newCallSession(p, o)
	w, err := p.open(ctx, s)
	if err == nil {
		in.logOpening(ctx, "unary call", s, w)
	}
	return s, w, err
}
