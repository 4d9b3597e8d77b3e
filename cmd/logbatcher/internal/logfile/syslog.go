package logfile

import "strings"

// priority reads <34> at the start of s.
func priority(s string) (pri, width int) {
	end := strings.IndexByte(s[:min(len(s), 5)], '>')
	if end < 2 {
		return 0, 0
	}
	for _, c := range []byte(s[1:end]) {
		if !isDigit(c) {
			return 0, 0
		}
		pri = pri*10 + int(c-'0')
	}
	if pri > 191 {
		return 0, 0
	}
	return pri, end + 1
}

func setPriority(record *Record, pri int) {
	record.SeverityNumber = syslogSeverities[pri&7]
	record.SeverityText = severityName(record.SeverityNumber)
	if facility := pri >> 3; facility > 0 {
		record.Attributes = append(record.Attributes, integer("syslog.facility", int64(facility)))
	}
}

// readSyslog reads the header behind the stamp of a syslog line: RFC 5424's where the line has its version,
// otherwise RFC 3164's. A line whose stamp is of another kind may be no syslog at all; it is
// one if a host and a process with its id follow.
func readSyslog(record *Record, found stamp) {
	line := record.Body
	pri, width := 0, 0
	if line[0] == '<' {
		pri, width = priority(line)
	}
	if width > 0 && found.format == isoStamp && strings.HasPrefix(line[width:], "1 ") {
		record.Attributes = make([]Attribute, 0, 8)
		setPriority(record, pri)
		read5424(record, line[found.end:])
		return
	}
	host, tag, pid, end, ok := header3164(line, found.end)
	certain := width > 0 || found.format == syslogStamp
	if ok && !certain && (pid == "" || severityOf(host) != 0) {
		ok = false
	}
	if ok {
		record.Attributes = make([]Attribute, 0, 3)
		record.Attributes = append(record.Attributes, text("host.name", host))
		record.Service = tag
		record.Attributes = appendPID(record.Attributes, pid)
	}
	if width > 0 {
		setPriority(record, pri)
	} else if ok {
		record.SeverityNumber, record.SeverityText = textSeverity(line[end:])
	}
}

// header3164 reads "host tag[pid]:" or "host tag:" at line[at:]; end is behind the colon. What a tag has in
// parentheses is left out: sshd(pam_unix) is sshd.
func header3164(line string, at int) (host, tag, pid string, end int, ok bool) {
	if at >= len(line) || line[at] != ' ' {
		return "", "", "", 0, false
	}
	rest := line[at+1:]
	host, rest, ok = strings.Cut(rest, " ")
	if !ok || host == "" || strings.ContainsAny(host, "[]:()=\",") && !strings.Contains(host, "::") {
		return "", "", "", 0, false
	}
	n := strings.IndexAny(rest[:min(len(rest), 128)], ": [")
	if n <= 0 || rest[n] == ' ' {
		return "", "", "", 0, false
	}
	tag = rest[:n]
	if rest[n] == '[' {
		width := strings.IndexByte(rest[n:min(len(rest), n+32)], ']')
		if width < 0 || n+width+1 >= len(rest) || rest[n+width+1] != ':' {
			return "", "", "", 0, false
		}
		pid = rest[n+1 : n+width]
		n += width + 1
	}
	if p := strings.IndexByte(tag, '('); p > 0 {
		tag = tag[:p]
	}
	return host, tag, pid, len(line) - len(rest) + n + 1, true
}

// read5424 reads " host app procid msgid structured-data message".
func read5424(record *Record, rest string) {
	var fields [4]string
	for i := range fields {
		rest = strings.TrimPrefix(rest, " ")
		n := strings.IndexByte(rest, ' ')
		if n < 0 {
			n = len(rest)
		}
		fields[i], rest = rest[:n], rest[n:]
	}
	record.Attributes = appendField(record.Attributes, "host.name", fields[0])
	if fields[1] != "-" {
		record.Service = fields[1]
	}
	record.Attributes = appendPID(record.Attributes, fields[2])
	record.Attributes = appendField(record.Attributes, "syslog.msgid", fields[3])
	rest = strings.TrimPrefix(rest, " ")
	for len(rest) > 0 && rest[0] == '[' {
		var ok bool
		if record.Attributes, rest, ok = structured(record.Attributes, rest[1:]); !ok {
			return
		}
	}
}

// structured reads the element id key="value" ...] and appends its parameters as id.key.
func structured(attributes []Attribute, s string) ([]Attribute, string, bool) {
	n := strings.IndexAny(s, " ]")
	if n <= 0 {
		return attributes, s, false
	}
	id := s[:n]
	for s = s[n:]; len(s) > 0 && s[0] == ' '; {
		key, rest, ok := strings.Cut(s[1:], "=")
		if !ok {
			return attributes, s, false
		}
		value, rest, ok := quoted(rest)
		if !ok {
			return attributes, s, false
		}
		if strings.IndexByte(value, '\\') >= 0 {
			value = parameterEscapes.Replace(value)
		}
		attributes = append(attributes, text(id+"."+key, value))
		s = rest
	}
	if len(s) == 0 || s[0] != ']' {
		return attributes, s, false
	}
	return attributes, s[1:], true
}

var parameterEscapes = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\]`, `]`)

// appendPID appends a process id: an Int, or a String where the program has put something else.
func appendPID(attributes []Attribute, pid string) []Attribute {
	if n, ok := wholeNumber(pid); ok {
		return append(attributes, integer("process.pid", n))
	}
	return appendField(attributes, "process.pid", pid)
}

// readKlog reads what klog writes: I0102 15:04:05.999999 thread file:line] text.
func readKlog(record *Record, end int) {
	i := 0
	for i < end && klogSeverity(record.Body[i]) == 0 {
		i++ // a bracket or priority before the letter
	}
	record.SeverityNumber = klogSeverity(record.Body[i])
	record.SeverityText = severityName(record.SeverityNumber)
	thread, rest, ok := strings.Cut(strings.TrimLeft(record.Body[end:], " "), " ")
	if !ok {
		return
	}
	file, _, ok := strings.Cut(rest, "] ")
	name, number, colon := strings.Cut(file, ":")
	lineNumber, isNumber := wholeNumber(number)
	if !ok || !colon || !isNumber || strings.Contains(file, " ") {
		return
	}
	record.Attributes = make([]Attribute, 0, 3)
	if id, ok := wholeNumber(thread); ok {
		record.Attributes = append(record.Attributes, integer("thread.id", id))
	}
	record.Attributes = append(record.Attributes, text("code.file.path", name), integer("code.line.number", lineNumber))
}
