package logline

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/logbatcher/logbatcher/schema"
)

// maxDepth bounds objects and arrays in each other, because reading them takes as much stack.
const maxDepth = 256

// Member is a member of a JSON object.
type Member struct {
	Key   string
	Value gjson.Result
	used  bool // as a field of the entry
}

// Object is a JSON object. It may be used for one after another.
type Object struct {
	Members []Member
	// Own is how many bytes of keys and values are not those of the text, because they had escape sequences.
	Own int
}

// Parse reads an object, whose strings are those of the text where that has no escape sequences. It reports whether the text, except
// for white space around it, is one JSON object.
func (o *Object) Parse(text string) bool {
	o.Members, o.Own = o.Members[:0], 0
	text = strings.Trim(text, White+"\n")
	if text == "" || text[0] != '{' || text[len(text)-1] != '}' || tooDeep(text) || !gjson.Valid(text) {
		return false
	}
	gjson.Parse(text).ForEach(func(key, value gjson.Result) bool {
		for _, s := range [...]*gjson.Result{&key, &value} {
			if s.Type == gjson.String && len(s.Str)+len(`""`) != len(s.Raw) {
				o.Own += len(s.Str)
			}
		}
		o.Members = append(o.Members, Member{Key: key.Str, Value: value})
		return true
	})
	return true
}

// Reset forgets the object, whose memory it keeps if there is not much of it.
func (o *Object) Reset(mostMembers int) {
	clear(o.Members[:cap(o.Members)])
	if o.Members = o.Members[:0]; cap(o.Members) > mostMembers {
		o.Members = nil
	}
}

// tooDeep reports whether objects and arrays are nested deeper than maxDepth.
func tooDeep(text string) bool {
	if strings.Count(text, "[")+strings.Count(text, "{") <= maxDepth {
		return false
	}
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}

// Get returns the value of the first member with a key.
func (o *Object) Get(key string) gjson.Result {
	for i := range o.Members {
		if o.Members[i].Key == key {
			return o.Members[i].Value
		}
	}
	return gjson.Result{}
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

// nests are the names of the objects in which ECS and OpenTelemetry nest.
var nests = map[string]bool{"log": true, "trace": true, "span": true, "service": true, "instrumentationscope": true}

// place is a name's place in the lists.
type place struct {
	role role
	name string
}

// places are all names, in the order in which members are assigned. ranks are their indices.
var (
	places []place
	ranks  = map[string]int{}
)

func init() {
	for i, list := range names {
		for _, name := range list {
			ranks[name] = len(places)
			places = append(places, place{role(i), name})
		}
	}
}

// candidate is a value with one of the names.
type candidate struct {
	rank   int
	value  gjson.Result
	member *Member // nil if it is inside another one
}

// longestName is a bound on the names' length.
const longestName = 32

// normalize gives trace_id, traceId and TraceID the same spelling, after a prefix. It returns nil if that is too long for a name.
func normalize(dst []byte, key string) []byte {
	for i := range len(key) {
		c := key[i]
		switch {
		case c == '_':
			continue
		case len(dst) == longestName:
			return nil
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// Reset forgets what was read last.
func (r *Reader) Reset() {
	clear(r.candidates[:cap(r.candidates)])
	r.candidates = r.candidates[:0]
}

// Found is what an object says of its entry beside its fields.
type Found struct {
	// Begins is set if the object has a time, a level or a message.
	Begins bool
	// Zoned is set if its time does not depend on the reader's location or clock.
	Zoned bool
	// UnreadTime is the first time stamp that is not understood. It is an attribute.
	UnreadTime string
}

// Reader makes entries of objects.
type Reader struct {
	Stamps
	candidates []candidate
}

// Read sets the fields of e for which the object has a member. The others keep their values; the other members are Attributes. timed is
// for an entry whose time is certain: it is not replaced by one without a zone.
func (r *Reader) Read(o *Object, timed bool, e *schema.Entry) (found Found) {
	r.find(o)
	assigned, last, numeric := [roles]bool{}, -1, false
	for i := range r.candidates {
		c := &r.candidates[i]
		p := places[c.rank]
		// Of several with one name the first one counts. Only bunyan and pino, whose levels are numbers, name the logger "name".
		if assigned[p.role] || c.rank == last || p.name == "name" && !numeric {
			continue
		}
		last = c.rank
		if r.assign(e, &found, p, c.value, timed) {
			assigned[p.role] = true
			if c.member != nil {
				c.member.used = true
			}
			found.Begins = found.Begins || p.role <= roleBody
			numeric = numeric || p.role == roleSeverity && c.value.Type == gjson.Number
		} else if p.role == roleTime {
			found.UnreadTime = cmp.Or(found.UnreadTime, c.value.Str)
		}
	}
	return found
}

// find finds the candidates, in the order of the names.
func (r *Reader) find(o *Object) {
	clear(r.candidates)
	r.candidates = r.candidates[:0]
	var buffer [longestName]byte
	for i := range o.Members {
		m := &o.Members[i]
		name := normalize(buffer[:0], m.Key)
		if rank, ok := ranks[string(name)]; ok {
			r.candidates = append(r.candidates, candidate{rank, m.Value, m})
		}
		if !m.Value.IsObject() || !nests[string(name)] {
			continue
		}
		prefix := append(name, '.')
		m.Value.ForEach(func(key, value gjson.Result) bool {
			if rank, ok := ranks[string(normalize(prefix, key.Str))]; ok {
				r.candidates = append(r.candidates, candidate{rank, value, nil})
			}
			return true
		})
	}
	slices.SortStableFunc(r.candidates, func(a, b candidate) int { return a.rank - b.rank })
}

// assign sets the field of e that a value stands for. It reports whether the value is suitable.
func (r *Reader) assign(e *schema.Entry, found *Found, p place, value gjson.Result, timed bool) bool {
	switch p.role {
	case roleTime:
		at, zoned := r.time(value)
		if !Plausible(at) || !zoned && timed {
			return false
		}
		e.Time, found.Zoned = at.UnixNano(), zoned
		return true
	case roleNumber:
		e.SeverityNumber = uint8(NumericSeverity(p.name, value.Int()))
		e.SeverityText = SeverityName(uint32(e.SeverityNumber))
		return e.SeverityNumber != 0
	case roleSeverity:
		number, word := severity(p.name, value)
		e.SeverityNumber, e.SeverityText = cmp.Or(e.SeverityNumber, uint8(number)), cmp.Or(word, e.SeverityText)
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
		if value.Str == "" {
			return false
		}
		e.Service = value.Str
		return true
	case roleTrace:
		id := hexID(value.Str, 32)
		e.TraceID = cmp.Or(id, e.TraceID)
		return id != ""
	default:
		id := hexID(value.Str, 16)
		e.SpanID = cmp.Or(id, e.SpanID)
		return id != ""
	}
}

// time reads numbers, strings in any layout, log4j2's instant and MongoDB's {"$date": ...}.
func (r *Reader) time(value gjson.Result) (at time.Time, zoned bool) {
	switch {
	case value.Type == gjson.Number:
		return Epoch(value.Raw)
	case value.Type == gjson.String:
		return r.Whole(strings.TrimSpace(Plain(value.Str)))
	case value.IsObject():
		if seconds := value.Get("epochSecond"); seconds.Type == gjson.Number {
			return time.Unix(seconds.Int(), value.Get("nanoOfSecond").Int()), true
		}
		if date := value.Get("$date"); date.Exists() {
			return r.time(date)
		}
	}
	return time.Time{}, false
}

// severity reads words, with or without an offset such as slog's "WARN+1", and numbers, also in strings. An unknown word has
// the number 0; an empty word means that the value is no severity.
func severity(name string, value gjson.Result) (number uint32, word string) {
	word = strings.TrimSpace(Plain(value.String()))
	if value.Type != gjson.String && value.Type != gjson.Number || len(word) > 32 {
		return 0, ""
	}
	if word == "" || !isLetter(word[0]) {
		if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			number = NumericSeverity(name, n)
			return number, SeverityName(number)
		}
	}
	level := word
	if n := strings.IndexAny(word, "+-"); n > 0 {
		level = word[:n]
	}
	if number = SeverityOf(level); number == 0 && name == "priority" || value.Type == gjson.Number {
		return 0, ""
	}
	return number, word
}

// hexID returns a trace or span id in lower case, or "" if s is none. An id is never all zeros.
func hexID(s string, digits int) string {
	if len(s) != digits {
		return ""
	}
	zeros := true
	for i := range len(s) {
		c := s[i]
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return ""
		}
		zeros = zeros && c == '0'
	}
	if zeros {
		return ""
	}
	return strings.ToLower(s)
}

// CountAttributes returns how many attributes Attributes appends.
func (o *Object) CountAttributes() (n int) {
	for i := range o.Members {
		if m := &o.Members[i]; !m.used && m.Value.Type != gjson.Null {
			n++
		}
	}
	return n
}

// Attributes appends the members that no field was set from.
func (o *Object) Attributes(dst []schema.Attribute) []schema.Attribute {
	for i := range o.Members {
		if m := &o.Members[i]; !m.used && m.Value.Type != gjson.Null {
			dst = append(dst, Attribute(m.Key, m.Value))
		}
	}
	return dst
}

// Attribute returns a value as an attribute. A number that neither an int64 nor a double holds becomes the string of its digits.
func Attribute(key string, value gjson.Result) schema.Attribute {
	switch value.Type {
	case gjson.True, gjson.False:
		return schema.BoolAttribute(key, value.Bool())
	case gjson.JSON:
		return schema.JSONAttribute(key, value.Raw)
	case gjson.Number:
		if strings.ContainsAny(value.Raw, ".eE") {
			if !math.IsInf(value.Num, 0) {
				return schema.DoubleAttribute(key, value.Num)
			}
		} else if n, err := strconv.ParseInt(value.Raw, 10, 64); err == nil {
			return schema.IntAttribute(key, n)
		}
		return schema.StringAttribute(key, value.Raw)
	}
	return schema.StringAttribute(key, value.Str)
}
