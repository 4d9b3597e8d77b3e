package config

import (
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/server"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
	"github.com/logbatcher/logbatcher/sink/deadletter"
)

// Default returns the configuration that holds where nothing is written: the firehose, into a
// ClickHouse and with a Redis on this machine. What a package has a default for is the package's.
func Default() *Config {
	served, delivered, inserted, kept := server.DefaultConfig(), sink.DefaultDeliveryConfig(), clickhouse.DefaultConfig(), deadletter.DefaultConfig()
	return &Config{
		Listen: Listen{GRPC: "127.0.0.1:4320", HTTP: "127.0.0.1:4321"},
		Server: Server{
			Limits: Limits{
				MaxRequestBytes:         Size(served.MaxRequestBytes),
				MaxRequestEntries:       served.MaxRequestEntries,
				MaxEntryBytes:           Size(served.MaxEntryBytes),
				MaxEntryAttributes:      served.MaxEntryAttributes,
				MaxStreamsPerConnection: served.MaxConnectionStreams,
				MaxProducers:            served.MaxProducers,
			},
			StreamAge:        served.StreamAge,
			ConnectionAge:    served.MaxConnectionAge,
			ConnectionIdle:   served.ConnectionIdle,
			HandshakeTimeout: served.HandshakeTimeout,
			DrainTimeout:     served.StreamDrain,
			FinishTimeout:    served.FinishTimeout,
			UnaryTimeout:     served.UnaryTimeout,
			ProducerIdle:     served.ProducerIdle,
			Keepalive: Keepalive{
				Interval: served.KeepaliveTime, Timeout: served.KeepaliveTimeout, MinClientInterval: served.KeepaliveMinTime,
			},
			Windows: Windows{Stream: Size(served.StreamWindowBytes), Connection: Size(served.ConnectionWindowBytes)},
		},
		Memory:    Memory{Budget: 96 * MiB, TableShare: 0.25},
		Colo:      served.Colo,
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
			Compression:     string(inserted.Compression),
			Failover:        string(inserted.Failover),
			InsertsPerTable: delivered.MaxInsertsPerTable,
			MaxInserts:      delivered.MaxInserts,
			AttemptTimeout:  delivered.AttemptTimeout,
			LateAfter:       delivered.LateAfter,
			Retry:           Retry{Min: delivered.Backoff.Min, Max: delivered.Backoff.Max},
			HoldBackoff:     delivered.HoldBackoff.Max,
			Fsync:           true,
		},
		Redis:       Redis{Addresses: []string{"127.0.0.1:6379"}},
		DeadLetters: DeadLetters{Stream: kept.Stream, MaxBytes: Size(kept.MaxBytes), WhenFull: string(kept.WhenFull)},
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
