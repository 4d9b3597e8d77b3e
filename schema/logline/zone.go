package logline

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// zone is the time zone that follows a clock. The zero zone is none.
type zone struct {
	loc          *time.Location
	abbreviation string // such as CET, which may stand for several offsets
	unknown      bool
}

// moment parses a time in the zone, or in local if there is none. It returns the zero time if it does not understand it: an
// abbreviation must be one that local uses at that time.
func (z zone) moment(layout, text string, local *time.Location) time.Time {
	if z.unknown {
		return time.Time{}
	}
	if z.loc != nil {
		local = z.loc
	}
	if z.abbreviation != "" {
		layout, text = layout+" MST", text+" "+z.abbreviation
	}
	at, err := time.ParseInLocation(layout, text, local)
	if err != nil && leapSecond.MatchString(text) { // time.Parse does not know leap seconds
		at, err = time.ParseInLocation(layout, leapSecond.ReplaceAllString(text, "$1:59"), local)
		at = at.Add(time.Second)
	}
	name, _ := at.Zone()
	if err != nil || z.abbreviation != "" && (at.Location() != local || name != z.abbreviation) {
		return time.Time{}
	}
	return at.UTC()
}

// minus is the sign that ISO 8601 prefers.
const minus = "\u2212"

var (
	// zoneWord matches an abbreviation (one that the time-zone database uses today, or that Java and older systems print), the
	// name of a location, or UTC.
	zoneWord = regexp.MustCompile(`^(?:((?:ACDT|ACST|ADT|AEDT|AEST|AKDT|AKST|AST|AWST|BRST|BRT|BST|CAT|CDT|CEST|CET|CLST|CLT|COT|CST|EAT|EDT|EEST|EET|EST|` +
		`GST|HDT|HKT|HST|ICT|IDT|IRDT|IRST|IST|JST|KST|MDT|MEST|MESZ|MET|MEZ|MSD|MSK|MST|MYT|NDT|NPT|NST|NZDT|NZST|PDT|PHT|PKT|PST|SAST|` +
		`SGT|SST|UYT|WAT|WEST|WET|WIB|WITA|WIT|YEKT)\b)` +
		`|((?:Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Etc|Europe|Indian|Pacific)(?:/[\w+-]+)+)|(?i:Z|UTC?|UCT|GMT)\b)`)
	zoneOffset = regexp.MustCompile(`^(?:[+-]|` + minus + `)(\d\d?)(:?\d\d)?`)
	digits     = regexp.MustCompile(`^\d*`)
	goesOn     = regexp.MustCompile(`^(?:[0-9A-Za-z]|[.:]\d)`) // a word or a number goes on
)

// readZone returns the zone at the start of s, after a space or not, and its length.
func readZone(s string) (zone, int) {
	text := strings.TrimPrefix(s, " ")
	space := len(s) - len(text)
	if inner, ok := strings.CutPrefix(text, "("); ok {
		if z, n := readZone(inner); n > 0 && strings.HasPrefix(inner[n:], ")") {
			return z, space + n + len("()")
		}
		return zone{}, 0
	}
	if text == "" {
		return zone{}, 0
	}
	if text == "Z" || strings.HasPrefix(text, "Z ") {
		return zone{loc: time.UTC}, space + 1
	}
	var m []string
	if isLetter(text[0]) {
		m = zoneWord.FindStringSubmatch(text)
	}
	switch {
	case m == nil:
		if z, n := readOffset(text, space > 0); n > 0 {
			return z, space + n
		}
		return zone{}, 0
	case m[1] != "":
		return zone{abbreviation: m[1]}, space + len(m[0])
	case m[2] != "":
		loc, err := time.LoadLocation(m[2])
		return zone{loc: loc, unknown: err != nil}, space + len(m[0])
	}
	if z, n := readOffset(text[len(m[0]):], false); n > 0 { // GMT+0100
		return z, space + len(m[0]) + n
	}
	return zone{loc: time.UTC}, space + len(m[0])
}

// readOffset reads +07:00, +0700 and +07. After a space, a number that no zone has as its offset is something else.
func readOffset(s string, spaced bool) (zone, int) {
	var m []string
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") || strings.HasPrefix(s, minus) {
		m = zoneOffset.FindStringSubmatch(s)
	}
	if m == nil {
		return zone{}, 0
	}
	rest := s[len(m[0]):]
	hours, _ := strconv.Atoi(m[1])
	minutes, _ := strconv.Atoi(strings.TrimPrefix(m[2], ":"))
	valid := hours <= 23 && minutes <= 59 && !goesOn.MatchString(rest)
	if spaced && !strings.HasPrefix(m[2], ":") && (!valid || len(m[1]) < 2 || hours > 14 || minutes%15 != 0) {
		return zone{}, 0
	}
	if !valid {
		return zone{unknown: true}, len(m[0]) + len(digits.FindString(rest))
	}
	offset := hours*3600 + minutes*60
	if s[0] != '+' {
		offset = -offset
	}
	return zone{loc: time.FixedZone("", offset)}, len(m[0])
}
