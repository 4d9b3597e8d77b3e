package deadletter

import (
	"fmt"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// Policy is what happens to a letter when the queue is full.
type Policy string

// The policies.
const (
	// Wait blocks the writer until somebody has made room. Nothing is lost; the table's batches wait.
	Wait Policy = "wait"
	// Trim removes the oldest letters for good, and counts them.
	Trim Policy = "trim"
)

// Config is how the queue is kept. Start from DefaultConfig.
type Config struct {
	// Stream is the name of the Redis stream, and the prefix of the keys beside it.
	Stream string `yaml:"stream"`
	// MaxBytes bounds the memory that the stream takes in Redis. There must be room for two of the largest letters.
	MaxBytes settings.Size `yaml:"max_bytes" min:"2MiB"`
	// WhenFull is what happens at that bound.
	WhenFull Policy `yaml:"when_full" oneof:"wait|trim"`
}

const (
	// rememberIDs is how long after its last write a letter's id is known, so that a repeat adds nothing.
	rememberIDs = 7 * 24 * time.Hour
	// measureEvery is the interval between two measurements of the queue.
	measureEvery = time.Minute
)

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Stream: "logbatcher:dead_letters", MaxBytes: settings.GiB, WhenFull: Wait}
}

// Check returns everything that is wrong.
func (c Config) Check() []schema.Problem {
	problems := settings.Check(&c)
	require := func(ok bool, path, format string, arguments ...any) {
		if !ok {
			problems = append(problems, schema.Problem{Path: path, Message: fmt.Sprintf(format, arguments...)})
		}
	}
	require(c.Stream != "", "stream", "the stream has no key; write one, as in logbatcher:dead_letters")
	// The keys beside the stream must be in its hash slot.
	require(tag(c.Stream) != "" || !strings.Contains(c.Stream, "}"), "stream", "%q has a } without a hash tag {…} before it", c.Stream)
	return problems
}

// Validate returns everything that is wrong as an error.
func (c Config) Validate() error { return settings.Error(c.Check()) }

// tag returns the part of a key that alone decides its slot in a Redis Cluster. Empty: all of it does.
func tag(key string) string {
	_, after, found := strings.Cut(key, "{")
	inside, _, closed := strings.Cut(after, "}")
	if !found || !closed {
		return ""
	}
	return inside
}

// beside returns the prefix of the keys beside the stream.
func (c Config) beside() string {
	if tag(c.Stream) != "" {
		return c.Stream
	}
	return "{" + c.Stream + "}"
}

func (c Config) usageKey() string              { return c.beside() + ":usage" }
func (c Config) idKey(letter string) string    { return c.beside() + ":id:" + letter }
func (c Config) claimKey(letter string) string { return c.beside() + ":claim:" + letter }
