package sink

import (
	"context"
	"log/slog"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// findAtOnce is how many blocks of a table are looked up by one question.
const findAtOnce = 500

// FindAll returns which of the blocks of an earlier process are in their tables. It asks once for many blocks of a table, and does not insist: a block
// that it does not find, or can't ask for, Deliver asks for again.
func (d *Delivery) FindAll(ctx context.Context, blocks []*batch.Block) map[*batch.Block]bool {
	finder, ok := d.config.Sink.(Finder)
	if !ok {
		return nil
	}
	found := map[*batch.Block]bool{}
	byTable := map[string][]*batch.Block{}
	var tables []string
	for _, b := range blocks {
		table := b.Layout().Table().FullName()
		if byTable[table] == nil {
			tables = append(tables, table)
		}
		byTable[table] = append(byTable[table], b)
	}
	for _, table := range tables {
		for left := byTable[table]; len(left) > 0 && ctx.Err() == nil; {
			some := left[:min(findAtOnce, len(left))]
			left = left[len(some):]
			askCtx, cancel := context.WithTimeout(ctx, d.config.AttemptTimeout)
			rows, err := finder.Find(askCtx, some)
			cancel()
			if failure := asError(err, "ask for rows in", table); failure != nil {
				d.seldom(slog.LevelWarn, "batches are not looked up together", table, 0, "batches", len(left)+len(some), "error", failure)
				if failure.Code == 0 { // ClickHouse is away
					return found
				}
				break
			}
			for _, b := range some {
				if n := rows[b.ID()]; n > 0 {
					d.noteRows(table, b.ID(), b.Rows(), n)
					found[b] = true
				}
			}
		}
	}
	return found
}
