package logfile

import (
	"regexp"
	"strings"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// white is what may precede a stamp or a level: white space, a byte order mark where files were joined, and the separator of
// JSON text sequences.
const white = " \t\r\v\f\x1e\u00a0\ufeff"

// escapes matches terminal escape sequences: control sequences such as colours, operating system commands such as
// links, the shorter ones, and colours as rsyslog writes them.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|\x1b|#033\[[0-9;]*m`)

// plain returns s without escape sequences.
func plain(s string) string {
	if strings.IndexByte(s, '\x1b') < 0 && !strings.Contains(s, "#033[") {
		return s
	}
	return escapes.ReplaceAllString(s, "")
}

func isBlank(s string) bool {
	return s == "" || (s[0] <= ' ' || s[0] >= 0x80) && strings.Trim(s, white+"\n") == ""
}

// textEntry makes an entry of a line of text. It looks for the time stamp and the level in text: l's without escape sequences and
// leading white space.
func (r *Reader) textEntry(l *line, text string) entry {
	found := r.stamps.find(text)
	e := entry{
		Entry: &logbatcherv1.Entry{Body: l.text, Attributes: l.attributes}, stamped: found.found(), zoned: found.zoned,
		begins: found.found() || beginsWithLevel(text), traceback: strings.HasPrefix(text, traceback),
	}
	if !found.at.IsZero() {
		e.TimeUnixNano = uint64(found.at.UnixNano())
	} else if found.found() && l.at.IsZero() {
		r.unreadTime(text[found.start:found.end])
	}
	before, after := text[:found.start], text[found.end:]
	if host, width := syslogHost(text, found); host != "" {
		e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{Key: "host.name", StringValue: host})
		after = after[width:]
	}
	if e.SeverityNumber, e.crash = crashSeverity(text); e.crash {
		e.SeverityText = severityName(e.SeverityNumber)
		return e
	}
	if number, _ := priority(text); number != 0 {
		e.SeverityNumber, e.SeverityText = number, severityName(number)
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
		return sevFatal, true
	case strings.HasPrefix(text, "Exception in thread "):
		return sevError, true
	}
	return 0, false
}

// syslogHeader is a host and a process, with or without its id.
var syslogHeader = regexp.MustCompile(`^ ([^\s\[\]()=",]+) [^\s\[:]+(\[[^\s\]]*\])?:(?:\s|$)`)

// syslogHost returns the host in a line of syslog, and the length of the header after the stamp. A line whose stamp is not
// RFC 3164's must name a process with its id.
func syslogHost(text string, found stamp) (host string, width int) {
	after := text[found.end:]
	if _, n := priority(text); n > 0 && found.layout == rfc3339 { // RFC 5424
		host, _, _ = strings.Cut(strings.TrimPrefix(after, " "), " ")
		return strings.TrimPrefix(host, "-"), 0
	}
	if found.layout != syslog && (found.layout != rfc3339 || !strings.Contains(after, "]:")) {
		return "", 0
	}
	m := syslogHeader.FindStringSubmatch(after)
	if m == nil || found.layout == rfc3339 && m[2] == "" || severityOf(m[1]) != 0 {
		return "", 0
	}
	return m[1], len(m[0])
}
