package logfile

import (
	"strings"
	"time"
)

// zone is what follows a clock. The zero zone is none.
type zone struct {
	kind   zoneKind
	offset int            // seconds east of UTC
	loc    *time.Location // of a named zone
	abbr   string
}

type zoneKind uint8

const (
	noZone zoneKind = iota
	offsetZone
	namedZone       // Europe/Berlin
	abbreviatedZone // CET, which several countries may use for several offsets
	unknownZone
)

// moment returns date in the zone, or in loc if there is none; it is zero if the zone is not understood. An abbreviation
// is understood if loc uses it. zoned reports whether the result does not depend on loc.
func (z zone) moment(date time.Time, loc *time.Location) (at time.Time, zoned bool) {
	switch z.kind {
	case offsetZone:
		return date.Add(-time.Duration(z.offset) * time.Second).UTC(), true
	case namedZone:
		return in(date, z.loc), true
	case noZone:
		return in(date, loc), false
	case abbreviatedZone:
		local := in(date, loc)
		for _, shift := range [...]time.Duration{0, time.Hour, -time.Hour} { // the other reading of a repeated hour
			at := local.Add(shift)
			if name, offset := at.In(loc).Zone(); name == z.abbr && at.Equal(date.Add(-time.Duration(offset)*time.Second)) {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

func in(date time.Time, loc *time.Location) time.Time {
	return time.Date(date.Year(), date.Month(), date.Day(), date.Hour(), date.Minute(), date.Second(), date.Nanosecond(), loc).UTC()
}

// abbreviations are those that the time-zone database has in use, without UTC and GMT.
const abbreviations = " ACDT ACST AEDT AEST AKDT AKST AWST BST CAT CDT CEST CET CST EAT EDT EEST EET EST HDT HKT HST IDT IST JST KST" +
	" MDT MEST MET MSK MST NDT NST NZDT NZST PDT PKT PST SAST SST WAT WEST WET WIB WIT WITA "

const regions = " Africa America Antarctica Arctic Asia Atlantic Australia Etc Europe Indian Pacific "

// readZone returns the zone at the start of s, behind a space or not, and its length.
func readZone(s string) (zone, int) {
	name := strings.TrimPrefix(s, " ")
	if name == "" {
		return zone{}, 0
	}
	spaced := len(s) - len(name)
	if name[0] == '+' || name[0] == '-' {
		return readOffset(name, spaced)
	}
	n, slash := 0, false
	for n < len(name) && (isLetter(name[n]) || isDigit(name[n]) || n > 0 && name[n] == '/' || slash && strings.IndexByte("_-+", name[n]) >= 0) {
		slash = slash || name[n] == '/'
		n++
	}
	word := name[:n]
	switch {
	case word == "Z", word == "z", word == "UTC", word == "GMT":
		if offset, more := readOffset(name[n:], 0); more > 0 {
			return offset, spaced + n + more // GMT+0100
		}
		return zone{kind: offsetZone}, spaced + n
	case n > 2 && strings.Contains(abbreviations, " "+word+" "):
		return zone{kind: abbreviatedZone, abbr: word}, spaced + n
	}
	if region, _, ok := strings.Cut(word, "/"); ok && strings.Contains(regions, " "+region+" ") {
		loc, err := time.LoadLocation(word)
		if err != nil {
			return zone{kind: unknownZone}, spaced + n
		}
		return zone{kind: namedZone, loc: loc}, spaced + n
	}
	return zone{}, 0
}

// readOffset reads +07:00, +0700 and +07. Behind a space, what no zone has is taken for another number.
func readOffset(s string, spaced int) (zone, int) {
	if s == "" || s[0] != '+' && s[0] != '-' {
		return zone{}, 0
	}
	digits := 0
	for digits+1 < len(s) && isDigit(s[digits+1]) {
		digits++
	}
	if digits == 0 {
		return zone{}, 0
	}
	width := 1 + digits
	text, colon := s[1:width], false
	if looksLike(":00", s[width:]) > 0 && digits <= 2 {
		text, colon = text+s[width+1:width+3], true
		width += 3
	} else if digits <= 2 {
		text += "00"
	}
	text = "0"[:len(text)&1] + text
	t, err := time.Parse("1504", text)
	if err != nil || len(text) != 4 || goesOn(s[width:]) || spaced > 0 && !colon && (digits&1 != 0 || t.Hour() > 14 || t.Minute()%15 != 0) {
		if spaced > 0 && !colon {
			return zone{}, 0
		}
		return zone{kind: unknownZone}, spaced + width
	}
	offset := t.Hour()*3600 + t.Minute()*60
	if s[0] == '-' {
		offset = -offset
	}
	return zone{kind: offsetZone, offset: offset}, spaced + width
}

// goesOn reports whether s continues a word or a number.
func goesOn(s string) bool {
	return s != "" && (isDigit(s[0]) || isLetter(s[0]) || len(s) > 1 && (s[0] == '.' || s[0] == ':') && isDigit(s[1]))
}
