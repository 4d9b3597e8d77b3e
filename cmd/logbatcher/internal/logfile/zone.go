package logfile

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// zone is what follows a clock. The zero zone is none.
type zone struct {
	loc     *time.Location
	abbr    string // CET, which several countries may use for several offsets
	unknown bool
}

// moment returns date in the zone, or in local if there is none; it is zero if the zone is not understood. An abbreviation
// is understood if local uses it at that time. zoned reports whether the result does not depend on local.
func (z zone) moment(date time.Time, local *time.Location) (at time.Time, zoned bool) {
	switch {
	case z.unknown:
	case z.loc != nil:
		return in(date, z.loc), true
	case z.abbr == "":
		return in(date, local), false
	default:
		for _, shift := range [...]time.Duration{0, time.Hour, -time.Hour} { // the other reading of a repeated hour
			at := in(date, local).Add(shift)
			if name, offset := at.In(local).Zone(); name == z.abbr && at.Equal(date.Add(-time.Duration(offset)*time.Second)) {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

func in(date time.Time, loc *time.Location) time.Time {
	return time.Date(date.Year(), date.Month(), date.Day(), date.Hour(), date.Minute(), date.Second(), date.Nanosecond(), loc).UTC()
}

// abbreviations are those that the time-zone database has in use, without UTC and GMT, and more that Java and older
// systems print.
const abbreviations = " ACDT ACST ADT AEDT AEST AKDT AKST AST AWST BRST BRT BST CAT CDT CEST CET CLST CLT COT CST EAT EDT EEST EET EST" +
	" GST HDT HKT HST ICT IDT IRDT IRST IST JST KST MDT MEST MESZ MET MEZ MSD MSK MST MYT NDT NPT NST NZDT NZST PDT PHT PKT PST SAST" +
	" SGT SST UYT WAT WEST WET WIB WIT WITA YEKT "

// minus is the sign that ISO 8601 prefers.
const minus = "\u2212"

const regions = " Africa America Antarctica Arctic Asia Atlantic Australia Etc Europe Indian Pacific "

var (
	zoneName   = regexp.MustCompile(`^[A-Za-z]+(?:/[\w+-]+)*\b`)
	zoneOffset = regexp.MustCompile(`^[+-](\d\d?)(:?\d\d)?`)
)

// readZone returns the zone at the start of s, behind a space or not, and its length.
func readZone(s string) (zone, int) {
	text := strings.TrimPrefix(s, " ")
	spaced := len(s) - len(text)
	if rest, ok := strings.CutPrefix(text, "("); ok {
		if z, n := readZone(rest); n > 0 && strings.HasPrefix(rest[n:], ")") {
			return z, spaced + n + len("()")
		}
	}
	if rest, ok := strings.CutPrefix(text, minus); ok {
		if z, n := readOffset("-"+rest, spaced > 0); n > 0 {
			return z, spaced + n + len(minus) - 1
		}
	}
	if text == "" || text[0] == '+' || text[0] == '-' {
		z, n := readOffset(text, spaced > 0)
		if n > 0 {
			n += spaced
		}
		return z, n
	}
	if !isLetter(text[0]) {
		return zone{}, 0
	}
	n := strings.IndexFunc(text, func(r rune) bool { return r > 'z' || !isLetter(byte(r)) })
	word := text
	switch {
	case n < 0:
	case text[n] == '/' || isDigit(text[n]) || text[n] == '_':
		word = zoneName.FindString(text)
	default:
		word = text[:n]
	}
	width := spaced + len(word)
	switch region, _, _ := strings.Cut(word, "/"); {
	case word != "" && strings.Contains(" Z UT UTC UCT GMT ", " "+strings.ToUpper(word)+" "):
		if z, n := readOffset(text[len(word):], false); n > 0 {
			return z, width + n // GMT+0100
		}
		return zone{loc: time.UTC}, width
	case word == "":
	case strings.Contains(abbreviations, " "+word+" "):
		return zone{abbr: word}, width
	case region != word && strings.Contains(regions, " "+region+" "):
		loc, err := time.LoadLocation(word)
		return zone{loc: loc, unknown: err != nil}, width
	}
	return zone{}, 0
}

// readOffset reads +07:00, +0700 and +07. Behind a space, what no zone has is taken for another number.
func readOffset(s string, spaced bool) (zone, int) {
	m := zoneOffset.FindStringSubmatch(s)
	if m == nil {
		return zone{}, 0
	}
	width := len(m[0])
	hours, _ := strconv.Atoi(m[1])
	minutes, _ := strconv.Atoi(strings.TrimPrefix(m[2], ":"))
	if spaced && !strings.HasPrefix(m[2], ":") && (len(m[1]) < 2 || hours > 14 || minutes%15 != 0 || goesOn(s[width:])) {
		return zone{}, 0
	}
	if hours > 23 || minutes > 59 || goesOn(s[width:]) {
		return zone{unknown: true}, width + len(s[width:]) - len(strings.TrimLeft(s[width:], "0123456789"))
	}
	offset := hours*3600 + minutes*60
	if s[0] == '-' {
		offset = -offset
	}
	return zone{loc: time.FixedZone("", offset)}, width
}

// goesOn reports whether s continues a word or a number.
func goesOn(s string) bool {
	return s != "" && (isDigit(s[0]) || isLetter(s[0]) || len(s) > 1 && (s[0] == '.' || s[0] == ':') && isDigit(s[1]))
}
