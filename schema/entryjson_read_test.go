package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// This file reads back what AppendJSON writes, to show that nothing is lost.

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

// parseEntryJSON reads an entry that AppendJSON wrote. The entry keeps no reference to line, and
// its Stream is its own.
func parseEntryJSON(line []byte) (Entry, error) {
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
