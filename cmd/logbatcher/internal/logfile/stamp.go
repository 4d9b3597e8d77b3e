package logfile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// layout is a way to write time stamps. A fraction, AM or PM, and a zone may follow each.
type layout struct {
	text    string         // for time.Parse; lacks the year if yearLast is set
	pattern *regexp.Regexp // matches the text and a fraction

	yearLast, yearless bool // the year follows the zone, or is missing
	unread             bool // the day or the month may come first
}

// The layouts that have rules of their own.
var (
	rfc3339   = newLayout("2006-01-02T15:04:05")
	syslog    = newLayout("Jan _2 15:04:05")   // RFC 3164
	shortYear = newLayout("06/01/02 15:04:05") // Spark
	access    = newLayout("02/Jan/2006:15:04:05")
)

var layouts = []*layout{
	rfc3339,
	newLayout("2006-01-02 15:04:05"), // log4j, Python, PostgreSQL
	newLayout("2006/01/02 15:04:05"), // Go, nginx
	syslog,
	shortYear,
	newLayout("2006.01.02 15:04:05"), // ClickHouse
	newLayout("02.01.2006 15:04:05"),
	access,
	newLayout("02-Jan-2006 15:04:05"), // Tomcat
	newLayout("02 Jan 2006 15:04:05"), // Redis
	newLayout("Jan _2 2006 15:04:05"),
	newLayout("Jan _2, 2006 15:04:05"),    // java.util.logging
	newLayout("Jan _2, 2006, 15:04:05"),   // JavaScript, toLocaleString
	newLayout("Mon Jan _2 15:04:05 2006"), // ctime, Apache's error log, date
	newLayout("Mon Jan _2 2006 15:04:05"), // JavaScript, toString
	newLayout("Mon, 02 Jan 2006 15:04:05"),
	newLayout("20060102T150405"),
	newLayout("1/2/2006 15:04:05"),
	newLayout("1/2/2006, 15:04:05"),
}

func newLayout(text string) *layout {
	text, yearLast := strings.CutSuffix(text, " 2006")
	pattern := strings.NewReplacer("2006", `\d{4}`, "01", `\d\d`, "02", `\d\d`, "06", `\d\d`, "_2", ` ?\d\d?`, "1/2", `\d\d?/\d\d?`, "15:", `\d\d?:`,
		"15", `\d\d`, "04", `\d\d`, "05", `\d\d`, "Mon", `[A-Za-z]{3}`, "Jan", `[A-Za-z]{3}`, ".", `\.`).Replace(text)
	return &layout{
		text: text, pattern: regexp.MustCompile(`^` + pattern + `(?:[.,]\d+)?`),
		yearLast: yearLast, yearless: !yearLast && !strings.Contains(text, "06"), unread: strings.HasPrefix(text, "1/2"),
	}
}

// match returns the length of the stamp at the start of s, or 0.
func (l *layout) match(s string) int {
	if len(s) < 8 {
		return 0
	}
	for i := range 4 { // rejects most text
		if c := l.text[i]; !l.unread && isDigit(c) != isDigit(s[i]) || isLetter(c) != isLetter(s[i]) {
			return 0
		}
	}
	if m := l.pattern.FindStringIndex(s); m != nil {
		return m[1]
	}
	return 0
}

// stamp is a time stamp in a line.
type stamp struct {
	at     time.Time // zero: not understood
	zoned  bool      // at does not depend on the reader's location or clock
	layout *layout   // nil: a number
	start  int       // of the stamp in the line
	end    int       // of the stamp, and of a bracket that closes after it
}

// found reports whether there is a stamp, understood or not.
func (s stamp) found() bool { return s.end > 0 }

// stamps finds time stamps. It tries the layout of the stamp before first.
type stamps struct {
	now    func() time.Time
	loc    *time.Location
	likely *layout
}

// maxSearch bounds the bytes of a line that are searched for a stamp.
const maxSearch = 512

var (
	// groupBeforeStamp may stand between a level and a stamp: Cassandra's thread, or Ruby's letter.
	groupBeforeStamp = regexp.MustCompile(`^(?:\[[^\]\s]{1,64}\] +|[A-Z], )`)
	// stampPrefix precedes a stamp inside a line: the key of a pair, or the bracket of an access log.
	stampPrefix = regexp.MustCompile(`(?:^|[ \t,])(?:\[?(?:time|ts|timestamp|t)="?|\[)`)
)

// groupWidth returns the length of a group at the start of s, or 0.
func groupWidth(s string) int { return len(groupBeforeStamp.FindString(s)) }

// find returns the stamp at the start of line or after what may precede one: a syslog priority, a level, a thread in brackets, the
// key of a pair, or the client and user of an access log.
func (p *stamps) find(line string) stamp {
	_, at := priority(line)
	if at > 0 && strings.HasPrefix(line[at:], "1 ") { // RFC 5424's version
		at += 2
	}
	if found := p.findAt(line, at); found.found() {
		return found
	}
	for _, width := range [...]func(string) int{levelWidth, groupWidth} {
		n := width(line[at:])
		at += n
		if n == 0 {
			continue
		}
		if found := p.findAt(line, at); found.found() {
			return found
		}
	}
	for at, head := 0, line[:min(len(line), maxSearch)]; strings.ContainsAny(head[at:], "=["); {
		m := stampPrefix.FindStringIndex(head[at:])
		if m == nil {
			break
		}
		at += m[1]
		start, bracket := at, head[at-1] == '['
		if bracket {
			start--
		}
		found := p.findAt(line, start)
		if found.found() && (!bracket || found.layout == access && line[found.end-1] == ']') {
			return found
		}
	}
	return stamp{}
}

// findAt returns the stamp at line[start:], which may be in square brackets.
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

// whole returns the time that s spells from start to end.
func (p *stamps) whole(s string) (at time.Time, zoned bool) {
	if found := p.parse(s); found.end == len(s) {
		return found.at, found.zoned
	}
	return time.Time{}, false
}

// parse returns the stamp at the start of s.
func (p *stamps) parse(s string) stamp {
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
	if m := number.FindStringSubmatch(s); m != nil {
		if at, ok := epoch(m[1]); ok {
			return stamp{at: at, zoned: true, end: len(m[1])}
		}
	}
	return stamp{}
}

var (
	meridiem   = regexp.MustCompile(`^[ \x{a0}\x{202f}]?([AaPp])(?:[Mm]\b|\.[Mm]\.)`)
	lastYear   = regexp.MustCompile(`^ \d{4}`)
	number     = regexp.MustCompile(`^(\d{10,19}(?:\.\d*)?)(?:[ \t,:\]|"]|$)`)
	leapSecond = regexp.MustCompile(`(:\d\d):60`)
)

func (p *stamps) parseAs(l *layout, s string) stamp {
	end := l.match(s)
	if end == 0 {
		return stamp{}
	}
	layout, text, unread := l.text, s[:end], l.unread
	if strings.ContainsAny(s[end:min(len(s), end+5)], "Mm") {
		if m := meridiem.FindStringSubmatch(s[end:]); m != nil {
			layout, text = strings.Replace(layout, "15", "3", 1)+" PM", text+" "+strings.ToUpper(m[1])+"M"
			unread = unread || l == shortYear // the year then comes last
			end += len(m[0])
		}
	}
	z, n := readZone(s[end:])
	end += n
	if l.yearLast {
		year := lastYear.FindString(s[end:])
		if year == "" {
			return stamp{}
		}
		layout, text = layout+" 2006", text+year
		end += len(year)
	}
	if end < len(s) && (isDigit(s[end]) || isLetter(s[end])) {
		return stamp{}
	}
	found := stamp{layout: l, end: end}
	switch {
	case unread:
	case l.yearless:
		found.at = p.latest(z, layout, text)
	default:
		found.at, found.zoned = z.moment(layout, text, p.loc), z != zone{}
	}
	if !plausible(found.at) {
		found.at = time.Time{}
	}
	return found
}

// latest returns the moment in the latest year that does not put it more than a day after now.
func (p *stamps) latest(z zone, layout, text string) time.Time {
	end := p.now().Add(24 * time.Hour)
	for year := end.Year() + 1; year > end.Year()-9; year-- {
		if at := z.moment("2006 "+layout, fmt.Sprintf("%d %s", year, text), p.loc); !at.IsZero() && !at.After(end) {
			return at
		}
	}
	return time.Time{}
}

// plausible reports whether at is after 1970, unlike Go's zero time, and fits 64 bits of nanoseconds.
func plausible(at time.Time) bool {
	return at.Unix() > 0 && at.Unix() < 9_214_646_400 // 2262-01-01
}

// epoch returns the time that a number stands for in the years 2001 to 2100, by its size: seconds, milliseconds, microseconds or
// nanoseconds since 1970.
func epoch(number string) (at time.Time, ok bool) {
	if strings.ContainsAny(number, "eE") {
		f, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return time.Time{}, false
		}
		number = strconv.FormatFloat(f, 'f', -1, 64)
	}
	whole, fraction, _ := strings.Cut(number, ".")
	if strings.Trim(whole+fraction, "0123456789") != "" {
		return time.Time{}, false
	}
	switch len(whole) {
	case 10, 13, 16, 19:
		nanos, err := strconv.ParseInt((whole + fraction + "000000000")[:19], 10, 64)
		at = time.Unix(0, nanos).UTC()
		if err == nil && at.Unix() >= 1_000_000_000 && at.Year() < 2100 {
			return at, true
		}
	}
	return time.Time{}, false
}

func isDigit(c byte) bool  { return c-'0' <= 9 }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
