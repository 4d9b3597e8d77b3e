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

// call is a unary call of any protocol: one request that brings its opening with it.
type call struct {
	tenant *tenant
	intake *intake
	// opening is nil if the request has it.
	opening *opening
	// receive receives the request. It returns when ctx ends, too.
	receive func(ctx context.Context) (*frame, error)
}

// answer is what a unary call is told about its request. Each protocol turns it into its own response.
type answer struct {
	producer string
	// sequence is the request's, 0 if the call only began an epoch. logged is 0 without a log.
	epoch, sequence, committed, logged uint64
	level                              pb.Acknowledgement
	// entries is how many the request has, refused ones included.
	entries int
	// repeat is set if the request had been accepted before, and was not stored again.
	repeat bool
	outcomes
}

// serveCall handles one Ingest.
func (in *ingest) serveCall(_ any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	a, err := in.exchange(ctx, &call{tenant: in.tenants.of(callerOf(ctx).Tenant), intake: in.intake, receive: in.message(receive)})
	if err != nil {
		return nil, err
	}
	return a.response(), nil
}

// message returns the receive of a gRPC call.
func (in *ingest) message(receive func(any) error) func(context.Context) (*frame, error) {
	return func(ctx context.Context) (*frame, error) { return in.receiveFirst(ctx, receive) }
}

// response returns Ingest's response.
func (a *answer) response() *pb.IngestResponse {
	return &pb.IngestResponse{
		Producer: a.producer, Epoch: a.epoch, LoggedSequence: a.logged, CommittedSequence: a.committed, Acknowledgement: a.level,
		Refusals: a.refusals, DeadLettered: a.letters,
	}
}

// exchange handles a unary call of any protocol. The error is the status for the client.
func (in *ingest) exchange(ctx context.Context, c *call) (a answer, err error) {
	err = in.serve(c.tenant, func() (err error) {
		ctx, cancel := in.callContext(ctx)
		defer cancel()
		a, err = in.call(ctx, c)
		return err
	})
	return a, err
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
func (in *ingest) call(ctx context.Context, c *call) (_ answer, err error) {
	known, level := metadata{"state": "not accepted"}, pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED
	defer func() {
		switch {
		case errors.Is(err, errLate):
			err = statusUnaryDeadline(known, level)
		case errors.Is(err, errShutdown):
			err = statusUnaryShutdown(known)
		}
	}()
	f, err := c.receive(ctx)
	if err != nil {
		return answer{}, err
	}
	r, err := c.intake.admit(ctx, f, time.Now(), nil)
	if err != nil {
		return answer{}, err
	}
	entries := r.outline.entries
	s, w, err := in.openCall(ctx, c, r, known)
	if s != nil {
		defer in.registry.leave(s.producer)
	}
	if err != nil {
		r.free()
		return answer{}, err
	}
	level = s.opening.level
	told := answer{producer: s.producer.id, epoch: w.epoch, committed: w.committed, logged: w.logged, level: level, entries: entries}
	if s.opening.begins() {
		r.free()
		return told, nil
	}
	a, err := in.route(ctx, s, r)
	known["epoch"], known["sequence"] = decimal(w.epoch), decimal(a.sequence)
	if err != nil {
		return answer{}, err
	}
	known["state"] = "accepted"
	err = s.producer.awaitLevel(ctx, a, level)
	own, now := s.producer.conclude(s, a, err == nil && ctx.Err() == nil)
	if err != nil {
		known["committed_sequence"] = decimal(now.committed)
		if in.config.WAL != nil {
			known["logged_sequence"] = decimal(now.logged)
		}
		return answer{}, err
	}
	told.sequence, told.outcomes, told.repeat = a.sequence, own, a.verdict == verdictRepeat
	told.committed, told.logged = now.committed, now.logged
	return told, nil
}

// openCall opens a session for the request of a unary call. If it returns one, also with an error, its producer is in use.
func (in *ingest) openCall(ctx context.Context, c *call, r *request, known metadata) (*session, welcome, error) {
	o, err := c.opening, error(nil)
	if o == nil {
		o, err = in.config.decodeOpening(*r.buffer, &r.outline)
	} else {
		r.outline.sequence = o.sequence
	}
	if err != nil {
		return nil, welcome{}, err
	}
	if err := o.checkSequence(r.outline.sequence); err != nil && !o.begins() {
		return nil, welcome{}, err
	}
	if o.begins() && (r.outline.sequence != 0 || r.outline.entries != 0) {
		return nil, welcome{}, errSequenceWithoutEpoch
	}
	if why := in.readiness.Away(); why != "" && o.producer == "" && o.level == pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED {
		return nil, welcome{}, statusAway(why)
	}
	r.Suspend() // other calls of the producer may go first, and wait for a table
	p, err := in.registry.use(c.tenant.name, o.producer)
	if err != nil {
		return nil, welcome{}, err
	}
	known["producer"] = p.id
	o.tenant = c.tenant
	s := newCallSession(p, o)
	w, err := p.open(ctx, s)
	if err == nil {
		in.logOpening(ctx, "unary call", s, w)
	}
	return s, w, err
}
