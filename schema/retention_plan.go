package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RetentionPlan is what a retention run of a route would do.
type RetentionPlan struct {
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
func (p *RetentionPlan) Empty() bool { return len(p.Drops) == 0 && p.Delete == nil }

// retentionColumn returns the column by which the route's rows age: the one that is configured, or, of those that hold the
// entry's time, the one that the partition key reads, which ClickHouse knows the bounds of.
func retentionColumn(route *Route) (*Column, error) {
	t := route.Table
	var found *Column
	partition, _ := ParsePartitionBy(t.PartitionBy, t.Columns) // one that can't be read names no column
	for i := range t.Columns {
		c := &t.Columns[i]
		switch {
		case route.Retention.Column != "":
			if c.Name == route.Retention.Column {
				found = c
			}
		case c.Source.Field == FieldTime && isTime(c.Type.Kind):
			inKey := slices.ContainsFunc(partition.Keys, func(k PartitionKey) bool { return k.Name == c.Name })
			if found == nil || inKey {
				found = c
			}
		}
	}
	switch {
	case found == nil && route.Retention.Column != "":
		return nil, fmt.Errorf("column %s is not in the table", route.Retention.Column)
	case found == nil:
		return nil, errors.New("no column holds the entry's time: name one in retention.column")
	case !isTime(found.Type.Kind):
		return nil, fmt.Errorf("column %s is %s: it has to be Date, DateTime or DateTime64", found.Name, found.Type.String())
	}
	return found, nil
}

func isTime(k Kind) bool { return k == KindDate || k == KindDateTime || k == KindDateTime64 }

// expiry is the comparison that tells whether a row has expired.
type expiry struct {
	column *Column
	// cutoff is when the rows' time is up, limit the first moment of the column that has not expired.
	cutoff, limit time.Time
}

func newExpiry(column *Column, cutoff time.Time) expiry {
	cutoff = cutoff.UTC().Truncate(time.Second)
	e := expiry{column: column, cutoff: cutoff, limit: cutoff}
	if column.Type.Kind == KindDate {
		// A day is over everywhere when it is over twelve hours west of Greenwich.
		e.limit = cutoff.Add(-12 * time.Hour).Truncate(24 * time.Hour)
	}
	return e
}

// compared is how every DELETE of a retention run begins its condition.
func (e expiry) compared() string {
	if e.column.Type.Kind == KindDate {
		return QuoteIdentifier(e.column.Name) + " < toDate("
	}
	return QuoteIdentifier(e.column.Name) + " < toDateTime("
}

func (e expiry) condition() string {
	if e.column.Type.Kind == KindDate {
		return e.compared() + QuoteString(e.limit.Format(time.DateOnly)) + ")"
	}
	return e.compared() + QuoteString(e.limit.Format(time.DateTime)) + ", 'UTC')"
}

// partitionEnd returns the expression for the end of the span of a partition, where hi(name) is the newest value of a column
// in it; empty where the partition key has no time, and a partition takes rows for ever.
func partitionEnd(by PartitionBy, columns []Column, hi func(name string) string) string {
	var ends []string
	for _, k := range by.Keys {
		t := columns[k.Column].Type
		if !isTime(t.Kind) || t.Nullable {
			continue
		}
		newest := hi(k.Name)
		zone := ""
		if t.Zone != "" {
			zone = ", " + QuoteString(t.Zone)
		}
		end := ""
		switch k.Function {
		case PartitionToDate, PartitionToStartOfDay:
			end = "addDays(toStartOfDay(" + newest + "), 1)"
		case PartitionToStartOfHour:
			end = "addHours(toStartOfHour(" + newest + "), 1)"
		case PartitionToMonday:
			end = "addDays(toMonday(" + newest + "), 7)"
		case PartitionToYYYYMM:
			end = "addMonths(toStartOfMonth(" + newest + "), 1)"
		case PartitionValue:
			if t.Kind != KindDate {
				end = "addSeconds(" + newest + ", 1)"
			} else {
				end = "addDays(" + newest + ", 1)"
			}
		default:
			continue
		}
		ends = append(ends, "toUnixTimestamp(toDateTime("+end+zone+"))")
	}
	if len(ends) > 1 {
		return "least(" + strings.Join(ends, ", ") + ")"
	}
	return strings.Join(ends, "")
}

// tablePartition is what is known of one partition.
type tablePartition struct {
	ExpiredPartition
	// nulls tells that some rows have no time at all. They never expire.
	nulls bool
	// ends tells that End is known.
	ends bool
}

// partitionQuery asks for each partition's rows and times. For columns of the partition key ClickHouse answers from
// what it keeps of each part, and reads no row.
func partitionQuery(t *Table, by PartitionBy, e expiry) string {
	column := QuoteIdentifier(e.column.Name)
	inner := []string{"_partition_id", "count() AS n", "count(" + column + ") AS timed", "min(" + column + ") AS lo", "max(" + column + ") AS hi"}
	end := partitionEnd(by, t.Columns, func(name string) string {
		if name == e.column.Name {
			return "hi"
		}
		alias := "hi_" + strconv.Itoa(len(inner))
		inner = append(inner, "max("+QuoteIdentifier(name)+") AS "+alias)
		return alias
	})
	if end == "" {
		end = "0"
	}
	zone := ""
	if e.column.Type.Kind == KindDate {
		zone = ", 'UTC'"
	}
	moment := func(name string) string {
		return "toUnixTimestamp64Milli(toDateTime64(assumeNotNull(" + name + "), 3" + zone + "))"
	}
	return "SELECT _partition_id, n, timed, " + moment("lo") + ", " + moment("hi") + ", " + end +
		" FROM (SELECT " + strings.Join(inner, ", ") + " FROM " + quotedName(t.Database, t.Name) + " GROUP BY _partition_id) ORDER BY lo, _partition_id"
}

// readPartitions returns the partitions of a table, oldest first.
func readPartitions(ctx context.Context, conn Conn, t *Table, by PartitionBy, e expiry) ([]tablePartition, error) {
	rows, err := conn.Query(ctx, partitionQuery(t, by, e))
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	parts, err := conn.Query(ctx, "SELECT partition_id, any(partition), count(), sum(bytes_on_disk) FROM system.parts WHERE database = "+
		QuoteString(t.Database)+" AND table = "+QuoteString(t.Name)+" AND active GROUP BY partition_id")
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
// A partition is dropped only when its newest row has expired and its span of time has ended before the cutoff. The
// second is what keeps rows that arrive between the question and the drop: entries for that span are older than
// the route accepts, because its MaxAge lies below its retention.
func (p *RetentionPlan) sortPartitions(route *Route, e expiry, partitions []tablePartition) (cut []tablePartition) {
	t := route.Table
	for _, part := range partitions {
		switch {
		case part.Rows == 0 || !part.Min.Before(e.limit) || part.nulls && part.Max.Equal(time.UnixMilli(0)):
			continue
		case part.ends && !part.nulls && part.Max.Before(e.limit) && !part.End.After(e.cutoff):
			part.Statement = alterTable(t) + " DROP PARTITION ID " + QuoteString(part.ID) + " SETTINGS max_partition_size_to_drop = 0"
			p.Drops = append(p.Drops, part.ExpiredPartition)
		// In a table without time in its partition key nothing is ever dropped: rows are deleted, precise or not.
		case route.Retention.Precise || !part.ends:
			cut = append(cut, part)
		default:
			p.note("partition %s stays until all of it has expired, at %s: the retention is not precise",
				part.Value, part.End.Add(route.Retention.MaxAge).Format(time.RFC3339))
		}
	}
	return cut
}

// deleteRows plans the deletion from partitions that stay. One partition is named, which spares ClickHouse the visit to
// all parts; several are one mutation all the same, which rewrites only the parts that hold expired rows.
func (p *RetentionPlan) deleteRows(ctx context.Context, conn Conn, t *Table, e expiry, cut []tablePartition) error {
	if len(cut) == 0 {
		return nil
	}
	d := &ExpiredRows{}
	quoted := make([]string, len(cut))
	for i, part := range cut {
		d.Partitions = append(d.Partitions, part.ID)
		quoted[i] = QuoteString(part.ID)
	}
	rows, err := conn.Query(ctx, "SELECT count() FROM "+quotedName(t.Database, t.Name)+
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
	d.Statement = alterTable(t) + " DELETE" + where + " WHERE " + e.condition() + " SETTINGS mutations_sync = 0"
	p.Delete = d
	return nil
}

func (p *RetentionPlan) note(format string, arguments ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, arguments...))
}
