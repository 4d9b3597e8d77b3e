package wal

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// Config is where a log is, and how much room it takes. Start from DefaultConfig.
type Config struct {
	// FS is the file system. Nil: the operating system's.
	FS FS
	// Log receives what an operator should know. Nil: nobody does.
	Log *slog.Logger
	// Registerer receives the metrics. Nil: there are none.
	Registerer prometheus.Registerer
	// Durable is called after each group with the last LSN that is durable, by the goroutine that writes the log: nothing is written
	// until it returns. Nil: nobody is called.
	Durable func(LSN)
	// ReadOnly opens the log, even while a process has it, to look at it: nothing is locked, made or set aside, and it can't be started.
	ReadOnly bool
	// Repair sets aside what keeps the log from being opened: segments of another log, an id that can't be read.
	Repair bool

	// Dir is the folder of the log. It is made if it is missing.
	Dir string `yaml:"dir"`
	// MaxBytes bounds what the log and its files take on the disk. Producers wait from seven eighths of it on.
	MaxBytes settings.Size `yaml:"max_bytes" min:"256MiB" max:"1024GiB"`
	// SegmentBytes is the size from which on the log goes on in a new file.
	SegmentBytes settings.Size `yaml:"segment_bytes" min:"1MiB" max:"1GiB"`
	// ReserveBytes is kept free for what must be written to get out of a full disk. 0: nothing is.
	ReserveBytes settings.Size `yaml:"reserve_bytes" min:"0" max:"16GiB"`
	// SyncInterval is how long after an fsync the next one waits for more records, which saves CPU where requests are many and small.
	// After a longer pause a record is written at once. 0: each is.
	SyncInterval time.Duration `yaml:"sync_interval" min:"0" max:"1s"`
	// Compression is how records of some KiB and more are compressed. It costs more CPU than the rest of the log: it is for slow disks.
	Compression string `yaml:"compression" oneof:"none|zstd"`
}

// The values of Config.Compression.
const (
	Uncompressed = "none"
	Zstd         = "zstd"
)

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Dir: "./logbatcher-wal", MaxBytes: 8 * settings.GiB, SegmentBytes: 64 * settings.MiB, ReserveBytes: 64 * settings.MiB, Compression: Uncompressed,
	}
}

// Check returns what is wrong with how the settings fit together. Their own bounds are settings.Check's.
func (c *Config) Check() []schema.Problem {
	var problems []schema.Problem
	require := func(ok bool, path, problem string) {
		if !ok {
			problems = append(problems, schema.Problem{Path: path, Message: problem})
		}
	}
	require(c.Dir != "", "dir", "is empty; write the folder of the log")
	require(c.ReserveBytes <= c.MaxBytes/4, "reserve_bytes", fmt.Sprintf("%v is more than a quarter of max_bytes, %v", c.ReserveBytes, c.MaxBytes))
	require(c.SegmentBytes <= c.MaxBytes/4, "segment_bytes", fmt.Sprintf("%v is more than a quarter of max_bytes, %v", c.SegmentBytes, c.MaxBytes))
	return problems
}

// Validate returns everything that is wrong with the configuration.
func (c *Config) Validate() error {
	problems := append(settings.CheckSigns(c), c.Check()...)
	if c.Compression != Uncompressed && c.Compression != Zstd {
		problems = append(problems, schema.Problem{Path: "compression", Message: schema.UnknownName("choice", c.Compression, []string{Uncompressed, Zstd})})
	}
	return settings.Error(problems)
}
