package schema

// Column is a column of a table, and how it is filled.
type Column struct {
	// Name is the column's name in ClickHouse.
	Name string `yaml:"name"`
	// Type is the column's type.
	Type Type `yaml:"type"`
	// Codec is the argument of CODEC(…). Empty: the server's default.
	Codec string `yaml:"codec"`
	// Comment is the column's comment. Empty: none.
	Comment string `yaml:"comment"`
	// Source is where the value comes from.
	Source Source `yaml:"source"`
	// Default is the text of the value that replaces an absent source, and with UseDefault a value that can't be converted.
	// Empty with HasDefault: the type's zero value.
	Default string
	// HasDefault reports whether there is a Default. Without it an absent source becomes NULL if the type is
	// Nullable, otherwise the type's zero value.
	HasDefault bool
	// Required makes an absent source an error, handled as OnError says.
	Required bool `yaml:"required"`
	// OnError is what happens to a row whose value can't be converted or is missing though required.
	OnError OnError `yaml:"on_error"`
}

// BatchIDColumn is the name of the column that every table has. It holds the id of the row's batch, by which an
// insert of unknown outcome is looked up.
const BatchIDColumn = "_batch_id"

// Index is a data skipping index.
type Index struct {
	// Name is the index's name.
	Name string `yaml:"name"`
	// Expression is the indexed expression, such as "mapKeys(LogAttributes)".
	Expression string `yaml:"expression"`
	// Type is the index's type with its arguments, such as "bloom_filter(0.01)".
	Type string `yaml:"type"`
	// Granularity is the index's granularity in granules of the table; 0 means 1.
	Granularity int `yaml:"granularity" min:"1" max:"65536"`
}

// Table is a ClickHouse table as its route needs it.
type Table struct {
	// Database and Name are the table's name.
	Database, Name string
	// Cluster is the ON CLUSTER name. Empty: none.
	Cluster string
	// Engine is the engine with its arguments. Empty: MergeTree.
	Engine string `yaml:"engine"`
	// Columns are in the order of the table, BatchIDColumn included.
	Columns []Column
	// Indexes are the data skipping indexes.
	Indexes []Index
	// PartitionBy, OrderBy and PrimaryKey are ClickHouse expressions. Empty PartitionBy: one partition.
	PartitionBy string
	OrderBy     string `yaml:"order_by"`
	PrimaryKey  string `yaml:"primary_key"`
	// TTL is a ClickHouse TTL expression. Empty: none.
	TTL string `yaml:"ttl"`
	// Settings are the table's settings in addition to those that the gateway needs.
	Settings map[string]string `yaml:"settings"`
	// Fsync sets fsync_after_insert and fsync_part_directory, so that acknowledged rows survive power loss.
	Fsync bool
}

// FullName returns the table's name as "database.table", not quoted, for people and labels.
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
