package deadletter

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/sink"
)

// Policy says what happens to a letter when the queue is full.
type Policy string

// The policies.
const (
	// Wait holds the writer back until somebody has made room. Nothing is lost; what feeds the table stops.
	Wait Policy = "wait"
	// Trim takes the oldest letters out, for good, and counts them.
	Trim Policy = "trim"
)

// LeastMaxBytes is the least that Config.MaxBytes may be: room for two of the largest letters.
const LeastMaxBytes = 2 * sink.MaxLetterBytes

// Config is what an operator decides about the queue.
type Config struct {
	// Stream is the name of the Redis stream, and the beginning of the names of the keys beside it.
	Stream string `yaml:"stream"`
	// MaxBytes bounds the memory that the stream may take in Redis. It is at least LeastMaxBytes.
	MaxBytes int64 `yaml:"max_bytes"`
	// WhenFull is what happens at that bound.
	WhenFull Policy `yaml:"when_full"`
	// RememberIDs is how long after its last write a letter's id is known, so that a repeat adds nothing.
	RememberIDs time.Duration `yaml:"remember_ids"`
	// Measure is the time between two measurements of the queue.
	Measure time.Duration `yaml:"measure"`
}

// DefaultConfig returns the configuration that an operator starts from.
func DefaultConfig() Config {
	return Config{
		Stream:      "logbatcher:dead_letters",
		MaxBytes:    1 << 30,
		WhenFull:    Wait,
		RememberIDs: 7 * 24 * time.Hour,
		Measure:     time.Minute,
	}
}

// Validate reports everything that is wrong, each with the name of its setting.
func (c Config) Validate() error {
	var problems []error
	report := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Stream == "" {
		report("stream: is empty")
	} else if tag(c.Stream) == "" && strings.Contains(c.Stream, "}") {
		// The keys beside the stream could not be put into its hash slot.
		report("stream: %q has a } without a hash tag {…} before it", c.Stream)
	}
	if c.MaxBytes < LeastMaxBytes {
		report("max_bytes: %d is less than two letters may take, %d", c.MaxBytes, LeastMaxBytes)
	}
	if c.WhenFull != Wait && c.WhenFull != Trim {
		report("when_full: %q is neither %q nor %q", c.WhenFull, Wait, Trim)
	}
	if c.RememberIDs < time.Hour {
		report("remember_ids: %v is less than an hour, and retries can take longer", c.RememberIDs)
	}
	if c.Measure < time.Second {
		report("measure: %v is less than a second", c.Measure)
	}
	return errors.Join(problems...)
}

// tag returns the part of a key that alone decides its slot in a Redis Cluster. Empty: all of it does.
func tag(key string) string {
	_, after, found := strings.Cut(key, "{")
	inside, _, closed := strings.Cut(after, "}")
	if !found || !closed {
		return ""
	}
	return inside
}

// beside returns what the names of the keys beside the stream begin with.
func (c Config) beside() string {
	if tag(c.Stream) != "" {
		return c.Stream
	}
	return "{" + c.Stream + "}"
}

func (c Config) usageKey() string           { return c.beside() + ":usage" }
func (c Config) idKey(letter string) string { return c.beside() + ":id:" + letter }
