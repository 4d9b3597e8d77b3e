package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// Source is the part of an entry that a column's value or a filter's condition reads.
type Source struct {
	Field Field
	// Key is the key of a single attribute.
	Key string
}

// Field is a part of the entry, or of the request that it came with.
type Field uint8

// The fields. The table fields has their names in the configuration.
const (
	// NoField is the source of a column that always has its default.
	NoField Field = iota
	FieldTime
	FieldObservedTime
	FieldSeverityNumber
	FieldSeverityText
	FieldBody
	FieldService
	FieldTraceID
	FieldSpanID
	FieldTraceFlags
	FieldEventName
	FieldScopeName
	FieldScopeVersion
	FieldScopeSchemaURL
	FieldResourceSchemaURL
	FieldColo
	// FieldAttribute, FieldResourceAttribute and FieldScopeAttribute are single attributes, by key.
	FieldAttribute
	FieldResourceAttribute
	FieldScopeAttribute
	// FieldAttributes is the map of the attributes without a column of their own in the table.
	FieldAttributes
	// FieldResourceAttributes and FieldScopeAttributes are such maps, too.
	FieldResourceAttributes
	FieldScopeAttributes
	// FieldReceivedTime is when the server received the request.
	FieldReceivedTime
	// FieldTenant, FieldProducer, FieldSequence and FieldBatchID are the row's origin.
	FieldTenant
	FieldProducer
	FieldSequence
	FieldBatchID
	// FieldShardID is the entry's shard id.
	FieldShardID
)

// fields has the name in the configuration of each field that needs no key, and the type of its value. The types of maps mean nothing.
var fields = [...]struct {
	name  string
	holds AttributeType
}{
	FieldTime:               {"time", Time},
	FieldObservedTime:       {"observed_time", Time},
	FieldSeverityNumber:     {"severity_number", Int},
	FieldSeverityText:       {"severity_text", String},
	FieldBody:               {"body", String},
	FieldService:            {"service", String},
	FieldTraceID:            {"trace_id", String},
	FieldSpanID:             {"span_id", String},
	FieldTraceFlags:         {"trace_flags", Int},
	FieldEventName:          {"event_name", String},
	FieldScopeName:          {"scope_name", String},
	FieldScopeVersion:       {"scope_version", String},
	FieldScopeSchemaURL:     {"scope_schema_url", String},
	FieldResourceSchemaURL:  {"resource_schema_url", String},
	FieldColo:               {"colo", String},
	FieldAttributes:         {"attributes", String},
	FieldResourceAttributes: {"resource_attributes", String},
	FieldScopeAttributes:    {"scope_attributes", String},
	FieldReceivedTime:       {"received_time", Time},
	FieldTenant:             {"tenant", String},
	FieldProducer:           {"producer", String},
	FieldSequence:           {"sequence", Int},
	FieldBatchID:            {"batch_id", String},
	FieldShardID:            {"shard_id", String},
}

// Type returns the type of a field that is neither an attribute nor a map: String, Int or Time.
func (f Field) Type() AttributeType { return fields[f].holds }

// IsAttribute reports whether the field is a single attribute.
func (f Field) IsAttribute() bool {
	return f == FieldAttribute || f == FieldResourceAttribute || f == FieldScopeAttribute
}

// IsMap reports whether the field is a map of attributes.
func (f Field) IsMap() bool {
	return f == FieldAttributes || f == FieldResourceAttributes || f == FieldScopeAttributes
}

// keyedFields has the prefixes of single attributes. Source.String uses the first of each field.
var keyedFields = [...]struct {
	prefix string
	field  Field
}{
	{"attributes", FieldAttribute},
	{"resource", FieldResourceAttribute},
	{"scope", FieldScopeAttribute},
	{"resource_attributes", FieldResourceAttribute},
	{"scope_attributes", FieldScopeAttribute},
}

// ParseSource reads the name of a part of an entry: "service", "attributes" (the map),
// `attributes["http.route"]`, `resource["k"]` or `scope["k"]` (one attribute); the last three may be
// spelled with a dot instead, as attributes.http.route.
func ParseSource(text string) (Source, error) {
	for f, field := range fields {
		if field.name != "" && field.name == text {
			return Source{Field: Field(f)}, nil
		}
	}
	for _, keyed := range keyedFields {
		rest, found := strings.CutPrefix(text, keyed.prefix)
		if !found || rest == "" || (rest[0] != '.' && rest[0] != '[') {
			continue
		}
		key, err := parseKey(keyed.prefix, rest)
		if err != nil {
			return Source{}, err
		}
		return Source{Field: keyed.field, Key: key}, nil
	}
	return Source{}, fmt.Errorf("%s", UnknownName("field", text, fieldNames(FieldShardID)))
}

// MarshalText implements encoding.TextMarshaler.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a source as ParseSource does. An empty text is no field.
func (s *Source) UnmarshalText(text []byte) (err error) {
	*s = Source{}
	if len(text) > 0 {
		*s, err = ParseSource(string(text))
	}
	return err
}

// parseKey reads the key in .key, ["key"] or ['key'].
func parseKey(prefix, rest string) (string, error) {
	key, dotted := strings.CutPrefix(rest, ".")
	if !dotted {
		quoted, closed := strings.CutSuffix(rest[1:], "]")
		inner, single := strings.CutPrefix(quoted, "'")
		var err error
		if single && closed && strings.HasSuffix(inner, "'") {
			key = inner[:len(inner)-1]
		} else if key, err = strconv.Unquote(quoted); err != nil || !closed || quoted[0] != '"' {
			return "", fmt.Errorf(`write the attribute's key in brackets and quotes, as in %s["http.route"]`, prefix)
		}
	}
	if key == "" {
		return "", fmt.Errorf(`the key of an attribute is never empty; write one, as in %s["http.route"]`, prefix)
	}
	return key, nil
}

// fieldNames lists the names of the fields up to last, and of single attributes, for messages.
func fieldNames(last Field) []string {
	var names []string
	for _, field := range fields[:last+1] {
		if field.name != "" {
			names = append(names, field.name)
		}
	}
	return append(names, `attributes["key"]`, `resource["key"]`, `scope["key"]`)
}

// String returns the source as the configuration spells it and ParseSource reads it; "" for NoField.
func (s Source) String() string {
	for _, keyed := range keyedFields {
		if keyed.field == s.Field {
			return keyed.prefix + "[" + strconv.Quote(s.Key) + "]"
		}
	}
	if int(s.Field) < len(fields) {
		return fields[s.Field].name
	}
	return ""
}

// Attribute returns the single attribute that the source names, or nil if the entry lacks it.
func (s Source) Attribute(e *Entry) *Attribute {
	switch {
	case s.Field == FieldAttribute:
		return Lookup(e.Attributes, s.Key)
	case e.Stream == nil:
		return nil
	case s.Field == FieldResourceAttribute:
		return Lookup(e.Stream.ResourceAttributes, s.Key)
	}
	return Lookup(e.Stream.ScopeAttributes, s.Key)
}

// Value returns the source's value in the entry, or nil if it is absent. own holds the value of one of the entry's own fields.
func (s Source) Value(e *Entry, own *Attribute) *Attribute {
	if s.Field.IsAttribute() {
		return s.Attribute(e)
	}
	own.Type = s.Field.Type()
	if own.Type == String {
		own.Text = e.Text(s.Field)
	} else {
		own.Bits = uint64(e.Integer(s.Field))
	}
	if own.Type == String && own.Text == "" || own.Type != String && own.Bits == 0 {
		return nil
	}
	return own
}
