package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// fieldNames are the names of the fields that need no key, as the configuration
// writes them.
var fieldNames = [...]string{
	FieldTime:               "time",
	FieldObservedTime:       "observed_time",
	FieldSeverityNumber:     "severity_number",
	FieldSeverityText:       "severity_text",
	FieldBody:               "body",
	FieldService:            "service",
	FieldTraceID:            "trace_id",
	FieldSpanID:             "span_id",
	FieldTraceFlags:         "trace_flags",
	FieldEventName:          "event_name",
	FieldScopeName:          "scope_name",
	FieldScopeVersion:       "scope_version",
	FieldScopeSchemaURL:     "scope_schema_url",
	FieldResourceSchemaURL:  "resource_schema_url",
	FieldColo:               "colo",
	FieldAttributes:         "attributes",
	FieldResourceAttributes: "resource_attributes",
	FieldScopeAttributes:    "scope_attributes",
	FieldReceivedTime:       "received_time",
	FieldProducer:           "producer",
	FieldSequence:           "sequence",
	FieldBatchID:            "batch_id",
	FieldShardID:            "shard_id",
}

// keyedFields are the prefixes of a single attribute's name. The first prefix of a field is
// the one that Source.String writes.
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
// written with a dot instead, as attributes.http.route.
func ParseSource(text string) (Source, error) {
	for field, name := range fieldNames {
		if name != "" && name == text {
			return Source{Field: Field(field)}, nil
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
	return Source{}, fmt.Errorf("%s", unknownName("field", text, sourceNames()))
}

// parseKey reads the key in .key, ["key"] or ['key'].
func parseKey(prefix, rest string) (string, error) {
	key := rest[1:]
	if rest[0] == '[' {
		inner, closed := strings.CutSuffix(key, "]")
		if !closed || len(inner) < 2 {
			return "", fmt.Errorf(`write the attribute's key in brackets and quotes, as in %s["http.route"]`, prefix)
		}
		if inner[0] == '\'' && inner[len(inner)-1] == '\'' {
			key = inner[1 : len(inner)-1]
		} else {
			unquoted, err := strconv.Unquote(inner)
			if err != nil || inner[0] != '"' {
				return "", fmt.Errorf(`write the attribute's key in brackets and quotes, as in %s["http.route"]`, prefix)
			}
			key = unquoted
		}
	}
	if key == "" {
		return "", fmt.Errorf(`the key of an attribute is never empty; write one, as in %s["http.route"]`, prefix)
	}
	return key, nil
}

// sourceNames returns the names that ParseSource knows, for messages.
func sourceNames() []string {
	names := make([]string, 0, len(fieldNames)+3)
	for _, name := range fieldNames {
		if name != "" {
			names = append(names, name)
		}
	}
	return append(names, `attributes["key"]`, `resource["key"]`, `scope["key"]`)
}

// String returns the source as the configuration writes it, so that ParseSource reads it
// again. It is "" for no field.
func (s Source) String() string {
	for _, keyed := range keyedFields {
		if keyed.field == s.Field {
			return keyed.prefix + "[" + strconv.Quote(s.Key) + "]"
		}
	}
	if int(s.Field) < len(fieldNames) {
		return fieldNames[s.Field]
	}
	return ""
}
