package client

import (
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// backoff gives the waits between streams: doubling, with full jitter, back to the smallest after a welcome.
type backoff struct {
	min, max time.Duration
	current  time.Duration
}

func (b *backoff) reset() { b.current = 0 }

func (b *backoff) next() time.Duration {
	b.current = min(b.max, max(b.min, 2*b.current))
	return b.min/2 + rand.N(b.current)
}

// retryable tells whether a new stream may do better. It follows OpenTelemetry's table of
// retryable codes (opentelemetry-proto docs/specification.md), with two differences: ABORTED and OUT_OF_RANGE
// mean here that another process sends as this producer, which a new stream would only answer in kind.
func retryable(err error) bool {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.DataLoss, codes.Internal, codes.Unknown:
		return true
	case codes.ResourceExhausted:
		for _, detail := range s.Details() {
			if _, asked := detail.(*errdetails.RetryInfo); asked {
				return true
			}
		}
	}
	return false
}
