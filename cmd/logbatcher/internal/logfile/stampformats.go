package logfile

import (
	"strconv"
	"strings"
	"time"
)

// Each parser of this file reads one format at the start of s and returns the moment and
// the length of the stamp.

// iso parses 2006-01-02T15:04:05.999Z and its relatives.
func (c *calendar) iso(s string) (time.Time, int, bool) {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != ' ' && s[10] != 't') {
		return time.Time{}, 0, false
	}
	return c.yearFirst(s)
}

// slash parses 2006/01/02 15:04:05 and 06/01/02 15:04:05, which is of this century.
func (c *calendar) slash(s string) (time.Time, int, bool) {
	if len(s) >= 19 && s[4] == '/' && s[7] == '/' && s[10] == ' ' {
		return c.yearFirst(s)
	}
	if len(s) < 17 || s[2] != '/' || s[5] != '/' || s[8] != ' ' {
		return time.Time{}, 0, false
	}
	date := civil{year: 2000 + two(s, 0), month: two(s, 3), day: two(s, 6)}
	end, ok := date.clock(s, 9)
	if !ok || date.year < 2000 || !date.valid() {
		return time.Time{}, 0, false
	}
	return c.local(date), end, true
}

func (c *calendar) yearFirst(s string) (time.Time, int, bool) {
	date := civil{year: two(s, 0)*100 + two(s, 2), month: two(s, 5), day: two(s, 8)}
	end, ok := date.clock(s, 11)
	if !ok || two(s, 0) < 0 || two(s, 2) < 0 || !date.valid() {
		return time.Time{}, 0, false
	}
	return c.zoned(date, s, end)
}

// syslog parses Jan _2 15:04:05, also with a year behind the day.
func (c *calendar) syslog(s string) (time.Time, int, bool) {
	date, end, ok := monthAndDay(s)
	if !ok {
		return time.Time{}, 0, false
	}
	year := len(s) > end+5 && s[end+4] == ' ' && s[end+2] != ':'
	if year {
		date.year = two(s, end)*100 + two(s, end+2)
		end += 5
	}
	end, ok = date.clock(s, end)
	switch {
	case !ok:
		return time.Time{}, 0, false
	case year && (date.year < 1900 || !date.valid()):
		return time.Time{}, 0, false
	case year:
		return c.local(date), end, true
	}
	at, ok := c.yearless(date)
	return at, end, ok
}

// ctime parses Mon Jan _2 15:04:05 2006, also with a fraction and with a zone before the year.
func (c *calendar) ctime(s string) (time.Time, int, bool) {
	if len(s) < 24 || s[3] != ' ' || !isWeekday(s[:3]) {
		return time.Time{}, 0, false
	}
	date, end, ok := monthAndDay(s[4:])
	if !ok {
		return time.Time{}, 0, false
	}
	if end, ok = date.clock(s, end+4); !ok || end >= len(s) || s[end] != ' ' {
		return time.Time{}, 0, false
	}
	offset, width, zoned := zone(s[end:])
	if zoned {
		end += width
	} else if n := abbreviation(s[end+1:]); n > 0 {
		end += 1 + n
	}
	if len(s) < end+5 || s[end] != ' ' || two(s, end+1) < 0 || two(s, end+3) < 0 {
		return time.Time{}, 0, false
	}
	date.year = two(s, end+1)*100 + two(s, end+3)
	if end += 5; !date.valid() || (end < len(s) && isDigit(s[end])) {
		return time.Time{}, 0, false
	}
	if zoned {
		return date.in(offset), end, true
	}
	return c.local(date), end, true
}

// day parses 02-Jan-2006 15:04:05.999 and 02/Jan/2006:15:04:05 -0700.
func (c *calendar) day(s string) (time.Time, int, bool) {
	if len(s) < 20 || (s[2] != '/' && s[2] != '-' && s[2] != ' ') || s[6] != s[2] || (s[11] != ':' && s[11] != ' ') {
		return time.Time{}, 0, false
	}
	date := civil{year: two(s, 7)*100 + two(s, 9), month: month(s[3:6]), day: two(s, 0)}
	end, ok := date.clock(s, 12)
	if !ok || two(s, 7) < 0 || two(s, 9) < 0 || !date.valid() {
		return time.Time{}, 0, false
	}
	return c.zoned(date, s, end)
}

// access parses the stamp of an access log, in brackets behind client, ident and user. Its
// end is behind the closing bracket.
func (c *calendar) access(s string) (time.Time, int, bool) {
	for i, limit := 1, min(len(s), 512); i < limit; {
		n := strings.IndexByte(s[i:limit], '[')
		if n < 0 {
			break
		}
		i += n + 1
		if s[i-2] != ' ' || i >= limit || !isDigit(s[i]) {
			continue
		}
		at, end, ok := c.day(s[i:])
		if ok && i+end < len(s) && s[i+end] == ']' {
			return at, i + end + 1, true
		}
	}
	return time.Time{}, 0, false
}

// klog parses I0102 15:04:05.999999.
func (c *calendar) klog(s string) (time.Time, int, bool) {
	if len(s) < 21 || klogSeverity(s[0]) == 0 || s[5] != ' ' || s[14] != '.' {
		return time.Time{}, 0, false
	}
	date := civil{month: two(s, 1), day: two(s, 3)}
	end, ok := date.clock(s, 6)
	if !ok {
		return time.Time{}, 0, false
	}
	at, ok := c.yearless(date)
	return at, end, ok
}

// rfc1123 parses Mon, 02 Jan 2006 15:04:05 MST.
func (c *calendar) rfc1123(s string) (time.Time, int, bool) {
	if len(s) < 25 || s[3] != ',' || s[4] != ' ' || !isWeekday(s[:3]) {
		return time.Time{}, 0, false
	}
	at, end, ok := c.day(s[5:])
	return at, end + 5, ok
}

// epochAt parses seconds, with or without a fraction, milli-, micro- or nanoseconds since 1970.
// The moment lies in the years 2001 to 2100.
func epochAt(s string) (time.Time, int, bool) {
	n := 0
	for n < len(s) && n < 20 && isDigit(s[n]) {
		n++
	}
	if n != 10 && n != 13 && n != 16 && n != 19 {
		return time.Time{}, 0, false
	}
	value, err := strconv.ParseInt(s[:n], 10, 64)
	if err != nil {
		return time.Time{}, 0, false
	}
	at, ok := epoch(value)
	if n == 10 && ok {
		nsec, width := fraction(s[n:])
		at = at.Add(time.Duration(nsec))
		n += width
	}
	if !ok || (n < len(s) && s[n] != ' ' && s[n] != '\t' && s[n] != ',' && s[n] != ':' && s[n] != ']' && s[n] != '|' && s[n] != '"') {
		return time.Time{}, 0, false
	}
	return at, n, true
}

// epoch takes value as seconds, milli-, micro- or nanoseconds, by its size.
func epoch(value int64) (time.Time, bool) {
	const first, last = 1_000_000_000, 4_102_444_800 // 2001-09-09, 2100-01-01
	for _, unit := range []int64{1, 1e3, 1e6, 1e9} {
		if value >= first*unit && value/unit < last {
			return time.Unix(value/unit, value%unit*(1e9/unit)).UTC(), true
		}
	}
	return time.Time{}, false
}

// zoned returns date in the zone that stands at s[end:], or else in the calendar's location.
func (c *calendar) zoned(date civil, s string, end int) (time.Time, int, bool) {
	if end == len(s) {
		return c.local(date), end, true
	}
	if offset, width, ok := zone(s[end:]); ok {
		return date.in(offset), end + width, true
	}
	if isDigit(s[end]) || isLetter(s[end]) {
		return time.Time{}, 0, false
	}
	return c.local(date), end, true
}

// zone reads Z, +07:00, +0700, +07, and behind a space also UTC, GMT, Z, +07:00 and +0700.
func zone(s string) (offset, width int, ok bool) {
	spaced := 0
	if s[0] == ' ' {
		spaced = 1
		s = s[1:]
	}
	if s == "" {
		return 0, 0, false
	}
	switch s[0] {
	case 'Z', 'z':
		width = 1
	case 'U', 'G':
		if spaced == 0 || !(strings.HasPrefix(s, "UTC") || strings.HasPrefix(s, "GMT")) {
			return 0, 0, false
		}
		width = 3
	case '+', '-':
		offset, width, ok = numericZone(s, spaced > 0)
		return offset, width + spaced, ok
	default:
		return 0, 0, false
	}
	if len(s) > width && (isLetter(s[width]) || isDigit(s[width])) {
		return 0, 0, false
	}
	return 0, width + spaced, true
}

// numericZone reads +07:00, +0700 and, unless spaced, +07. Behind a space, as in "12:00:00 -1234", minutes
// that no zone has make it another number.
func numericZone(s string, spaced bool) (offset, width int, ok bool) {
	if len(s) < 3 || two(s, 1) < 0 {
		return 0, 0, false
	}
	hours, minutes := two(s, 1), 0
	switch {
	case len(s) >= 6 && s[3] == ':' && two(s, 4) >= 0:
		minutes, width = two(s, 4), 6
	case len(s) >= 5 && two(s, 3) >= 0:
		minutes, width = two(s, 3), 5
	case !spaced:
		width = 3
	default:
		return 0, 0, false
	}
	if hours > 23 || minutes > 59 || (spaced && minutes%15 != 0) || (len(s) > width && isDigit(s[width])) {
		return 0, 0, false
	}
	offset = hours*3600 + minutes*60
	if s[0] == '-' {
		offset = -offset
	}
	return offset, width, true
}

// abbreviation returns the length of a zone's abbreviation, such as CEST. What it stands for
// is not known: the stamp is taken in the calendar's location.
func abbreviation(s string) int {
	n := 0
	for n < len(s) && s[n] >= 'A' && s[n] <= 'Z' {
		n++
	}
	if n < 3 || n > 5 {
		return 0
	}
	return n
}

// clock reads 15:04:05 and a fraction at s[i:], into date, and returns where it ends.
func (date *civil) clock(s string, i int) (end int, ok bool) {
	if len(s) < i+8 || s[i+2] != ':' || s[i+5] != ':' {
		return 0, false
	}
	date.hour, date.minute, date.second = two(s, i), two(s, i+3), two(s, i+6)
	if date.hour < 0 || date.minute < 0 || date.second < 0 || date.hour > 23 || date.minute > 59 || date.second > 60 {
		return 0, false
	}
	end = i + 8
	nsec, width := fraction(s[end:])
	date.nsec = nsec
	if width == 0 && end < len(s) && isDigit(s[end]) {
		return 0, false
	}
	return end + width, true
}

// fraction reads .999 or ,999; digits beyond the ninth are left out of nsec.
func fraction(s string) (nsec, width int) {
	if len(s) < 2 || (s[0] != '.' && s[0] != ',') || !isDigit(s[1]) {
		return 0, 0
	}
	width = 1
	for unit := 100_000_000; width < len(s) && isDigit(s[width]); width++ {
		nsec += int(s[width]-'0') * unit
		unit /= 10
	}
	return nsec, width
}

// monthAndDay reads "Jan _2 ", "Jan 02 " or "Jan 2 ".
func monthAndDay(s string) (date civil, end int, ok bool) {
	if len(s) < 14 || s[3] != ' ' {
		return civil{}, 0, false
	}
	date.month = month(s[:3])
	switch {
	case two(s, 4) >= 0:
		date.day, end = two(s, 4), 6
	case s[4] == ' ' && isDigit(s[5]):
		date.day, end = int(s[5]-'0'), 6
	case isDigit(s[4]):
		date.day, end = int(s[4]-'0'), 5
	}
	if date.month == 0 || date.day == 0 || date.day > 31 || s[end] != ' ' {
		return civil{}, 0, false
	}
	return date, end + 1, true
}

// month returns 1 for Jan, and 0 for what is no month.
func month(s string) int {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	for i := 0; i < len(names); i += 3 {
		if names[i:i+3] == s {
			return i/3 + 1
		}
	}
	return 0
}

func isWeekday(s string) bool {
	switch s {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

// two returns the number that s[i] and s[i+1] spell, or a very negative one.
func two(s string, i int) int {
	a, b := s[i]-'0', s[i+1]-'0'
	if a > 9 || b > 9 {
		return -1 << 20
	}
	return int(a)*10 + int(b)
}
