package clickhouse

import (
	"context"
	"errors"
	"sync"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// codeTypeMismatch is ClickHouse refusing a block whose column has another type than the table's.
const codeTypeMismatch = 53

// querySuffix tells the query of a converting insert from the one that was refused a moment before.
const querySuffix = "w"

// errNarrowed means that columns were changed while an insert converted to them.
var errNarrowed = errors.New("the table's columns were changed while a batch was converted to them")

// insertFitting inserts the batch. Columns of other types are refused by the server, except where the table's are wider,
// as they are for the batches that were made before a reload or somebody else has widened a column: every value then has
// its equal, and the server may convert. The types are read before and after, since they are the table's at neither time alone.
func (s *Sink) insertFitting(ctx context.Context, to *address, b *batch.Block, a sink.Attempt) (sent bool, err error) {
	table := b.Layout().Table()
	name := table.FullName()
	if !s.wider.has(name) {
		sent, err = s.insert(ctx, to, b, a, false)
		if code, _ := exceptionCode(err); code != codeTypeMismatch {
			return sent, err
		}
		a.QueryID += querySuffix
	}
	exact, fits, readErr := to.compare(ctx, table)
	if err != nil && (readErr != nil || exact || !fits) {
		return sent, err // as the server said
	}
	if readErr != nil {
		return false, readErr
	}
	if exact || !fits {
		s.wider.remove(name)
		return s.insert(ctx, to, b, a, false)
	}
	s.wider.add(name)
	if sent, err = s.insert(ctx, to, b, a, true); err != nil {
		return sent, err
	}
	if exact, fits, readErr = to.compare(ctx, table); readErr == nil && !exact && !fits {
		s.log.Error("batch may have changed values", "batch", b.ID(), "table", name, "error", errNarrowed)
	}
	return sent, nil
}

// compare reports whether the types of the table's columns are exactly those that are wanted, and whether they are at
// least as wide.
func (a *address) compare(ctx context.Context, table *schema.Table) (exact, fits bool, err error) {
	rows, err := a.query(ctx, "SELECT name, type FROM system.columns WHERE database = "+schema.QuoteString(table.Database)+
		" AND table = "+schema.QuoteString(table.Name))
	if err != nil {
		return false, false, err
	}
	types := make(map[string]string, len(rows))
	for _, row := range rows {
		types[row[0]] = row[1]
	}
	exact = true
	for i := range table.Columns {
		c := &table.Columns[i]
		have, err := schema.ParseType(types[c.Name])
		if err != nil || !isWider(c.Type, have) {
			return false, false, nil
		}
		exact = exact && have.String() == c.Type.String()
	}
	return exact, true, nil
}

// isWider reports whether every value of ours has its equal in theirs. A DateTime64 of nanoseconds ends in 2262, and the
// server wraps what is later.
func isWider(ours, theirs schema.Type) bool {
	const nanoseconds = 9
	if ours.Kind == schema.KindDateTime64 && theirs.Precision == nanoseconds && ours.Precision < nanoseconds {
		return false
	}
	return schema.Widens(ours, theirs)
}

// tableSet is a set of tables by their names.
type tableSet struct {
	mu     sync.Mutex
	tables map[string]bool
}

func (s *tableSet) add(table string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables == nil {
		s.tables = map[string]bool{}
	}
	s.tables[table] = true
}

func (s *tableSet) remove(table string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tables, table)
}

func (s *tableSet) has(table string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tables[table]
}
