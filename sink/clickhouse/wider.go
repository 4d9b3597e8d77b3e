package clickhouse

import (
	"context"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// codeTypeMismatch is ClickHouse's code for a block whose column has another type than the table's.
const codeTypeMismatch = 53

// querySuffix distinguishes a converting insert from the refused one just before it.
const querySuffix = "w"

// insertFitting inserts the batch. The server refuses columns of other types, unless the table's are wider: a reload or somebody
// else has widened them after the batch was made. Then every value has its equal and the server may convert. The types are read
// before and after, since neither reading alone covers the insert.
func (s *Sink) insertFitting(ctx context.Context, to *address, b *batch.Block, a sink.Attempt) (sent bool, err error) {
	table := b.Layout().Table()
	name := table.FullName()
	if _, known := s.wider.Load(name); known {
		f, err := to.fit(ctx, table)
		if err != nil {
			return false, err
		}
		if f != fitsWider {
			s.wider.Delete(name)
			return s.insert(ctx, to, b, a, false)
		}
	} else {
		sent, err = s.insert(ctx, to, b, a, false)
		if code, _ := exceptionCode(err); code != codeTypeMismatch {
			return sent, err
		}
		if f, readErr := to.fit(ctx, table); readErr != nil || f != fitsWider {
			return sent, err
		}
		s.wider.Store(name, true)
		a.QueryID += querySuffix
	}
	if sent, err = s.insert(ctx, to, b, a, true); err != nil {
		return sent, err
	}
	if f, readErr := to.fit(ctx, table); readErr == nil && f == fitsNot {
		s.log.Error("batch may have changed values: its table's columns were changed while it was converted to them", "batch", b.ID(), "table", name)
	}
	return sent, nil
}

// fit is how the columns of a table in ClickHouse fit those that are wanted.
type fit uint8

const (
	fitsNot fit = iota
	fitsExactly
	fitsWider
)

// fit compares the types of the table's columns with those that are wanted.
func (a *address) fit(ctx context.Context, table *schema.Table) (fit, error) {
	rows, err := a.query(ctx, "SELECT name, type FROM system.columns WHERE "+isTable(table, "table"))
	if err != nil {
		return fitsNot, err
	}
	types := make(map[string]string, len(rows))
	for _, row := range rows {
		types[row[0]] = row[1]
	}
	f := fitsExactly
	for i := range table.Columns {
		c := &table.Columns[i]
		have, err := schema.ParseType(types[c.Name])
		if err != nil || !isWider(c.Type, have) {
			return fitsNot, nil
		}
		if have.String() != c.Type.String() {
			f = fitsWider
		}
	}
	return f, nil
}

// isWider reports whether every value of ours has its equal in theirs. A DateTime64 of nanoseconds ends in 2262, and the server
// wraps later times.
func isWider(ours, theirs schema.Type) bool {
	const nanoseconds = 9
	if ours.Kind == schema.KindDateTime64 && theirs.Precision == nanoseconds && ours.Precision < nanoseconds {
		return false
	}
	return schema.Widens(ours, theirs)
}
