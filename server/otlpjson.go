package server

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// OTLP's JSON is turned into protobuf, which the decoder of OTLP reads. It is protobuf's JSON with ids in hexadecimal. Names may have
// either of protobuf's spellings: a sender that spells them otherwise than OTLP demands must not lose its records in silence.

// jsonKind is how a value of JSON is encoded.
type jsonKind uint8

const (
	jsonMessage jsonKind = iota
	jsonString
	jsonBytes
	jsonID
	jsonBool
	jsonInt32
	jsonInt64
	jsonUint32
	jsonFixed32
	jsonFixed64
	jsonDouble
)

// jsonField is a field of a message.
type jsonField struct {
	tag      uint64
	kind     jsonKind
	repeated bool
	fields   jsonFields // of a message
}

// jsonFields are the fields of a message by their names. Others are ignored.
type jsonFields map[string]*jsonField

// spelled adds the names that the fields have in protobuf.
func (f jsonFields) spelled() jsonFields {
	for name, field := range f {
		var snake strings.Builder
		for _, c := range name {
			if 'A' <= c && c <= 'Z' {
				snake.WriteByte('_')
				c += 'a' - 'A'
			}
			snake.WriteRune(c)
		}
		f[snake.String()] = field
	}
	return f
}

// otlpJSONRequest are the fields of ExportLogsServiceRequest.
var otlpJSONRequest = func() jsonFields {
	value := jsonFields{}
	keyValue := jsonFields{"key": {tag: keyValueKey, kind: jsonString}, "value": {tag: keyValueValue, fields: value}}
	values := func(element jsonFields) jsonFields {
		return jsonFields{"values": {tag: listElement, fields: element, repeated: true}}
	}
	for name, field := range (jsonFields{
		"stringValue": {tag: anyString, kind: jsonString}, "boolValue": {tag: anyBool, kind: jsonBool}, "intValue": {tag: anyInt, kind: jsonInt64},
		"doubleValue": {tag: anyDouble, kind: jsonDouble}, "bytesValue": {tag: anyBytes, kind: jsonBytes},
		"arrayValue": {tag: anyArray, fields: values(value)}, "kvlistValue": {tag: anyList, fields: values(keyValue)},
	}).spelled() {
		value[name] = field
	}
	record := jsonFields{
		"timeUnixNano": {tag: recordTime, kind: jsonFixed64}, "observedTimeUnixNano": {tag: recordObservedTime, kind: jsonFixed64},
		"severityNumber": {tag: recordSeverity, kind: jsonInt32}, "severityText": {tag: recordSeverityText, kind: jsonString},
		"body": {tag: recordBody, fields: value}, "attributes": {tag: recordAttribute, fields: keyValue, repeated: true},
		"droppedAttributesCount": {tag: recordDropped, kind: jsonUint32}, "flags": {tag: recordFlags, kind: jsonFixed32},
		"traceId": {tag: recordTraceID, kind: jsonID}, "spanId": {tag: recordSpanID, kind: jsonID}, "eventName": {tag: recordEventName, kind: jsonString},
	}.spelled()
	scope := jsonFields{
		"name": {tag: scopeName, kind: jsonString}, "version": {tag: scopeVersion, kind: jsonString},
		"attributes":             {tag: scopeAttribute, fields: keyValue, repeated: true},
		"droppedAttributesCount": {tag: scopeDropped, kind: jsonUint32},
	}.spelled()
	resource := jsonFields{
		"attributes":             {tag: resourceAttribute, fields: keyValue, repeated: true},
		"droppedAttributesCount": {tag: resourceDropped, kind: jsonUint32},
	}.spelled()
	scopeLogs := jsonFields{
		"scope": {tag: scopeLogsScope, fields: scope}, "logRecords": {tag: scopeLogsRecord, fields: record, repeated: true},
		"schemaUrl": {tag: scopeLogsSchemaURL, kind: jsonString},
	}.spelled()
	resourceLogs := jsonFields{
		"resource": {tag: resourceLogsResource, fields: resource}, "scopeLogs": {tag: resourceLogsScopeLogs, fields: scopeLogs, repeated: true},
		"schemaUrl": {tag: resourceLogsSchemaURL, kind: jsonString},
	}.spelled()
	return jsonFields{"resourceLogs": {tag: requestResourceLogs, fields: resourceLogs, repeated: true}}.spelled()
}()

// maxJSONNesting bounds the messages in each other. It is beyond what the decoder accepts of values in each other.
const maxJSONNesting = 4 * maxNesting

// jsonError is what is wrong with a value, and its path from the inside out.
type jsonError struct {
	path    []string
	problem string
}

// in adds the name of what has the value.
func (e *jsonError) in(name string) *jsonError {
	e.path = append(e.path, name)
	return e
}

// appendOTLP appends an OTLP request in JSON as protobuf, which never takes more bytes. The error is the status for the client.
func appendOTLP(dst, data []byte) ([]byte, error) {
	if !utf8.Valid(data) {
		return dst, statusMalformed("the request is not valid UTF-8, and so it is no JSON")
	}
	if !json.Valid(data) {
		var raw json.RawMessage
		err := json.Unmarshal(data, &raw)
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			return dst, statusMalformed(fmt.Sprintf("the request is not valid JSON: %v, at byte %d", err, syntax.Offset))
		}
		return dst, statusMalformed(fmt.Sprintf("the request is not valid JSON: %v", err))
	}
	c := otlpJSON{data: data, out: dst}
	if err := c.message(otlpJSONRequest, 0); err != nil {
		slices.Reverse(err.path)
		path := strings.TrimPrefix(strings.Join(err.path, ""), ".")
		if len(path) > maxKeyBytes {
			path = path[:maxKeyBytes] + "..."
		}
		return dst, statusInvalid("MALFORMED", violation{path, err.problem})
	}
	return c.out, nil
}

// otlpJSON reads valid JSON.
type otlpJSON struct {
	data []byte
	at   int
	out  []byte
}

// peek returns the first byte of what comes next, and 0 at the end.
func (c *otlpJSON) peek() byte {
	for c.at < len(c.data) {
		if b := c.data[c.at]; b != ' ' && b != '\n' && b != '\t' && b != '\r' {
			return b
		}
		c.at++
	}
	return 0
}

// each calls do before each element of an array or member of an object, which ends with the byte end.
func (c *otlpJSON) each(end byte, do func() *jsonError) *jsonError {
	for c.at++; c.peek() != end; {
		if c.data[c.at] == ',' {
			c.at++
			c.peek()
		}
		if err := do(); err != nil {
			return err
		}
	}
	c.at++
	return nil
}

// raw returns the next string, with its quotes, or the next number, true, false or null.
func (c *otlpJSON) raw() []byte {
	c.peek()
	begin := c.at
	if c.data[c.at] != '"' {
		for c.at < len(c.data) && !bytes.ContainsRune([]byte(",]} \n\t\r"), rune(c.data[c.at])) {
			c.at++
		}
		return c.data[begin:c.at]
	}
	for c.at++; c.data[c.at] != '"'; c.at++ {
		if c.data[c.at] == '\\' {
			c.at++
		}
	}
	c.at++
	return c.data[begin:c.at]
}

// skip passes the next value over.
func (c *otlpJSON) skip() {
	for depth := 0; ; {
		switch c.peek() {
		case '{', '[':
			depth++
			c.at++
		case '}', ']':
			depth--
			c.at++
		case ',', ':':
			c.at++
			continue
		default:
			c.raw()
		}
		if depth == 0 {
			return
		}
	}
}

// null reports whether null is next, and passes it over.
func (c *otlpJSON) null() bool {
	if c.peek() != 'n' {
		return false
	}
	c.raw()
	return true
}

// message appends the fields of a message.
func (c *otlpJSON) message(fields jsonFields, depth int) *jsonError {
	if c.null() {
		return nil
	}
	if c.peek() != '{' {
		return &jsonError{problem: "it must be an object"}
	}
	if depth > maxJSONNesting {
		return &jsonError{problem: "it is nested too deep"}
	}
	return c.each('}', func() *jsonError {
		name := string(unquoted(c.raw()))
		c.peek()
		c.at++ // the colon
		f := fields[name]
		switch {
		case f == nil:
			c.skip()
			return nil
		case c.null():
			return nil
		case !f.repeated:
			if err := c.value(f, depth); err != nil {
				return err.in("." + name)
			}
			return nil
		case c.peek() != '[':
			return (&jsonError{problem: "it must be an array"}).in("." + name)
		}
		i := -1
		err := c.each(']', func() *jsonError {
			i++
			return c.value(f, depth)
		})
		if err != nil {
			return err.in("[" + strconv.Itoa(i) + "]").in("." + name)
		}
		return nil
	})
}

// value appends a field with the next value.
func (c *otlpJSON) value(f *jsonField, depth int) *jsonError {
	c.out = protowire.AppendVarint(c.out, f.tag)
	if f.kind == jsonMessage {
		c.out = append(c.out, 0) // a length below 128
		begin := len(c.out)
		err := c.message(f.fields, depth+1)
		if length := len(c.out) - begin; length < 0x80 {
			c.out[begin-1] = byte(length)
		} else {
			more := protowire.SizeVarint(uint64(length)) - 1
			c.out = append(c.out, make([]byte, more)...)
			copy(c.out[begin+more:], c.out[begin:begin+length])
			binary.PutUvarint(c.out[begin-1:], uint64(length))
		}
		return err
	}
	if next := c.peek(); next == '{' || next == '[' {
		return &jsonError{problem: "it must be " + jsonForms[f.kind]}
	}
	raw := c.raw()
	if !c.scalar(f.kind, raw) {
		return &jsonError{problem: "it must be " + jsonForms[f.kind]}
	}
	return nil
}

// jsonForms describe what is accepted.
var jsonForms = [...]string{
	jsonString: "a string", jsonBytes: "a string in base64", jsonID: "a string in hexadecimal", jsonBool: "true or false",
	jsonInt32: "a whole number of 32 bits", jsonInt64: "a whole number of 64 bits, or one in a string",
	jsonUint32: "a whole number from 0 to 4294967295", jsonFixed32: "a whole number from 0 to 4294967295",
	jsonFixed64: "a whole number from 0 to 18446744073709551615, or one in a string",
	jsonDouble:  `a number, or "NaN", "Infinity" or "-Infinity"`,
}

// scalar appends a scalar value. It reports false for one that is not of its kind.
func (c *otlpJSON) scalar(kind jsonKind, raw []byte) bool {
	quoted := raw[0] == '"'
	if kind == jsonBool {
		c.out = protowire.AppendVarint(c.out, protowire.EncodeBool(raw[0] == 't'))
		return raw[0] == 't' || raw[0] == 'f'
	}
	var s string
	if quoted {
		s = textOf(unquoted(raw))
	} else if s = textOf(raw); kind <= jsonID || raw[0] == 't' || raw[0] == 'f' {
		return false
	}
	switch kind {
	case jsonString:
		c.out = protowire.AppendString(c.out, s)
	case jsonBytes:
		b, err := decodeBase64(s)
		c.out = protowire.AppendBytes(c.out, b)
		return err == nil
	case jsonID:
		id, err := hex.DecodeString(s)
		if err != nil {
			id = []byte{0} // too short: this record is refused, and the others are not
		}
		c.out = protowire.AppendBytes(c.out, id)
	case jsonInt32, jsonInt64:
		n, err := strconv.ParseInt(s, 10, map[jsonKind]int{jsonInt32: 32, jsonInt64: 64}[kind])
		c.out = protowire.AppendVarint(c.out, uint64(n))
		return err == nil
	case jsonUint32:
		n, err := strconv.ParseUint(s, 10, 32)
		c.out = protowire.AppendVarint(c.out, n)
		return err == nil
	case jsonFixed32:
		n, err := strconv.ParseUint(s, 10, 32)
		c.out = protowire.AppendFixed32(c.out, uint32(n))
		return err == nil
	case jsonFixed64:
		n, err := strconv.ParseUint(s, 10, 64)
		c.out = protowire.AppendFixed64(c.out, n)
		return err == nil
	case jsonDouble:
		x, ok := parseJSONDouble(s, quoted)
		c.out = protowire.AppendFixed64(c.out, math.Float64bits(x))
		return ok
	}
	return true
}

func parseJSONDouble(s string, quoted bool) (x float64, ok bool) {
	switch s {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	if quoted && !json.Valid([]byte(s)) { // ParseFloat knows more forms
		return 0, false
	}
	x, err := strconv.ParseFloat(s, 64)
	return x, err == nil
}

// decodeBase64 accepts both alphabets, with and without padding, as protobuf does.
func decodeBase64(s string) ([]byte, error) {
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.RawURLEncoding
	}
	return encoding.DecodeString(strings.TrimRight(s, "="))
}

// unquoted returns the text of a string in JSON.
func unquoted(raw []byte) []byte {
	inner := raw[1 : len(raw)-1]
	if !bytes.Contains(inner, []byte{'\\'}) {
		return inner
	}
	var s string
	_ = json.Unmarshal(raw, &s) // it is valid
	return []byte(s)
}
