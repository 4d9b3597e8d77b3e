package table

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// Existing is what ClickHouse has under a table's name.
type Existing struct {
	// Database and Table tell whether they are there.
	Database, Table bool
	// Engine is the engine's name, without arguments.
	Engine string
	// PartitionBy, OrderBy, PrimaryKey and TTL are as ClickHouse writes them.
	PartitionBy, OrderBy, PrimaryKey, TTL string
	// Settings are those that the table was given.
	Settings map[string]string
	// Columns are in the order of the table.
	Columns []ExistingColumn
	// Indexes are the data skipping indexes.
	Indexes []schema.Index
	// Definition is the statement that would create the table as it is, as ClickHouse writes it.
	Definition string
}

// ExistingColumn is a column as system.columns has it.
type ExistingColumn struct {
	// Name, Type, Codec ("CODEC(…)") and Comment are the column's.
	Name, Type, Codec, Comment string
	// DefaultKind is DEFAULT, MATERIALIZED, ALIAS, EPHEMERAL or empty.
	DefaultKind string
	// InKey says that the sorting, primary or partition key reads the column, InPartition that the last of these does.
	InKey, InPartition bool
}

// readExisting asks the system tables for what is there.
func readExisting(ctx context.Context, conn schema.Conn, database, table string) (*Existing, error) {
	existing := &Existing{}
	rows, err := conn.Query(ctx, "SELECT name FROM system.databases WHERE name = "+schema.QuoteString(database))
	if err != nil {
		return nil, fmt.Errorf("read databases: %w", err)
	}
	if existing.Database = len(rows) > 0; !existing.Database {
		return existing, nil
	}
	where := " WHERE database = " + schema.QuoteString(database) + " AND "
	rows, err = conn.Query(ctx, "SELECT engine, engine_full, partition_key, sorting_key, primary_key, create_table_query FROM system.tables"+
		where+"name = "+schema.QuoteString(table))
	if err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}
	if existing.Table = len(rows) > 0; !existing.Table {
		return existing, nil
	}
	row := rows[0]
	existing.Engine, existing.PartitionBy, existing.OrderBy, existing.PrimaryKey = row[0], row[2], row[3], row[4]
	clauses := engineClauses(row[1])
	existing.TTL, existing.Settings, existing.Definition = clauses.ttl, parseSettings(clauses.settings), row[5]
	where += "table = " + schema.QuoteString(table)
	if err := readColumns(ctx, conn, where, existing); err != nil {
		return nil, err
	}
	return existing, readIndexes(ctx, conn, where, existing)
}

func readColumns(ctx context.Context, conn schema.Conn, where string, existing *Existing) error {
	rows, err := conn.Query(ctx, "SELECT name, type, compression_codec, comment, default_kind, "+
		"toUInt8(is_in_sorting_key OR is_in_primary_key OR is_in_partition_key), toUInt8(is_in_partition_key) FROM system.columns"+where+" ORDER BY position")
	if err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	for _, row := range rows {
		existing.Columns = append(existing.Columns, ExistingColumn{
			Name: row[0], Type: row[1], Codec: row[2], Comment: row[3], DefaultKind: row[4], InKey: row[5] == "1", InPartition: row[6] == "1",
		})
	}
	return nil
}

func readIndexes(ctx context.Context, conn schema.Conn, where string, existing *Existing) error {
	rows, err := conn.Query(ctx, "SELECT name, expr, type_full, granularity FROM system.data_skipping_indices"+where)
	if err != nil {
		return fmt.Errorf("read indexes: %w", err)
	}
	for _, row := range rows {
		granularity, err := strconv.Atoi(row[3])
		if err != nil {
			return fmt.Errorf("read indexes: granularity of %s: %w", row[0], err)
		}
		existing.Indexes = append(existing.Indexes, schema.Index{Name: row[0], Expression: row[1], Type: row[2], Granularity: granularity})
	}
	return nil
}

// column returns the column with the name, or nil.
func (e *Existing) column(name string) *ExistingColumn {
	for i := range e.Columns {
		if e.Columns[i].Name == name {
			return &e.Columns[i]
		}
	}
	return nil
}

// clauses are the parts of an engine's definition.
type clauses struct {
	engine, partitionBy, primaryKey, orderBy, sampleBy, ttl, settings, comment string
}

// clauseWords begin a part of an engine's definition, at the top level.
var clauseWords = []string{"PARTITION BY", "PRIMARY KEY", "ORDER BY", "SAMPLE BY", "TTL", "SETTINGS", "COMMENT"}

// engineClauses splits an engine's definition, as system.tables.engine_full and the end of CREATE TABLE
// have it. What stands before the first clause is the engine.
func engineClauses(definition string) clauses {
	list := schema.Tokens(definition)
	bodies := make(map[string]string)
	clause, bodyStart, depth := "", 0, 0
	end := func(at int) { bodies[clause] = strings.TrimSpace(definition[bodyStart:at]) }
	for i, t := range list {
		switch {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		}
		if depth != 0 {
			continue
		}
		if word, last := clauseAt(list, i); word != "" {
			end(t.Start)
			clause, bodyStart = word, last.End
		}
	}
	end(len(definition))
	return clauses{
		engine:      bodies[""],
		partitionBy: bodies["PARTITION BY"],
		primaryKey:  bodies["PRIMARY KEY"],
		orderBy:     bodies["ORDER BY"],
		sampleBy:    bodies["SAMPLE BY"],
		ttl:         bodies["TTL"],
		settings:    bodies["SETTINGS"],
		comment:     bodies["COMMENT"],
	}
}

// clauseAt tells which clause begins at token i, and the last token of its keyword.
func clauseAt(list []schema.Token, i int) (string, schema.Token) {
	for _, words := range clauseWords {
		first, second, two := strings.Cut(words, " ")
		if list[i].Kind != schema.WordToken || !list[i].Is(first) {
			continue
		}
		if !two {
			return words, list[i]
		}
		if i+1 < len(list) && list[i+1].Is(second) {
			return words, list[i+1]
		}
	}
	return "", schema.Token{}
}

// parseSettings reads "a = 1, b = 'x'".
func parseSettings(text string) map[string]string {
	settings := make(map[string]string)
	for _, part := range schema.TopLevelParts(schema.Tokens(text)) {
		if len(part) < 3 || !part[1].Is("=") {
			continue
		}
		value := part[2].Text
		for _, t := range part[3:] {
			value += t.Text // a sign before a number
		}
		settings[part[0].Text] = value
	}
	return settings
}
