package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Plan is what a retention run of a route would do.
type Plan struct {
	// Route and Table ("database.table") are what it is about.
	Route, Table string
	// Column is the time column by which age is measured. Empty: nothing ever expires.
	Column string
	// Cutoff is the time before which rows have expired.
	Cutoff time.Time
	// Drops are the partitions that have expired whole and take no rows any more.
	Drops []ExpiredPartition
	// Delete removes expired rows from partitions that stay. Nil: there are none, or they are left.
	Delete *ExpiredRows
	// Unfinished are the table's mutations that are not done. While there are any, Delete is not run.
	Unfinished []Mutation
	// Notes say what is left, and why.
	Notes []string

	// ours marks the commands of the gateway's own mutations: they compare the time column.
	ours string
}

// ExpiredPartition is a partition whose rows have all expired.
type ExpiredPartition struct {
	// ID and Value are the partition's, as system.parts has them.
	ID, Value string
	// Rows, Parts and Bytes (on disk) are what goes.
	Rows, Parts, Bytes uint64
	// Min and Max are the times of its oldest and its newest row. End is when its span of time ends.
	Min, Max, End time.Time
	// Statement drops it.
	Statement string
}

// ExpiredRows are rows that are deleted from partitions which stay.
type ExpiredRows struct {
	// Partitions are the ids of the partitions that hold them.
	Partitions []string
	// Rows is how many there were when they were counted.
	Rows uint64
	// Statement deletes them.
	Statement string
}

// Empty tells whether nothing has expired.
func (p *Plan) Empty() bool { return len(p.Drops) == 0 && p.Delete == nil }

// timeColumn returns the column by which the route's rows age, as it is in the table: the one that is configured, or, of
// those that hold the entry's time, the one that the partition key reads, which ClickHouse knows the bounds of.
func timeColumn(route *schema.Route, columns []schema.Column, by schema.PartitionBy) (*schema.Column, error) {
	name := route.Retention.Column
	if name == "" {
		for i := range route.Table.Columns {
			c := &route.Table.Columns[i]
			if c.Source.Field != schema.FieldTime || !schema.IsTime(c.Type.Kind) {
				continue
			}
			inKey := slices.ContainsFunc(by.Keys, func(k schema.PartitionKey) bool { return k.Name == c.Name })
			if name == "" || inKey {
				name = c.Name
			}
		}
	}
	if name == "" {
		return nil, errors.New("no column holds the entry's time: name one in retention.column")
	}
	i := slices.IndexFunc(columns, func(c schema.Column) bool { return c.Name == name })
	switch {
	case i < 0:
		return nil, fmt.Errorf("column %s is not in the table, or its type is not known", name)
	case !schema.IsTime(columns[i].Type.Kind):
		return nil, fmt.Errorf("column %s is %s: it has to be Date, DateTime or DateTime64", name, columns[i].Type.String())
	}
	return &columns[i], nil
}

// expiry is the comparison that tells whether a row has expired.
type expiry struct {
	column *schema.Column
	// cutoff is when the rows' time is up, limit the first moment of the column that has not expired.
	cutoff, limit time.Time
}

func newExpiry(column *schema.Column, cutoff time.Time) expiry {
	cutoff = cutoff.UTC().Truncate(time.Second)
	e := expiry{column: column, cutoff: cutoff, limit: cutoff}
	if column.Type.Kind == schema.KindDate {
		// A day is over everywhere when it is over twelve hours west of Greenwich.
		e.limit = cutoff.Add(-12 * time.Hour).Truncate(24 * time.Hour)
	}
	return e
}

// never reports that the column holds no time before the limit. A literal of such a time would become another one.
func (e expiry) never() bool {
	if e.column.Type.Kind == schema.KindDateTime64 {
		return e.limit.Year() < 1900
	}
	return e.limit.Unix() <= 0
}

// function is what makes a literal a value of the column's type.
func (e expiry) function() string {
	switch e.column.Type.Kind {
	case schema.KindDate:
		return "toDate("
	case schema.KindDateTime64:
		return "toDateTime64("
	}
	return "toDateTime("
}

// compared is how every DELETE of a retention run begins its condition.
func (e expiry) compared() string {
	return schema.QuoteIdentifier(e.column.Name) + " < " + e.function()
}

func (e expiry) literal(at time.Time) string {
	switch e.column.Type.Kind {
	case schema.KindDate:
		return schema.QuoteString(at.Format(time.DateOnly)) + ")"
	case schema.KindDateTime64:
		return schema.QuoteString(at.Format(time.DateTime)) + ", 0, 'UTC')"
	}
	return schema.QuoteString(at.Format(time.DateTime)) + ", 'UTC')"
}

// noTime is the value of a column of times in a row that has none: one that is older than the column, or that was
// inserted without it.
var noTime = time.Unix(0, 0).UTC()

func (e expiry) condition() string {
	return e.compared() + e.literal(e.limit) + " AND " + schema.QuoteIdentifier(e.column.Name) + " != " + e.function() + e.literal(noTime)
}

// partitionEnd returns the expression for the end of the span of a partition, where hi is the newest value of the column that
// rows age by. No row that belongs into the partition is as young as that. Empty where the partition key does not read
// this column: then rows of any age may come into any partition, for ever.
func partitionEnd(by schema.PartitionBy, column *schema.Column) string {
	zone := ""
	switch {
	case column.Type.Kind == schema.KindDate:
		zone = ", 'UTC'" // as in the limit
	case column.Type.Zone != "":
		zone = ", " + schema.QuoteString(column.Type.Zone)
	}
	var ends []string
	for _, k := range by.Keys {
		if k.Name == column.Name {
			ends = append(ends, "toUnixTimestamp(toDateTime("+k.Function.End(column.Type.Kind)+zone+"))")
		}
	}
	if len(ends) > 1 {
		return "least(" + strings.Join(ends, ", ") + ")"
	}
	return strings.Join(ends, "")
}

// readTable returns the columns that the table has, where their types are known, and its partition key, where the gateway can
// compute it. Any other key counts as none.
func readTable(ctx context.Context, conn schema.Conn, t *schema.Table) (columns []schema.Column, by schema.PartitionBy, found bool, err error) {
	where := " WHERE database = " + schema.QuoteString(t.Database)
	tables, err := conn.Query(ctx, "SELECT name, partition_key FROM system.tables"+where+" AND name = "+schema.QuoteString(t.Name))
	if err != nil || len(tables) == 0 {
		return nil, by, false, err
	}
	rows, err := conn.Query(ctx, "SELECT name, type FROM system.columns"+where+" AND table = "+schema.QuoteString(t.Name)+" ORDER BY position")
	if err != nil {
		return nil, by, false, fmt.Errorf("read columns: %w", err)
	}
	for _, row := range rows {
		if parsed, err := schema.ParseType(row[1]); err == nil {
			columns = append(columns, schema.Column{Name: row[0], Type: parsed})
		}
	}
	if by, err = schema.ParsePartitionBy(tables[0][1], columns); err != nil {
		by = schema.PartitionBy{}
	}
	return columns, by, true, nil
}

// tablePartition is what is known of one partition.
type tablePartition struct {
	ExpiredPartition
	// nulls says that some rows have no time: NULL, or 1970-01-01. They never expire.
	nulls bool
	// ends tells that End is known.
	ends bool
}

// partitionQuery asks for each partition's rows and times. For columns of the partition key ClickHouse answers from
// what it keeps of each part, and reads no row.
func partitionQuery(t *schema.Table, by schema.PartitionBy, e expiry) string {
	column := schema.QuoteIdentifier(e.column.Name)
	inner := []string{"_partition_id", "count() AS n", "count(" + column + ") AS timed", "min(" + column + ") AS lo", "max(" + column + ") AS hi"}
	end := partitionEnd(by, e.column)
	if end == "" {
		end = "0"
	}
	zone := ""
	if e.column.Type.Kind == schema.KindDate {
		zone = ", 'UTC'"
	}
	moment := func(name string) string {
		return "toUnixTimestamp64Milli(toDateTime64(assumeNotNull(" + name + "), 3" + zone + "))"
	}
	return "SELECT _partition_id, n, timed, " + moment("lo") + ", " + moment("hi") + ", " + end +
		" FROM (SELECT " + strings.Join(inner, ", ") + " FROM " + schema.QuotedName(t.Database, t.Name) + " GROUP BY _partition_id) ORDER BY lo, _partition_id" + rightBounds
}

// rightBounds turns off what compiles aggregations: compiled, min and max take a DateTime64 before 1970 for the greatest
// (ClickHouse 26.7).
const rightBounds = " SETTINGS compile_aggregate_expressions = 0"

// readPartitions returns the partitions of a table, oldest first.
func readPartitions(ctx context.Context, conn schema.Conn, t *schema.Table, by schema.PartitionBy, e expiry) ([]tablePartition, error) {
	rows, err := conn.Query(ctx, partitionQuery(t, by, e))
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	parts, err := conn.Query(ctx, "SELECT partition_id, any(partition), count(), sum(bytes_on_disk) FROM system.parts WHERE database = "+
		schema.QuoteString(t.Database)+" AND table = "+schema.QuoteString(t.Name)+" AND active GROUP BY partition_id")
	if err != nil {
		return nil, fmt.Errorf("read parts: %w", err)
	}
	list := make([]tablePartition, 0, len(rows))
	for _, row := range rows {
		numbers, err := integers(row[1:])
		if err != nil {
			return nil, fmt.Errorf("read partitions: %w", err)
		}
		p := tablePartition{nulls: numbers[1] != numbers[0], ends: numbers[4] != 0}
		p.ID, p.Rows = row[0], uint64(numbers[0])
		p.Min, p.Max, p.End = time.UnixMilli(numbers[2]).UTC(), time.UnixMilli(numbers[3]).UTC(), time.Unix(numbers[4], 0).UTC()
		p.nulls = p.nulls || p.Min.Equal(noTime) || p.Max.Equal(noTime)
		for _, part := range parts {
			if part[0] != p.ID {
				continue
			}
			sizes, err := integers(part[2:])
			if err != nil {
				return nil, fmt.Errorf("read parts: %w", err)
			}
			p.Value, p.Parts, p.Bytes = part[1], uint64(sizes[0]), uint64(sizes[1])
		}
		list = append(list, p)
	}
	return list, nil
}

func integers(fields []string) ([]int64, error) {
	numbers := make([]int64, len(fields))
	for i, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return nil, err
		}
		numbers[i] = n
	}
	return numbers, nil
}

// sortPartitions decides what becomes of each partition: dropped, rows deleted, or left.
//
// A partition is dropped only when its newest row has expired and its span of time has ended before the limit. The second
// is what keeps rows that arrive between the question and the drop: none that belongs into the partition is younger.
func (p *Plan) sortPartitions(route *schema.Route, e expiry, partitions []tablePartition) (cut []tablePartition) {
	t := route.Table
	var timeless []string
	for _, part := range partitions {
		switch {
		case part.Rows == 0 || !part.Min.Before(e.limit):
			continue
		case part.nulls && part.Max.Equal(noTime):
			timeless = append(timeless, part.Value)
		case part.ends && !part.nulls && part.Max.Before(e.limit) && !part.End.After(e.limit):
			part.Statement = schema.AlterTable(t) + " DROP PARTITION ID " + schema.QuoteString(part.ID) + " SETTINGS max_partition_size_to_drop = 0"
			p.Drops = append(p.Drops, part.ExpiredPartition)
		// In a table without time in its partition key nothing is ever dropped: rows are deleted, precise or not.
		case route.Retention.Precise || !part.ends:
			cut = append(cut, part)
		default:
			p.note("partition %s stays until all of it has expired, at %s: the retention is not precise",
				part.Value, part.End.Add(route.Retention.MaxAge).Format(time.RFC3339))
		}
	}
	if len(timeless) > 0 {
		p.note("no row in the partitions %s has a time in %s: they never expire", strings.Join(timeless, ", "), e.column.Name)
	}
	return cut
}

// deleteRows plans the deletion from partitions that stay. One partition is named, which spares ClickHouse the visit to
// all parts; several are one mutation all the same, which rewrites only the parts that hold expired rows.
func (p *Plan) deleteRows(ctx context.Context, conn schema.Conn, t *schema.Table, e expiry, cut []tablePartition) error {
	if len(cut) == 0 {
		return nil
	}
	d := &ExpiredRows{}
	quoted := make([]string, len(cut))
	for i, part := range cut {
		d.Partitions = append(d.Partitions, part.ID)
		quoted[i] = schema.QuoteString(part.ID)
	}
	rows, err := conn.Query(ctx, "SELECT count() FROM "+schema.QuotedName(t.Database, t.Name)+
		" WHERE _partition_id IN ("+strings.Join(quoted, ", ")+") AND "+e.condition())
	if err != nil {
		return fmt.Errorf("count expired rows: %w", err)
	}
	if len(rows) == 1 {
		if d.Rows, err = strconv.ParseUint(rows[0][0], 10, 64); err != nil {
			return fmt.Errorf("count expired rows: %w", err)
		}
	}
	if d.Rows == 0 {
		return nil
	}
	where := ""
	if len(cut) == 1 {
		where = " IN PARTITION ID " + quoted[0]
	}
	d.Statement = schema.AlterTable(t) + " DELETE" + where + " WHERE " + e.condition() + " SETTINGS mutations_sync = 0"
	p.Delete = d
	return nil
}

func (p *Plan) note(format string, arguments ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, arguments...))
}
