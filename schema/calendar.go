package schema

import (
	"math"
	"time"
)

const (
	secondsPerHour = 60 * 60
	secondsPerDay  = 24 * secondsPerHour
)

// Calendar computes what ClickHouse makes of times in a zone. Days are counted from 1970-01-01, times are Unix seconds.
type Calendar struct {
	// Zone is the zone.
	Zone *time.Location
}

// Span is a span of Unix seconds, [First, Next), in which a partition function has one value.
type Span struct {
	// First and Next bound the span.
	First, Next int64
	// Value is the function's value there: a Date's number of days, a DateTime's seconds, or the number YYYYMM.
	Value uint64
}

// Contains reports whether the time is in the span.
func (s Span) Contains(seconds int64) bool { return seconds >= s.First && seconds < s.Next }

// Span returns a span around the time in which the function has one value; it may be shorter than the longest such span. It
// reports false where the value does not fit the function's type.
func (c Calendar) Span(f PartitionFunction, seconds int64) (Span, bool) {
	days := c.Day(seconds)
	if seconds < 0 || seconds > math.MaxUint32 || days < 0 {
		return Span{}, false
	}
	span := Span{First: c.startOf(days), Next: c.startOf(days + 1)}
	if ofDay := partitionFunctions[f].ofDay; ofDay != nil {
		span.Value = ofDay(days)
		return span, true
	}
	if f == PartitionToStartOfHour {
		// Hours are counted from the start of the day, not by the clock: where that is changed by less than an
		// hour, the two are not the same until the next day.
		span.First += (seconds - span.First) / secondsPerHour * secondsPerHour
		span.Next = min(span.First+secondsPerHour, span.Next)
	}
	if span.First < 0 {
		return Span{}, false
	}
	span.Value = uint64(span.First)
	return span, true
}

// offsetAt returns how far the zone is ahead of UTC.
func (c Calendar) offsetAt(seconds int64) int64 {
	_, offset := time.Unix(seconds, 0).In(c.Zone).Zone()
	return int64(offset)
}

// Day returns the day of a time. ClickHouse holds days in a table by their first second: where a clock is put back
// over midnight, the piece before belongs to the day before.
func (c Calendar) Day(seconds int64) int64 {
	days := FloorDivide(seconds+c.offsetAt(seconds), secondsPerDay)
	switch {
	case seconds < c.startOf(days):
		return days - 1
	case seconds >= c.startOf(days+1):
		return days + 1
	}
	return days
}

// startOf returns the first second of a day in ClickHouse's table of days. Midnight comes twice where the clock is put back
// over it: then it is the first one, unless a piece of the day before follows. It does not come where the clock
// is put forward over it: then it is where it would have been.
func (c Calendar) startOf(days int64) int64 {
	midnight := days * secondsPerDay
	before := c.offsetAt(midnight - secondsPerDay)
	after := c.offsetAt(midnight + secondsPerDay)
	early, late := midnight-before, midnight-after
	if before == after {
		return early
	}
	isEarly := c.offsetAt(early) == before
	isLate := c.offsetAt(late) == after
	switch {
	case isLate && !isEarly:
		return late
	case isLate && isEarly && early < late && c.offsetAt(late-1) == after:
		return late
	}
	return early
}

// changeUnit is the unit in which ClickHouse knows when a clock is changed, and by how much.
const changeUnit = 15 * 60

// Instant returns the time at which a clock in the zone shows local, a time in UTC. It reads clocks as ClickHouse does: from the time of day
// at which the clock is changed on a day, it is taken to be changed. A time that comes twice is thus the first of the two,
// and one that does not come is as far before the change as it would be after it.
func (c Calendar) Instant(local time.Time) time.Time {
	days := FloorDivide(local.Unix(), secondsPerDay)
	clock := local.Unix() - days*secondsPerDay
	return time.Unix(c.startOf(days)+clock-c.changedBy(days, clock), int64(local.Nanosecond()))
}

// changedBy returns by how much the clock was put forward on the day when it shows so many seconds.
func (c Calendar) changedBy(days, clock int64) int64 {
	start := c.startOf(days)
	_, changed := time.Unix(start-1, 0).In(c.Zone).ZoneBounds()
	if changed.IsZero() || changed.Unix() > start+2*secondsPerDay {
		return 0
	}
	from := changed.Unix() + c.offsetAt(changed.Unix()-1)
	to := changed.Unix() + c.offsetAt(changed.Unix())
	if FloorDivide(from, secondsPerDay) != days && FloorDivide(to, secondsPerDay) != days {
		return 0
	}
	// ClickHouse keeps the first in eight bits without a sign, the second in eight with one.
	at := int64(uint8((from - days*secondsPerDay) / changeUnit))
	by := int64(int8(min(max((to-from)/changeUnit, -24*4), 24*4)))
	if at+by < 0 {
		at = -by
	}
	if clock < at*changeUnit {
		return 0
	}
	return by * changeUnit
}

// FloorDivide rounds towards the past, where Go's division rounds towards 1970.
func FloorDivide(n, by int64) int64 {
	quotient := n / by
	if n%by < 0 {
		quotient--
	}
	return quotient
}
