package server

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/logbatcher/logbatcher/schema"
)

// The tags of OTLP's values.
const (
	keyValueKey   = 1<<3 | bytesTag
	keyValueValue = 2<<3 | bytesTag

	listElement = 1<<3 | bytesTag // of ArrayValue and KeyValueList

	anyString = 1<<3 | bytesTag
	anyBool   = 2<<3 | varintTag
	anyInt    = 3<<3 | varintTag
	anyDouble = 4<<3 | fixed64Tag
	anyArray  = 5<<3 | bytesTag
	anyList   = 6<<3 | bytesTag
	anyBytes  = 7<<3 | bytesTag
	// anyReference is of the profiling signal, and empty in others.
	anyReference = 8<<3 | varintTag
)

// anyValue is an AnyValue.
type anyValue struct {
	// tag is that of the field which is set, or 0.
	tag  uint64
	bits uint64
	data []byte
}

// merge adds an encoded AnyValue. The last field of a oneof counts.
func (v *anyValue) merge(encoded []byte) error {
	fields := wire{data: encoded}
	for fields.next() {
		switch fields.tag {
		case anyArray, anyList:
			if v.tag == fields.tag {
				v.data = joined(v.data, fields.value)
				break
			}
			*v = anyValue{tag: fields.tag, data: fields.value}
		case anyString, anyBytes:
			*v = anyValue{tag: fields.tag, data: fields.value}
		case anyBool, anyInt, anyDouble, anyReference:
			*v = anyValue{tag: fields.tag, bits: fields.bits}
		}
	}
	return fields.err()
}

// readKeyValue reads an encoded KeyValue.
func readKeyValue(encoded []byte) (key []byte, v anyValue, err error) {
	if key, value, ok := shortKeyValue(encoded); ok {
		return key, v, v.merge(value)
	}
	fields := wire{data: encoded}
	for fields.next() {
		switch fields.tag {
		case keyValueKey:
			key = fields.value
		case keyValueValue:
			if err := v.merge(fields.value); err != nil {
				return nil, v, err
			}
		}
	}
	return key, v, fields.err()
}

// shortKeyValue takes an encoded KeyValue apart that has a key and then a value, both shorter than 128 bytes. Nearly all are like
// that, and most of a record's time goes into them.
func shortKeyValue(encoded []byte) (key, value []byte, ok bool) {
	if len(encoded) < 2 || encoded[0] != keyValueKey {
		return nil, nil, false
	}
	n := int(encoded[1])
	key, value = encoded[2:], nil
	if n >= 0x80 || len(key) < n+2 || key[n] != keyValueValue || key[n+1] >= 0x80 || int(key[n+1]) != len(key)-n-2 {
		return nil, nil, false
	}
	return key[:n:n], key[n+2:], true
}

// shortString takes an encoded AnyValue apart that has a string shorter than 128 bytes and nothing else.
func shortString(encoded []byte) (s []byte, ok bool) {
	if len(encoded) < 2 || encoded[0] != anyString || encoded[1] >= 0x80 || int(encoded[1]) != len(encoded)-2 {
		return nil, false
	}
	return encoded[2:], true
}

// maxNesting bounds the arrays and lists in each other. The Collector refuses requests with more than 33 to 50 of them.
const maxNesting = 64

var (
	errTooDeep     = errors.New("too deep")
	errTextTooLong = errors.New("the text is too long")
)

// otlpText makes the texts of values that are none: JSON of arrays and lists, base64 of bytes.
type otlpText struct {
	// limit bounds the texts of one record.
	limit int
	// used is how much of it has been moved.
	used int
	// text is the last value's, if generated.
	text      []byte
	generated bool
	pairs     []pair
}

// pair is an element of a KeyValueList.
type pair struct {
	key   []byte
	value anyValue
}

// begin begins a record.
func (t *otlpText) begin() { t.used = 0 }

// reset clears t for the pool.
func (t *otlpText) reset() {
	clear(t.pairs[:cap(t.pairs)])
	if t.pairs = t.pairs[:0]; cap(t.pairs) > maxPooledAttributes {
		t.pairs = nil
	}
	if cap(t.text) > 64<<10 {
		t.text = nil
	}
}

// attribute fills an attribute, except for a text that is generated, from an encoded KeyValue.
func (t *otlpText) attribute(encoded []byte, a *schema.Attribute) error {
	if key, value, ok := shortKeyValue(encoded); ok {
		if s, ok := shortString(value); ok {
			*a = schema.StringAttribute(textOf(key), textOf(s))
			t.generated = false
			return nil
		}
	}
	key, v, err := readKeyValue(encoded)
	a.Key = textOf(key)
	if err != nil {
		return err
	}
	return t.value(&v, a)
}

// value fills an attribute's type and value, except for a text that is generated. The type is the one whose text in a Map is what
// the Collector's exporter writes.
func (t *otlpText) value(v *anyValue, a *schema.Attribute) error {
	a.Type, a.Text, a.Bits = schema.String, "", 0
	t.generated = false
	switch v.tag {
	case anyString:
		a.Text = textOf(v.data)
	case anyBool:
		a.Type = schema.Bool
		if v.bits != 0 {
			a.Bits = 1
		}
	case anyInt:
		a.Type, a.Bits = schema.Int, v.bits
	case anyDouble:
		a.Type, a.Bits = schema.Double, v.bits
	case anyArray, anyList:
		a.Type = schema.JSON
		t.generated, t.text = true, t.text[:0]
		if err := t.appendJSON(v, 0); err != nil {
			return err
		}
	case anyBytes:
		t.generated, t.text = true, base64.StdEncoding.AppendEncode(t.text[:0], v.data)
	}
	if t.generated && len(t.text) > t.limit-t.used {
		return errTextTooLong
	}
	return nil
}

// move moves a generated text to the arena. It reports false if that has no room.
func (t *otlpText) move(text *string, into *arena) bool {
	if !t.generated {
		return true
	}
	moved, ok := into.text(len(t.text))
	copy(moved, t.text)
	*text = textOf(moved)
	t.used += len(t.text)
	return ok
}

// refusal returns why a record is refused that has such a value, or nil if the error is another one.
func (t *otlpText) refusal(err error, field string) *schema.Refusal {
	switch err {
	case errTooDeep:
		return invalidField(field, fmt.Sprintf("arrays and lists must not be nested deeper than %d", maxNesting))
	case errTextTooLong:
		return &schema.Refusal{
			Field: field, Reason: schema.TooLarge,
			Message: fmt.Sprintf("the nested values and bytes of the record, as JSON and base64, have more than max_entry_bytes, %d", t.limit),
		}
	}
	return nil
}

// appendJSON appends a value as the Collector's Value.AsString does: the keys of a list sorted, the last value of each. One
// difference: for a value with a NaN or an infinite number somewhere in it, the Collector has an empty text.
func (t *otlpText) appendJSON(v *anyValue, depth int) error {
	if len(t.text) > t.limit-t.used {
		return errTextTooLong
	}
	switch v.tag {
	default:
		t.text = append(t.text, "null"...)
	case anyString:
		t.text = appendJSONString(t.text, v.data)
	case anyBool, anyInt:
		a := schema.Attribute{Type: schema.Int, Bits: v.bits}
		if v.tag == anyBool {
			a.Type = schema.Bool
		}
		t.text = a.AppendText(t.text)
	case anyDouble:
		a := schema.Attribute{Type: schema.Double, Bits: v.bits}
		if x := a.AsDouble(); math.IsNaN(x) || math.IsInf(x, 0) {
			t.text = append(a.AppendText(append(t.text, '"')), '"')
		} else {
			t.text = a.AppendText(t.text)
		}
	case anyBytes:
		t.text = append(base64.StdEncoding.AppendEncode(append(t.text, '"'), v.data), '"')
	case anyArray:
		return t.appendArray(v.data, depth)
	case anyList:
		return t.appendList(v.data, depth)
	}
	return nil
}

func (t *otlpText) appendArray(encoded []byte, depth int) error {
	if depth == maxNesting {
		return errTooDeep
	}
	t.text = append(t.text, '[')
	elements := wire{data: encoded}
	for first := true; elements.next(); {
		if elements.tag != listElement {
			continue
		}
		if !first {
			t.text = append(t.text, ',')
		}
		first = false
		var v anyValue
		if err := v.merge(elements.value); err != nil {
			return err
		}
		if err := t.appendJSON(&v, depth+1); err != nil {
			return err
		}
	}
	t.text = append(t.text, ']')
	return elements.err()
}

func (t *otlpText) appendList(encoded []byte, depth int) error {
	if depth == maxNesting {
		return errTooDeep
	}
	begin := len(t.pairs)
	defer func() { t.pairs = t.pairs[:begin] }()
	elements := wire{data: encoded}
	for elements.next() {
		if elements.tag != listElement {
			continue
		}
		key, v, err := readKeyValue(elements.value)
		if err != nil {
			return err
		}
		t.pairs = append(t.pairs, pair{key, v})
	}
	if elements.bad {
		return errNotProtobuf
	}
	end := len(t.pairs)
	slices.SortStableFunc(t.pairs[begin:], func(a, b pair) int { return cmp.Compare(textOf(a.key), textOf(b.key)) })
	t.text = append(t.text, '{')
	for i := begin; i < end; i++ {
		p := t.pairs[i] // what is nested moves pairs
		if i+1 < end && bytes.Equal(p.key, t.pairs[i+1].key) {
			continue
		}
		if t.text[len(t.text)-1] != '{' {
			t.text = append(t.text, ',')
		}
		t.text = append(appendJSONString(t.text, p.key), ':')
		if err := t.appendJSON(&p.value, depth+1); err != nil {
			return err
		}
	}
	t.text = append(t.text, '}')
	return nil
}

// appendJSONString appends a string as encoding/json does, without escapes for HTML.
func appendJSONString(dst, s []byte) []byte {
	for _, c := range s {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			b := bytes.NewBuffer(dst)
			encoder := json.NewEncoder(b)
			encoder.SetEscapeHTML(false)
			_ = encoder.Encode(textOf(s)) // a string always has a form in JSON
			return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
