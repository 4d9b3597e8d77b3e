package logfile

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// layout is how time stamps are written. Each may be followed by a fraction, AM or PM, and a zone.
type layout struct {
	text     string         // for time.Parse; " 2006" at the end stands behind the zone
	pattern  *regexp.Regexp // matches the text and a fraction
	yearLast bool
}

var layouts = []*layout{
	newLayout("2006-01-02T15:04:05"), // RFC 3339
	newLayout("2006-01-02 15:04:05"), // log4j, Python, PostgreSQL
	newLayout("2006/01/02 15:04:05"), // Go, nginx
	newLayout(syslogLayout),          // RFC 3164
	newLayout(shortYear),             // Spark
	newLayout("2006.01.02 15:04:05"), // ClickHouse
	newLayout("02.01.2006 15:04:05"),
	newLayout(accessLayout),
	newLayout("02-Jan-2006 15:04:05"), // Tomcat
	newLayout("02 Jan 2006 15:04:05"), // Redis
	newLayout("Jan _2 2006 15:04:05"),
	newLayout("Jan _2, 2006 15:04:05"),    // java.util.logging
	newLayout("Jan _2, 2006, 15:04:05"),   // JavaScript, toLocaleString
	newLayout("Mon Jan _2 15:04:05 2006"), // ctime, Apache's error log, date
	newLayout("Mon Jan _2 2006 15:04:05"), // JavaScript, toString
	newLayout("Mon, 02 Jan 2006 15:04:05"),
	newLayout("20060102T150405"),
	newLayout(ambiguous + " 15:04:05"), // the day or the month may come first, so it is not read
	newLayout(ambiguous + ", 15:04:05"),
}

func newLayout(text string) *layout {
	head, yearLast := strings.CutSuffix(text, ":05 2006")
	if yearLast {
		head += ":05"
	}
	pattern := strings.NewReplacer(ambiguous, `\d\d?/\d\d?/\d{4}`, "2006", `\d{4}`, "01", `\d\d`, "02", `\d\d`, "06", `\d\d`, "_2", ` ?\d\d?`, "15:", `\d\d?:`, "15", `\d\d`,
		"04", `\d\d`, "05", `\d\d`, "Mon", `[A-Za-z]{3}`, "Jan", `[A-Za-z]{3}`, ".", `\.`).Replace(head)
	return &layout{text: head, yearLast: yearLast, pattern: regexp.MustCompile(`^` + pattern + `(?:[.,]\d+)?`)}
}

var meridiem = regexp.MustCompile(`^[ \x{a0}\x{202f}]?([AaPp])(?:[Mm]\b|\.[Mm]\.)`)

// readMeridiem returns 0 for AM and 12 for PM at the start of s, and its length.
func readMeridiem(s string) (half, width int) {
	s = s[:min(len(s), 8)]
	if !strings.ContainsAny(s, "Mm") {
		return 0, 0
	}
	m := meridiem.FindStringSubmatch(s)
	switch {
	case m == nil:
		return 0, 0
	case m[1] == "P" || m[1] == "p":
		return 12, len(m[0])
	}
	return 0, len(m[0])
}

// match returns the length of the stamp at the start of s, and 0 if there is none.
func (l *layout) match(s string) int {
	if len(s) < 8 {
		return 0
	}
	for i := range 4 { // most lines of text are told by these
		c := l.text[i]
		if isDigit(c) != isDigit(s[i]) && !strings.HasPrefix(l.text, ambiguous) || isLetter(c) != isLetter(s[i]) {
			return 0
		}
	}
	if m := l.pattern.FindStringIndex(s); m != nil {
		return m[1]
	}
	return 0
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
	likely *layout
}

// leadingGroup is what may stand between a severity and a stamp: a thread, as Cassandra has it, or Ruby's letter.
var leadingGroup = regexp.MustCompile(`^(?:\[[^\]\s]{1,64}\] +|[A-Z], )`)

// find returns the stamp at the start of line or behind what may precede one: a syslog priority, a severity, a thread in
// brackets, the key of a pair, or the client and user of an access log.
func (p *stamps) find(line string) stamp {
	_, start := priority(line)
	if start > 0 && strings.HasPrefix(line[start:], "1 ") { // RFC 5424's version
		start += 2
	}
	if found := p.findAt(line, start); found.found() {
		return found
	}
	if n := leadingSeverity(line[start:]); n > 0 {
		start += n
		if found := p.findAt(line, start); found.found() {
			return found
		}
	}
	if rest := line[start:]; len(rest) > 3 && (rest[0] == '[' || rest[1] == ',') {
		if found := p.findAt(line, start+len(leadingGroup.FindString(rest))); found.found() {
			return found
		}
	}
	head := line[:min(len(line), maxSearch)]
	for at := 0; ; {
		n := strings.IndexAny(head[at:], "=[")
		if n < 0 {
			return stamp{}
		}
		before := head[at : at+n]
		at += n + 1
		key := before[strings.LastIndexAny(before, " \t,")+1:]
		found := stamp{}
		switch {
		case head[at-1] == '[' && key == "": // an access log
			if found = p.findAt(line, at-1); found.layout != accessLayout || line[found.end-1] != ']' {
				continue
			}
		case head[at-1] == '=' && (key == "time" || key == "ts" || key == "timestamp" || key == "t"):
			quote := len(line[at:]) - len(strings.TrimPrefix(line[at:], `"`))
			found = p.findAt(line, at+quote)
		}
		if found.found() {
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
	if s == "" {
		return stamp{}
	}
	if p.likely != nil {
		if found := p.parseAs(p.likely, s); found.found() {
			return found
		}
	}
	for _, layout := range layouts {
		if found := p.parseAs(layout, s); found.found() {
			p.likely = layout
			return found
		}
	}
	return parseEpoch(s)
}

func (p *stamps) parseAs(layout *layout, s string) stamp {
	end := layout.match(s)
	if end == 0 {
		return stamp{}
	}
	date, ok := parseDate(layout.text, s[:end])
	if half, n := readMeridiem(s[end:]); n > 0 { // a short year then comes last
		ok = ok && date.Hour() >= 1 && date.Hour() <= 12 && layout.text != shortYear
		date = date.Add(time.Duration(half-date.Hour()/12*12) * time.Hour)
		end += n
	}
	z, n := readZone(s[end:])
	end += n
	if layout.yearLast {
		if len(s) < end+5 || s[end] != ' ' {
			return stamp{}
		}
		year, err := strconv.ParseUint(s[end+1:end+5], 10, 16)
		if err != nil {
			return stamp{}
		}
		end += 5
		that := date.AddDate(int(year), 0, 0) // date is of the year 0, which is a leap year
		ok = ok && that.Day() == date.Day()
		date = that
	}
	if end < len(s) && (isDigit(s[end]) || isLetter(s[end])) {
		return stamp{}
	}
	found := stamp{layout: layout.text, end: end}
	switch {
	case !ok || strings.HasPrefix(layout.text, ambiguous):
	case !layout.yearLast && !strings.Contains(layout.text, "06"):
		found.at = p.latest(date, z)
	default:
		found.at, found.zoned = z.moment(date, p.loc)
	}
	if !plausible(found.at) {
		found.at = time.Time{}
	}
	return found
}

// parseDate is time.Parse, which does not know leap seconds.
func parseDate(layout, s string) (time.Time, bool) {
	date, err := time.Parse(layout, s)
	if err == nil {
		return date, true
	}
	if n := strings.LastIndex(s, ":60"); n > 0 && !strings.HasPrefix(s[n+3:], ":") {
		date, err = time.Parse(layout, s[:n]+":59"+s[n+3:])
		return date.Add(time.Second), err == nil
	}
	return time.Time{}, false
}

// latest returns date in the latest year that does not put it more than a day after now.
func (p *stamps) latest(date time.Time, z zone) time.Time {
	latest := p.now().Add(24 * time.Hour)
	for year := latest.Year() + 1; year > latest.Year()-9; year-- {
		that := date.AddDate(year-date.Year(), 0, 0)
		if at, _ := z.moment(that, p.loc); that.Day() == date.Day() && !at.After(latest) { // 29 February is not in every year
			return at
		}
	}
	return time.Time{}
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
