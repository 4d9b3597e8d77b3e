package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// jsonEntry is an entry in the form that AppendJSON writes.
type jsonEntry struct {
	Time               time.Time       `json:"time"`
	ObservedTime       time.Time       `json:"observed_time"`
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

// jsonText is a string or {"base64":"…"}.
type jsonText string

func (t *jsonText) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return json.Unmarshal(data, (*string)(t))
	}
	var wrapped struct {
		Base64 []byte `json:"base64"`
	}
	err := json.Unmarshal(data, &wrapped)
	*t = jsonText(wrapped.Base64)
	return err
}

// jsonAttribute reads its value by its type.
type jsonAttribute Attribute

func (a *jsonAttribute) UnmarshalJSON(data []byte) error {
	var raw struct {
		Key   jsonText        `json:"key"`
		Type  string          `json:"type"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	var (
		text  jsonText
		bytes []byte
		n     int64
		x     float64
		b     bool
		err   error
		key   = string(raw.Key)
	)
	switch raw.Type {
	case "":
		err = json.Unmarshal(raw.Value, &text)
		*a = jsonAttribute(StringAttribute(key, string(text)))
	case "json":
		err = json.Unmarshal(raw.Value, &text)
		*a = jsonAttribute(JSONAttribute(key, string(text)))
	case "bytes":
		err = json.Unmarshal(raw.Value, &bytes)
		*a = jsonAttribute(BytesAttribute(key, string(bytes)))
	case "int":
		err = json.Unmarshal(raw.Value, &n)
		*a = jsonAttribute(IntAttribute(key, n))
	case "bool":
		err = json.Unmarshal(raw.Value, &b)
		*a = jsonAttribute(BoolAttribute(key, b))
	case "double":
		special := map[string]float64{`"NaN"`: math.NaN(), `"Infinity"`: math.Inf(1), `"-Infinity"`: math.Inf(-1)}
		var known bool
		if x, known = special[string(raw.Value)]; !known {
			err = json.Unmarshal(raw.Value, &x)
		}
		*a = jsonAttribute(DoubleAttribute(key, x))
	default:
		err = fmt.Errorf("unknown type %q", raw.Type)
	}
	return err
}

// ParseEntryJSON reads an entry that AppendJSON wrote. A field that AppendJSON does not write is an error: it would be lost.
func ParseEntryJSON(line []byte) (Entry, error) {
	var j jsonEntry
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&j); err != nil {
		return Entry{}, err
	}
	nanoseconds := func(at time.Time) int64 {
		if at.IsZero() {
			return 0
		}
		return at.UnixNano()
	}
	attributes := func(list []jsonAttribute) (read []Attribute) {
		for _, a := range list {
			read = append(read, Attribute(a))
		}
		return read
	}
	return Entry{
		Time: nanoseconds(j.Time), ObservedTime: nanoseconds(j.ObservedTime),
		Body: string(j.Body), SeverityText: string(j.SeverityText), Service: string(j.Service),
		TraceID: string(j.TraceID), SpanID: string(j.SpanID), EventName: string(j.EventName), Colo: string(j.Colo),
		ScopeName: string(j.ScopeName), ScopeVersion: string(j.ScopeVersion), ScopeSchemaURL: string(j.ScopeSchemaURL),
		ResourceSchemaURL: string(j.ResourceSchemaURL), SeverityNumber: j.SeverityNumber, TraceFlags: j.TraceFlags,
		Attributes: attributes(j.Attributes),
		Stream:     &Stream{ResourceAttributes: attributes(j.ResourceAttributes), ScopeAttributes: attributes(j.ScopeAttributes)},
	}, nil
}
