package table

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// Existing is what ClickHouse has under a table's name.
type Existing struct {
	// Database and Table report whether they exist.
	Database, Table bool
	// Engine is the engine's name, without arguments.
	Engine string
	// Columns are in the order of the table.
	Columns []ExistingColumn
	// Definition is the statement that would create the table as it is.
	Definition schema.Definition
}

// ExistingColumn is a column as system.columns has it.
type ExistingColumn struct {
	// Name, Type, Codec ("CODEC(…)") and Comment are the column's.
	Name, Type, Codec, Comment string
	// DefaultKind is DEFAULT, MATERIALIZED, ALIAS, EPHEMERAL or empty.
	DefaultKind string
	// InKey reports whether the sorting, primary or partition key reads the column, InPartition whether the partition key does.
	InKey, InPartition bool
}

// readExisting reads the system tables.
func readExisting(ctx context.Context, conn schema.Conn, t *schema.Table) (*Existing, error) {
	database, name := schema.QuoteString(t.Database), schema.QuoteString(t.Name)
	rows, err := conn.Query(ctx, "SELECT engine, create_table_query FROM system.tables WHERE database = "+database+" AND name = "+name)
	if err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}
	if len(rows) == 0 {
		rows, err = conn.Query(ctx, "SELECT name FROM system.databases WHERE name = "+database)
		if err != nil {
			return nil, fmt.Errorf("read databases: %w", err)
		}
		return &Existing{Database: len(rows) > 0}, nil
	}
	existing := &Existing{Database: true, Table: true, Engine: rows[0][0]}
	existing.Definition, _ = schema.ParseDefinition(rows[0][1]) // views and the like have none, and are refused for their engine
	rows, err = conn.Query(ctx, "SELECT name, type, compression_codec, comment, default_kind, "+
		"toUInt8(is_in_sorting_key OR is_in_primary_key OR is_in_partition_key), toUInt8(is_in_partition_key) "+
		"FROM system.columns WHERE database = "+database+" AND table = "+name+" ORDER BY position")
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	for _, row := range rows {
		existing.Columns = append(existing.Columns, ExistingColumn{
			Name: row[0], Type: row[1], Codec: row[2], Comment: row[3], DefaultKind: row[4], InKey: row[5] == "1", InPartition: row[6] == "1",
		})
	}
	return existing, nil
}

// column returns the column with the name, or nil.
func (e *Existing) column(name string) *ExistingColumn {
	i := slices.IndexFunc(e.Columns, func(c ExistingColumn) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &e.Columns[i]
}

// settings returns the settings that the table was given: "a = 1, b = 'x'" in its definition.
func (e *Existing) settings() map[string]string {
	settings := make(map[string]string)
	for _, part := range schema.TopLevelParts(schema.Tokens(e.Definition.Clauses["SETTINGS"])) {
		if len(part) < 3 || !part[1].Is("=") {
			continue
		}
		var value strings.Builder
		for _, t := range part[2:] { // a number may have a sign
			value.WriteString(t.Text)
		}
		settings[part[0].Text] = value.String()
	}
	return settings
}

// The keywords that may follow the type of a column.
var columnClauses = []string{
	"NULL", "NOT", "DEFAULT", "MATERIALIZED", "EPHEMERAL", "ALIAS", "COMMENT", "CODEC", "STATISTICS", "TTL", "PRIMARY", "COLLATE", "SETTINGS",
}

// columnTTL returns the TTL of a column. Empty: it has none.
func columnTTL(e *schema.Element) string {
	at := e.Find(1, "TTL")
	return e.Slice(at+1, e.Find(at+1, columnClauses...))
}

// withType returns a column's text with another type.
func withType(e *schema.Element, t string) string {
	return strings.TrimSpace(e.Slice(0, 1) + " " + t + " " + e.Slice(e.Find(2, columnClauses...), len(e.Tokens)))
}

// without returns a column's text without a clause.
func without(e *schema.Element, keyword string) string {
	at := e.Find(1, keyword)
	return strings.TrimSpace(e.Slice(0, at) + " " + e.Slice(e.Find(at+1, columnClauses...), len(e.Tokens)))
}
