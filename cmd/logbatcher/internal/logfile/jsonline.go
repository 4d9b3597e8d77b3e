package logfile

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/logline"
)

// object returns s as an object, which is valid until the next call, or nil if s is not exactly one.
func (r *Reader) object(s string) *logline.Object {
	if !r.parsed.Parse(s) {
		return nil
	}
	for i := range r.parsed.Members {
		value := &r.parsed.Members[i].Value
		if strings.Contains(value.Str, "\ufffd") && !strings.Contains(value.Raw, "\ufffd") && !strings.Contains(strings.ToLower(value.Raw), `\ufffd`) {
			r.stats.ReplacedValues++
		}
	}
	return &r.parsed
}

// jsonEntry makes an entry of a line that is a JSON object.
func (r *Reader) jsonEntry(l *line) entry {
	view := schema.Entry{Body: l.text}
	found := r.objects.Read(l.json, !l.at.IsZero(), &view)
	if view.Time == 0 && l.at.IsZero() && found.UnreadTime != "" {
		r.unreadTime(found.UnreadTime)
	}
	e := entry{json: true, begins: found.Begins, zoned: found.Zoned, Entry: &logbatcherv1.Entry{
		TimeUnixNano: uint64(view.Time), SeverityNumber: uint32(view.SeverityNumber), SeverityText: view.SeverityText, Body: view.Body,
		Service: view.Service, TraceId: view.TraceID, SpanId: view.SpanID, Attributes: slices.Grow(l.attributes, len(l.json.Members)),
	}}
	r.attributes = l.json.Attributes(r.attributes[:0])
	for i := range r.attributes {
		e.Attributes = append(e.Attributes, attributeOf(&r.attributes[i]))
	}
	return e
}

// appendMember appends a value as an attribute, unless it is null.
func appendMember(attributes []*logbatcherv1.Attribute, key string, value gjson.Result) []*logbatcherv1.Attribute {
	if value.Type == gjson.Null {
		return attributes
	}
	a := logline.Attribute(key, value)
	return append(attributes, attributeOf(&a))
}

// attributeOf returns an attribute as the protocol has it.
func attributeOf(a *schema.Attribute) *logbatcherv1.Attribute {
	switch a.Type {
	case schema.Bool:
		return &logbatcherv1.Attribute{Key: a.Key, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_BOOL, BoolValue: a.AsBool()}
	case schema.Int:
		return &logbatcherv1.Attribute{Key: a.Key, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: a.AsInt()}
	case schema.Double:
		return &logbatcherv1.Attribute{Key: a.Key, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_DOUBLE, DoubleValue: a.AsDouble()}
	case schema.JSON:
		return &logbatcherv1.Attribute{Key: a.Key, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_JSON, StringValue: a.Text}
	}
	return &logbatcherv1.Attribute{Key: a.Key, StringValue: a.Text}
}
