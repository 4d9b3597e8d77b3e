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

// ingest is IngestService. Its methods take frames, not messages, so it is not registered by the generated function.
type ingest struct {
	config   *Config
	router   Router
	registry *registry
	intake   *intake
	metrics  *metrics
	life     *lifecycle

	// The log's lines about what should not happen, which calls may cause at will all the same.
	panicked, unclassed, closed rarely

	calls    atomic.Int64   // streams and unary calls that are open
	children sync.WaitGroup // the goroutines of streams, which may outlive their handlers
}

// ingestService describes IngestService to gRPC as the generated description does, but for the handlers: they receive frames.
func (in *ingest) service() *grpc.ServiceDesc {
	d := pb.IngestService_ServiceDesc
	d.HandlerType = (*any)(nil)
	d.Methods = []grpc.MethodDesc{{MethodName: d.Methods[0].MethodName, Handler: in.unaryHandler}}
	d.Streams = []grpc.StreamDesc{{
		StreamName: d.Streams[0].StreamName, Handler: in.serve, ServerStreams: true, ClientStreams: true,
	}}
	return &d
}

// enter counts a call in, or refuses it.
func (in *ingest) enter() error {
	if in.life.draining.Err() != nil {
		return statusShuttingDown()
	}
	if in.calls.Add(1) > int64(in.config.MaxStreams) {
		in.calls.Add(-1)
		return statusTooManyStreams(in.config.MaxStreams)
	}
	in.metrics.streams.Inc()
	return nil
}

func (in *ingest) exit() {
	in.calls.Add(-1)
	in.metrics.streams.Dec()
	in.life.left()
}

// logOpening logs who has opened what. A line for each stream and call is for debugging only.
func (in *ingest) logOpening(ctx context.Context, what string, o *opening, p *producer, w welcome) {
	in.config.Log.LogAttrs(ctx, slog.LevelDebug, what, slog.String("producer", p.id), slog.String("client", o.client),
		slog.Uint64("epoch", w.epoch), slog.Uint64("committed_sequence", w.committed), slog.Bool("resumed", w.resumed))
}

// guard turns a panic of a goroutine of a stream into an error: the interceptor sees that of the handler only.
func (in *ingest) guard(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = in.recovered(v)
		}
	}()
	return do()
}

func (in *ingest) recovered(v any) error {
	in.metrics.panics.Inc()
	stack := string(debug.Stack())
	in.panicked.log(func(count int) {
		in.config.Log.Error("panic in a call", slog.Any("panic", v), slog.Int("count", count), slog.String("stack", stack))
	})
	return statusInternal()
}

// statusOf turns the reason for which a call ended into its status.
func (in *ingest) statusOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errSuperseded):
		return statusSuperseded()
	case errors.Is(err, errShutdown):
		return statusShuttingDown()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return statusOfContext(err)
	}
	if _, ok := status.FromError(err); !ok {
		in.unclassed.log(func(count int) {
			in.config.Log.Error("call ended by an error of no class", slog.Any("error", err), slog.Int("count", count))
		})
		return statusInternal()
	}
	return err
}

// delivery is how a request is handed over.
type delivery struct {
	producer *producer
	// session is the stream's. Nil for a unary call, which says its epoch.
	session *session
	epoch   uint64
	// waiting is called when the Router begins to wait.
	waiting func(cause schema.WaitCause, table string)
	// defaults hold for the entries.
	defaults *defaults
	// reply takes what became of the request, in place of the producer's outbox. Nil: the outbox.
	reply *reply
}

// route accepts a request for its producer, decodes it and hands it to the Router. The request is freed where the Router has not taken it.
func (in *ingest) route(ctx context.Context, d delivery, r *request) (accepted, error) {
	p := d.producer
	a, err := p.accept(ctx, d.session, d.epoch, r.outline.sequence, r.sum)
	if err != nil || a.verdict != verdictNext {
		r.free()
		return a, err
	}
	taken := false
	defer func() { p.routed(taken) }() // whatever happens, or the producer could never open again

	if err := r.decode(ctx, d.defaults); err != nil {
		r.free()
		return a, err
	}
	r.Decoder = r
	r.Producer, r.Epoch, r.Sequence = p.id, a.epoch, a.sequence
	refusals, received := r.refusals, r.Received
	if d.reply != nil {
		p.expect(a.sequence, d.reply, refusals)
		refusals = nil
	}
	r.Settled = func(o *schema.Outcome) {
		in.metrics.commitSeconds.Observe(time.Since(received).Seconds())
		p.settle(a.epoch, a.sequence, refusals, o)
	}
	if len(r.Entries) == 0 && !r.pieces {
		taken = true
		r.count()
		r.free()
		r.Settled(&schema.Outcome{})
		return a, nil
	}
	if err := in.router.Route(ctx, &r.Request, d.waiting); err != nil {
		r.free()
		if ctx.Err() != nil {
			return a, context.Cause(ctx)
		}
		in.closed.log(func(count int) {
			in.config.Log.Warn("router takes no requests", slog.Any("error", err), slog.Int("count", count))
		})
		return a, statusRouterClosed()
	}
	taken = true
	r.count()
	return a, nil
}
