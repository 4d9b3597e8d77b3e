package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// replyMargin is how long before its own deadline a call is answered, so that the answer still arrives.
const replyMargin = 50 * time.Millisecond

// errLate is the cause with which a unary call's wait ends at its deadline.
var errLate = errors.New("late")

// unaryHandler is the method Ingest as gRPC calls it.
func (in *ingest) unaryHandler(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	handler := func(ctx context.Context, _ any) (any, error) {
		if err := in.enter(); err != nil {
			return nil, err
		}
		defer in.exit()
		ctx, cancel := in.unaryContext(ctx)
		defer cancel()
		f, err := in.unaryReceive(ctx, messagesOf(ctx, in.config.MaxRequestBytes, true, decode).receive)
		if err != nil {
			return nil, in.statusOf(err)
		}
		response, err := in.unary(ctx, f)
		if err != nil {
			return nil, in.statusOf(err)
		}
		return response, nil
	}
	if interceptor == nil {
		return handler(ctx, nil)
	}
	return interceptor(ctx, nil, &grpc.UnaryServerInfo{Server: srv, FullMethod: pb.IngestService_Ingest_FullMethodName}, handler)
}

// unaryReceive receives the request. A client that sends none must not keep the place of a call for ever.
func (in *ingest) unaryReceive(ctx context.Context, decode func(any) error) (*frame, error) {
	f, received := &frame{}, make(chan error, 1)
	in.children.Go(func() { received <- in.guard(func() error { return decode(f) }) }) // it ends when the handler has returned, as those of streams do
	select {
	case err := <-received:
		return f, err
	case <-ctx.Done():
		return nil, in.unaryLate(context.Cause(ctx), metadata{"state": "not accepted"})
	}
}

// unary takes one request outside of a stream, in the context of unaryContext.
func (in *ingest) unary(ctx context.Context, f *frame) (*pb.IngestResponse, error) {
	r, err := in.intake.admit(ctx, f, time.Now(), noWaits{})
	if err != nil {
		return nil, in.unaryLate(err, metadata{"state": "not accepted"})
	}
	o, err := in.unaryOpening(r)
	if err != nil {
		r.free()
		return nil, err
	}
	r.Suspend() // other calls of the producer may go first, and wait for a table
	p, err := in.registry.use(o.producer)
	if err != nil {
		r.free()
		return nil, err
	}
	defer in.registry.leave(p)
	w, err := p.join(ctx, o)
	if err != nil {
		r.free()
		return nil, in.unaryLate(err, metadata{"state": "not accepted", "producer": p.id})
	}
	in.logOpening(ctx, "unary call", o, p, w)
	response := &pb.IngestResponse{Producer: p.id, Epoch: w.epoch, CommittedSequence: w.committed}
	if o.producer != "" && o.epoch == 0 { // the call begins an epoch, and no more
		r.free()
		response.Acknowledgement = o.level
		return response, nil
	}
	return in.unaryRoute(ctx, p, o, r, response)
}

// unaryRoute hands the request to the Router and waits for the level asked for.
func (in *ingest) unaryRoute(ctx context.Context, p *producer, o *opening, r *request, response *pb.IngestResponse) (*pb.IngestResponse, error) {
	waits := &reply{}
	d := delivery{producer: p, epoch: response.Epoch, waiting: func(schema.WaitCause, string) {}, defaults: &o.defaults, reply: waits}
	a, err := in.route(ctx, d, r)
	known := metadata{"state": "not accepted", "producer": p.id, "epoch": decimal(response.Epoch), "sequence": decimal(a.sequence)}
	if err != nil {
		return nil, in.unaryLate(err, known)
	}
	known["state"] = "accepted"
	response.Acknowledgement = o.level
	repeat := a.verdict == verdictRepeat
	switch {
	case repeat && o.level == pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED:
	case repeat:
		err = p.awaitCommitted(ctx, a.epoch, a.sequence)
	case o.level != pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED:
		err = p.awaitReply(ctx, waits)
	}
	var own outcomes
	if repeat {
		in.metrics.repeats.Inc()
		if err == nil {
			own, response.CommittedSequence = p.recall(a)
		}
	} else {
		own, response.CommittedSequence = p.conclude(a, waits, err == nil && ctx.Err() == nil)
	}
	if err != nil {
		known["committed_sequence"] = decimal(p.committedIn(a.epoch, a.sequence))
		return nil, in.unaryLate(err, known)
	}
	response.Refusals, response.DeadLettered = own.refusals, own.letters
	return response, nil
}

// unaryContext returns the context in which a call waits. It ends a little before the call's own deadline, or when
// calls must end because the instance shuts down.
func (in *ingest) unaryContext(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := time.Now().Add(in.config.UnaryTimeout)
	if deadline, ok := ctx.Deadline(); ok {
		deadline = deadline.Add(-min(replyMargin, time.Until(deadline)/10))
		if deadline.Before(limit) {
			limit = deadline
		}
	}
	ctx, cancel := context.WithDeadlineCause(ctx, limit, errLate)
	ctx, late := context.WithCancelCause(ctx)
	stop := context.AfterFunc(in.life.hurrying, func() { late(errShutdown) })
	return ctx, func() {
		stop()
		late(nil)
		cancel()
	}
}

// unaryLate says what is known of a request whose call could not wait any longer. Other errors it returns as they are.
func (in *ingest) unaryLate(err error, known metadata) error {
	switch {
	case errors.Is(err, errLate):
		return statusUnaryDeadline(known)
	case errors.Is(err, errShutdown):
		return statusUnaryShutdown(known)
	}
	return err
}

// unaryOpening takes the opening from a unary request and checks it against the rest.
func (in *ingest) unaryOpening(r *request) (*opening, error) {
	open, err := in.config.decodeOpening(*r.buffer, &r.outline)
	if err != nil {
		return nil, err
	}
	o, err := in.config.checkOpening(open)
	if err != nil {
		return nil, err
	}
	begins := o.producer != "" && o.epoch == 0
	switch {
	case o.producer == "" && r.outline.sequence != 0:
		return nil, statusAnonymousSequence()
	case begins && (r.outline.sequence != 0 || r.outline.entries != 0):
		return nil, statusSequenceWithoutEpoch()
	case o.epoch != 0 && r.outline.sequence == 0:
		return nil, statusZeroSequence()
	}
	return o, nil
}
