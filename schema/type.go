package schema

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// EnumValue is one element of an Enum8 or Enum16.
type EnumValue struct {
	Name  string
	Value int16
}

// Type is a ClickHouse type, parsed.
type Type struct {
	// Kind is the type inside LowCardinality and Nullable.
	Kind Kind
	// LowCardinality and Nullable are its wrappers; LowCardinality(Nullable(String)) has both.
	LowCardinality, Nullable bool
	// Length is the length of a FixedString, in bytes.
	Length int
	// Precision is the precision of a DateTime64, 0 to 9 decimal digits of a second.
	Precision int
	// Zone is the time zone of a DateTime or DateTime64. Empty: the server's.
	Zone string
	// Enum has the elements of an Enum, sorted by value.
	Enum []EnumValue
	// Element is the type of an Array's elements, Key and Value are those of a Map.
	Element, Key, Value *Type
}

// supportedTypes is the list for errors.
const supportedTypes = "supported are String, FixedString(N), Int8 to Int64, UInt8 to UInt64, Float32, Float64, " +
	"Bool, Date, DateTime, DateTime64(0 to 9), UUID, IPv4, IPv6, Enum8, Enum16, Nullable of these, " +
	"LowCardinality(String), LowCardinality(Nullable(String)), Array(String), " +
	"Map(String, String) and Map(LowCardinality(String), String)"

// maxFixedString bounds the length of a FixedString. ClickHouse allows more, but every row takes all of it.
const maxFixedString = 64 << 10

// String returns the type as system.columns spells it.
func (t Type) String() string {
	text := t.bare()
	if t.Nullable {
		text = "Nullable(" + text + ")"
	}
	if t.LowCardinality {
		text = "LowCardinality(" + text + ")"
	}
	return text
}

// bare returns the type without LowCardinality and Nullable.
func (t Type) bare() string {
	name := t.Kind.String()
	switch t.Kind {
	case KindFixedString:
		return name + "(" + strconv.Itoa(t.Length) + ")"
	case KindDateTime:
		if t.Zone != "" {
			return name + "(" + QuoteString(t.Zone) + ")"
		}
	case KindDateTime64:
		if t.Zone != "" {
			return name + "(" + strconv.Itoa(t.Precision) + ", " + QuoteString(t.Zone) + ")"
		}
		return name + "(" + strconv.Itoa(t.Precision) + ")"
	case KindEnum8, KindEnum16:
		elements := make([]string, len(t.Enum))
		for i, e := range t.Enum {
			elements[i] = QuoteString(e.Name) + " = " + strconv.Itoa(int(e.Value))
		}
		return name + "(" + strings.Join(elements, ", ") + ")"
	case KindArray:
		return name + "(" + nested(t.Element) + ")"
	case KindMap:
		return name + "(" + nested(t.Key) + ", " + nested(t.Value) + ")"
	}
	return name
}

func nested(t *Type) string {
	if t == nil {
		return ""
	}
	return t.String()
}

// Validate returns why a column can't have the type, or nil. The types that ParseType returns are valid.
func (t Type) Validate() error {
	if err := t.validateWrappers(); err != nil {
		return err
	}
	switch t.Kind {
	case KindFixedString:
		if t.Length < 1 || t.Length > maxFixedString {
			return fmt.Errorf("FixedString's length is %d; it has to be 1 to %d", t.Length, maxFixedString)
		}
	case KindDateTime64:
		if t.Precision < 0 || t.Precision > 9 {
			return fmt.Errorf("DateTime64's precision is %d; it has to be 0 to 9", t.Precision)
		}
		return validateZone(t.Zone)
	case KindDateTime:
		return validateZone(t.Zone)
	case KindEnum8, KindEnum16:
		return t.validateEnum()
	case KindArray:
		if nested(t.Element) != "String" {
			return fmt.Errorf("Array(%s) is not supported; %s", nested(t.Element), supportedTypes)
		}
	case KindMap:
		key := nested(t.Key)
		if key != "String" && key != "LowCardinality(String)" || nested(t.Value) != "String" {
			return fmt.Errorf("%s is not supported; %s", t.bare(), supportedTypes)
		}
	}
	return nil
}

func (t Type) validateWrappers() error {
	switch {
	case t.Kind < KindString || t.Kind > KindMap:
		return fmt.Errorf("unknown type; %s", supportedTypes)
	case t.LowCardinality && t.Kind != KindString:
		return fmt.Errorf("LowCardinality of %s is not supported; %s", t.Kind, supportedTypes)
	case t.Nullable && (t.Kind == KindArray || t.Kind == KindMap):
		return fmt.Errorf("a Nullable of %s does not exist; %s", t.Kind, supportedTypes)
	}
	return nil
}

func validateZone(zone string) error {
	if zone == "" {
		return nil
	}
	// To Go, "Local" is the machine's zone.
	if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
		return fmt.Errorf("unknown time zone %q; write a name of the IANA database, such as 'UTC' or 'Europe/Berlin'", zone)
	}
	return nil
}

func (t Type) validateEnum() error {
	low, high := t.Kind.Range()
	if len(t.Enum) == 0 {
		return fmt.Errorf("%s has no elements; write %s('name' = 1, …)", t.Kind, t.Kind)
	}
	names := make(map[string]bool, len(t.Enum))
	for i, e := range t.Enum {
		switch {
		case int64(e.Value) < low || int64(e.Value) > int64(high):
			return fmt.Errorf("%s's element %q has value %d; values have to be %d to %d", t.Kind, e.Name, e.Value, low, high)
		case names[e.Name]:
			return fmt.Errorf("%s has the element %q twice", t.Kind, e.Name)
		case i > 0 && t.Enum[i-1].Value == e.Value:
			return fmt.Errorf("%s has the value %d twice", t.Kind, e.Value)
		case i > 0 && t.Enum[i-1].Value > e.Value:
			return fmt.Errorf("%s's elements are not in the order of their values", t.Kind)
		}
		names[e.Name] = true
	}
	return nil
}
