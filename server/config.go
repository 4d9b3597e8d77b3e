package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says how the server faces its clients. New fields work at their zero value; the others start
// from DefaultConfig.
type Config struct {
	// Instance is the id of this instance, new with each start of the process.
	Instance string
	// Colo is where entries come from whose stream and who themselves name no colo.
	Colo string
	// TLS is the server's TLS configuration. Nil: plain text.
	TLS *tls.Config

	// MaxRequestBytes is the largest request after decompression. One request for each stream lies
	// outside of the budget until the budget has room for it.
	MaxRequestBytes int
	// MaxRequestEntries is the most entries in a request.
	MaxRequestEntries int
	// MaxEntryBytes is the largest entry, in bytes of its protobuf encoding.
	MaxEntryBytes int
	// MaxEntryAttributes is the most attributes of an entry.
	MaxEntryAttributes int
	// MaxOpenBytes is the largest opening of a stream.
	MaxOpenBytes int

	// MaxConnections is the most connections at a time. It must leave file descriptors for everything else.
	MaxConnections int
	// HandshakeTimeout is how long a new connection may take until it speaks HTTP/2, TLS included.
	HandshakeTimeout time.Duration
	// ConnectionIdle is how long a connection without a stream or call is kept. 0: for as long as it lasts.
	ConnectionIdle time.Duration
	// MaxStreams is the most streams and unary calls of IngestService at a time, over all connections.
	MaxStreams int
	// MaxConnectionStreams is the most calls of one connection at a time.
	MaxConnectionStreams int
	// StreamWindowBytes and ConnectionWindowBytes are HTTP/2's flow control windows. They are fixed: windows that
	// grow hold up to a whole request for each stream before this package sees a byte of it.
	StreamWindowBytes, ConnectionWindowBytes int

	// OpenTimeout is how long a stream may take to send its opening.
	OpenTimeout time.Duration
	// StreamAge is the age, give or take a fifth, at which a stream is told to drain. 0: never.
	StreamAge time.Duration
	// StreamDrain is the time between telling a stream to drain and reading no further.
	StreamDrain time.Duration
	// FinishTimeout is how long a stream waits, when nothing more is read from it, for what it accepted to be committed; and
	// how long an opening waits for what an older stream accepted.
	FinishTimeout time.Duration
	// UnaryTimeout is how long a unary call waits at most, if its own deadline is not earlier.
	UnaryTimeout time.Duration
	// ThrottleAfter is how long a stream waits before its producer is told that it does.
	ThrottleAfter time.Duration
	// ResponseInterval is the least time between two responses of a stream. What happens within it is told together.
	ResponseInterval time.Duration
	// MaxPendingOutcomes is how many refusals and dead letters may wait because a producer does not read
	// its responses. Above it the server reads nothing more from the producer.
	MaxPendingOutcomes int

	// ProducerIdle is how long the state of a producer without a stream is kept.
	ProducerIdle time.Duration
	// MaxProducers is the most producers whose state is kept. The longest idle ones are forgotten first.
	MaxProducers int

	// KeepaliveTime and KeepaliveTimeout are how long a connection may be silent before it is
	// pinged, and how long it may then stay silent.
	KeepaliveTime, KeepaliveTimeout time.Duration
	// KeepaliveMinTime is the least time between two pings of a client.
	KeepaliveMinTime time.Duration
	// MaxConnectionAge is the age at which a connection takes no new calls. 0: none. It is the backstop of StreamAge.
	MaxConnectionAge time.Duration

	// Log takes what an operator should know.
	Log *slog.Logger
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
}

// DefaultConfig returns the defaults. Instance must be set.
func DefaultConfig() Config {
	return Config{
		Colo:                  "local",
		MaxRequestBytes:       4 << 20,
		MaxRequestEntries:     10_000,
		MaxEntryBytes:         256 << 10,
		MaxEntryAttributes:    1024,
		MaxOpenBytes:          64 << 10,
		MaxConnections:        1000,
		HandshakeTimeout:      10 * time.Second,
		ConnectionIdle:        5 * time.Minute,
		MaxStreams:            1000,
		MaxConnectionStreams:  256,
		StreamWindowBytes:     256 << 10,
		ConnectionWindowBytes: 1 << 20,
		OpenTimeout:           10 * time.Second,
		StreamAge:             30 * time.Minute,
		StreamDrain:           30 * time.Second,
		FinishTimeout:         30 * time.Second,
		UnaryTimeout:          time.Minute,
		ThrottleAfter:         50 * time.Millisecond,
		ResponseInterval:      5 * time.Millisecond,
		MaxPendingOutcomes:    1024,
		ProducerIdle:          time.Hour,
		MaxProducers:          10_000,
		KeepaliveTime:         time.Minute,
		KeepaliveTimeout:      20 * time.Second,
		KeepaliveMinTime:      5 * time.Second,
		MaxConnectionAge:      time.Hour,
		Log:                   slog.New(slog.DiscardHandler),
		Registerer:            prometheus.NewRegistry(),
	}
}

// Validate returns all that is wrong with the configuration.
func (c *Config) Validate() error {
	var problems []error
	report := func(format string, arguments ...any) {
		problems = append(problems, fmt.Errorf(format, arguments...))
	}
	for _, v := range c.positives() {
		if v.value <= 0 {
			report("%s is %d, it must be above 0", v.name, v.value)
		}
	}
	for _, v := range []namedValue{
		{"StreamAge", int64(c.StreamAge)}, {"ThrottleAfter", int64(c.ThrottleAfter)},
		{"ResponseInterval", int64(c.ResponseInterval)}, {"MaxConnectionAge", int64(c.MaxConnectionAge)},
		{"ConnectionIdle", int64(c.ConnectionIdle)},
	} {
		if v.value < 0 {
			report("%s is %d, it must not be below 0", v.name, v.value)
		}
	}
	if c.Instance == "" {
		report("Instance is empty")
	}
	if problem := checkColo(c.Colo); problem != "" || c.Colo == "" {
		report("Colo is %q, it must be 1 to %d of A-Z, a-z, 0-9, _ and .", c.Colo, maxColoBytes)
	}
	if c.MaxEntryBytes > c.MaxRequestBytes {
		report("MaxEntryBytes is %d, it must not exceed MaxRequestBytes, %d", c.MaxEntryBytes, c.MaxRequestBytes)
	}
	if c.MaxRequestBytes > 1<<30 {
		report("MaxRequestBytes is %d, it must not exceed %d", c.MaxRequestBytes, 1<<30)
	}
	for _, w := range []namedValue{
		{"StreamWindowBytes", int64(c.StreamWindowBytes)}, {"ConnectionWindowBytes", int64(c.ConnectionWindowBytes)},
	} {
		if w.value < 64<<10 || w.value > 1<<30 {
			report("%s is %d, it must be from %d to %d", w.name, w.value, 64<<10, 1<<30)
		}
	}
	if c.Log == nil || c.Registerer == nil {
		report("Log and Registerer are needed")
	}
	return errors.Join(problems...)
}

type namedValue struct {
	name  string
	value int64
}

func (c *Config) positives() []namedValue {
	return []namedValue{
		{"MaxRequestBytes", int64(c.MaxRequestBytes)},
		{"MaxRequestEntries", int64(c.MaxRequestEntries)},
		{"MaxEntryBytes", int64(c.MaxEntryBytes)},
		{"MaxEntryAttributes", int64(c.MaxEntryAttributes)},
		{"MaxOpenBytes", int64(c.MaxOpenBytes)},
		{"MaxConnections", int64(c.MaxConnections)},
		{"HandshakeTimeout", int64(c.HandshakeTimeout)},
		{"MaxStreams", int64(c.MaxStreams)},
		{"MaxConnectionStreams", int64(c.MaxConnectionStreams)},
		{"OpenTimeout", int64(c.OpenTimeout)},
		{"StreamDrain", int64(c.StreamDrain)},
		{"FinishTimeout", int64(c.FinishTimeout)},
		{"UnaryTimeout", int64(c.UnaryTimeout)},
		{"MaxPendingOutcomes", int64(c.MaxPendingOutcomes)},
		{"ProducerIdle", int64(c.ProducerIdle)},
		{"MaxProducers", int64(c.MaxProducers)},
		{"KeepaliveTime", int64(c.KeepaliveTime)},
		{"KeepaliveTimeout", int64(c.KeepaliveTimeout)},
		{"KeepaliveMinTime", int64(c.KeepaliveMinTime)},
	}
}

// connectionGrace is how long the streams of a connection that is too old may go on: as
// long as the longest life of a stream, so that it is Drain which ends them.
func (c *Config) connectionGrace() time.Duration {
	return c.StreamAge + c.StreamAge/5 + c.StreamDrain + c.FinishTimeout
}
