package server

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// ingest is IngestService and OTLP's LogsService. Each call, stream or unary, opens a session and passes its requests to route.
type ingest struct {
	config   *Config
	router   Router
	registry *registry
	tenants  *tenants
	intake   *intake
	// otlp and otlpJSON share what is known of resources.
	otlp, otlpJSON *intake
	openings       openings
	replays        replays
	metrics        *metrics
	life           *lifecycle
	// readiness knows whether anything can be committed.
	readiness Readiness

	// Clients can cause these log lines at will.
	panicked, unclassed, closed rarely

	calls    atomic.Int64   // open streams and unary calls
	exited   chan struct{}  // has room for one; signalled when a call has ended
	children sync.WaitGroup // the goroutines of calls, which may outlive their handlers
}

func newIngest(config *Config, router Router, budget Budget, readiness Readiness, m *metrics) *ingest {
	ofOTLP := newOTLPDecoder(config)
	in := &ingest{
		config: config, router: router, readiness: readiness, registry: newRegistry(config, m), metrics: m, life: newLifecycle(),
		tenants: &tenants{config: config, metrics: m, known: map[string]*tenant{}},
		intake:  newIntake(protocolProtobuf, config, budget, m, newProtobufDecoder(config)), otlp: newOTLPIntake(config, budget, m, ofOTLP),
		otlpJSON: newOTLPIntake(config, budget, m, ofOTLP),
		exited:   make(chan struct{}, 1),
	}
	in.otlpJSON.convert = appendOTLP
	return in
}

// service describes IngestService to gRPC. Unlike the generated handlers, ours receive frames instead of messages.
func (in *ingest) service() *grpc.ServiceDesc {
	d := pb.IngestService_ServiceDesc
	d.HandlerType = (*any)(nil)
	d.Methods = []grpc.MethodDesc{{MethodName: d.Methods[0].MethodName, Handler: in.serveCall}}
	d.Streams = []grpc.StreamDesc{{
		StreamName: d.Streams[0].StreamName, Handler: in.serveStream, ServerStreams: true, ClientStreams: true,
	}}
	return &d
}

// serve runs a tenant's call, unless there are too many or the instance is shutting down, and returns its status.
func (in *ingest) serve(t *tenant, call func() error) error {
	if in.life.draining.Err() != nil {
		return errShutdown
	}
	defer func() {
		in.calls.Add(-1)
		select {
		case in.exited <- struct{}{}:
		default:
		}
	}()
	if in.calls.Add(1) > int64(in.config.MaxStreams) {
		return statusTooManyStreams("max_streams", in.config.MaxStreams)
	}
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	in.metrics.streams.Inc()
	defer in.metrics.streams.Dec()
	return in.statusOf(call())
}

// spawn runs do in a goroutine that Shutdown joins, and sends its error to result. A panic becomes an error: the interceptor
// sees only those of the handler.
func (in *ingest) spawn(result chan<- error, do func() error) {
	in.children.Go(func() {
		result <- func() (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = in.recovered(v)
				}
			}()
			return do()
		}()
	})
}

// receiveFirst receives the first message of a call. It returns when ctx ends, too: a client that sends nothing must not keep
// its place. The goroutine ends when the handler has returned, because that unblocks receive.
func (in *ingest) receiveFirst(ctx context.Context, receive func(any) error) (*frame, error) {
	f, received := &frame{}, make(chan error, 1)
	in.spawn(received, func() error { return receive(f) })
	select {
	case err := <-received:
		return f, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// logOpening logs an opening, at level debug so that no client can fill the log.
func (in *ingest) logOpening(ctx context.Context, what string, s *session, w welcome) {
	in.config.Log.LogAttrs(ctx, slog.LevelDebug, what, slog.String("producer", s.producer.id), slog.String("client", s.opening.client),
		slog.Uint64("epoch", w.epoch), slog.Uint64("committed_sequence", w.committed), slog.Bool("resumed", w.resumed))
}

// recovered returns the error for a panic, and logs it.
func (in *ingest) recovered(v any) error {
	in.metrics.panics.Inc()
	in.panicked.log(in.config.Log, slog.LevelError, "panic in a call", "panic", v, "stack", string(debug.Stack()))
	return errInternal
}

// statusOf returns the status for the error that ended a call.
func (in *ingest) statusOf(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, errLog) {
		in.closed.log(in.config.Log, slog.LevelWarn, "no epoch can begin", "error", err)
		return errRouterClosed
	}
	if errors.Is(err, errOwner) {
		in.closed.log(in.config.Log, slog.LevelWarn, "a producer is not accepted", "error", err)
		return statusOwnerUnknown(err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return statusOfContext(err)
	}
	in.unclassed.log(in.config.Log, slog.LevelError, "call ended by an unexpected error", "error", err)
	return errInternal
}

// route accepts a request for its session's producer, decodes it and hands it to the Router. It frees the request unless the
// Router takes it.
func (in *ingest) route(ctx context.Context, s *session, r *request) (accepted, error) {
	p, t := s.producer, s.opening.tenant
	if err := t.admit(ctx, s, r); err != nil {
		r.free()
		return accepted{}, err
	}
	a, err := p.accept(ctx, s, r.outline.sequence, r.sum)
	if err != nil || a.verdict == verdictRepeat {
		r.free()
		return a, err
	}
	taken, inRouter := false, false
	defer func() {
		if !taken && !inRouter { // after a panic in the Router something may still read it
			r.free()
		}
		p.routed(taken || r.LSN != 0) // what the log has can't be taken back
	}()

	if err := r.decode(ctx, &s.opening.defaults); err != nil {
		return a, err
	}
	r.Producer, r.Epoch, r.Sequence = p.id, a.epoch, a.sequence
	r.Tenant, r.Routes = t.name, t.bounds.Load().Routes
	refusals, received := r.refusals, r.Received
	if s.unary() {
		p.note(s.answer, a.sequence, refusals)
		refusals = nil
	}
	r.Settled = func(o *schema.Outcome) {
		in.metrics.commitSeconds.Observe(time.Since(received).Seconds())
		p.settle(a.epoch, a.sequence, refusals, o)
	}
	if in.config.WAL != nil {
		in.throughLog(s, r, r.Settled)
	}
	if alone := len(r.Entries) == 0 && !r.pieces; alone {
		if r.Log != nil {
			err = in.logAlone(ctx, s, r)
		}
		if err == nil {
			taken = true
			r.count(t)
			r.end()
			return a, nil
		}
	} else {
		inRouter = true
		err = in.router.Route(ctx, &r.Request, s.setWait)
		inRouter = false
		if err == nil {
			taken = true
			r.count(t)
			return a, nil
		}
	}
	if ctx.Err() != nil {
		return a, context.Cause(ctx)
	}
	in.closed.log(in.config.Log, slog.LevelWarn, "the router accepts no requests", "error", err)
	return a, errRouterClosed
}
