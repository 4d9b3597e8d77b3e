package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Plan is what a run of a route would do.
type Plan struct {
	// Route and Table ("database.table") are what it is about.
	Route, Table string
	// Column is the time column by which rows expire. Empty: nothing can expire.
	Column string
	// Cutoff is the time before which rows have expired.
	Cutoff time.Time
	// Drops are the partitions that have expired completely.
	Drops []Partition
	// Delete removes expired rows from partitions that stay. Nil: nothing is deleted.
	Delete *Deletion
	// Unfinished are the table's mutations that are not done. Delete waits for ours; with others it is not run.
	Unfinished []Mutation
	// Notes are about what is left, and why.
	Notes []string

	// comparison is how the condition of each of our mutations begins.
	comparison string
}

// Partition is a partition of a table.
type Partition struct {
	// ID and Value are the partition's, as system.parts has them.
	ID, Value string
	// Rows, Parts and Bytes (on disk) are its size.
	Rows, Parts, Bytes uint64
	// Min and Max are the times of its oldest and its newest row.
	Min, Max time.Time
	// End is when its span of time ends: no row of the partition is as young as that. Zero if the partition key does not read
	// the time column, so that rows of any age may still come.
	End time.Time
	// Statement drops it.
	Statement string

	// timeless reports whether there are rows without a time. They never expire.
	timeless bool
}

// Deletion removes expired rows from partitions that stay.
type Deletion struct {
	// Partitions is how many partitions hold the rows, Rows how many rows there were when they were counted.
	Partitions int
	Rows       uint64
	// Statement deletes them.
	Statement string
}

// Empty reports whether nothing has expired.
func (p *Plan) Empty() bool { return len(p.Drops) == 0 && p.Delete == nil }

func (p *Plan) note(format string, arguments ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, arguments...))
}

func (r *Retainer) plan(ctx context.Context, route *schema.Route) (*Plan, error) {
	t := route.Table
	p := &Plan{Route: route.Name, Table: t.FullName()}
	if route.Retention.MaxAge <= 0 {
		p.note("the route keeps its rows forever")
		return p, nil
	}
	now, err := r.now(ctx)
	if err != nil {
		return nil, err
	}
	columns, by, err := r.readTable(ctx, t)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		p.note("the table does not exist")
		return p, nil
	}
	column, err := TimeColumn(route, columns, by)
	if err != nil {
		return nil, err
	}
	e := newExpiry(column, now.Add(-route.Retention.MaxAge))
	p.Column, p.Cutoff, p.comparison = column.Name, e.cutoff, e.comparison()
	if e.never() {
		p.note("nothing can have expired: %s holds no time before the cutoff", column.Type)
		return p, nil
	}
	partitions, err := r.readPartitions(ctx, t, by, column)
	if err != nil {
		return nil, err
	}
	cut := p.sortPartitions(route, e, partitions)
	if p.Delete, err = r.planDeletion(ctx, t, e, cut); err != nil {
		return nil, err
	}
	p.Unfinished, err = r.unfinished(ctx, t)
	return p, err
}

// sortPartitions decides which partitions are dropped, and returns those from which expired rows are deleted.
//
// A partition is dropped only if its newest row has expired and its span of time ended before the limit. The latter protects
// rows that arrive between the query and the drop, because no row of the partition can be younger than its span.
func (p *Plan) sortPartitions(route *schema.Route, e expiry, partitions []Partition) (cut []Partition) {
	var timeless []string
	for _, part := range partitions {
		switch {
		case part.Rows == 0 || !part.Min.Before(e.limit):
			continue
		case part.timeless && part.Max.Equal(noTime):
			timeless = append(timeless, part.Value)
		case !part.End.IsZero() && !part.timeless && part.Max.Before(e.limit) && !part.End.After(e.limit):
			part.Statement = route.Table.Alter() + " DROP PARTITION ID " + schema.QuoteString(part.ID) + " SETTINGS max_partition_size_to_drop = 0"
			p.Drops = append(p.Drops, part)
		// If the partition key does not read the time, nothing can be dropped, and rows are deleted, precise or not.
		case route.Retention.Precise || part.End.IsZero():
			cut = append(cut, part)
		default:
			p.note("partition %s stays until all of it has expired, at %s, because the retention is not precise",
				part.Value, part.End.Add(route.Retention.MaxAge).Format(time.RFC3339))
		}
	}
	if len(timeless) > 0 {
		p.note("no row in the partitions %s has a time in %s: they never expire", strings.Join(timeless, ", "), e.column.Name)
	}
	return cut
}

// planDeletion counts the expired rows in partitions that stay. A single partition is named in the statement, which spares
// ClickHouse a look at all parts; several are one mutation too, which only rewrites parts with expired rows.
func (r *Retainer) planDeletion(ctx context.Context, t *schema.Table, e expiry, cut []Partition) (*Deletion, error) {
	if len(cut) == 0 {
		return nil, nil
	}
	ids := make([]string, len(cut))
	for i, part := range cut {
		ids[i] = schema.QuoteString(part.ID)
	}
	rows, err := integers(r.config.Conn.Query(ctx, "SELECT count() FROM "+schema.QuotedName(t.Database, t.Name)+
		" WHERE _partition_id IN ("+strings.Join(ids, ", ")+") AND "+e.condition()))
	if err != nil {
		return nil, fmt.Errorf("count expired rows: %w", err)
	}
	if rows[0][0] == 0 {
		return nil, nil
	}
	in := ""
	if len(cut) == 1 {
		in = " IN PARTITION ID " + ids[0]
	}
	return &Deletion{
		Partitions: len(cut), Rows: uint64(rows[0][0]),
		Statement: t.Alter() + " DELETE" + in + " WHERE " + e.condition() + " SETTINGS mutations_sync = 0",
	}, nil
}

// TimeColumn returns the table's column by which the route's rows expire: the configured one, or, of those that hold the
// entry's time, the one that the partition key reads, whose bounds ClickHouse keeps with each part.
func TimeColumn(route *schema.Route, columns []schema.Column, by []schema.PartitionKey) (*schema.Column, error) {
	name := route.Retention.Column
	if name == "" {
		for i := range route.Table.Columns {
			c := &route.Table.Columns[i]
			if c.Source.Field != schema.FieldTime || !c.Type.Kind.IsTime() {
				continue
			}
			inKey := slices.ContainsFunc(by, func(k schema.PartitionKey) bool { return k.Name == c.Name })
			if name == "" || inKey {
				name = c.Name
			}
		}
	}
	if name == "" {
		return nil, errors.New("no column holds the entry's time; name one in retention.column, or write retention.max_age: 0")
	}
	i := slices.IndexFunc(columns, func(c schema.Column) bool { return c.Name == name })
	switch {
	case i < 0:
		return nil, fmt.Errorf("column %s is not in the table, or its type is unknown", name)
	case !columns[i].Type.Kind.IsTime():
		return nil, fmt.Errorf("column %s is %s: it must be Date, DateTime or DateTime64", name, columns[i].Type.String())
	}
	return &columns[i], nil
}

// readTable returns the columns that the table has, without those of unknown types, and its partition key if the gateway can
// compute it. Without columns the table does not exist.
func (r *Retainer) readTable(ctx context.Context, t *schema.Table) (columns []schema.Column, by []schema.PartitionKey, err error) {
	where := " WHERE database = " + schema.QuoteString(t.Database) + " AND "
	rows, err := r.config.Conn.Query(ctx, "SELECT name, type FROM system.columns"+where+"table = "+schema.QuoteString(t.Name)+" ORDER BY position")
	if err != nil {
		return nil, by, fmt.Errorf("read columns: %w", err)
	}
	for _, row := range rows {
		if parsed, err := schema.ParseType(row[1]); err == nil {
			columns = append(columns, schema.Column{Name: row[0], Type: parsed})
		}
	}
	rows, err = r.config.Conn.Query(ctx, "SELECT name, partition_key FROM system.tables"+where+"name = "+schema.QuoteString(t.Name))
	if err != nil {
		return nil, by, fmt.Errorf("read partition key: %w", err)
	}
	for _, row := range rows {
		if by, err = schema.ParsePartitionBy(row[1], columns); err != nil {
			by = nil // rows of any age may come into any partition
		}
	}
	return columns, by, nil
}

// exactBounds turns off compiled aggregation, in which min and max take a DateTime64 before 1970 for the greatest
// (ClickHouse 26.7).
const exactBounds = " SETTINGS compile_aggregate_expressions = 0"

// readPartitions returns the partitions of a table, oldest first. If the partition key reads the column, ClickHouse answers from
// the bounds that it keeps with each part and reads no row.
func (r *Retainer) readPartitions(ctx context.Context, t *schema.Table, by []schema.PartitionKey, column *schema.Column) ([]Partition, error) {
	zone := ""
	if column.Type.Kind == schema.KindDate {
		zone = ", 'UTC'" // as in the limit
	}
	milliseconds := func(name string) string {
		return "toUnixTimestamp64Milli(toDateTime64(assumeNotNull(" + name + "), 3" + zone + "))"
	}
	name := schema.QuoteIdentifier(column.Name)
	rows, err := r.config.Conn.Query(ctx, "SELECT _partition_id, value, n, timed, "+milliseconds("lo")+", "+milliseconds("hi")+", "+partitionEnd(by, column)+", parts, bytes"+
		" FROM (SELECT _partition_id, count() AS n, count("+name+") AS timed, min("+name+") AS lo, max("+name+") AS hi FROM "+
		schema.QuotedName(t.Database, t.Name)+" GROUP BY _partition_id) AS times"+
		" INNER JOIN (SELECT partition_id, any(partition) AS value, count() AS parts, sum(bytes_on_disk) AS bytes FROM system.parts WHERE database = "+
		schema.QuoteString(t.Database)+" AND table = "+schema.QuoteString(t.Name)+" AND active GROUP BY partition_id) AS sizes"+
		" ON _partition_id = partition_id ORDER BY lo, _partition_id"+exactBounds)
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	list := make([]Partition, len(rows))
	for i, row := range rows {
		n, err := parseIntegers(row[2:])
		if err != nil {
			return nil, fmt.Errorf("read partitions: %w", err)
		}
		p := &list[i]
		*p = Partition{
			ID: row[0], Value: row[1], Rows: uint64(n[0]), Parts: uint64(n[5]), Bytes: uint64(n[6]),
			Min: time.UnixMilli(n[2]).UTC(), Max: time.UnixMilli(n[3]).UTC(),
		}
		p.timeless = n[1] != n[0] || p.Min.Equal(noTime) || p.Max.Equal(noTime)
		if n[4] != 0 {
			p.End = time.Unix(n[4], 0).UTC()
		}
	}
	return list, nil
}
