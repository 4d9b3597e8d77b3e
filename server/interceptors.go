package server

import (
	"context"
	"log/slog"

	grpcprometheus "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// interceptors returns the options that wrap every call: they count it and how it ended, and turn a panic into an error. They log
// at level debug only: mostly it is the client who ends a call, and no client may fill the log.
func interceptors(c *Config, m *metrics, unpack *decompressor, calls *grpcprometheus.ServerMetrics, door *doorkeeper,
	recovered func(any) error) []grpc.ServerOption {
	logger := logging.LoggerFunc(func(ctx context.Context, _ logging.Level, message string, fields ...any) {
		c.Log.Log(ctx, slog.LevelDebug, message, fields...)
	})
	logged := []logging.Option{
		logging.WithLogOnEvents(logging.FinishCall),
		logging.WithDurationField(logging.DurationToDurationField),
	}
	recovering := recovery.WithRecoveryHandler(recovered)
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(
			m.countUnary,
			calls.UnaryServerInterceptor(),
			logging.UnaryServerInterceptor(logger, logged...),
			recovery.UnaryServerInterceptor(recovering),
			door.unary,
		),
		grpc.ChainStreamInterceptor(
			framing(unpack),
			m.countStream,
			calls.StreamServerInterceptor(),
			logging.StreamServerInterceptor(logger, logged...),
			recovery.StreamServerInterceptor(recovering),
			door.stream,
		),
		grpc.StatsHandler(encodings{m}),
	}
}

func (m *metrics) countUnary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	response, err := handler(ctx, request)
	m.countFailed(err)
	return response, err
}

func (m *metrics) countStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := handler(srv, stream)
	m.countFailed(err)
	return err
}

// countFailed counts a call that did not end with OK, by the reason in its ErrorInfo.
func (m *metrics) countFailed(err error) {
	if err == nil {
		return
	}
	st := status.Convert(err)
	reason := st.Code().String()
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Domain == errorDomain {
			reason = info.Reason
		}
	}
	m.failedCalls.WithLabelValues(reason).Inc()
}

// encodings counts the calls that gRPC answers itself because their compression is unknown: no interceptor sees them.
type encodings struct{ metrics *metrics }

// HandleRPC implements stats.Handler.
func (e encodings) HandleRPC(_ context.Context, s stats.RPCStats) {
	if h, ok := s.(*stats.InHeader); ok && h.Compression != "" && h.Compression != encoding.Identity && encoding.GetCompressor(h.Compression) == nil {
		e.metrics.failedCalls.WithLabelValues("UNKNOWN_ENCODING").Inc()
	}
}

// TagRPC implements stats.Handler.
func (encodings) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements stats.Handler.
func (encodings) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (encodings) HandleConn(context.Context, stats.ConnStats) {}
