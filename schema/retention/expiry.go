package retention

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// expiry is the condition under which a row has expired.
type expiry struct {
	column *schema.Column
	// cutoff is the time before which rows expire, limit the first value of the column that has not expired.
	cutoff, limit time.Time
}

// noTime is the value of a time column in a row that has no time: one that is older than the column, or came without a value.
var noTime = time.Unix(0, 0).UTC()

func newExpiry(column *schema.Column, cutoff time.Time) expiry {
	cutoff = cutoff.UTC().Truncate(time.Second)
	e := expiry{column: column, cutoff: cutoff, limit: cutoff}
	if column.Type.Kind == schema.KindDate {
		// A day is over everywhere when it is over twelve hours west of Greenwich.
		e.limit = cutoff.Add(-12 * time.Hour).Truncate(24 * time.Hour)
	}
	return e
}

// never reports whether the column can't hold a time before the limit. A literal of such a time would turn into another one.
func (e expiry) never() bool {
	if e.column.Type.Kind == schema.KindDateTime64 {
		return e.limit.Year() < 1900
	}
	return e.limit.Unix() <= 0
}

// literal returns a time as a value of the column's type.
func (e expiry) literal(at time.Time) string {
	switch e.column.Type.Kind {
	case schema.KindDate:
		return "toDate('" + at.Format(time.DateOnly) + "')"
	case schema.KindDateTime64:
		return "toDateTime64('" + at.Format(time.DateTime) + "', 0, 'UTC')"
	}
	return "toDateTime('" + at.Format(time.DateTime) + "', 'UTC')"
}

func (e expiry) condition() string {
	name := schema.QuoteIdentifier(e.column.Name)
	return name + " < " + e.literal(e.limit) + " AND " + name + " != " + e.literal(noTime)
}

// comparison returns how the condition begins, whatever the limit.
func (e expiry) comparison() string {
	before, _, _ := strings.Cut(e.literal(e.limit), "'")
	return schema.QuoteIdentifier(e.column.Name) + " < " + before
}

// partitionEnd returns the SQL expression for the end of a partition's span of time in Unix seconds, where hi is the newest
// value of the column. It is 0 if the partition key does not read the column.
func partitionEnd(by []schema.PartitionKey, column *schema.Column) string {
	zone := ""
	switch {
	case column.Type.Kind == schema.KindDate:
		zone = ", 'UTC'" // as in the limit
	case column.Type.Zone != "":
		zone = ", " + schema.QuoteString(column.Type.Zone)
	}
	var ends []string
	for _, k := range by {
		if k.Name == column.Name {
			ends = append(ends, "toUnixTimestamp(toDateTime("+k.Function.End(column.Type.Kind)+zone+"))")
		}
	}
	if len(ends) == 0 {
		return "0"
	}
	return "arrayMin([" + strings.Join(ends, ", ") + "])"
}

// integers reads the answer to a query that returns integers in at least one row.
func integers(rows [][]string, err error) ([][]int64, error) {
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("ClickHouse returned no row")
	}
	numbers := make([][]int64, len(rows))
	for i, row := range rows {
		if numbers[i], err = parseIntegers(row); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

func parseIntegers(fields []string) ([]int64, error) {
	numbers := make([]int64, len(fields))
	for i, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("ClickHouse returned no integer: %w", err)
		}
		numbers[i] = n
	}
	return numbers, nil
}
