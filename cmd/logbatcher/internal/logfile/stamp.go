package logfile

import (
	"regexp"
	"strings"

	"github.com/logbatcher/logbatcher/schema/logline"
)

// stamp is a time stamp in a line.
type stamp struct {
	logline.Stamp
	// start is where it begins. Its End is in the line, too, and includes a bracket that closes after it.
	start int
}

// stamps finds time stamps.
type stamps struct{ logline.Stamps }

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
	if found := p.findAt(line, at); found.Found() {
		return found
	}
	for _, width := range [...]func(string) int{levelWidth, groupWidth} {
		n := width(line[at:])
		at += n
		if n == 0 {
			continue
		}
		if found := p.findAt(line, at); found.Found() {
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
		if found.Found() && (!bracket || found.Layout == logline.Access && line[found.End-1] == ']') {
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
	found := stamp{Stamp: p.Parse(line[text:])}
	if found.Found() {
		found.start = start
		found.End += text
		if text > start && strings.HasPrefix(line[found.End:], "]") {
			found.End++
		}
	}
	return found
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
