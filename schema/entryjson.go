package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"unicode/utf8"
)

// An entry as JSON is one object, without the fields that are absent:
//
//	{"time":"2026-01-31T08:00:00.000000001Z","severity_number":9,"body":"ready","service":"api",
//	 "attributes":[{"key":"route","value":"/"},{"key":"status","type":"int","value":200}],
//	 "resource_attributes":[…],"scope_attributes":[…]}
//
// The fields are named as in the configuration. Nothing is lost: a text that is not valid UTF-8 is {"base64":"…"}
// in place of a string, an attribute's value has the form of its type (bytes in base64, JSON as a string with its
// text), and a double that JSON has no number for is "NaN" (without its payload), "Infinity" or "-Infinity". The default type is string.

// AppendJSON appends the entry as one line of JSON, without the newline.
func AppendJSON(dst []byte, e *Entry) []byte {
	dst = append(dst, '{')
	start := len(dst)
	var own Attribute
	for f := FieldTime; f <= FieldColo; f++ {
		if a := (Source{Field: f}).Value(e, &own); a != nil {
			dst = appendJSONValue(appendJSONName(dst, start, f), a)
		}
	}
	dst = appendJSONAttributes(dst, start, FieldAttributes, e.Attributes)
	if e.Stream != nil {
		dst = appendJSONAttributes(dst, start, FieldResourceAttributes, e.Stream.ResourceAttributes)
		dst = appendJSONAttributes(dst, start, FieldScopeAttributes, e.Stream.ScopeAttributes)
	}
	return append(dst, '}')
}

// appendJSONName appends a member's name, after a comma unless it is the first of the object that begins at start.
func appendJSONName(dst []byte, start int, f Field) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, fields[f].name...)
	return append(dst, '"', ':')
}

func appendJSONAttributes(dst []byte, start int, f Field, attributes []Attribute) []byte {
	if len(attributes) == 0 {
		return dst
	}
	dst = append(appendJSONName(dst, start, f), '[')
	for i := range attributes {
		a := &attributes[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONText(append(dst, `{"key":`...), a.Key)
		if a.Type != String {
			dst = append(dst, `,"type":"`+a.Type.String()+`"`...)
		}
		dst = appendJSONValue(append(dst, `,"value":`...), a)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendJSONValue appends an attribute's value in the form of its type.
func appendJSONValue(dst []byte, a *Attribute) []byte {
	x := a.AsDouble()
	switch {
	case a.Type == String || a.Type == JSON:
		return appendJSONText(dst, a.Text)
	case a.Type == Bytes:
		return appendBase64(dst, a.Text)
	case a.Type == Double && math.IsInf(x, 1):
		return append(dst, `"Infinity"`...)
	case a.Type == Double && math.IsInf(x, -1):
		return append(dst, `"-Infinity"`...)
	case a.Type == Time || a.Type == Double && math.IsNaN(x):
		dst = a.AppendText(append(dst, '"'))
		return append(dst, '"')
	}
	return a.AppendText(dst)
}

// appendJSONText appends a text as a JSON string, or as {"base64":"…"} when it is not valid UTF-8.
func appendJSONText(dst []byte, text string) []byte {
	if !utf8.ValidString(text) {
		dst = appendBase64(append(dst, `{"base64":`...), text)
		return append(dst, '}')
	}
	b := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string always has a form in JSON
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

func appendBase64(dst []byte, text string) []byte {
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), []byte(text))
	return append(dst, '"')
}
