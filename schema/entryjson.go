package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An entry as JSON is one object, of which absent fields are left out:
//
//	{"time":"2026-01-31T08:00:00.000000001Z","severity_number":9,"body":"ready","service":"api",
//	 "attributes":[{"key":"route","value":"/"},{"key":"status","type":"int","value":200}],
//	 "resource_attributes":[…],"scope_attributes":[…]}
//
// The fields are named as in the configuration. Nothing is lost: a text that is not valid UTF-8 is {"base64":"…"}
// in place of a string, an attribute's value is written in the form of its type (bytes in base64, JSON as a
// string with its text), and a double is "NaN", "Infinity", "-Infinity" or {"bits":"…"} (a NaN with a payload, in
// hexadecimal) where JSON has no number for it. A type that is left out is string.

// AppendJSON appends the entry as one line of JSON, without the newline. ParseEntryJSON reads it back
// without loss.
func AppendJSON(dst []byte, e *Entry) []byte {
	dst = append(dst, '{')
	start := len(dst)
	dst = appendTimeMember(dst, start, "time", e.Time)
	dst = appendTimeMember(dst, start, "observed_time", e.ObservedTime)
	dst = appendSmallMember(dst, start, "severity_number", e.SeverityNumber)
	dst = appendTextMember(dst, start, "severity_text", e.SeverityText)
	dst = appendTextMember(dst, start, "body", e.Body)
	dst = appendTextMember(dst, start, "service", e.Service)
	dst = appendTextMember(dst, start, "trace_id", e.TraceID)
	dst = appendTextMember(dst, start, "span_id", e.SpanID)
	dst = appendSmallMember(dst, start, "trace_flags", e.TraceFlags)
	dst = appendTextMember(dst, start, "event_name", e.EventName)
	dst = appendTextMember(dst, start, "scope_name", e.ScopeName)
	dst = appendTextMember(dst, start, "scope_version", e.ScopeVersion)
	dst = appendTextMember(dst, start, "scope_schema_url", e.ScopeSchemaURL)
	dst = appendTextMember(dst, start, "resource_schema_url", e.ResourceSchemaURL)
	dst = appendTextMember(dst, start, "colo", e.Colo)
	dst = appendAttributesMember(dst, start, "attributes", e.Attributes)
	if e.Stream != nil {
		dst = appendAttributesMember(dst, start, "resource_attributes", e.Stream.ResourceAttributes)
		dst = appendAttributesMember(dst, start, "scope_attributes", e.Stream.ScopeAttributes)
	}
	return append(dst, '}')
}

// appendName appends a member's name, with a comma unless it is the object's first.
func appendName(dst []byte, start int, name string) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendTimeMember(dst []byte, start int, name string, nanoseconds int64) []byte {
	if nanoseconds == 0 {
		return dst
	}
	dst = append(appendName(dst, start, name), '"')
	dst = time.Unix(0, nanoseconds).UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

func appendSmallMember(dst []byte, start int, name string, n uint8) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendUint(appendName(dst, start, name), uint64(n), 10)
}

func appendTextMember(dst []byte, start int, name, text string) []byte {
	if text == "" {
		return dst
	}
	return appendJSONText(appendName(dst, start, name), text)
}

func appendAttributesMember(dst []byte, start int, name string, attributes []Attribute) []byte {
	if len(attributes) == 0 {
		return dst
	}
	dst = append(appendName(dst, start, name), '[')
	for i := range attributes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendAttribute(dst, &attributes[i])
	}
	return append(dst, ']')
}

// appendAttribute appends one attribute as an object.
func appendAttribute(dst []byte, a *Attribute) []byte {
	dst = append(dst, `{"key":`...)
	dst = appendJSONText(dst, a.Key)
	if a.Type != String {
		dst = append(dst, `,"type":"`...)
		dst = append(dst, a.Type.String()...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"value":`...)
	switch a.Type {
	case Int:
		dst = strconv.AppendInt(dst, a.AsInt(), 10)
	case Double:
		dst = appendJSONDouble(dst, a.AsDouble())
	case Bool:
		dst = strconv.AppendBool(dst, a.AsBool())
	case Bytes:
		dst = appendBase64(append(dst, '"'), a.Text)
		dst = append(dst, '"')
	default:
		dst = appendJSONText(dst, a.Text)
	}
	return append(dst, '}')
}

// appendJSONDouble appends a double so that its bits can be told again.
func appendJSONDouble(dst []byte, x float64) []byte {
	switch {
	case math.IsInf(x, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(x, -1):
		return append(dst, `"-Infinity"`...)
	case math.IsNaN(x) && math.Float64bits(x) == math.Float64bits(math.NaN()):
		return append(dst, `"NaN"`...)
	case math.IsNaN(x):
		dst = append(dst, `{"bits":"`...)
		dst = strconv.AppendUint(dst, math.Float64bits(x), 16)
		return append(dst, `"}`...)
	}
	return strconv.AppendFloat(dst, x, 'g', -1, 64)
}

// appendJSONText appends a text as a JSON string, or as {"base64":"…"} when it is not valid UTF-8.
func appendJSONText(dst []byte, text string) []byte {
	if !utf8.ValidString(text) {
		dst = appendBase64(append(dst, `{"base64":"`...), text)
		return append(dst, `"}`...)
	}
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(text); i++ {
		b := text[i]
		if b >= 0x20 && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, text[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	dst = append(dst, text[from:]...)
	return append(dst, '"')
}

func appendBase64(dst []byte, text string) []byte {
	return base64.StdEncoding.AppendEncode(dst, []byte(text))
}

// jsonEntry is an entry as encoding/json reads it.
type jsonEntry struct {
	Time               jsonTime        `json:"time"`
	ObservedTime       jsonTime        `json:"observed_time"`
	SeverityNumber     uint8           `json:"severity_number"`
	SeverityText       jsonText        `json:"severity_text"`
	Body               jsonText        `json:"body"`
	Service            jsonText        `json:"service"`
	TraceID            jsonText        `json:"trace_id"`
	SpanID             jsonText        `json:"span_id"`
	TraceFlags         uint8           `json:"trace_flags"`
	EventName          jsonText        `json:"event_name"`
	ScopeName          jsonText        `json:"scope_name"`
	ScopeVersion       jsonText        `json:"scope_version"`
	ScopeSchemaURL     jsonText        `json:"scope_schema_url"`
	ResourceSchemaURL  jsonText        `json:"resource_schema_url"`
	Colo               jsonText        `json:"colo"`
	Attributes         []jsonAttribute `json:"attributes"`
	ResourceAttributes []jsonAttribute `json:"resource_attributes"`
	ScopeAttributes    []jsonAttribute `json:"scope_attributes"`
}

// jsonAttribute is an attribute before its value is read by its type.
type jsonAttribute struct {
	Key   jsonText        `json:"key"`
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// jsonText is a text in either of its forms.
type jsonText string

// UnmarshalJSON reads a string or {"base64":"…"}.
func (t *jsonText) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var wrapped struct {
			Base64 *[]byte `json:"base64"`
		}
		if err := unmarshalStrict(data, &wrapped); err != nil {
			return err
		}
		if wrapped.Base64 == nil {
			return errors.New(`expected a string or {"base64":"…"}`)
		}
		*t = jsonText(*wrapped.Base64)
		return nil
	}
	var text *string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if text == nil {
		return errors.New(`expected a string or {"base64":"…"}`)
	}
	*t = jsonText(*text)
	return nil
}

// jsonTime is a time in nanoseconds since the Unix epoch.
type jsonTime int64

// UnmarshalJSON reads a time in RFC 3339.
func (t *jsonTime) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return err
	}
	nanoseconds := at.UnixNano()
	if !time.Unix(0, nanoseconds).Equal(at) {
		return fmt.Errorf("time %s is outside the years 1678 to 2261", text)
	}
	*t = jsonTime(nanoseconds)
	return nil
}

// unmarshalStrict reads one JSON value with no unknown members and nothing after it.
func unmarshalStrict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if len(bytes.TrimSpace(data[decoder.InputOffset():])) > 0 {
		return errors.New("text after the JSON value")
	}
	return nil
}

// ParseEntryJSON reads an entry that AppendJSON wrote. The entry keeps no reference to line, and
// its Stream is its own.
func ParseEntryJSON(line []byte) (Entry, error) {
	if !utf8.Valid(line) {
		return Entry{}, errors.New("entry: not valid UTF-8")
	}
	var j jsonEntry
	if err := unmarshalStrict(line, &j); err != nil {
		return Entry{}, fmt.Errorf("entry: %w", err)
	}
	e := Entry{
		Time: int64(j.Time), ObservedTime: int64(j.ObservedTime),
		Body: string(j.Body), SeverityText: string(j.SeverityText), Service: string(j.Service),
		TraceID: string(j.TraceID), SpanID: string(j.SpanID), EventName: string(j.EventName), Colo: string(j.Colo),
		ScopeName: string(j.ScopeName), ScopeVersion: string(j.ScopeVersion), ScopeSchemaURL: string(j.ScopeSchemaURL),
		ResourceSchemaURL: string(j.ResourceSchemaURL), SeverityNumber: j.SeverityNumber, TraceFlags: j.TraceFlags,
		Stream: &Stream{},
	}
	for _, list := range []struct {
		name string
		from []jsonAttribute
		to   *[]Attribute
	}{
		{"attributes", j.Attributes, &e.Attributes},
		{"resource_attributes", j.ResourceAttributes, &e.Stream.ResourceAttributes},
		{"scope_attributes", j.ScopeAttributes, &e.Stream.ScopeAttributes},
	} {
		for i := range list.from {
			a, err := list.from[i].attribute()
			if err != nil {
				return Entry{}, fmt.Errorf("entry: %s[%d]: %w", list.name, i, err)
			}
			*list.to = append(*list.to, a)
		}
	}
	return e, nil
}

// attribute reads the value by its type.
func (j *jsonAttribute) attribute() (Attribute, error) {
	key := string(j.Key)
	if len(j.Value) == 0 || string(j.Value) == "null" {
		return Attribute{}, errors.New("no value")
	}
	var err error
	switch j.Type {
	case "", "string", "json":
		var text jsonText
		err = text.UnmarshalJSON(j.Value)
		if j.Type == "json" {
			return JSONAttribute(key, string(text)), err
		}
		return StringAttribute(key, string(text)), err
	case "int":
		var n int64
		n, err = strconv.ParseInt(string(j.Value), 10, 64)
		return IntAttribute(key, n), err
	case "double":
		var x float64
		x, err = parseJSONDouble(j.Value)
		return DoubleAttribute(key, x), err
	case "bool":
		var b bool
		err = json.Unmarshal(j.Value, &b)
		return BoolAttribute(key, b), err
	case "bytes":
		var b []byte
		err = json.Unmarshal(j.Value, &b)
		return BytesAttribute(key, string(b)), err
	}
	return Attribute{}, fmt.Errorf("unknown type %q", j.Type)
}

// parseJSONDouble reads a double in any of its forms.
func parseJSONDouble(data []byte) (float64, error) {
	switch strings.TrimSpace(string(data)) {
	case `"NaN"`:
		return math.NaN(), nil
	case `"Infinity"`:
		return math.Inf(1), nil
	case `"-Infinity"`:
		return math.Inf(-1), nil
	}
	if data[0] != '{' {
		var x float64
		err := json.Unmarshal(data, &x)
		return x, err
	}
	var wrapped struct {
		Bits string `json:"bits"`
	}
	if err := unmarshalStrict(data, &wrapped); err != nil {
		return 0, err
	}
	bits, err := strconv.ParseUint(wrapped.Bits, 16, 64)
	return math.Float64frombits(bits), err
}
