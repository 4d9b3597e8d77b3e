package schema

import (
	"fmt"
	"math"
	"slices"
)

// Kind is a ClickHouse type without its arguments and wrappers.
type Kind uint8

// The kinds that columns can have.
const (
	KindString Kind = iota + 1
	KindFixedString
	KindInt8
	KindInt16
	KindInt32
	KindInt64
	KindUInt8
	KindUInt16
	KindUInt32
	KindUInt64
	KindFloat32
	KindFloat64
	KindBool
	KindDate
	KindDateTime
	KindDateTime64
	KindUUID
	KindIPv4
	KindIPv6
	KindEnum8
	KindEnum16
	KindArray
	KindMap
)

// kindRow describes a kind.
type kindRow struct {
	name string
	// least and most bound the number of arguments.
	least, most int
	// size is the size of a value in bytes, 0 where it varies.
	size int
	// low and high bound the values of integers and Enums.
	low  int64
	high uint64
	// limits describes the range, in messages, of kinds without low and high.
	limits string
	// wider are the kinds that hold all values of this one.
	wider []Kind
}

// manyArguments is the bound for kinds without one.
const manyArguments = 1 << 16

// kinds is the table of the kinds. A new one is a row here and its coercions in package batch.
var kinds = [...]kindRow{
	KindString:      {name: "String"},
	KindFixedString: {name: "FixedString", least: 1, most: 1},
	KindInt8: {name: "Int8", size: 1, low: math.MinInt8, high: math.MaxInt8,
		wider: []Kind{KindInt16, KindInt32, KindInt64}},
	KindInt16: {name: "Int16", size: 2, low: math.MinInt16, high: math.MaxInt16,
		wider: []Kind{KindInt32, KindInt64}},
	KindInt32: {name: "Int32", size: 4, low: math.MinInt32, high: math.MaxInt32,
		wider: []Kind{KindInt64}},
	KindInt64: {name: "Int64", size: 8, low: math.MinInt64, high: math.MaxInt64},
	KindUInt8: {name: "UInt8", size: 1, high: math.MaxUint8,
		wider: []Kind{KindUInt16, KindUInt32, KindUInt64, KindInt16, KindInt32, KindInt64}},
	KindUInt16: {name: "UInt16", size: 2, high: math.MaxUint16,
		wider: []Kind{KindUInt32, KindUInt64, KindInt32, KindInt64}},
	KindUInt32: {name: "UInt32", size: 4, high: math.MaxUint32,
		wider: []Kind{KindUInt64, KindInt64}},
	KindUInt64: {name: "UInt64", size: 8, high: math.MaxUint64},
	KindFloat32: {name: "Float32", size: 4, wider: []Kind{KindFloat64},
		limits: fmt.Sprintf("at most ±%g, and exact where it is an integer", math.MaxFloat32)},
	KindFloat64: {name: "Float64", size: 8, limits: "finite, and exact where it is an integer"},
	KindBool:    {name: "Bool", size: 1, limits: "0 or 1"},
	KindDate:    {name: "Date", size: 2, limits: "1970-01-01 to 2149-06-06"},
	KindDateTime: {name: "DateTime", most: 1, size: 4, wider: []Kind{KindDateTime64},
		limits: "1970-01-01 00:00:00 to 2106-02-07 06:28:15 UTC"},
	KindDateTime64: {name: "DateTime64", most: 2, size: 8, limits: "1900-01-01 00:00:00 to 2299-12-31 23:59:59 UTC"},
	KindUUID:       {name: "UUID", size: 16},
	KindIPv4:       {name: "IPv4", size: 4},
	KindIPv6:       {name: "IPv6", size: 16},
	KindEnum8:      {name: "Enum8", least: 1, most: manyArguments, size: 1, low: math.MinInt8, high: math.MaxInt8},
	KindEnum16:     {name: "Enum16", least: 1, most: manyArguments, size: 2, low: math.MinInt16, high: math.MaxInt16},
	KindArray:      {name: "Array", least: 1, most: 1},
	KindMap:        {name: "Map", least: 2, most: 2},
}

// String returns the kind as ClickHouse spells it.
func (k Kind) String() string {
	if k > 0 && int(k) < len(kinds) {
		return kinds[k].name
	}
	return "unknown"
}

// Size returns the size of a value in bytes, 0 where it varies.
func (k Kind) Size() int { return kinds[k].size }

// Range returns the least and the greatest value of an integer kind or of an Enum.
func (k Kind) Range() (low int64, high uint64) { return kinds[k].low, kinds[k].high }

// IsEnum reports whether the kind is Enum8 or Enum16.
func (k Kind) IsEnum() bool { return k == KindEnum8 || k == KindEnum16 }

// IsTime reports whether the kind is Date, DateTime or DateTime64.
func (k Kind) IsTime() bool { return k == KindDate || k == KindDateTime || k == KindDateTime64 }

// widens reports whether the kind to holds all values of k.
func (k Kind) widens(to Kind) bool { return slices.Contains(kinds[k].wider, to) }

// Limits describes the range of the type, for messages.
func (t Type) Limits() string {
	row := &kinds[t.Kind]
	switch {
	case t.Kind == KindFixedString:
		return fmt.Sprintf("at most %d bytes", t.Length)
	case t.Kind == KindDateTime64 && t.Precision == 9:
		return "1900-01-01 00:00:00 to 2262-04-11 23:47:15 UTC"
	case t.Kind.IsEnum():
		return "an element of " + t.bare()
	case row.limits != "":
		return row.limits
	}
	return fmt.Sprintf("%d to %d", row.low, row.high)
}
