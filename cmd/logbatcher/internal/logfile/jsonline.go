package logfile

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// member is a member of a JSON object.
type member struct {
	key   string
	value gjson.Result
}

// object returns the members of s, if it is one JSON object and nothing else. They are valid until the next call.
func (r *Reader) object(s string) ([]member, bool) {
	s = strings.Trim(s, white)
	if s == "" || s[0] != '{' || s[len(s)-1] != '}' || !gjson.Valid(s) {
		return nil, false
	}
	clear(r.members) // they hold an older line's memory
	r.members = r.members[:0]
	gjson.Parse(s).ForEach(func(key, value gjson.Result) bool {
		if strings.Contains(value.Str, "\ufffd") && !strings.Contains(value.Raw, "\ufffd") && !strings.Contains(strings.ToLower(value.Raw), `\ufffd`) {
			r.stats.ReplacedValues++
		}
		r.members = append(r.members, member{key.Str, value})
		return true
	})
	return r.members, true
}

// role is what a member is to the record.
type role uint8

const (
	roleNone role = iota
	roleTime
	roleSeverity
	roleNumber
	roleBody
	roleService
	roleTrace
	roleSpan
	roles
)

// names lists, for each role, the normalized names that OpenTelemetry, ECS, zap, zerolog, slog, logrus, log4j2, logback,
// pino, bunyan, GELF, journald, Serilog and Python's loggers have for it. Where a line has several, the first one listed has
// the role and the others are attributes.
var names = [roles]string{
	roleTime: "time timestamp @timestamp ts datetime @t t timemillis timeunixnano instant date asctime realtimetimestamp " +
		"observedtimestamp observedtimeunixnano",
	roleSeverity: "level severity lvl log.level loglevel severitytext levelname @l priority levelno levelnumber",
	roleNumber:   "severitynumber",
	roleBody:     "msg message shortmessage renderedmessage @m body log event text messagetemplate @mt",
	roleService: "service.name service servicename app application syslogidentifier logger loggername log.logger " +
		"instrumentationscope.name name",
	roleTrace: "traceid trace.id",
	roleSpan:  "spanid span.id",
}

// ranked is a role, and the place of a name in its list.
type ranked struct {
	role role
	rank int
}

var namedRoles = func() map[string]ranked {
	all := map[string]ranked{}
	for i, list := range names {
		for rank, name := range strings.Fields(list) {
			all[name] = ranked{role(i), rank}
		}
	}
	return all
}()

// normalize makes one spelling of trace_id, traceId and TraceID.
func normalize(key string) string { return strings.ReplaceAll(strings.ToLower(key), "_", "") }

// numbered is added to the rank of a severity that is a number, so that words come first.
const numbered = 100

// jsonEntry makes an entry of a JSON line that is not wrapped, or that was in an envelope.
func (r *Reader) jsonEntry(w *wrapped) entry {
	e, members := entry{json: true}, w.members
	e.Body = w.text
	e.Attributes = append(make([]Attribute, 0, len(w.attributes)+len(members)), w.attributes...)
	var taken, ranks [roles]int // an index in members plus one, and the rank of its name
	unread := ""
	assign := func(key string, value gjson.Result, index int) {
		named := namedRoles[key]
		if named.role == roleNone {
			return
		}
		if named.role == roleSeverity && value.Type == gjson.Number {
			named.rank += numbered
		}
		if taken[named.role] != 0 && ranks[named.role] <= named.rank {
			return
		}
		if r.assign(&e, key, value, named.role) {
			taken[named.role], ranks[named.role] = index, named.rank
		} else if named.role == roleTime && value.Type == gjson.String {
			unread = value.Str
		}
	}
	for i, m := range members {
		key := normalize(m.key)
		assign(key, m.value, i+1)
		switch key {
		case "log", "trace", "span", "service", "instrumentationscope": // ECS and OpenTelemetry nest; the attribute stays
			m.value.ForEach(func(inner, value gjson.Result) bool {
				assign(key+"."+normalize(inner.Str), value, -1)
				return true
			})
		}
	}
	if i := taken[roleService]; i > 0 && strings.EqualFold(members[i-1].key, "name") && ranks[roleSeverity] < numbered {
		e.Service, taken[roleService] = "", 0 // only bunyan and pino name the logger so
	}
	if e.Time.IsZero() && w.time.IsZero() && unread != "" {
		r.unreadTime(unread)
	}
	e.begins = taken[roleBody] != 0 || taken[roleSeverity] != 0 || taken[roleNumber] != 0 || taken[roleTime] != 0
	if !e.zoned && !w.time.IsZero() {
		taken[roleTime] = 0 // the envelope's time is used
	}
	for i, m := range members {
		used := false
		for _, t := range taken {
			used = used || t == i+1
		}
		if !used {
			e.Attributes = appendMember(e.Attributes, m.key, m.value)
		}
	}
	return e
}

// assign gives value to the field that role names. It reports whether it fits.
func (r *Reader) assign(e *entry, key string, value gjson.Result, role role) bool {
	switch role {
	case roleTime:
		at, zoned := r.memberTime(value)
		if !plausible(at) {
			return false
		}
		e.Time, e.zoned = at, zoned
	case roleSeverity:
		severity, word := memberSeverity(key, value)
		if word == "" {
			return false
		}
		e.SeverityText = word
		if !e.numbered {
			e.SeverityNumber = severity
		}
	case roleNumber:
		severity := numericSeverity(key, value.Int())
		if severity == 0 {
			return false
		}
		e.SeverityNumber, e.numbered = severity, true
		if e.SeverityText == "" {
			e.SeverityText = severityName(severity)
		}
	case roleBody:
		if value.IsObject() {
			value = value.Get("stringValue") // OpenTelemetry's AnyValue
		}
		if value.Type != gjson.String {
			return false
		}
		e.Body = value.Str
	case roleService:
		if value.Type != gjson.String || value.Str == "" {
			return false
		}
		e.Service = value.Str
	case roleTrace:
		return hexID(value, 32, &e.TraceID)
	case roleSpan:
		return hexID(value, 16, &e.SpanID)
	}
	return true
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
			return time.Unix(seconds.Int(), value.Get("nanoOfSecond").Int()).UTC(), true
		}
		if date := value.Get("$date"); date.Exists() {
			return r.memberTime(date)
		}
	}
	return time.Time{}, false
}

// memberSeverity reads words, with or without an offset as slog's "WARN+1", and numbers, also in strings. A word that is not known
// has the severity 0; an empty word means that value is none.
func memberSeverity(key string, value gjson.Result) (severity int32, word string) {
	word = strings.TrimSpace(plain(value.String()))
	if value.Type != gjson.String && value.Type != gjson.Number || len(word) > 32 {
		return 0, ""
	}
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		severity = numericSeverity(key, n)
		return severity, severityName(severity)
	}
	name := word
	if n := strings.IndexAny(word, "+-"); n > 0 {
		name = word[:n]
	}
	if severity = severityOf(name); severity == 0 && key == "priority" || value.Type == gjson.Number {
		return 0, ""
	}
	return severity, word
}

// hexID sets id to a trace or span id in lower case. An id is never all zeros.
func hexID(value gjson.Result, digits int, id *string) bool {
	if value.Type != gjson.String || len(value.Str) != digits {
		return false
	}
	s := strings.ToLower(value.Str)
	if strings.Trim(s, "0123456789abcdef") != "" || strings.Trim(s, "0") == "" {
		return false
	}
	*id = s
	return true
}

// appendMember appends value as an attribute. Numbers that neither an int64 nor a double holds are strings of their digits.
func appendMember(attributes []Attribute, key string, value gjson.Result) []Attribute {
	switch value.Type {
	case gjson.Null:
		return attributes
	case gjson.True, gjson.False:
		return append(attributes, Attribute{Key: key, Kind: Bool, Bool: value.Type == gjson.True})
	case gjson.String:
		return append(attributes, text(key, value.Str))
	case gjson.Number:
		if n, err := strconv.ParseInt(value.Raw, 10, 64); err == nil {
			return append(attributes, integer(key, n))
		}
		if strings.ContainsAny(value.Raw, ".eE") && !math.IsInf(value.Num, 0) {
			return append(attributes, Attribute{Key: key, Kind: Double, Double: value.Num})
		}
		return append(attributes, text(key, value.Raw))
	}
	return append(attributes, Attribute{Key: key, Kind: JSON, Str: value.Raw})
}
