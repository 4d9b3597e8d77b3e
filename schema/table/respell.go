package table

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// respell returns the table with its expressions as the server itself would write them back. What the package
// knows of ClickHouse's spelling is enough for the usual expressions; the server knows it for all of them. A difference in
// spelling alone would hold a route, for a key, or alter a table at each start.
func respell(ctx context.Context, conn schema.Conn, t *schema.Table) (*schema.Table, error) {
	questions := []string{"formatQuerySingleLineOrNull(" + schema.QuoteString(CreateTable(t)) + ")"}
	for i := range t.Indexes {
		questions = append(questions, "formatQuerySingleLineOrNull("+schema.QuoteString("SELECT "+t.Indexes[i].Expression)+")")
	}
	rows, err := conn.Query(ctx, "SELECT "+strings.Join(questions, ", "))
	if err != nil {
		return nil, fmt.Errorf("format statement: %w", err)
	}
	if len(rows) != 1 || len(rows[0]) != len(questions) || rows[0][0] == "" {
		// A text that the server can't read. Running it will say so better.
		return t, nil
	}
	spelled := *t
	clauses := engineClauses(rows[0][0])
	replace := func(expression *string, by string) {
		if *expression != "" {
			*expression = by
		}
	}
	replace(&spelled.PartitionBy, clauses.partitionBy)
	replace(&spelled.PrimaryKey, clauses.primaryKey)
	replace(&spelled.OrderBy, clauses.orderBy)
	replace(&spelled.TTL, clauses.ttl)
	spelled.Indexes = slices.Clone(t.Indexes)
	for i, text := range rows[0][1:] {
		if expression, ok := strings.CutPrefix(text, "SELECT "); ok {
			spelled.Indexes[i].Expression = expression
		}
	}
	return &spelled, nil
}
