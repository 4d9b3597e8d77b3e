package logfile

import (
	"strings"
	"time"
)

// role is what a member of a JSON line is to the record.
type role uint8

const (
	roleNone role = iota
	roleTime
	roleSeverity
	roleBody
	roleService
	roleTrace
	roleSpan
	roles
)

// keyRoles maps keys, in lower case, to roles. Where a line has several keys of a role, the one
// with the lowest rank has it and the others are attributes.
var keyRoles = map[string]struct {
	role role
	rank uint8
}{
	"time": {roleTime, 0}, "timestamp": {roleTime, 1}, "@timestamp": {roleTime, 2}, "ts": {roleTime, 3},
	"datetime": {roleTime, 4}, "@t": {roleTime, 5}, "t": {roleTime, 6}, "timemillis": {roleTime, 7},
	"__realtime_timestamp": {roleTime, 8}, "date": {roleTime, 9},

	"level": {roleSeverity, 0}, "severity": {roleSeverity, 1}, "lvl": {roleSeverity, 2}, "log.level": {roleSeverity, 3},
	"loglevel": {roleSeverity, 4}, "severity_text": {roleSeverity, 5}, "levelname": {roleSeverity, 6},
	"@l": {roleSeverity, 7}, "priority": {roleSeverity, 8}, "s": {roleSeverity, 9}, "level_value": {roleSeverity, 10},

	"msg": {roleBody, 0}, "message": {roleBody, 1}, "short_message": {roleBody, 2}, "renderedmessage": {roleBody, 3},
	"@m": {roleBody, 4}, "body": {roleBody, 5}, "log": {roleBody, 6}, "event": {roleBody, 7}, "text": {roleBody, 8},
	"messagetemplate": {roleBody, 9}, "@mt": {roleBody, 10},

	"service.name": {roleService, 0}, "service": {roleService, 1}, "service_name": {roleService, 2},
	"servicename": {roleService, 3}, "app": {roleService, 4}, "application": {roleService, 5},
	"syslog_identifier": {roleService, 6}, "logger": {roleService, 7}, "logger_name": {roleService, 8},
	"loggername": {roleService, 9}, "log.logger": {roleService, 10}, "name": {roleService, 11},

	"trace_id": {roleTrace, 0}, "traceid": {roleTrace, 1}, "trace.id": {roleTrace, 2},
	"span_id": {roleSpan, 0}, "spanid": {roleSpan, 1}, "span.id": {roleSpan, 2},
}

// longestKey is the length of the longest key that has a role.
const longestKey = len("__realtime_timestamp")

// readJSON makes an entry of a line that is a JSON object; ok is false for any other.
func (r *Reader) readJSON(l line) (e entry, ok bool) {
	scanner := jsonScanner{s: l.text}
	members, ok := scanner.object(r.members[:0])
	r.members = members
	defer clear(members) // they hold the line's memory
	if !ok {
		return entry{}, false
	}
	e = entry{format: jsonStamp, cut: l.cut, end: l.end}
	e.Body = l.text

	var taken [roles]int // index in members, plus one
	var ranks [roles]uint8
	for i := range members {
		if len(members[i].Key) > longestKey {
			continue
		}
		known := keyRoles[strings.ToLower(members[i].Key)]
		if known.role == roleNone || (taken[known.role] > 0 && ranks[known.role] <= known.rank) {
			continue
		}
		if r.assign(&e.Record, &members[i], known.role) {
			taken[known.role], ranks[known.role] = i+1, known.rank
		}
	}
	if i := taken[roleService]; i > 0 && strings.EqualFold(members[i-1].Key, "name") && !numericLevel(members, taken[roleSeverity]) {
		e.Service, taken[roleService] = "", 0 // only bunyan and pino name the logger so
	}
	e.Attributes = remaining(members, &taken)
	docker(&e)
	return e, true
}

// remaining returns a copy of the members that have no role in the record.
func remaining(members []Attribute, taken *[roles]int) []Attribute {
	count := len(members)
	for _, i := range taken {
		if i > 0 {
			count--
		}
	}
	if count == 0 {
		return nil
	}
	attributes := make([]Attribute, 0, count)
next:
	for i, member := range members {
		for _, t := range taken {
			if t == i+1 {
				continue next
			}
		}
		switch member.Key { // journald's
		case "_HOSTNAME":
			member.Key = "host.name"
		case "_PID":
			if pid, ok := wholeNumber(member.Str); ok {
				member = integer("process.pid", pid)
			}
		}
		attributes = append(attributes, member)
	}
	return attributes
}

func numericLevel(members []Attribute, taken int) bool {
	return taken > 0 && members[taken-1].Kind == Int
}

// assign gives m's value to the field of record that role names, if it is fit for it.
func (r *Reader) assign(record *Record, m *Attribute, role role) bool {
	switch role {
	case roleTime:
		at, ok := r.memberTime(m)
		if ok {
			record.Time = at
		}
		return ok
	case roleSeverity:
		return assignSeverity(record, m)
	case roleBody:
		if m.Kind != String {
			return false
		}
		record.Body = m.Str
	case roleService:
		if m.Kind != String || m.Str == "" {
			return false
		}
		record.Service = m.Str
	case roleTrace:
		id, ok := hexID(m, 32)
		if ok {
			record.TraceID = id
		}
		return ok
	case roleSpan:
		id, ok := hexID(m, 16)
		if ok {
			record.SpanID = id
		}
		return ok
	}
	return true
}

// assignSeverity takes words, with or without an offset as slog's "WARN+1", and numbers, which journald
// writes as strings. A level's word that is not known is kept as the severity's text.
func assignSeverity(record *Record, m *Attribute) bool {
	number, word := m.Int, m.Str
	switch {
	case m.Kind == String && word != "" && len(word) <= 32:
		n, ok := wholeNumber(word)
		if !ok {
			return assignWord(record, m)
		}
		number = n
	case m.Kind != Int:
		return false
	}
	severity := severityLevel(number)
	if severity == 0 {
		return false
	}
	record.SeverityNumber, record.SeverityText = severity, severityName(severity)
	return true
}

func assignWord(record *Record, m *Attribute) bool {
	word := m.Str
	if n := strings.IndexAny(word, "+-"); n > 0 {
		word = word[:n]
	}
	severity := severityOf(word)
	if severity == 0 {
		severity = severityLetter(word)
	}
	if severity == 0 && (m.Key == "s" || strings.EqualFold(m.Key, "priority")) {
		return false
	}
	record.SeverityNumber, record.SeverityText = severity, m.Str
	return true
}

// memberTime reads strings in any format of the package, epoch numbers, and MongoDB's {"$date": ...}.
func (r *Reader) memberTime(m *Attribute) (time.Time, bool) {
	switch m.Kind {
	case Int:
		return epoch(m.Int)
	case Double:
		if m.Double < 1e9 || m.Double >= 4e9 {
			return time.Time{}, false
		}
		// A double has some hundred nanoseconds of resolution at present times.
		micros := int64(m.Double*1e6 + 0.5)
		return time.UnixMicro(micros).UTC(), true
	case String:
		return r.stamps.whole(m.Str)
	case JSON:
		const start, end = `{"$date":"`, `"}`
		if strings.HasPrefix(m.Str, start) && strings.HasSuffix(m.Str, end) && len(m.Str) > len(start)+len(end) {
			return r.stamps.whole(m.Str[len(start) : len(m.Str)-len(end)])
		}
	}
	return time.Time{}, false
}

// hexID returns the lower-case form of a trace or span id, which is never all zeros.
func hexID(m *Attribute, digits int) (string, bool) {
	if m.Kind != String || len(m.Str) != digits {
		return "", false
	}
	zeros := true
	for i := range digits {
		c := m.Str[i]
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return "", false
		}
		zeros = zeros && c == '0'
	}
	return strings.ToLower(m.Str), !zeros
}

// docker recognises a line of Docker's json-file driver, whose "log" is a line that the container
// wrote, with its end unless it was too long for one.
func docker(e *entry) {
	if len(e.Attributes) != 1 || e.Attributes[0].Key != "stream" || e.Time.IsZero() {
		return
	}
	e.container = e.Attributes[0].Str
	if e.container == "" {
		return
	}
	body := strings.TrimSuffix(e.Body, "\n")
	e.partial = len(body) == len(e.Body)
	e.Body = strings.TrimSuffix(body, "\r")
	if e.SeverityNumber == 0 {
		e.SeverityNumber, e.SeverityText = textSeverity(e.Body)
	}
}
