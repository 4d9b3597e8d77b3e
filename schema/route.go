package schema

import (
	"errors"
	"slices"
	"time"
)

// Route sends the entries that match its filter to its table.
type Route struct {
	// Name identifies the route in metrics, refusals and dead letters.
	Name string `yaml:"name"`
	// Filter selects the entries. Nil: all.
	Filter *Filter
	// Table receives them. A table belongs to one route.
	Table *Table
	// MaxAge is how far before its receipt an entry's time may be, MaxAhead how far after it.
	MaxAge   time.Duration `yaml:"max_age" min:"1m"`
	MaxAhead time.Duration `yaml:"max_ahead" min:"0" max:"30d"`
	// OnTimeOutOfRange is Refuse or DeadLetter.
	OnTimeOutOfRange OnError `yaml:"on_time_out_of_range" oneof:"refuse|dead_letter"`
	// Retention is how long rows are kept.
	Retention Retention `yaml:"retention"`
	// HoldFor is how long after its first failure a batch is held while ClickHouse refuses it for a reason other than its
	// data (grants, an unknown database). Then it is dead-lettered. 0: no limit.
	HoldFor time.Duration `yaml:"hold_for" min:"0"`
	// MaxAttempts limits the attempts to insert a batch, GiveUpAfter the time after its first failure, whatever the
	// failures are. Then it is dead-lettered. 0: no limit.
	MaxAttempts int           `yaml:"max_attempts" min:"0"`
	GiveUpAfter time.Duration `yaml:"give_up_after" min:"0"`
}

// Retention is how long a route's rows are kept, and how they are removed.
type Retention struct {
	// MaxAge is the age at which rows are removed. 0: never.
	MaxAge time.Duration `yaml:"max_age" min:"0"`
	// Interval is the time between two runs.
	Interval time.Duration `yaml:"interval" min:"0" max:"30d"`
	// Column is the time column by which age is measured. Empty: the column whose source is the entry's time.
	Column string `yaml:"column"`
	// Precise also deletes expired rows from the partition that the cutoff divides. Without it that partition stays
	// until all of it has expired, and nothing is rewritten.
	Precise bool `yaml:"precise"`
}

// OnError is what happens to a row with a value that its column can't hold.
type OnError uint8

// The choices. The zero value refuses.
const (
	// Refuse reports the row to the producer and leaves it out; other routes keep theirs.
	Refuse OnError = iota
	// UseDefault replaces the value by the column's default.
	UseDefault
	// DeadLetter writes the entry to the dead-letter queue, with the reason.
	DeadLetter
)

var onErrorNames = []string{Refuse: "refuse", UseDefault: "default", DeadLetter: "dead_letter"}

// String returns the choice as the configuration spells it.
func (o OnError) String() string { return onErrorNames[o] }

// MarshalText implements encoding.TextMarshaler.
func (o OnError) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a choice as the configuration spells it.
func (o *OnError) UnmarshalText(text []byte) error {
	i := slices.Index(onErrorNames, string(text))
	if i < 0 {
		return errors.New(UnknownName("choice", string(text), onErrorNames))
	}
	*o = OnError(i)
	return nil
}
