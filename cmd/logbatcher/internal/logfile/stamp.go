package logfile

import (
	"strconv"
	"strings"
	"time"
)

// layouts lists how time stamps are written, as for [time.Parse]. Each may be followed by a fraction, AM or PM, and a
// zone; " 2006" at the end follows these. A stamp looks like its layout: digits for digits, letters for letters,
// one or two digits for the hour and for a digit that stands alone.
var layouts = [...]string{
	"2006-01-02T15:04:05", // RFC 3339
	"2006-01-02 15:04:05", // log4j, Python, PostgreSQL
	"2006/01/02 15:04:05", // Go, nginx
	"Jan _2 15:04:05",     // RFC 3164
	"06/01/02 15:04:05",   // Spark
	"2006.01.02 15:04:05", // ClickHouse
	"02.01.2006 15:04:05",
	"02/Jan/2006:15:04:05", // access logs
	"02-Jan-2006 15:04:05", // Tomcat
	"02 Jan 2006 15:04:05", // Redis
	"Jan _2 2006 15:04:05",
	"Jan _2, 2006 15:04:05",    // java.util.logging
	"Jan _2, 2006, 15:04:05",   // JavaScript, toLocaleString
	"Mon Jan _2 15:04:05 2006", // ctime, Apache's error log, date
	"Mon Jan _2 2006 15:04:05", // JavaScript, toString
	"Mon, 02 Jan 2006 15:04:05",
	"20060102T150405",
	ambiguous + " 15:04:05", // the day or the month may come first, so it is not read
	ambiguous + ", 15:04:05",
}

const (
	maxSearch    = 512 // bytes of a line in which a stamp is looked for
	ambiguous    = "01/02/2006"
	shortYear    = "06/01/02 15:04:05"
	syslogLayout = "Jan _2 15:04:05"
	accessLayout = "02/Jan/2006:15:04:05"
)

// stamp is a time stamp that stands in a line.
type stamp struct {
	at     time.Time // zero: not understood
	zoned  bool      // at does not depend on the reader's location or clock
	layout string
	start  int // of the stamp, in the line
	end    int // of the stamp and a bracket that closes behind it
}

// found reports whether there is a stamp, understood or not.
func (s stamp) found() bool { return s.end > 0 }

// stamps finds time stamps. The layout of the line before is tried first.
type stamps struct {
	now    func() time.Time
	loc    *time.Location
	likely string
}

// find returns the stamp at the start of line or behind what may precede one: a syslog priority, a severity, a bracket,
// the key of a pair, or the client and user of an access log.
func (p *stamps) find(line string) stamp {
	_, start := priority(line)
	if start > 0 && strings.HasPrefix(line[start:], "1 ") { // RFC 5424's version
		start += 2
	}
	if found := p.findAt(line, start); found.found() {
		return found
	}
	if n := leadingSeverity(line[start:]); n > 0 {
		if found := p.findAt(line, start+n); found.found() {
			return found
		}
	}
	head := line[:min(len(line), maxSearch)]
	for at := 0; ; { // a pair
		n := strings.IndexByte(head[at:], '=')
		if n < 0 {
			break
		}
		key := head[at : at+n]
		at += n + 1
		switch key[strings.LastIndexAny(key, " \t,")+1:] {
		case "time", "ts", "timestamp", "t":
			quote := len(line[at:]) - len(strings.TrimPrefix(line[at:], `"`))
			if found := p.findAt(line, at+quote); found.found() {
				return found
			}
		}
	}
	for at := 0; ; { // an access log
		n := strings.Index(head[at:], " [")
		if n < 0 {
			return stamp{}
		}
		at += n + 1
		if found := p.findAt(line, at); found.layout == accessLayout && line[found.end-1] == ']' {
			return found
		}
	}
}

// findAt finds the stamp at line[start:], which may be in square brackets.
func (p *stamps) findAt(line string, start int) stamp {
	text := start
	if strings.HasPrefix(line[start:], "[") {
		text++
	}
	found := p.parse(line[text:])
	if found.found() {
		found.start = start
		found.end += text
		if text > start && strings.HasPrefix(line[found.end:], "]") {
			found.end++
		}
	}
	return found
}

// whole returns the time that all of s spells, as the strings of JSON lines do.
func (p *stamps) whole(s string) (at time.Time, zoned bool) {
	if found := p.parse(s); found.end == len(s) {
		return found.at, found.zoned
	}
	return time.Time{}, false
}

// parse returns the stamp at the start of s.
func (p *stamps) parse(s string) stamp {
	if len(s) < 10 {
		return stamp{}
	}
	if p.likely != "" {
		if found := p.parseAs(p.likely, s); found.found() {
			return found
		}
	}
	for _, layout := range layouts {
		if layout == p.likely {
			continue
		}
		if found := p.parseAs(layout, s); found.found() {
			p.likely = layout
			return found
		}
	}
	return parseEpoch(s)
}

func (p *stamps) parseAs(layout, s string) stamp {
	head, yearLast := strings.CutSuffix(layout, ":05 2006")
	if yearLast {
		head += ":05"
	}
	end := looksLike(head, s)
	if end == 0 {
		return stamp{}
	}
	if end+1 < len(s) && (s[end] == '.' || s[end] == ',') && isDigit(s[end+1]) {
		for end++; end < len(s) && isDigit(s[end]); end++ {
		}
	}
	date, ok := parseDate(head, s[:end])
	half, n := meridiem(s[end:])
	if n > 0 {
		end += n
		ok = ok && date.Hour() >= 1 && date.Hour() <= 12 && layout != shortYear // with AM and PM the year comes last
		date = date.Add(time.Duration(half-date.Hour()/12*12) * time.Hour)
	}
	z, n := readZone(s[end:])
	end += n
	if yearLast {
		year := looksLike(" 2006", s[end:])
		if year == 0 {
			return stamp{}
		}
		n, _ := strconv.Atoi(s[end+1 : end+year])
		end += year
		ok = ok && date.AddDate(n, 0, 0).Day() == date.Day() // date is of the year 0, which is a leap year
		date = date.AddDate(n, 0, 0)
	}
	if end < len(s) && (isDigit(s[end]) || isLetter(s[end])) {
		return stamp{}
	}
	found := stamp{layout: layout, end: end}
	if !ok || strings.HasPrefix(layout, ambiguous) {
		return found
	}
	if !strings.Contains(layout, "06") {
		found.at, _ = p.latest(date, z)
	} else {
		found.at, found.zoned = z.moment(date, p.loc)
	}
	if !plausible(found.at) {
		found.at = time.Time{}
	}
	return found
}

// looksLike returns the length of what looks like layout at the start of s, or 0.
func looksLike(layout, s string) int {
	at := 0
	for i := 0; i < len(layout); i++ {
		c := layout[i]
		if c == '_' {
			if at < len(s) && s[at] == ' ' {
				at++
			}
			continue
		}
		if at == len(s) {
			return 0
		}
		switch {
		case isDigit(c) && isDigit(s[at]):
			single := (i == 0 || !isDigit(layout[i-1])) && (i+1 == len(layout) || !isDigit(layout[i+1]))
			if single && at+1 < len(s) && isDigit(s[at+1]) {
				at++
			}
			if strings.HasPrefix(layout[i:], "15:") && at+1 < len(s) && !isDigit(s[at+1]) {
				i++
			}
		case isLetter(c) && isLetter(s[at]), c == s[at]:
		default:
			return 0
		}
		at++
	}
	return at
}

// parseDate is time.Parse, which does not know leap seconds.
func parseDate(layout, s string) (time.Time, bool) {
	date, err := time.Parse(layout, s)
	if err == nil {
		return date, true
	}
	if n := strings.LastIndex(s, ":60"); n > 0 {
		date, err = time.Parse(layout, s[:n]+":59"+s[n+3:])
		return date.Add(time.Second), err == nil
	}
	return time.Time{}, false
}

// meridiem returns 0 for AM and 12 for PM, and the length of it.
func meridiem(s string) (half, width int) {
	rest := strings.TrimLeft(s[:min(len(s), 4)], " \u00a0\u202f")
	width = min(len(s), 4) - len(rest)
	for i, word := range [...]string{"AM", "PM", "A.M.", "P.M."} {
		if rest := s[width:]; len(rest) >= len(word) && strings.EqualFold(rest[:len(word)], word) &&
			(len(rest) == len(word) || !isLetter(rest[len(word)]) && !isDigit(rest[len(word)])) {
			return i % 2 * 12, width + len(word)
		}
	}
	return 0, 0
}

// latest returns date in the latest year that does not put it more than a day after now.
func (p *stamps) latest(date time.Time, z zone) (time.Time, bool) {
	latest := p.now().Add(24 * time.Hour)
	for year := latest.In(p.loc).Year() + 1; year > latest.Year()-9; year-- {
		that := time.Date(year, date.Month(), date.Day(), date.Hour(), date.Minute(), date.Second(), date.Nanosecond(), time.UTC)
		if that.Day() != date.Day() {
			continue // 29 February
		}
		if at, _ := z.moment(that, p.loc); !at.After(latest) {
			return at, true
		}
	}
	return time.Time{}, false
}

// plausible reports whether at is after 1970, as Go's zero time is not, and fits 64 bits of nanoseconds.
func plausible(at time.Time) bool {
	return at.Unix() >= 0 && at.Unix() < 9_214_646_400 // 2262-01-01
}

// parseEpoch returns the number at the start of s as a stamp, if it has as many digits as seconds, milli-, micro- or
// nanoseconds since 1970 have.
func parseEpoch(s string) stamp {
	end := 0
	for end < len(s) && (isDigit(s[end]) || s[end] == '.' && end >= 10) {
		end++
	}
	if end < 10 || (end < len(s) && strings.IndexByte(" \t,:]|\"", s[end]) < 0) {
		return stamp{}
	}
	at, ok := epoch(strings.TrimSuffix(s[:end], "."))
	if !ok {
		return stamp{}
	}
	return stamp{at: at, zoned: true, layout: "epoch", end: end}
}

// epoch returns the moment that number means, by its size: seconds, milliseconds, microseconds or nanoseconds since 1970,
// in the years 2001 to 2100.
func epoch(number string) (time.Time, bool) {
	const first, last = 1_000_000_000, 4_102_444_800
	if strings.ContainsAny(number, "eE") {
		f, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return time.Time{}, false
		}
		number = strconv.FormatFloat(f, 'f', -1, 64)
	}
	whole, fraction, _ := strings.Cut(number, ".")
	value, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 0 && strings.Trim(fraction, "0123456789") != "" {
		return time.Time{}, false
	}
	for _, units := range [...]int64{1, 1e3, 1e6, 1e9} { // in a second
		if value < first*units || value/units >= last {
			continue
		}
		unit := 1e9 / units
		nanos := value % units * unit
		for i := 0; i < len(fraction) && unit > 1; i++ {
			unit /= 10
			nanos += int64(fraction[i]-'0') * unit
		}
		return time.Unix(value/units, nanos).UTC(), true
	}
	return time.Time{}, false
}

func isDigit(c byte) bool  { return c-'0' <= 9 }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
