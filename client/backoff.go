package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pauses computes the waits between streams. They double, with jitter, until reset.
type pauses struct {
	min, max time.Duration
	current  time.Duration
}

func (b *pauses) reset() { b.current = 0 }

// next returns a wait of at least half of min and at most max. It is no shorter than what the server asked for, up to max.
func (b *pauses) next(asked time.Duration) time.Duration {
	if b.current > b.max/2 {
		b.current = b.max
	} else {
		b.current = max(b.min, 2*b.current)
	}
	wait := b.min/2 + rand.N(min(b.current, b.max-b.min/2))
	return max(wait, min(asked, b.max))
}

// final is an error that another stream would not change: the server violated the protocol, or gRPC itself refused what it was
// asked to send.
type final struct{ error }

// Unwrap returns the cause.
func (f final) Unwrap() error { return f.error }

func violation(format string, values ...any) error { return final{fmt.Errorf(format, values...)} }

// retryable reports whether another stream may do better. It follows OpenTelemetry's table of retryable codes
// (opentelemetry-proto docs/specification.md), except that ABORTED and OUT_OF_RANGE mean here that another process sends as this
// producer, so that a new stream would end the same way.
func retryable(err error) bool {
	if _, ok := errors.AsType[final](err); ok {
		return false
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.DataLoss, codes.Internal, codes.Unknown:
		return true
	case codes.ResourceExhausted:
		_, asked := retryDelay(err)
		return asked
	}
	return false
}

// retryDelay returns the wait that the server asked for.
func retryDelay(err error) (delay time.Duration, asked bool) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}
