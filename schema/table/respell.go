package table

import (
	"context"
	"fmt"

	"github.com/logbatcher/logbatcher/schema"
)

// respell returns the table with its expressions in ClickHouse's own spelling. A difference in spelling alone would hold
// a route, for a key, or alter a table at each start.
func respell(ctx context.Context, conn schema.Conn, t *schema.Table) (*schema.Table, error) {
	rows, err := conn.Query(ctx, "SELECT formatQuerySingleLineOrNull("+schema.QuoteString(CreateTable(t))+")")
	if err != nil {
		return nil, fmt.Errorf("format statement: %w", err)
	}
	var d schema.Definition
	if len(rows) == 1 {
		d, _ = schema.ParseDefinition(rows[0][0])
	}
	indexes := d.Indexes()
	if len(indexes) != len(t.Indexes) || d.Clauses["ENGINE"] == "" {
		return t, nil // ClickHouse can't read the statement. Running it will give a better error.
	}
	spelled := *t
	spelled.Indexes = indexes
	for keyword, expression := range map[string]*string{
		"PARTITION BY": &spelled.PartitionBy, "PRIMARY KEY": &spelled.PrimaryKey, "ORDER BY": &spelled.OrderBy, "TTL": &spelled.TTL,
	} {
		if *expression != "" {
			*expression = d.Clauses[keyword]
		}
	}
	return &spelled, nil
}
