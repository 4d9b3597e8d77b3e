package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Find returns the numbers of rows of those blocks that are in their table, which is the same for all. It asks each server once; a block that
// is not found may be on another replica, or still under way. The error is an *sink.Error, and means that no server has answered.
func (s *Sink) Find(ctx context.Context, blocks []*batch.Block) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.AttemptTimeout)
	defer cancel()
	found := map[string]int{}
	left := blocks
	var errs []error
	for _, a := range s.inOrder(0) {
		if len(left) == 0 {
			break
		}
		if err := a.find(ctx, s.findStatement(left), found); err != nil {
			errs = append(errs, err)
			continue
		}
		left = slices.DeleteFunc(slices.Clone(left), func(b *batch.Block) bool { return found[b.ID()] > 0 })
	}
	if len(errs) == len(s.addresses) {
		return nil, s.classify("ask for rows in", blocks[0].Layout().Table().FullName(), errors.Join(errs...), false)
	}
	return found, nil
}

// find adds the numbers of rows by batch ids. A missing table has none.
func (a *address) find(ctx context.Context, statement string, found map[string]int) error {
	rows, err := a.query(ctx, statement)
	if code, _ := exceptionCode(err); code == codeUnknownTable || code == codeUnknownDatabase {
		return nil
	}
	if err != nil {
		return err
	}
	for _, row := range rows {
		if len(row) != 2 {
			return fmt.Errorf("%s: %d values where an id and a number were expected", a.name, len(row))
		}
		n, err := strconv.Atoi(row[1])
		if err != nil {
			return err
		}
		found[row[0]] = n
	}
	return nil
}

// findStatement counts the rows of the blocks, in the partitions that they are in if these are known.
func (s *Sink) findStatement(blocks []*batch.Block) string {
	table := blocks[0].Layout().Table()
	ids := make([]string, len(blocks))
	var conditions []string
	_, unknown := s.misjudged.Load(table.FullName())
	for i, b := range blocks {
		ids[i] = schema.QuoteString(b.ID())
		if p := b.Partition(); p != nil && p.Condition != "" {
			conditions = append(conditions, "("+p.Condition+")")
		} else {
			unknown = true
		}
	}
	column := schema.QuoteIdentifier(schema.BatchIDColumn)
	where := column + " IN (" + strings.Join(ids, ", ") + ")"
	if !unknown {
		slices.Sort(conditions)
		where += " AND (" + strings.Join(slices.Compact(conditions), " OR ") + ")"
	}
	return "SELECT " + column + ", count() FROM " + tableName(table) + " WHERE " + where + " GROUP BY " + column + " SETTINGS apply_deleted_mask = 0"
}
