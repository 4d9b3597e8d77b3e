package logline

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Layout is a way to write time stamps. A fraction, AM or PM, and a zone may follow each.
type Layout struct {
	text    string         // for time.Parse; lacks the year if yearLast is set
	pattern *regexp.Regexp // matches the text and a fraction

	yearLast, yearless bool // the year follows the zone, or is missing
	unread             bool // the day or the month may come first
}

// The layouts that have rules of their own.
var (
	RFC3339   = newLayout("2006-01-02T15:04:05")
	Syslog    = newLayout("Jan _2 15:04:05")   // RFC 3164
	shortYear = newLayout("06/01/02 15:04:05") // Spark
	Access    = newLayout("02/Jan/2006:15:04:05")
)

var layouts = []*Layout{
	RFC3339,
	newLayout("2006-01-02 15:04:05"), // log4j, Python, PostgreSQL
	newLayout("2006/01/02 15:04:05"), // Go, nginx
	Syslog,
	shortYear,
	newLayout("2006.01.02 15:04:05"), // ClickHouse
	newLayout("02.01.2006 15:04:05"),
	Access,
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

func newLayout(text string) *Layout {
	text, yearLast := strings.CutSuffix(text, " 2006")
	pattern := strings.NewReplacer("2006", `\d{4}`, "01", `\d\d`, "02", `\d\d`, "06", `\d\d`, "_2", ` ?\d\d?`, "1/2", `\d\d?/\d\d?`, "15:", `\d\d?:`,
		"15", `\d\d`, "04", `\d\d`, "05", `\d\d`, "Mon", `[A-Za-z]{3}`, "Jan", `[A-Za-z]{3}`, ".", `\.`).Replace(text)
	return &Layout{
		text: text, pattern: regexp.MustCompile(`^` + pattern + `(?:[.,]\d+)?`),
		yearLast: yearLast, yearless: !yearLast && !strings.Contains(text, "06"), unread: strings.HasPrefix(text, "1/2"),
	}
}

// match returns the length of the stamp at the start of s, or 0.
func (l *Layout) match(s string) int {
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

// Stamp is a time stamp at the start of a text.
type Stamp struct {
	// At is the time. Zero: not understood.
	At time.Time
	// Zoned is set if At does not depend on the reader's location or clock.
	Zoned bool
	// Layout is how the stamp is written. Nil: a number.
	Layout *Layout
	// End is the stamp's length. 0: there is none.
	End int
}

// Found reports whether there is a stamp, understood or not.
func (s Stamp) Found() bool { return s.End > 0 }

// Stamps reads time stamps. It tries the layout of the stamp before first.
type Stamps struct {
	// Now is called for each stamp without a year, which gets the latest year that puts it no more than a day after Now.
	Now func() time.Time
	// Location is the zone of stamps that have none.
	Location *time.Location

	likely *Layout
}

// Whole returns the time that s spells from start to end.
func (p *Stamps) Whole(s string) (at time.Time, zoned bool) {
	if at, ok := schema.ParseTime(s); ok && Plausible(at) { // most are RFC 3339
		return at.UTC(), true
	}
	if found := p.Parse(s); found.End == len(s) {
		return found.At, found.Zoned
	}
	return time.Time{}, false
}

// Parse returns the stamp at the start of s.
func (p *Stamps) Parse(s string) Stamp {
	if p.likely != nil {
		if found := p.parseAs(p.likely, s); found.Found() {
			return found
		}
	}
	for _, layout := range layouts {
		if found := p.parseAs(layout, s); found.Found() {
			p.likely = layout
			return found
		}
	}
	if s == "" || !isDigit(s[0]) {
		return Stamp{}
	}
	if m := number.FindStringSubmatch(s); m != nil {
		if at, ok := Epoch(m[1]); ok {
			return Stamp{At: at, Zoned: true, End: len(m[1])}
		}
	}
	return Stamp{}
}

var (
	meridiem   = regexp.MustCompile(`^[ \x{a0}\x{202f}]?([AaPp])(?:[Mm]\b|\.[Mm]\.)`)
	lastYear   = regexp.MustCompile(`^ \d{4}`)
	number     = regexp.MustCompile(`^(\d{10,19}(?:\.\d*)?)(?:[ \t,:\]|"]|$)`)
	leapSecond = regexp.MustCompile(`(:\d\d):60`)
)

func (p *Stamps) parseAs(l *Layout, s string) Stamp {
	end := l.match(s)
	if end == 0 {
		return Stamp{}
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
			return Stamp{}
		}
		layout, text = layout+" 2006", text+year
		end += len(year)
	}
	if end < len(s) && (isDigit(s[end]) || isLetter(s[end])) {
		return Stamp{}
	}
	found := Stamp{Layout: l, End: end}
	switch {
	case unread:
	case l.yearless:
		found.At = p.latest(z, layout, text)
	default:
		found.At, found.Zoned = z.moment(layout, text, p.Location), z != zone{}
	}
	if !Plausible(found.At) {
		found.At = time.Time{}
	}
	return found
}

// latest returns the moment in the latest year that does not put it more than a day after now.
func (p *Stamps) latest(z zone, layout, text string) time.Time {
	end := p.Now().Add(24 * time.Hour)
	for year := end.Year() + 1; year > end.Year()-9; year-- {
		if at := z.moment("2006 "+layout, fmt.Sprintf("%d %s", year, text), p.Location); !at.IsZero() && !at.After(end) {
			return at
		}
	}
	return time.Time{}
}

// Plausible reports whether at is after 1970, unlike Go's zero time, and fits 64 bits of nanoseconds.
func Plausible(at time.Time) bool {
	return at.Unix() > 0 && at.Unix() < 9_214_646_400 // 2262-01-01
}

// Epoch returns the time that a number stands for in the years 2001 to 2100, by its size: seconds, milliseconds, microseconds or
// nanoseconds since 1970.
func Epoch(number string) (at time.Time, ok bool) {
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
