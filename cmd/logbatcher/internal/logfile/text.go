package logfile

import (
	"regexp"
	"strings"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema/logline"
)

func isBlank(s string) bool {
	return s == "" || (s[0] <= ' ' || s[0] >= 0x80) && strings.Trim(s, logline.White+"\n") == ""
}

// textEntry makes an entry of a line of text. It looks for the time stamp and the level in text: l's without escape sequences and
// leading white space.
func (r *Reader) textEntry(l *line, text string) entry {
	found := r.stamps.find(text)
	e := entry{
		Entry: &logbatcherv1.Entry{Body: l.text, Attributes: l.attributes}, stamped: found.Found(), zoned: found.Zoned,
		begins: found.Found() || beginsWithLevel(text), traceback: strings.HasPrefix(text, traceback),
	}
	if !found.At.IsZero() {
		e.TimeUnixNano = uint64(found.At.UnixNano())
	} else if found.Found() && l.at.IsZero() {
		r.unreadTime(text[found.start:found.End])
	}
	before, after := text[:found.start], text[found.End:]
	if host, width := syslogHost(text, found); host != "" {
		e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{Key: "host.name", StringValue: host})
		after = after[width:]
	}
	if e.SeverityNumber, e.crash = crashSeverity(text); e.crash {
		e.SeverityText = logline.SeverityName(e.SeverityNumber)
		return e
	}
	if number, _ := priority(text); number != 0 {
		e.SeverityNumber, e.SeverityText = number, logline.SeverityName(number)
		return e
	}
	if key, _, ok := strings.Cut(text, "="); ok && !strings.ContainsAny(key, " \t") { // logfmt
		e.SeverityNumber, e.SeverityText = levelPair(text)
	}
	for _, part := range [...]string{before, after} {
		if e.SeverityNumber == 0 {
			e.SeverityNumber, e.SeverityText = findLevel(part)
		}
	}
	return e
}

// crashSeverity recognizes a line that a runtime prints when the program dies, before a dump of many lines.
func crashSeverity(text string) (number uint32, crash bool) {
	switch {
	case strings.HasPrefix(text, "panic: "), strings.HasPrefix(text, "fatal error: "):
		return logline.Fatal, true
	case strings.HasPrefix(text, "Exception in thread "):
		return logline.Error, true
	}
	return 0, false
}

// syslogHeader is a host and a process, with or without its id.
var syslogHeader = regexp.MustCompile(`^ ([^\s\[\]()=",]+) [^\s\[:]+(\[[^\s\]]*\])?:(?:\s|$)`)

// syslogHost returns the host in a line of syslog, and the length of the header after the stamp. A line whose stamp is not
// RFC 3164's must name a process with its id.
func syslogHost(text string, found stamp) (host string, width int) {
	after := text[found.End:]
	if _, n := priority(text); n > 0 && found.Layout == logline.RFC3339 { // RFC 5424
		host, _, _ = strings.Cut(strings.TrimPrefix(after, " "), " ")
		return strings.TrimPrefix(host, "-"), 0
	}
	if found.Layout != logline.Syslog && (found.Layout != logline.RFC3339 || !strings.Contains(after, "]:")) {
		return "", 0
	}
	m := syslogHeader.FindStringSubmatch(after)
	if m == nil || found.Layout == logline.RFC3339 && m[2] == "" || logline.SeverityOf(m[1]) != 0 {
		return "", 0
	}
	return m[1], len(m[0])
}
