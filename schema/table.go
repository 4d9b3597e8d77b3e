package schema

import (
	"errors"
	"slices"
	"time"
)

// OnError is what happens to a row when a value can't be turned into its column's type.
type OnError uint8

// The choices. The zero value refuses.
const (
	// Refuse tells the producer and leaves the row out; other routes keep theirs.
	Refuse OnError = iota
	// UseDefault puts the column's default in the value's place.
	UseDefault
	// DeadLetter keeps the entry in the dead-letter queue, with the reason.
	DeadLetter
)

// String returns the choice as the configuration writes it.
func (o OnError) String() string {
	switch o {
	case UseDefault:
		return "default"
	case DeadLetter:
		return "dead_letter"
	}
	return "refuse"
}

// UnmarshalText reads a choice as the configuration writes it.
func (o *OnError) UnmarshalText(text []byte) error {
	names := []string{Refuse.String(), UseDefault.String(), DeadLetter.String()}
	i := slices.Index(names, string(text))
	if i < 0 {
		return errors.New(UnknownName("choice", string(text), names))
	}
	*o = OnError(i)
	return nil
}

// Source is where a column's value comes from.
type Source struct {
	// Field is what of the entry is read.
	Field Field
	// Key is the attribute's key where Field is one of the three that name a single attribute.
	Key string
}

// Field is a part of the entry that a column or a filter can read.
type Field uint8

// The fields. Their names in the configuration stand in the table fields.
const (
	// NoField: the column takes its default.
	NoField Field = iota
	FieldTime
	FieldObservedTime
	FieldSeverityNumber
	FieldSeverityText
	FieldBody
	FieldService
	FieldTraceID
	FieldSpanID
	FieldTraceFlags
	FieldEventName
	FieldScopeName
	FieldScopeVersion
	FieldScopeSchemaURL
	FieldResourceSchemaURL
	FieldColo
	// FieldAttribute, FieldResourceAttribute and FieldScopeAttribute are one attribute, by key.
	FieldAttribute
	FieldResourceAttribute
	FieldScopeAttribute
	// FieldAttributes is the map of those attributes that have no column of their own in the table.
	FieldAttributes
	// FieldResourceAttributes and FieldScopeAttributes are likewise maps.
	FieldResourceAttributes
	FieldScopeAttributes
	// FieldReceivedTime is when the server received the request.
	FieldReceivedTime
	// FieldProducer, FieldSequence and FieldBatchID are the row's lineage.
	FieldProducer
	FieldSequence
	FieldBatchID
	// FieldShardID is the shard id that the entry had.
	FieldShardID
)

// Column is one column of the list that routes choose from.
type Column struct {
	// Name is the column's name in ClickHouse.
	Name string `yaml:"name"`
	// Type is ClickHouse's type, as system.columns writes it.
	Type Type `yaml:"type"`
	// Codec is what stands inside CODEC(…). Empty: the server's default.
	Codec string `yaml:"codec"`
	// Comment is the column's comment. Empty: none.
	Comment string `yaml:"comment"`
	// Source is where the value comes from.
	Source Source `yaml:"source"`
	// Default is the value for an absent source, and for one that can't be coerced where
	// OnError says so: the text of a value of Type. Empty with HasDefault: the type's zero value.
	Default string
	// HasDefault says that an absent source takes Default. Without it an absent source
	// takes NULL where the type is Nullable, else the type's zero value.
	HasDefault bool
	// Required refuses a row whose source is absent, by OnError.
	Required bool `yaml:"required"`
	// OnError is what happens when the value can't be coerced, or is missing though required.
	OnError OnError `yaml:"on_error"`
}

// BatchIDColumn is the name of the column that every table has: the id of the batch that
// the row came with, by which an insert of unknown fate can be asked for.
const BatchIDColumn = "_batch_id"

// Index is a data skipping index.
type Index struct {
	// Name is the index's name.
	Name string `yaml:"name"`
	// Expression is what is indexed, for instance "mapKeys(LogAttributes)".
	Expression string `yaml:"expression"`
	// Type is the index's type with its arguments, for instance "bloom_filter(0.01)".
	Type string `yaml:"type"`
	// Granularity is in granules of the table; 0 means 1.
	Granularity int `yaml:"granularity" min:"1" max:"65536"`
}

// Table is a ClickHouse table as a route wants it.
type Table struct {
	// Database and Name are the table's name.
	Database, Name string
	// Cluster is the ON CLUSTER name. Empty: none.
	Cluster string
	// Engine is the engine with its arguments. Empty: MergeTree.
	Engine string `yaml:"engine"`
	// Columns are in the order of the table; the one named BatchIDColumn is among them.
	Columns []Column
	// Indexes are the data skipping indexes.
	Indexes []Index
	// PartitionBy, OrderBy, PrimaryKey are ClickHouse expressions without the keyword. Empty PartitionBy: one partition.
	PartitionBy string
	OrderBy     string `yaml:"order_by"`
	PrimaryKey  string `yaml:"primary_key"`
	// TTL is a ClickHouse TTL expression. Empty: none.
	TTL string `yaml:"ttl"`
	// Settings are the table's settings beside those that the gateway itself needs.
	Settings map[string]string `yaml:"settings"`
	// Fsync sets fsync_after_insert and fsync_part_directory, against loss of power.
	Fsync bool
}

// FullName returns the table's name as "database.table", for people and labels. It is not quoted.
func (t *Table) FullName() string { return t.Database + "." + t.Name }

// OnCluster returns the ON CLUSTER clause with a space before it, or nothing without a cluster.
func (t *Table) OnCluster() string {
	if t.Cluster == "" {
		return ""
	}
	return " ON CLUSTER " + QuoteIdentifier(t.Cluster)
}

// Alter returns the beginning of an ALTER TABLE statement, up to its commands.
func (t *Table) Alter() string {
	return "ALTER TABLE " + QuotedName(t.Database, t.Name) + t.OnCluster()
}

// Column returns the column with the name, or nil.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// Route is a filter, and the table that entries matching it go to.
type Route struct {
	// Name identifies the route in metrics, refusals and dead letters.
	Name string `yaml:"name"`
	// Filter says which entries. Nil: all.
	Filter *Filter
	// Table is where they go. A table belongs to one route.
	Table *Table
	// MaxAge is how far an entry's time may lie in the past, MaxAhead how far in the future,
	// seen from its receipt.
	MaxAge   time.Duration `yaml:"max_age" min:"1m"`
	MaxAhead time.Duration `yaml:"max_ahead" min:"0" max:"30d"`
	// OnTimeOutOfRange is Refuse or DeadLetter.
	OnTimeOutOfRange OnError `yaml:"on_time_out_of_range" oneof:"refuse|dead_letter"`
	// Retention is how long rows are kept.
	Retention Retention `yaml:"retention"`
	// HoldFor is how long a batch waits, from its first failure on, when ClickHouse refuses it for a reason that is not
	// the data's (rights, an unknown database). 0: for ever. Afterwards it is dead-lettered.
	HoldFor time.Duration `yaml:"hold_for" min:"0"`
	// MaxAttempts is how often a batch is inserted, GiveUpAfter how long it is tried from its first failure on, whatever
	// the failures are. 0: for as long as it takes. Afterwards it is dead-lettered.
	MaxAttempts int           `yaml:"max_attempts" min:"0"`
	GiveUpAfter time.Duration `yaml:"give_up_after" min:"0"`
}

// Retention is how long a route's rows are kept and how that is seen to.
type Retention struct {
	// MaxAge is the age at which rows go. 0: never.
	MaxAge time.Duration `yaml:"max_age" min:"0"`
	// Interval is the time between two runs.
	Interval time.Duration `yaml:"interval" min:"0" max:"30d"`
	// Column is the time column by which age is measured. Empty: the column whose source is the entry's time.
	Column string `yaml:"column"`
	// Precise deletes what is expired in the partition that the cutoff cuts too. Without it that partition stays
	// until all of it has expired, and nothing is rewritten.
	Precise bool `yaml:"precise"`
}

// Problem is something wrong in the configuration.
type Problem struct {
	// Path is the setting that it is about, for instance "routes[2].filter.all[0].body.matches".
	Path string
	// Message says what is wrong and what would be right.
	Message string
}

// Error returns path and message.
func (p Problem) Error() string { return p.Path + ": " + p.Message }
