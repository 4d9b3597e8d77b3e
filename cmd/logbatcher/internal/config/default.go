package config

import (
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Default returns the configuration that holds where nothing is written: the firehose, into a
// ClickHouse and with a Redis on this machine.
func Default() *Config {
	return &Config{
		Listen: Listen{GRPC: "127.0.0.1:4320", HTTP: "127.0.0.1:4321"},
		Server: Server{
			Limits: Limits{
				MaxRequestBytes:         4 * MiB,
				MaxRequestEntries:       10000,
				MaxEntryBytes:           256 * KiB,
				MaxEntryAttributes:      1024,
				MaxStreamsPerConnection: 256,
				MaxProducers:            10000,
			},
			StreamAge:        30 * time.Minute,
			ConnectionAge:    time.Hour,
			ConnectionIdle:   5 * time.Minute,
			HandshakeTimeout: 10 * time.Second,
			DrainTimeout:     30 * time.Second,
			FinishTimeout:    30 * time.Second,
			UnaryTimeout:     time.Minute,
			ProducerIdle:     time.Hour,
			Keepalive:        Keepalive{Interval: time.Minute, Timeout: 20 * time.Second, MinClientInterval: 5 * time.Second},
			Windows:          Windows{Stream: 256 * KiB, Connection: MiB},
		},
		Memory:    Memory{Budget: 96 * MiB, TableShare: 0.25},
		Colo:      "local",
		Unmatched: UnmatchedDeadLetter,
		Shards: Shards{
			Bucket:        time.Minute,
			Linger:        time.Second,
			MaxBatchRows:  100000,
			MaxBatchBytes: 32 * MiB,
		},
		ClickHouse: ClickHouse{
			Addresses:       []string{"127.0.0.1:8123"},
			Database:        "default",
			User:            "default",
			Compression:     "none",
			Failover:        "none",
			InsertsPerTable: 4,
			AttemptTimeout:  time.Minute,
			Retry:           Retry{Min: 100 * time.Millisecond, Max: 30 * time.Second},
			HoldBackoff:     30 * time.Second,
			Fsync:           true,
		},
		Redis:       Redis{Addresses: []string{"127.0.0.1:6379"}},
		DeadLetters: DeadLetters{Stream: "logbatcher:dead_letters", MaxBytes: GiB, WhenFull: "wait"},
		Retention:   Retention{Enabled: true, Interval: schema.DefaultRetentionInterval},
		Shutdown:    Shutdown{Timeout: 30 * time.Second},
		Log:         Log{Level: "info", Format: "text"},
	}
}

// setDefaults fills in what holds for a route that says nothing else.
func (r *Route) setDefaults() {
	r.MaxAge = schema.DefaultMaxAge
	r.MaxAhead = schema.DefaultMaxAhead
	r.OnTimeOutOfRange = "refuse"
	r.Retention = RouteRetention{MaxAge: schema.DefaultRetention, Precise: true}
}

// setDefaults fills in what holds for a column that says nothing else.
func (c *Column) setDefaults() { c.OnError = "refuse" }

// setDefaults fills in what holds for an index that says nothing else.
func (x *Index) setDefaults() { x.Granularity = 1 }

// The values of Config.Unmatched.
const (
	// UnmatchedDeadLetter keeps entries that no route takes in the dead-letter queue.
	UnmatchedDeadLetter = "dead_letter"
	// UnmatchedRefuse tells their producer.
	UnmatchedRefuse = "refuse"
)
