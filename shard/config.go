package shard

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Config is how entries become batches. Start from DefaultConfig.
type Config struct {
	// Instance is the id of this instance, new with each start: batch ids begin with it.
	Instance string
	// Log receives what an operator should know.
	Log *slog.Logger
	// WAL is the write-ahead log. Nil: there is none.
	WAL Log
	// Registerer receives the metrics.
	Registerer prometheus.Registerer

	// Shards is the number of workers.
	Shards int `yaml:"count" min:"0" max:"256"`
	// Bucket is the length of the time bucket in a shard id.
	Bucket time.Duration `yaml:"bucket" min:"1s" max:"1d"`
	// Linger is the longest time that the first row of a batch waits for more rows.
	Linger time.Duration `yaml:"linger" min:"1ms" max:"10m"`
	// MaxBatchRows and MaxBatchBytes seal a batch. A batch exceeds them by less than one request, whose rows stay together.
	MaxBatchRows  int           `yaml:"max_batch_rows" min:"1" max:"1000000"`
	MaxBatchBytes settings.Size `yaml:"max_batch_bytes" min:"64KiB" max:"256MiB"`
	// MaxOpenBatches bounds the open batches of a shard, above which the oldest is sealed. 0: as many as its tables need.
	MaxOpenBatches int `yaml:"max_open_batches" min:"0" max:"10000"`
	// MaxOpenBytes bounds the bytes in the open batches of a shard, above which the oldest is sealed.
	MaxOpenBytes int
	// Compression is how batches are compressed when they are sealed.
	Compression batch.Compression
	// KeepUnmatched sends entries that match no route to the dead-letter queue. Otherwise they are refused.
	KeepUnmatched bool
}

// DefaultConfig returns the defaults. Instance, Shards, MaxOpenBytes, Log and Registerer must be set.
func DefaultConfig() Config {
	return Config{
		Bucket: time.Minute, Linger: time.Second, MaxBatchRows: 100_000, MaxBatchBytes: 32 * settings.MiB, Compression: batch.Uncompressed,
	}
}

// Validate returns everything that is wrong with the configuration.
func (c *Config) Validate() error {
	problems := settings.CheckSigns(c)
	require := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, schema.Problem{Path: "shards", Message: problem})
		}
	}
	require(c.Shards > 0, "Shards must be above 0")
	require(c.MaxOpenBytes > 0, "MaxOpenBytes must be above 0")
	if err := c.Compression.Validate(); err != nil {
		require(false, err.Error())
	}
	require(c.Instance != "", "Instance is empty")
	require(c.Log != nil && c.Registerer != nil, "Log and Registerer are missing")
	return settings.Error(problems)
}
