package schema

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
)

// The operators without a literal.
const (
	opExists       = "exists"
	opDoesNotExist = "doesNotExist"
)

var (
	everyType    = []AttributeType{String, Int, Double, Bool, Time}
	textTypes    = []AttributeType{String}
	orderedTypes = []AttributeType{Int, Double, Time}
)

// operators has the types that each operator applies to.
var operators = map[string][]AttributeType{
	"equals": everyType, "notEquals": everyType, "in": everyType,
	"contains": textTypes, "startsWith": textTypes, "endsWith": textTypes, "matches": textTypes,
	"greaterThan": orderedTypes, "lessThan": orderedTypes, "greaterThanOrEquals": orderedTypes, "lessThanOrEquals": orderedTypes,
	opExists: everyType, opDoesNotExist: everyType,
}

// untyped is the literal type of a condition without literals.
const untyped = AttributeType(math.MaxUint8)

// condition is one operator on one field, compiled.
type condition struct {
	source   Source
	operator string
	// literals are the values to compare with, all of literalType.
	literals    []Attribute
	literalType AttributeType
	// text is the condition as JSON.
	text string
	// The test for values of literalType. Bools are the integers 0 and 1, times are nanoseconds.
	ofText    func(string) bool
	ofInteger func(int64) bool
	ofDouble  func(float64) bool
}

// compile sets the test. It returns an error for an invalid pattern.
func (c *condition) compile() (err error) {
	switch {
	case c.operator == opExists:
		c.ofText = func(text string) bool { return text != "" }
		c.ofInteger = func(n int64) bool { return n != 0 }
	case c.operator == opDoesNotExist:
		c.ofText = func(text string) bool { return text == "" }
		c.ofInteger = func(n int64) bool { return n == 0 }
	case c.literalType == String:
		c.ofText, err = textTest(c.operator, valuesOf(c.literals, func(a *Attribute) string { return a.Text }))
	case c.literalType == Double:
		c.ofDouble = test(c.operator, valuesOf(c.literals, (*Attribute).AsDouble))
	default:
		c.ofInteger = test(c.operator, valuesOf(c.literals, (*Attribute).AsInt))
	}
	return err
}

func valuesOf[T any](attributes []Attribute, value func(*Attribute) T) []T {
	values := make([]T, len(attributes))
	for i := range attributes {
		values[i] = value(&attributes[i])
	}
	return values
}

// textTest returns the test for texts.
func textTest(operator string, literals []string) (func(string) bool, error) {
	literal := literals[0]
	switch operator {
	case "contains":
		return func(text string) bool { return strings.Contains(text, literal) }, nil
	case "startsWith":
		return func(text string) bool { return strings.HasPrefix(text, literal) }, nil
	case "endsWith":
		return func(text string) bool { return strings.HasSuffix(text, literal) }, nil
	case "matches":
		pattern, err := regexp.Compile(literal)
		if err != nil {
			return nil, err
		}
		return pattern.MatchString, nil
	}
	return test(operator, literals), nil
}

// setThreshold is the number of literals from which `in` uses a map instead of comparing with each literal.
const setThreshold = 8

// test returns the test of a comparison. NaN equals nothing, differs from everything, and is neither greater nor less.
func test[T cmp.Ordered](operator string, literals []T) func(T) bool {
	literal := literals[0]
	switch operator {
	case "equals":
		return func(value T) bool { return value == literal }
	case "notEquals":
		return func(value T) bool { return value != literal }
	case "greaterThan":
		return func(value T) bool { return value > literal }
	case "lessThan":
		return func(value T) bool { return value < literal }
	case "greaterThanOrEquals":
		return func(value T) bool { return value >= literal }
	case "lessThanOrEquals":
		return func(value T) bool { return value <= literal }
	}
	if len(literals) < setThreshold {
		return func(value T) bool { return slices.Contains(literals, value) }
	}
	set := make(map[T]struct{}, len(literals))
	for _, literal := range literals {
		set[literal] = struct{}{}
	}
	return func(value T) bool {
		_, found := set[value]
		return found
	}
}

// match reports whether the condition holds for the entry.
func (c *condition) match(e *Entry) bool {
	switch field := c.source.Field; {
	case field.IsAttribute():
		return c.matchAttribute(c.source.Attribute(e))
	case field.Type() == String:
		return c.ofText(e.Text(field))
	default:
		return c.ofInteger(e.Integer(field))
	}
}

// matchAttribute reports whether the condition holds for an attribute, nil if it is absent.
func (c *condition) matchAttribute(a *Attribute) bool {
	switch {
	case a == nil:
		return c.operator == opDoesNotExist
	case c.literalType == untyped:
		return c.operator == opExists
	case a.Type != c.literalType:
		return false
	case a.Type == String:
		return c.ofText(a.Text)
	case a.Type == Double:
		return c.ofDouble(a.AsDouble())
	}
	return c.ofInteger(a.AsInt())
}

// isEquality reports whether the operator compares for equality.
func (c *condition) isEquality() bool {
	return c.operator == "notEquals" || c.operator == "equals" || c.operator == "in"
}

// selects reports whether the condition holds only for certain strings or ints, by which a Matcher can find it.
func (c *condition) selects() bool {
	return c.isEquality() && c.operator != "notEquals" && (c.literalType == String || c.literalType == Int)
}

// cost ranks conditions, so that the cheap ones are evaluated first.
func (c *condition) cost() int {
	cost := 1
	switch c.operator {
	case "contains":
		cost = 10
	case "matches":
		cost = 100
	}
	switch field := c.source.Field; {
	case field.IsAttribute():
		cost += 5
	case field == FieldBody:
		cost += 2
	case field.Type() == String:
		cost++
	}
	return cost
}
