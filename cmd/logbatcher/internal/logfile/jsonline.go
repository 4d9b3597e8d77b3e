package logfile

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// member is a member of a JSON object.
type member struct {
	key   string
	value gjson.Result
	used  bool // as a field of the entry
}

// object returns the members of s, which are not nil if s is exactly one JSON object.
func (r *Reader) object(s string) []member {
	s = strings.Trim(s, white+"\n")
	if s == "" || s[0] != '{' || s[len(s)-1] != '}' || !gjson.Valid(s) {
		return nil
	}
	members := make([]member, 0, 12)
	gjson.Parse(s).ForEach(func(key, value gjson.Result) bool {
		if strings.Contains(value.Str, "\ufffd") && !strings.Contains(value.Raw, "\ufffd") && !strings.Contains(strings.ToLower(value.Raw), `\ufffd`) {
			r.stats.ReplacedValues++
		}
		members = append(members, member{key: key.Str, value: value})
		return true
	})
	return members
}

// role is what a member is to an entry. Members are assigned in this order.
type role uint8

const (
	roleTime role = iota
	roleNumber
	roleSeverity
	roleBody
	roleService
	roleTrace
	roleSpan
	roles
)

// names lists, for each role, the normalized names that OpenTelemetry, ECS, zap, zerolog, slog, logrus, log4j2, logback,
// pino, bunyan, GELF, journald, Serilog and Python's loggers use. Where a line has several, the first one listed that has a
// suitable value gets the role, and the others become attributes.
var names = [roles][]string{
	roleTime: strings.Fields("time timestamp @timestamp ts datetime @t t timemillis timeunixnano instant date asctime realtimetimestamp " +
		"observedtimestamp observedtimeunixnano"),
	roleNumber:   {"severitynumber"},
	roleSeverity: strings.Fields("level severity lvl log.level loglevel severitytext levelname @l priority levelno levelnumber"),
	roleBody:     strings.Fields("msg message shortmessage renderedmessage @m body log event text messagetemplate @mt"),
	roleService: strings.Fields("service.name service servicename app application syslogidentifier logger loggername log.logger " +
		"instrumentationscope.name name"),
	roleTrace: {"traceid", "trace.id"},
	roleSpan:  {"spanid", "span.id"},
}

// normalize gives trace_id, traceId and TraceID the same spelling.
func normalize(key string) string { return strings.ReplaceAll(strings.ToLower(key), "_", "") }

// byName returns the members of an object by normalized name, the first of each, and those inside the objects in which ECS
// and OpenTelemetry nest.
func byName(members []member) map[string]*member {
	all := make(map[string]*member, len(members))
	add := func(name string, m *member) {
		if all[name] == nil {
			all[name] = m
		}
	}
	for i := range members {
		name := normalize(members[i].key)
		add(name, &members[i])
		switch name {
		case "log", "trace", "span", "service", "instrumentationscope":
			members[i].value.ForEach(func(key, value gjson.Result) bool {
				add(name+"."+normalize(key.Str), &member{value: value})
				return true
			})
		}
	}
	return all
}

// jsonEntry makes an entry of a line that is a JSON object.
func (r *Reader) jsonEntry(l *line) entry {
	e := entry{Entry: &logbatcherv1.Entry{Body: l.text}, json: true}
	named := byName(l.json)
	numeric, unread := false, ""
	for i, list := range names {
		role := role(i)
		for _, name := range list {
			m := named[name]
			if m == nil || name == "name" && !numeric { // only bunyan and pino, whose levels are numbers, name the logger so
				continue
			}
			if r.assign(&e, l, role, name, m.value) {
				m.used = true
				e.begins = e.begins || role <= roleBody
				numeric = numeric || role == roleSeverity && m.value.Type == gjson.Number
				break
			}
			if role == roleTime {
				unread = cmp.Or(unread, m.value.Str)
			}
		}
	}
	if e.TimeUnixNano == 0 && l.at.IsZero() && unread != "" {
		r.unreadTime(unread)
	}
	e.Attributes = slices.Grow(l.attributes, len(l.json))
	for _, m := range l.json {
		if !m.used {
			e.Attributes = appendMember(e.Attributes, m.key, m.value)
		}
	}
	return e
}

// assign sets the field of e that a member stands for. It reports whether the value is suitable.
func (r *Reader) assign(e *entry, l *line, role role, name string, value gjson.Result) bool {
	switch role {
	case roleTime:
		at, zoned := r.memberTime(value)
		if !plausible(at) || !zoned && !l.at.IsZero() { // the envelope's time is certain
			return false
		}
		e.TimeUnixNano, e.zoned = uint64(at.UnixNano()), zoned
		return true
	case roleNumber:
		e.SeverityNumber = numericSeverity(name, value.Int())
		e.SeverityText = severityName(e.SeverityNumber)
		return e.SeverityNumber != 0
	case roleSeverity:
		number, word := memberSeverity(name, value)
		e.SeverityNumber, e.SeverityText = cmp.Or(e.SeverityNumber, number), cmp.Or(word, e.SeverityText)
		return word != ""
	case roleBody:
		if value.IsObject() {
			value = value.Get("stringValue") // OpenTelemetry's AnyValue
		}
		if value.Type != gjson.String {
			return false
		}
		e.Body = value.Str
		return true
	case roleService:
		e.Service = value.Str
		return e.Service != ""
	case roleTrace:
		e.TraceId = hexID(value.Str, 32)
		return e.TraceId != ""
	default:
		e.SpanId = hexID(value.Str, 16)
		return e.SpanId != ""
	}
}

// memberTime reads numbers, strings in any layout, log4j2's instant and MongoDB's {"$date": ...}.
func (r *Reader) memberTime(value gjson.Result) (at time.Time, zoned bool) {
	switch {
	case value.Type == gjson.Number:
		return epoch(value.Raw)
	case value.Type == gjson.String:
		return r.stamps.whole(strings.TrimSpace(plain(value.Str)))
	case value.IsObject():
		if seconds := value.Get("epochSecond"); seconds.Type == gjson.Number {
			return time.Unix(seconds.Int(), value.Get("nanoOfSecond").Int()), true
		}
		if date := value.Get("$date"); date.Exists() {
			return r.memberTime(date)
		}
	}
	return time.Time{}, false
}

// memberSeverity reads words, with or without an offset such as slog's "WARN+1", and numbers, also in strings. An unknown word has
// the number 0; an empty word means that the value is no severity.
func memberSeverity(key string, value gjson.Result) (number uint32, word string) {
	word = strings.TrimSpace(plain(value.String()))
	if value.Type != gjson.String && value.Type != gjson.Number || len(word) > 32 {
		return 0, ""
	}
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		number = numericSeverity(key, n)
		return number, severityName(number)
	}
	name := word
	if n := strings.IndexAny(word, "+-"); n > 0 {
		name = word[:n]
	}
	if number = severityOf(name); number == 0 && key == "priority" || value.Type == gjson.Number {
		return 0, ""
	}
	return number, word
}

// hexID returns a trace or span id in lower case, or "" if s is none. An id is never all zeros.
func hexID(s string, digits int) string {
	if len(s) != digits || strings.Trim(s, "0123456789abcdefABCDEF") != "" || strings.Trim(s, "0") == "" {
		return ""
	}
	return strings.ToLower(s)
}

// appendMember appends value as an attribute. A number that neither an int64 nor a double holds becomes the string of its digits.
func appendMember(attributes []*logbatcherv1.Attribute, key string, value gjson.Result) []*logbatcherv1.Attribute {
	a := &logbatcherv1.Attribute{Key: key}
	switch value.Type {
	case gjson.Null:
		return attributes
	case gjson.True, gjson.False:
		a.Type, a.BoolValue = logbatcherv1.AttributeType_ATTRIBUTE_TYPE_BOOL, value.Bool()
	case gjson.String:
		a.StringValue = value.Str
	case gjson.JSON:
		a.Type, a.StringValue = logbatcherv1.AttributeType_ATTRIBUTE_TYPE_JSON, value.Raw
	case gjson.Number:
		if n, err := strconv.ParseInt(value.Raw, 10, 64); err == nil {
			a.Type, a.IntValue = logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, n
		} else if strings.ContainsAny(value.Raw, ".eE") && !math.IsInf(value.Num, 0) {
			a.Type, a.DoubleValue = logbatcherv1.AttributeType_ATTRIBUTE_TYPE_DOUBLE, value.Num
		} else {
			a.StringValue = value.Raw
		}
	}
	return append(attributes, a)
}
