package owner

import "time"

// Where the owners of producers are kept, as Config.Owners.
const (
	// Redis keeps them for all instances that share it.
	Redis = "redis"
	// None is for one instance alone: whatever its log knows is its own.
	None = "none"
)

// Config is how producers find their owners.
type Config struct {
	// Owners is where they are kept, for instances with a write-ahead log.
	Owners string `yaml:"owners" oneof:"redis|none"`

	// Every is the time between two looks at what others ask for.
	Every time.Duration
	// Grace is how long no producer without a record is claimed after Redis may have lost records.
	Grace time.Duration
	// Unused is how long a producer without a stream and a call is kept, if nobody asks for it.
	Unused time.Duration
	// Forgotten is how long Redis keeps what an owner has left.
	Forgotten time.Duration
}

// DefaultConfig returns the defaults. Forgotten must be set.
func DefaultConfig() Config {
	return Config{Owners: Redis, Every: time.Second, Grace: 4 * time.Second, Unused: time.Minute}
}
