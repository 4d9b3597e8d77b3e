package logfile

import "time"

// calendar makes moments of dates and times of day. Dates without a zone are in loc.
type calendar struct {
	loc *time.Location
	now func() time.Time

	// Of the last date in loc: the quarter of an hour, and loc's offset in it. Rules of time
	// zones change at no other moments within the years that have logs.
	quarter int64
	offset  int64
	known   bool
}

// civil is a date and time of day as written.
type civil struct {
	year, month, day           int
	hour, minute, second, nsec int
}

func (c civil) valid() bool {
	return c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= daysIn(c.year, c.month) &&
		c.hour <= 23 && c.minute <= 59 && c.second <= 60 // a leap second is the next one
}

// unix returns the seconds from 1970 to c, both in UTC.
func (c civil) unix() int64 {
	year := int64(c.year)
	if c.month <= 2 {
		year--
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	yearOfEra := year - era*400
	dayOfYear := int64((153*((c.month+9)%12)+2)/5 + c.day - 1)
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	days := era*146097 + dayOfEra - 719468
	return days*86400 + int64(c.hour)*3600 + int64(c.minute)*60 + int64(c.second)
}

// in returns c in a zone that is offset seconds east of UTC.
func (c civil) in(offset int) time.Time {
	return time.Unix(c.unix()-int64(offset), int64(c.nsec)).UTC()
}

// local returns date in the calendar's location.
func (c *calendar) local(date civil) time.Time {
	seconds := date.unix()
	if c.loc == time.UTC {
		return time.Unix(seconds, int64(date.nsec)).UTC()
	}
	if quarter := seconds / 900; !c.known || quarter != c.quarter {
		at := time.Date(date.year, time.Month(date.month), date.day, date.hour, date.minute, date.second, 0, c.loc)
		c.quarter, c.offset, c.known = quarter, seconds-at.Unix(), true
	}
	return time.Unix(seconds-c.offset, int64(date.nsec)).UTC()
}

// yearless returns date in the latest year that does not put it more than a day after now.
func (c *calendar) yearless(date civil) (time.Time, bool) {
	latest := c.now().Add(24 * time.Hour)
	for year := latest.In(c.loc).Year(); year > latest.Year()-9; year-- {
		date.year = year
		if !date.valid() { // 29 February
			continue
		}
		if at := c.local(date); !at.After(latest) {
			return at, true
		}
	}
	return time.Time{}, false
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}
