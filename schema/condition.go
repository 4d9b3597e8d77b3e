package schema

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// operator is what a condition asks of a value.
type operator uint8

const (
	opEquals operator = iota
	opNotEquals
	opIn
	opContains
	opStartsWith
	opEndsWith
	opGreaterThan
	opLessThan
	opGreaterThanOrEquals
	opLessThanOrEquals
	opMatches
	opExists
	opDoesNotExist
)

// operatorNames are the operators as the configuration writes them.
var operatorNames = []string{
	opEquals:              "equals",
	opNotEquals:           "notEquals",
	opIn:                  "in",
	opContains:            "contains",
	opStartsWith:          "startsWith",
	opEndsWith:            "endsWith",
	opGreaterThan:         "greaterThan",
	opLessThan:            "lessThan",
	opGreaterThanOrEquals: "greaterThanOrEquals",
	opLessThanOrEquals:    "lessThanOrEquals",
	opMatches:             "matches",
	opExists:              "exists",
	opDoesNotExist:        "doesNotExist",
}

// String returns the operator's name.
func (o operator) String() string { return operatorNames[o] }

// valueType is the type that a value must have for a condition to hold.
type valueType uint8

const (
	// anyValue is the type of exists and doesNotExist, which look at no value.
	anyValue valueType = iota
	textValue
	intValue
	doubleValue
	boolValue
	timeValue
)

var valueTypeNames = [...]string{"any", "string", "int", "float", "bool", "time"}

// String returns the type's name as messages write it.
func (t valueType) String() string { return valueTypeNames[t] }

// attributeTypes are the attribute types that conditions of a value type read.
var attributeTypes = [...]AttributeType{textValue: String, intValue: Int, doubleValue: Double, boolValue: Bool}

// fieldType returns the type of an own field's value; anyValue for an attribute, whose type
// is that of each condition's literal. False for what a filter can't read.
func fieldType(field Field) (valueType, bool) {
	switch {
	case field.IsAttribute():
		return anyValue, true
	case field == NoField || field > FieldColo:
		return anyValue, false
	}
	switch field.Type() {
	case Time:
		return timeValue, true
	case Int:
		return intValue, true
	}
	return textValue, true
}

// applies tells whether the operator can be asked of values of the type.
func (o operator) applies(t valueType) bool {
	switch o {
	case opContains, opStartsWith, opEndsWith, opMatches:
		return t == textValue
	case opGreaterThan, opLessThan, opGreaterThanOrEquals, opLessThanOrEquals:
		return t == intValue || t == doubleValue || t == timeValue
	}
	return true
}

// operatorsOf returns the operators that apply to values of the type, for messages.
func operatorsOf(t valueType) string {
	var names []string
	for o, name := range operatorNames {
		if operator(o).applies(t) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// setThreshold is the number of literals from which `in` looks a value up in a map
// instead of comparing it with each.
const setThreshold = 8

// condition is one operator on one field, compiled. Its literals are in texts, integers (times in
// nanoseconds, and bools as 0 and 1 too) or doubles, by its type.
type condition struct {
	source   Source
	operator operator
	value    valueType
	texts    []string
	integers []int64
	doubles  []float64
	// textSet and integerSet have the literals of a long `in`.
	textSet    map[string]struct{}
	integerSet map[int64]struct{}
	pattern    *regexp.Regexp
}

// match tells whether the condition holds for the entry.
func (c *condition) match(e *Entry) bool {
	switch field := c.source.Field; {
	case field.IsAttribute():
		return c.matchAttribute(c.source.Attribute(e))
	case field.Type() == String:
		return c.matchText(e.Text(field))
	default:
		return c.matchInteger(e.Integer(field))
	}
}

// matchAttribute tells whether the condition holds for an attribute, nil if it is absent.
func (c *condition) matchAttribute(a *Attribute) bool {
	switch {
	case a == nil:
		return c.operator == opDoesNotExist
	case c.value == anyValue:
		return c.operator == opExists
	case a.Type != attributeTypes[c.value]:
		return false
	}
	switch c.value {
	case textValue:
		return c.matchText(a.Text)
	case doubleValue:
		return c.matchDouble(a.AsDouble())
	case boolValue:
		if a.AsBool() {
			return c.matchInteger(1)
		}
		return c.matchInteger(0)
	}
	return c.matchInteger(a.AsInt())
}

// matchText tells whether the condition holds for a text. For one of the entry's own fields,
// "" is absence to exists and doesNotExist, and a value to all others.
func (c *condition) matchText(text string) bool {
	switch c.operator {
	case opEquals:
		return text == c.texts[0]
	case opNotEquals:
		return text != c.texts[0]
	case opIn:
		if c.textSet != nil {
			_, found := c.textSet[text]
			return found
		}
		return slices.Contains(c.texts, text)
	case opContains:
		return strings.Contains(text, c.texts[0])
	case opStartsWith:
		return strings.HasPrefix(text, c.texts[0])
	case opEndsWith:
		return strings.HasSuffix(text, c.texts[0])
	case opMatches:
		return c.pattern.MatchString(text)
	case opExists:
		return text != ""
	case opDoesNotExist:
		return text == ""
	}
	return false
}

// matchInteger tells whether the condition holds for an integer, a time or a bool. Absence
// is as in matchText.
func (c *condition) matchInteger(n int64) bool {
	switch c.operator {
	case opExists:
		return n != 0
	case opDoesNotExist:
		return n == 0
	case opIn:
		if c.integerSet != nil {
			_, found := c.integerSet[n]
			return found
		}
		return slices.Contains(c.integers, n)
	}
	return compare(c.operator, n, c.integers[0])
}

// matchDouble tells whether the condition holds for a double. NaN is as IEEE 754 has it:
// it equals nothing, differs from everything and is neither greater nor less.
func (c *condition) matchDouble(x float64) bool {
	if c.operator == opIn {
		return slices.Contains(c.doubles, x)
	}
	return compare(c.operator, x, c.doubles[0])
}

// compare applies one of the six comparing operators.
func compare[T int64 | float64](o operator, value, literal T) bool {
	switch o {
	case opEquals:
		return value == literal
	case opNotEquals:
		return value != literal
	case opGreaterThan:
		return value > literal
	case opLessThan:
		return value < literal
	case opGreaterThanOrEquals:
		return value >= literal
	case opLessThanOrEquals:
		return value <= literal
	}
	return false
}

// cost ranks conditions by what they cost, so that the cheap ones are asked first.
func (c *condition) cost() int {
	cost := 1
	if c.value == textValue {
		cost = 2
	}
	switch c.operator {
	case opContains:
		cost = 10
	case opMatches:
		cost = 100
	}
	switch field := c.source.Field; {
	case field.IsAttribute():
		cost += 4
	case field == FieldBody:
		cost++
	}
	return cost
}

// appendText appends the condition as the configuration writes it.
func (c *condition) appendText(dst []byte) []byte {
	dst = appendScalar(dst, c.source.shortString())
	dst = append(dst, ": {"...)
	dst = append(dst, c.operator.String()...)
	dst = append(dst, ": "...)
	dst = c.appendLiterals(dst)
	return append(dst, '}')
}

// appendLiterals appends what the operator compares with, in YAML.
func (c *condition) appendLiterals(dst []byte) []byte {
	if c.value == anyValue || c.operator == opExists || c.operator == opDoesNotExist {
		return append(dst, "true"...)
	}
	if c.operator != opIn {
		return c.appendLiteral(dst, 0)
	}
	dst = append(dst, '[')
	for i := range max(len(c.texts), len(c.integers), len(c.doubles)) {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = c.appendLiteral(dst, i)
	}
	return append(dst, ']')
}

// appendLiteral appends one literal, so that YAML reads it with the same type again.
func (c *condition) appendLiteral(dst []byte, i int) []byte {
	switch c.value {
	case textValue:
		return appendQuoted(dst, c.texts[i])
	case doubleValue:
		return appendDouble(dst, c.doubles[i])
	case boolValue:
		return strconv.AppendBool(dst, c.integers[i] != 0)
	case timeValue:
		return appendQuoted(dst, time.Unix(0, c.integers[i]).UTC().Format(time.RFC3339Nano))
	}
	return strconv.AppendInt(dst, c.integers[i], 10)
}

// appendDouble appends a double that YAML reads as one: with a point or an exponent.
func appendDouble(dst []byte, x float64) []byte {
	if math.IsInf(x, 0) {
		if x < 0 {
			dst = append(dst, '-')
		}
		return append(dst, ".inf"...)
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, x, 'f', -1, 64)
	if !slices.Contains(dst[from:], '.') {
		dst = append(dst, ".0"...)
	}
	return dst
}

// shortString is String with the dotted form where the key allows it.
func (s Source) shortString() string {
	if s.Key == "" {
		return s.String()
	}
	for _, r := range s.Key {
		if !isKeyRune(r) {
			return s.String()
		}
	}
	for _, keyed := range keyedFields {
		if keyed.field == s.Field {
			return keyed.prefix + "." + s.Key
		}
	}
	return s.String()
}

// isKeyRune tells whether a key with the rune may stand in YAML without quotes.
func isKeyRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.'
}

// appendScalar appends a map key, quoted where it must be.
func appendScalar(dst []byte, text string) []byte {
	for _, r := range text {
		if !isKeyRune(r) {
			return appendQuoted(dst, text)
		}
	}
	return append(dst, text...)
}

const hexDigits = "0123456789abcdef"

// QuoteYAML returns the text as a double-quoted YAML string.
func QuoteYAML(text string) string { return string(appendQuoted(nil, text)) }

// appendQuoted appends a double-quoted YAML string.
func appendQuoted(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			dst = append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
