package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/server/access"
)

// Config is how the server faces its clients. Start from DefaultConfig; new fields work at their zero value.
type Config struct {
	// Instance is the id of this instance, new with each start of the process.
	Instance string
	// Colo is the colo of entries for which neither they nor their stream name one.
	Colo string
	// Gate decides who may call. Nil asks nobody who they are.
	Gate *access.Gate
	// TLS is the server's TLS configuration; nil serves plain text.
	TLS *tls.Config
	// WAL is the write-ahead log. Nil: there is none.
	WAL Log
	// Owners decide which producers belong to this instance's log. Nil: all do. They need a log.
	Owners Owners
	// Log receives what an operator should know.
	Log *slog.Logger
	// Registerer receives the metrics.
	Registerer prometheus.Registerer

	Limits `yaml:"limits"`

	// StreamAge is the age, give or take a fifth, at which a stream is asked to move, so that load spreads over instances. 0: never.
	StreamAge time.Duration `yaml:"stream_age" min:"0"`
	// MaxConnectionAge is the age at which a connection accepts no new calls; its streams move first. 0: never.
	MaxConnectionAge time.Duration `yaml:"connection_age" min:"0"`
	// ConnectionIdle is how long a connection without a stream or call is kept. 0: forever.
	ConnectionIdle time.Duration `yaml:"connection_idle" min:"0"`
	// HandshakeTimeout is how long a new connection may take until it speaks HTTP/2, TLS included.
	HandshakeTimeout time.Duration `yaml:"handshake_timeout" min:"1s" max:"2m"`
	// StreamDrain is the time between asking a stream to move and reading no more from it.
	StreamDrain time.Duration `yaml:"drain_timeout" min:"1s"`
	// FinishTimeout is how long a stream that is no longer read waits for what it sent to reach its level, and how long an opening
	// waits for what an older stream of the producer sent to be logged or, without a log, settled.
	FinishTimeout time.Duration `yaml:"finish_timeout" min:"1s"`
	// UnaryTimeout is the longest that a unary call waits, if its own deadline is not earlier.
	UnaryTimeout time.Duration `yaml:"unary_timeout" min:"1s"`
	// Acknowledgement is when calls are answered that bring no opening of our protocol, unless a header asks otherwise.
	Acknowledgement string `yaml:"acknowledgement" oneof:"committed|logged|received"`
	// ProducerIdle is how long the state of a producer without a stream is kept.
	ProducerIdle time.Duration `yaml:"producer_idle" min:"1m"`

	Keepalive `yaml:"keepalive"`
	Windows   `yaml:"windows"`

	// MaxOpenBytes is the largest opening of a stream, OpenTimeout the time in which it must arrive.
	MaxOpenBytes int
	OpenTimeout  time.Duration
	// ThrottleAfter is how long a stream waits before its producer is told that it does.
	ThrottleAfter time.Duration
	// ResponseInterval is the least time between two responses of a stream; what happens in between is reported together.
	ResponseInterval time.Duration
	// MaxPendingOutcomes bounds the refusals and dead letters that wait for a producer which does not read its responses. At
	// the bound the server stops reading from the producer.
	MaxPendingOutcomes int
}

// Limits bound what producers may send and open.
type Limits struct {
	// MaxRequestBytes is the largest request after decompression. Each stream holds one request outside of the budget until
	// the budget has room for it.
	MaxRequestBytes settings.Size `yaml:"max_request_bytes" min:"16KiB" max:"1GiB"`
	// MaxRequestEntries is the most entries in a request.
	MaxRequestEntries int `yaml:"max_request_entries" min:"1" max:"1000000"`
	// MaxEntryBytes is the largest entry in protobuf encoding; a dead letter must be able to hold one.
	MaxEntryBytes settings.Size `yaml:"max_entry_bytes" min:"1KiB" max:"768KiB"`
	// MaxEntryAttributes is the most attributes of an entry.
	MaxEntryAttributes int `yaml:"max_entry_attributes" min:"1" max:"100000"`
	// MaxStreams is the most streams and unary calls of IngestService at a time, over all connections.
	MaxStreams int `yaml:"max_streams" min:"0" max:"1000000"`
	// MaxConnections bounds the open connections, those of gRPC and those of HTTP each. It must leave file descriptors for everything else.
	MaxConnections int `yaml:"max_connections" min:"0" max:"1000000"`
	// MaxConnectionStreams is the most calls of one connection at a time.
	MaxConnectionStreams int `yaml:"max_streams_per_connection" min:"1" max:"100000"`
	// MaxProducers is the most producers whose state is kept; the longest idle are forgotten first.
	MaxProducers int `yaml:"max_producers" min:"1" max:"10000000"`
}

// Keepalive detects dead connections.
type Keepalive struct {
	// KeepaliveTime is the silence after which a connection is pinged, KeepaliveTimeout how long the answer may take.
	KeepaliveTime    time.Duration `yaml:"interval" min:"1s"`
	KeepaliveTimeout time.Duration `yaml:"timeout" min:"1s"`
	// KeepaliveMinTime is the least time between two pings of a client; a client that pings more often is disconnected.
	KeepaliveMinTime time.Duration `yaml:"min_client_interval" min:"1s"`
}

// Windows are the HTTP/2 flow-control windows. They are fixed: growing windows buffer up to a whole request per stream before
// this package sees a byte of it.
type Windows struct {
	StreamWindowBytes     settings.Size `yaml:"stream" min:"64KiB" max:"64MiB"`
	ConnectionWindowBytes settings.Size `yaml:"connection" min:"64KiB" max:"1GiB"`
}

// DefaultConfig returns the defaults. Instance, Log and Registerer must be set.
func DefaultConfig() Config {
	return Config{
		Colo: "local",
		Limits: Limits{
			MaxRequestBytes:      4 * settings.MiB,
			MaxRequestEntries:    10_000,
			MaxEntryBytes:        256 * settings.KiB,
			MaxEntryAttributes:   1024,
			MaxStreams:           1000,
			MaxConnections:       1000,
			MaxConnectionStreams: 256,
			MaxProducers:         10_000,
		},
		StreamAge:          30 * time.Minute,
		MaxConnectionAge:   time.Hour,
		ConnectionIdle:     5 * time.Minute,
		HandshakeTimeout:   10 * time.Second,
		StreamDrain:        30 * time.Second,
		FinishTimeout:      30 * time.Second,
		UnaryTimeout:       time.Minute,
		Acknowledgement:    "committed",
		ProducerIdle:       time.Hour,
		Keepalive:          Keepalive{KeepaliveTime: time.Minute, KeepaliveTimeout: 20 * time.Second, KeepaliveMinTime: 5 * time.Second},
		Windows:            Windows{StreamWindowBytes: 256 * settings.KiB, ConnectionWindowBytes: settings.MiB},
		MaxOpenBytes:       64 << 10,
		OpenTimeout:        10 * time.Second,
		ThrottleAfter:      50 * time.Millisecond,
		ResponseInterval:   5 * time.Millisecond,
		MaxPendingOutcomes: 1024,
	}
}

// Check returns what is wrong with how the settings fit together. Their own bounds are settings.Check's.
func (c *Config) Check() []schema.Problem {
	var problems []schema.Problem
	report := func(path, format string, arguments ...any) {
		problems = append(problems, schema.Problem{Path: path, Message: fmt.Sprintf(format, arguments...)})
	}
	if c.MaxEntryBytes > c.MaxRequestBytes {
		report("limits.max_entry_bytes", "%v is more than limits.max_request_bytes, %v, so such an entry could not be sent", c.MaxEntryBytes, c.MaxRequestBytes)
	}
	if c.StreamWindowBytes > c.ConnectionWindowBytes {
		report("windows.stream", "%v is more than windows.connection, %v, which all streams of a connection share", c.StreamWindowBytes, c.ConnectionWindowBytes)
	}
	if c.MaxConnectionAge > 0 && c.StreamAge >= c.MaxConnectionAge {
		report("connection_age", "%s is not above stream_age, %s: streams move before their connection is closed",
			settings.FormatDuration(c.MaxConnectionAge), settings.FormatDuration(c.StreamAge))
	}
	return problems
}

// Validate returns everything that is wrong with the configuration.
func (c *Config) Validate() error {
	problems := append(settings.CheckSigns(c), c.Check()...)
	require := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, schema.Problem{Path: "server", Message: problem})
		}
	}
	require(c.Instance != "", "Instance is empty")
	require(c.Colo != "" && checkColo(c.Colo) == "", "Colo must be 1 to 32 of A-Z, a-z, 0-9, _ and .")
	require(c.MaxStreams > 0 && c.MaxConnections > 0, "MaxStreams and MaxConnections must be above 0")
	require(c.MaxOpenBytes > 0 && c.OpenTimeout > 0, "MaxOpenBytes and OpenTimeout must be above 0")
	require(c.ThrottleAfter >= 0 && c.ResponseInterval >= 0, "ThrottleAfter and ResponseInterval must not be negative")
	require(c.MaxPendingOutcomes > 0, "MaxPendingOutcomes must be above 0")
	require(c.WAL != nil || c.Owners == nil, "Owners are about what a write-ahead log has, and there is none")
	require(c.Log != nil && c.Registerer != nil, "Log and Registerer are missing")
	return settings.Error(problems)
}

// connectionGrace is how long the streams of a connection that is too old may go on: as
// long as the longest life of a stream, so that it is Drain which ends them.
func (c *Config) connectionGrace() time.Duration {
	return c.StreamAge + c.StreamAge/5 + c.StreamDrain + c.FinishTimeout
}
