package schema

import (
	"encoding/base64"
	"math"
	"strconv"
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

// AppendJSON appends the entry as one line of JSON, without the newline.
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
