package logfile

import (
	"strconv"
	"strings"
	"time"
)

// stamp is a time stamp found in a line: the moment, and where the line's text goes on.
type stamp struct {
	at     time.Time
	end    int
	format stampFormat
}

// stampFormat names how a stamp is written.
type stampFormat uint8

const (
	noStamp     stampFormat = iota
	isoStamp                // 2006-01-02T15:04:05
	slashStamp              // 2006/01/02 15:04:05, 06/01/02 15:04:05
	syslogStamp             // Jan  2 15:04:05
	ctimeStamp              // Mon Jan  2 15:04:05 2006
	dayStamp                // 02-Jan-2006 15:04:05, 02/Jan/2006:15:04:05 -0700
	accessStamp             // the latter in brackets behind client and user
	klogStamp               // I0102 15:04:05.999999
	epochStamp              // 1136214245.999
	jsonStamp               // a member of a JSON line
	stampFormats
)

// stampParser finds time stamps. It remembers the format of the line before.
type stampParser struct {
	calendar
	likely stampFormat
}

// find returns the stamp at the start of line, or behind what may stand before one.
func (p *stampParser) find(line string) (stamp, bool) {
	start := 0
	if line[0] == '<' {
		if _, n := priority(line); n > 0 {
			start = n
			if strings.HasPrefix(line[n:], "1 ") { // RFC 5424's version
				start += 2
			}
		}
	}
	if found, ok := p.findAt(line, start); ok {
		p.likely = found.format
		return found, true
	}
	if start < len(line) {
		if n := leadIn(line[start:]); n > 0 {
			if found, ok := p.findAt(line, start+n); ok {
				p.likely = found.format
				return found, true
			}
		}
	}
	return stamp{}, false
}

// findAt finds a stamp, in square brackets or not, at start.
func (p *stampParser) findAt(line string, start int) (stamp, bool) {
	s := line[start:]
	if len(s) > 1 && s[0] == '[' {
		if found, ok := p.parse(s[1:]); ok {
			found.end += start + 1
			if found.end < len(line) && line[found.end] == ']' {
				found.end++
			}
			return found, true
		}
		return stamp{}, false
	}
	found, ok := p.parse(s)
	found.end += start
	return found, ok
}

// parse parses the stamp at the start of s, in the likely format or else in any.
func (p *stampParser) parse(s string) (stamp, bool) {
	if len(s) < 8 {
		return stamp{}, false
	}
	if p.likely != noStamp {
		if found, ok := p.parseAs(p.likely, s); ok {
			return found, plausible(found.at)
		}
	}
	var candidates []stampFormat
	switch c := s[0]; {
	case isDigit(c):
		candidates = digitFormats
	case isLetter(c):
		candidates = letterFormats
	default:
		candidates = otherFormats
	}
	for _, format := range candidates {
		if format != p.likely {
			if found, ok := p.parseAs(format, s); ok {
				return found, plausible(found.at)
			}
		}
	}
	return stamp{}, false
}

var (
	digitFormats  = []stampFormat{isoStamp, slashStamp, dayStamp, epochStamp, accessStamp}
	letterFormats = []stampFormat{syslogStamp, ctimeStamp, klogStamp, accessStamp}
	otherFormats  = []stampFormat{accessStamp}
)

func (p *stampParser) parseAs(format stampFormat, s string) (found stamp, ok bool) {
	switch format {
	case isoStamp:
		found.at, found.end, ok = p.iso(s)
	case slashStamp:
		found.at, found.end, ok = p.slash(s)
	case syslogStamp:
		found.at, found.end, ok = p.syslog(s)
	case ctimeStamp:
		found.at, found.end, ok = p.ctime(s)
	case dayStamp:
		found.at, found.end, ok = p.day(s)
	case accessStamp:
		found.at, found.end, ok = p.access(s)
	case klogStamp:
		found.at, found.end, ok = p.klog(s)
	case epochStamp:
		found.at, found.end, ok = epochAt(s)
	}
	found.format = format
	return found, ok
}

// whole parses s when all of it is a time stamp, as the strings in JSON lines are.
func (p *stampParser) whole(s string) (time.Time, bool) {
	if at, end, ok := p.iso(s); ok {
		return at, end == len(s) && plausible(at)
	}
	for _, format := range [...]stampFormat{slashStamp, dayStamp, ctimeStamp, syslogStamp, epochStamp} {
		if found, ok := p.parseAs(format, s); ok {
			return found.at, found.end == len(s) && plausible(found.at)
		}
	}
	at, end, ok := p.rfc1123(s)
	return at, ok && end == len(s) && plausible(at)
}

// plausible leaves out moments before 1970, as Go's zero time, and those that 64 bits of nanoseconds do not hold.
func plausible(at time.Time) bool {
	seconds := at.Unix()
	return seconds >= 0 && seconds < 9_214_646_400 // 2262-01-01
}

// leadIn returns the length of what may stand before a time stamp: a severity word, also
// in brackets, or the key of a pair. Zero is nothing of the kind.
func leadIn(s string) int {
	for _, key := range []string{"time=", "ts=", "timestamp=", "t="} {
		if s[:1] == key[:1] && strings.HasPrefix(s, key) {
			return len(key) + len(s[len(key):]) - len(strings.TrimPrefix(s[len(key):], `"`))
		}
	}
	i := 0
	if i < len(s) && s[i] == '[' {
		i++
	}
	word := i
	for i < len(s) && isLetter(s[i]) {
		i++
	}
	if severityOf(s[word:i]) == 0 {
		return 0
	}
	for i < len(s) && (s[i] == ']' || s[i] == ':') {
		i++
	}
	spaces := i
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	if i == spaces {
		return 0
	}
	return i
}

func isDigit(c byte) bool  { return c-'0' <= 9 }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// wholeNumber returns the number that s spells, all of it in digits.
func wholeNumber(s string) (int64, bool) {
	if s == "" || !isDigit(s[0]) { // the usual "no" costs no error value
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
