package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

var _ sink.Forecaster = (*Sink)(nil)

// Unfit compares the columns of the block with those of its table. The error is an *sink.Error.
func (s *Sink) Unfit(ctx context.Context, b *batch.Block) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.AttemptTimeout)
	defer cancel()
	table := b.Layout().Table()
	rows, err := s.choose(b.ID()).query(ctx, "SELECT name, type, default_kind FROM system.columns WHERE "+isTable(table, "table"))
	if err != nil {
		return nil, s.classify("ask for the columns of", table.FullName(), err, false)
	}
	if len(rows) == 0 {
		return []string{"there is no table " + table.FullName()}, nil
	}
	var problems []string
	for i := range table.Columns {
		if problem := unfit(&table.Columns[i], rows); problem != "" {
			problems = append(problems, problem)
		}
	}
	return problems, nil
}

// unfit returns why the table, whose columns are given by name, type and kind of default, can't take a column. Empty: it can.
func unfit(c *schema.Column, table [][]string) string {
	for _, column := range table {
		name, typeText, kind := column[0], column[1], column[2]
		if name != c.Name {
			continue
		}
		theirs, err := schema.ParseType(typeText)
		switch {
		case kind == "MATERIALIZED" || kind == "ALIAS":
			return fmt.Sprintf("the table computes column %s itself (%s)", c.Name, strings.ToLower(kind))
		case err != nil || c.Type.String() != theirs.String() && !isWider(c.Type, theirs):
			return fmt.Sprintf("column %s is %s in the table and %s in the letter", c.Name, typeText, c.Type)
		}
		return ""
	}
	return fmt.Sprintf("the table has no column %s", c.Name)
}
