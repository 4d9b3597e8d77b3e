package batch

import (
	"math"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

const secondsPerHour = 60 * 60

// calendar computes what ClickHouse's functions make of a time in a zone, for the years in which they
// fit their results' types.
type calendar struct {
	location *time.Location
}

// period is a span of Unix seconds, without the last, in which a function has one value: the
// number of days, the number YYYYMM, or Unix seconds.
type period struct {
	first, next int64
	value       uint64
}

// period returns the function's value at a time, and a span around the time in which it has that value. The
// span may be shorter than the longest one. It returns false where the function's result would not fit.
func (c calendar) period(f schema.PartitionFunction, seconds int64) (period, bool) {
	if seconds < 0 || seconds > math.MaxUint32 {
		return period{}, false
	}
	days := c.dayOf(seconds)
	span := period{first: c.startOf(days), next: c.startOf(days + 1)}
	if days < 0 || span.first < 0 && f == schema.PartitionToStartOfDay {
		return period{}, false
	}
	switch f {
	case schema.PartitionToStartOfDay:
		span.value = uint64(span.first)
	case schema.PartitionToStartOfHour:
		// Hours are counted from the start of the day, not by the clock: where that is changed by less than an
		// hour, the two are not the same until the next day.
		start := span.first + (seconds-span.first)/secondsPerHour*secondsPerHour
		if start < 0 {
			return period{}, false
		}
		span.first, span.next = start, min(start+secondsPerHour, span.next)
		span.value = uint64(start)
	default:
		span.value = dayFunction(f, days)
	}
	return span, true
}

// offsetAt is how far the zone is ahead of UTC.
func offsetAt(location *time.Location, seconds int64) int64 {
	_, offset := time.Unix(seconds, 0).In(location).Zone()
	return int64(offset)
}

// dayOf returns the day of a time, as days since 1970-01-01. ClickHouse holds days in a table by their first
// second: where a clock is put back over midnight, the piece before belongs to the day before.
func (c calendar) dayOf(seconds int64) int64 {
	days := floorDivide(seconds+offsetAt(c.location, seconds), secondsPerDay)
	switch {
	case seconds < c.startOf(days):
		return days - 1
	case seconds >= c.startOf(days+1):
		return days + 1
	}
	return days
}

// startOf returns the first second of a day, as ClickHouse's table of days has it. Midnight comes
// twice where the clock is put back over it: then it is the first one, unless a piece of the day before
// follows. It does not come where the clock is put forward over it: then it is where it would have been.
func (c calendar) startOf(days int64) int64 {
	midnight := days * secondsPerDay
	before := offsetAt(c.location, midnight-secondsPerDay)
	after := offsetAt(c.location, midnight+secondsPerDay)
	early, late := midnight-before, midnight-after
	if before == after {
		return early
	}
	isEarly := offsetAt(c.location, early) == before
	isLate := offsetAt(c.location, late) == after
	switch {
	case isLate && !isEarly:
		return late
	case isLate && isEarly && early < late && offsetAt(c.location, late-1) == after:
		return late
	}
	return early
}

// changeUnit is the unit in which ClickHouse knows when a clock is changed, and by how much.
const changeUnit = 15 * 60

// instant returns the time at which a clock shows so many seconds of a day, as ClickHouse reads a text: from the time of day at which the
// clock is changed on that day, it is taken to be changed. A time that comes twice is thus the first of the two, and one that
// does not come is as far before the change as it would be behind it.
func (c calendar) instant(days, clock int64) int64 {
	start := c.startOf(days)
	_, changed := time.Unix(start-1, 0).In(c.location).ZoneBounds()
	if changed.IsZero() || changed.Unix() > start+2*secondsPerDay {
		return start + clock
	}
	from := changed.Unix() + offsetAt(c.location, changed.Unix()-1)
	to := changed.Unix() + offsetAt(c.location, changed.Unix())
	if floorDivide(from, secondsPerDay) != days && floorDivide(to, secondsPerDay) != days {
		return start + clock
	}
	// The first is kept in eight bits without a sign, the second in eight with one.
	at := int64(uint8((from - days*secondsPerDay) / changeUnit))
	by := int64(int8(min(max((to-from)/changeUnit, -24*4), 24*4)))
	if at+by < 0 {
		at = -by
	}
	if clock >= at*changeUnit {
		clock -= by * changeUnit
	}
	return start + clock
}

// dayFunction returns the value of a function of a day alone.
func dayFunction(f schema.PartitionFunction, days int64) uint64 {
	switch f {
	case schema.PartitionToMonday:
		// 1970-01-01 was a Thursday. Before the first Monday, ClickHouse gives the first day.
		return uint64(max(0, days-(days+3)%7))
	case schema.PartitionToYYYYMM:
		year, month, _ := time.Unix(days*secondsPerDay, 0).UTC().Date()
		return uint64(year*100 + int(month))
	}
	return uint64(days)
}
