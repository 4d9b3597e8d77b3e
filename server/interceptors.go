package server

import (
	"context"
	"log/slog"

	grpcprometheus "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// interceptors see every call from outside: they count it, log how it ended, and turn its panic into an error. They never
// see an entry.
type interceptors struct {
	metrics *grpcprometheus.ServerMetrics
	log     *slog.Logger
	recover func(any) error
}

func newInterceptors(config *Config, recovered func(any) error) (*interceptors, error) {
	i := &interceptors{metrics: grpcprometheus.NewServerMetrics(), log: config.Log, recover: recovered}
	return i, config.Registerer.Register(i.metrics)
}

func (i *interceptors) options() []grpc.ServerOption {
	logger := logging.LoggerFunc(func(ctx context.Context, level logging.Level, message string, fields ...any) {
		i.log.Log(ctx, slog.Level(level), message, fields...)
	})
	logged := []logging.Option{
		logging.WithLogOnEvents(logging.FinishCall),
		logging.WithLevels(logLevel),
		logging.WithDurationField(logging.DurationToDurationField),
	}
	recovering := recovery.WithRecoveryHandler(i.recover)
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(
			i.metrics.UnaryServerInterceptor(),
			logging.UnaryServerInterceptor(logger, logged...),
			recovery.UnaryServerInterceptor(recovering),
		),
		grpc.ChainStreamInterceptor(
			i.metrics.StreamServerInterceptor(),
			logging.StreamServerInterceptor(logger, logged...),
			recovery.StreamServerInterceptor(recovering),
		),
	}
}

// logLevel says how much an operator should care that a call ended so. That streams end is routine.
func logLevel(code codes.Code) logging.Level {
	switch code {
	case codes.OK, codes.Canceled, codes.Unavailable, codes.DeadlineExceeded:
		return logging.LevelDebug
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return logging.LevelError
	}
	return logging.LevelInfo
}
