package sink

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// DeliveryConfig is how a Delivery settles batches. Start from DefaultDeliveryConfig.
type DeliveryConfig struct {
	// Sink receives the batches.
	Sink Sink
	// DeadLetters receives the rows that the sink rejects permanently.
	DeadLetters DeadLetters
	// Classes explains error codes.
	Classes *Classes
	// Migrator makes a table fit after an error of class Schema; nil holds the batch.
	Migrator Migrator
	// Log receives what an operator should know; nil discards.
	Log *slog.Logger
	// Registerer registers the metrics; nil leaves them unregistered.
	Registerer prometheus.Registerer

	// MaxInsertsPerTable bounds the inserts in flight for one table, MaxInserts those for all tables together.
	MaxInsertsPerTable int `yaml:"inserts_per_table" min:"1" max:"64"`
	MaxInserts         int `yaml:"max_inserts" min:"1" max:"1024"`
	// AttemptTimeout bounds one insert and one look-up.
	AttemptTimeout time.Duration `yaml:"attempt_timeout" min:"1s" max:"1h"`
	// LateAfter is how long after its timeout an attempt may still begin to run: its bytes may be in a proxy, or in the socket
	// of a server that was stopped.
	LateAfter time.Duration `yaml:"late_after" min:"0" max:"1h"`

	// Backoff is the wait after transient errors, HoldBackoff after those that wait for an operator.
	Backoff, HoldBackoff Backoff
	// UnclassifiedAttempts is how often a batch is tried when the error's code is not in the table, before its rows are isolated.
	UnclassifiedAttempts int
	// MaxIsolationInserts bounds the inserts spent on isolating the bad rows of one batch. Rows that are then still not told
	// apart are dead-lettered.
	MaxIsolationInserts int
}

// DefaultDeliveryConfig returns the defaults. Sink and DeadLetters must be set.
func DefaultDeliveryConfig() DeliveryConfig {
	classes, _ := NewClasses(nil) // can't fail without overrides
	return DeliveryConfig{
		Classes:              classes,
		MaxInsertsPerTable:   4,
		MaxInserts:           64,
		AttemptTimeout:       time.Minute,
		LateAfter:            time.Minute,
		Backoff:              Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second},
		HoldBackoff:          Backoff{Min: time.Second, Max: 30 * time.Second},
		UnclassifiedAttempts: 8,
		MaxIsolationInserts:  200,
	}
}

// Check returns what is wrong with how the settings fit together. Their own bounds are settings.Check's.
func (c *DeliveryConfig) Check() []schema.Problem {
	var problems []schema.Problem
	if c.MaxInsertsPerTable > c.MaxInserts {
		problems = append(problems, schema.Problem{
			Path: "inserts_per_table", Message: fmt.Sprintf("%d is more than max_inserts, %d", c.MaxInsertsPerTable, c.MaxInserts),
		})
	}
	if c.Backoff.Min > c.Backoff.Max {
		problems = append(problems, schema.Problem{
			Path: "retry.min", Message: settings.FormatDuration(c.Backoff.Min) + " is more than retry.max, " + settings.FormatDuration(c.Backoff.Max),
		})
	}
	return problems
}

// Validate returns everything that is wrong with the configuration.
func (c *DeliveryConfig) Validate() error {
	problems := append(settings.CheckSigns(c), c.Check()...)
	require := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, schema.Problem{Path: "delivery", Message: problem})
		}
	}
	require(c.Sink != nil && c.DeadLetters != nil && c.Classes != nil, "Sink, DeadLetters or Classes is missing")
	require(c.Backoff.Min > 0, "Backoff.Min must be above 0")
	require(c.HoldBackoff.Min > 0 && c.HoldBackoff.Min <= c.HoldBackoff.Max, "HoldBackoff needs 0 < Min <= Max")
	require(c.UnclassifiedAttempts >= 1, "UnclassifiedAttempts must be at least 1")
	require(c.MaxIsolationInserts >= 2, "MaxIsolationInserts must be at least 2")
	return settings.Error(problems)
}
