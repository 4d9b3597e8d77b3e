package schema

import (
	"strings"
	"time"
)

// ParseRFC3339 reads a time as RFC 3339 writes it, all of it and nothing that is only like it, as time.Parse does. "t" and "z" may be
// small. A leap second is not taken. It returns Unix seconds and the nanoseconds after them.
func ParseRFC3339(text string) (seconds, nanoseconds int64, ok bool) {
	const day = len(time.DateOnly)
	if len(text) <= day || text[day] != 'T' && text[day] != 't' {
		return 0, 0, false
	}
	days, dayOK := ParseDay(text[:day])
	clock, nanoseconds, rest, clockOK := ParseClock(text[day+1:])
	offset, offsetOK := parseOffset(rest)
	return days*(24*60*60) + clock - offset, nanoseconds, dayOK && clockOK && offsetOK
}

// ParseDay reads "YYYY-MM-DD" and returns the days since 1970-01-01.
func ParseDay(text string) (days int64, ok bool) {
	if len(text) != len(time.DateOnly) || text[4] != '-' || text[7] != '-' {
		return 0, false
	}
	year, yearOK := digits(text[0:4], 9999)
	month, monthOK := digits(text[5:7], 12)
	day, dayOK := digits(text[8:10], 31)
	if !yearOK || !monthOK || !dayOK {
		return 0, false
	}
	at := time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC)
	// A day or a month that does not exist becomes another one.
	return at.Unix() / (24 * 60 * 60), at.Month() == time.Month(month) && at.Day() == int(day)
}

// ParseClock reads "hh:mm:ss" and a fraction, and returns what follows. Digits after the ninth are left out.
func ParseClock(text string) (seconds, nanoseconds int64, rest string, ok bool) {
	if len(text) < 8 || text[2] != ':' || text[5] != ':' {
		return 0, 0, "", false
	}
	hour, hourOK := digits(text[0:2], 23)
	minute, minuteOK := digits(text[3:5], 59)
	second, secondOK := digits(text[6:8], 59)
	rest = text[8:]
	if !hourOK || !minuteOK || !secondOK {
		return 0, 0, "", false
	}
	if fraction, found := strings.CutPrefix(rest, "."); found {
		n := 0
		for n < len(fraction) && isDigit(fraction[n]) {
			n++
		}
		if n == 0 {
			return 0, 0, "", false
		}
		for i := range 9 {
			nanoseconds *= 10
			if i < n {
				nanoseconds += int64(fraction[i] - '0')
			}
		}
		rest = fraction[n:]
	}
	return hour*60*60 + minute*60 + second, nanoseconds, rest, true
}

// parseOffset reads "Z" or "+hh:mm" and returns the seconds that the zone is ahead of UTC.
func parseOffset(text string) (seconds int64, ok bool) {
	if text == "Z" || text == "z" {
		return 0, true
	}
	if len(text) != 6 || text[0] != '+' && text[0] != '-' || text[3] != ':' {
		return 0, false
	}
	hour, hourOK := digits(text[1:3], 23)
	minute, minuteOK := digits(text[4:6], 59)
	seconds = hour*60*60 + minute*60
	if text[0] == '-' {
		seconds = -seconds
	}
	return seconds, hourOK && minuteOK
}

// digits reads decimal digits and nothing else.
func digits(text string, most int64) (n int64, ok bool) {
	for i := range len(text) {
		if !isDigit(text[i]) {
			return 0, false
		}
		n = 10*n + int64(text[i]-'0')
	}
	return n, n <= most
}
