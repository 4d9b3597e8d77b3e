package server

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/logline"
)

// jsonDecoder decodes JSON lines: each line that is not blank is an entry, and its place is that of its line. What a line is can be read
// in two ways: as the object of a logger, or as the JSON form of the protocol's own Entry.
type jsonDecoder struct {
	config *Config
	own    bool // the lines are Entries
	object logline.Object
	// logs reads the objects of loggers.
	logs logline.Reader
	// entries reads Entries.
	entries entryReader
	// received is when the request was received, in nanoseconds since the Unix epoch.
	received int64
}

func newJSONDecoder(config *Config, own bool) func() decoder {
	return func() decoder {
		d := &jsonDecoder{config: config, own: own}
		d.logs.Stamps = logline.Stamps{Now: func() time.Time { return time.Unix(0, d.received) }, Location: time.UTC}
		return d
	}
}

// trimLine returns a line without the white space around it.
func trimLine(line string) string {
	line = strings.TrimSuffix(line, "\n")
	if n := len(line); n > 0 && line[0] == '{' && line[n-1] == '}' {
		return line // as most are
	}
	return strings.Trim(line, logline.White)
}

func (d *jsonDecoder) outline(data []byte) (outline, error) {
	l, object := outline{end: len(data)}, false
	for line := range strings.Lines(textOf(data)) {
		if line = trimLine(line); line == "" {
			l.blank++
			continue
		}
		l.entries++
		object = object || line[0] == '{'
	}
	if l.entries > 0 && !object {
		return l, errNoJSONLine
	}
	return l, nil
}

func (d *jsonDecoder) decode(data []byte, from cut, values *defaults, into *arena) (cut, error) {
	defer d.reset()
	d.received = values.received
	next := from
	for line := range strings.Lines(textOf(data[from.at:])) {
		if text := trimLine(line); text == "" {
			into.skip()
		} else if !d.line(text, values, into) {
			break
		}
		next = cut{next.at + len(line), next.place + 1}
	}
	return next, nil
}

// line adds the entry of a line to the arena, or refuses it. It reports false if the arena is full.
func (d *jsonDecoder) line(text string, values *defaults, into *arena) bool {
	if into.full() {
		return false
	}
	refusal := d.config.refuse(len(text), 0)
	if refusal == nil && !d.object.Parse(text) {
		refusal = refuseLine(text)
	}
	if refusal != nil {
		into.refuse(refusal)
		return true
	}
	if d.own {
		return d.entry(values, into)
	}
	return d.log(text, values, into)
}

// entry adds an Entry.
func (d *jsonDecoder) entry(values *defaults, into *arena) bool {
	r := &d.entries
	if field, problem := r.read(&d.object); problem != "" {
		into.refuse(invalidField(field, problem))
		return true
	}
	if refusal := d.config.refuse(0, len(r.message.Attributes)); refusal != nil {
		into.refuse(refusal)
		return true
	}
	return into.addMessage(&r.message, values, r.own)
}

// log adds the object of a logger.
func (d *jsonDecoder) log(text string, values *defaults, into *arena) bool {
	e := schema.Entry{
		Body: text, ObservedTime: values.received, Service: values.service, Colo: values.colo, Stream: values.stream,
		ScopeName: values.scopeName, ScopeVersion: values.scopeVersion,
		ScopeSchemaURL: values.scopeSchemaURL, ResourceSchemaURL: values.resourceSchemaURL,
	}
	d.logs.Read(&d.object, false, &e)
	e.Time = or(e.Time, values.received)
	count := d.object.CountAttributes()
	refusal := d.config.refuse(len(text), count)
	if refusal == nil && d.object.Get("").Type != gjson.Null {
		refusal = invalidField(attributePath("attributes", ""), problemNoKey)
	}
	if refusal != nil {
		into.refuse(refusal)
		return true
	}
	attributes, ok := into.attributes(count)
	if !ok || !into.hold(d.object.Own) {
		return false
	}
	e.Attributes = d.object.Attributes(attributes[:0])
	*into.add() = e
	return true
}

// reset clears the decoder for the pool.
func (d *jsonDecoder) reset() {
	d.object.Reset(maxPooledAttributes)
	d.logs.Reset()
	d.entries.reset()
}

// refuseLine returns the refusal of a line that is no JSON object.
func refuseLine(text string) *schema.Refusal {
	problem := "the line is not a JSON object"
	switch text[0] {
	case '{':
		problem = "the line begins like a JSON object but is none, or one that is nested too deeply; an object has one line"
	case '[':
		problem = "the line is not a JSON object; the elements of an array have to be on lines of their own"
	}
	return &schema.Refusal{Reason: schema.InvalidField, Message: problem}
}
