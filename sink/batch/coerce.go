package batch

import (
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// coercion turns a value into what a column stores.
type coercion struct {
	// rule describes it in the words of docs/coercions.md, where it is one cell of the table.
	rule string
	// apply sets the fields of out, which is clear, that the column's type reads. Any result but NoReason
	// is why the column can't hold the value; out is then undefined.
	apply func(t *target, in *schema.Attribute, out *value) schema.Reason
}

// target describes a column to its coercions.
type target struct {
	schema.Type
	// low and high bound the integer types.
	low  int64
	high uint64
	// tick is the value of DateTime64's last digit in nanoseconds.
	tick int64
	// location is the zone of DateTime and DateTime64. For Date it is the server's.
	location *time.Location
	// elements are the Enum's values by name.
	elements map[string]int16
}

var integerCoercions = [valueTypes]coercion{
	schema.String: {"parsed as a whole number", textToInteger},
	schema.Int:    {"in range", intToInteger},
	schema.Double: {"whole and in range", doubleToInteger},
	schema.Bool:   {"0 or 1", boolToInteger},
}

// longCoercions are those of the integers that can hold a time.
var longCoercions = func() [valueTypes]coercion {
	long := integerCoercions
	long[schema.Time] = coercion{"Unix nanoseconds", intToInteger}
	return long
}()

var floatCoercions = [valueTypes]coercion{
	schema.String: {"parsed as a number", textToFloat},
	schema.Int:    {"where exact", intToFloat},
	schema.Double: {"nearest", doubleToFloat},
}

var enumCoercions = [valueTypes]coercion{
	schema.String: {"by name", textToEnum},
	schema.Int:    {"by value", intToEnum},
}

// coercions is indexed by the type of a column and the type of a value. An empty cell is a type mismatch. LowCardinality
// and Nullable make no difference. A test compares the table with docs/coercions.md.
var coercions = [schema.KindMap + 1][valueTypes]coercion{
	schema.KindString: {
		schema.String: {"unchanged", toText},
		schema.Int:    {"decimal digits", toText},
		schema.Double: {"shortest decimal form", toText},
		schema.Bool:   {"`true` or `false`", toText},
		schema.Bytes:  {"unchanged", toText},
		schema.JSON:   {"unchanged", toText},
		schema.Time:   {"RFC 3339 in UTC", toText},
	},
	schema.KindFixedString: {
		schema.String: {"padded with zero bytes", toFixedString},
		schema.Bytes:  {"padded with zero bytes", toFixedString},
	},
	schema.KindInt8:    integerCoercions,
	schema.KindInt16:   integerCoercions,
	schema.KindInt32:   integerCoercions,
	schema.KindInt64:   longCoercions,
	schema.KindUInt8:   integerCoercions,
	schema.KindUInt16:  integerCoercions,
	schema.KindUInt32:  integerCoercions,
	schema.KindUInt64:  longCoercions,
	schema.KindFloat32: floatCoercions,
	schema.KindFloat64: floatCoercions,
	schema.KindBool: {
		schema.String: {"`true`, `false`, `1` or `0`", textToBool},
		schema.Int:    {"0 or 1 only", intToBool},
		schema.Bool:   {"as it is", boolToInteger},
	},
	schema.KindDate: {
		schema.String: {"`YYYY-MM-DD`, `YYYY-MM-DD hh:mm:ss` or RFC 3339", textToDate},
		schema.Time:   {"day in the server's zone", timeToDate},
	},
	schema.KindDateTime: {
		schema.String: {"RFC 3339 or `YYYY-MM-DD hh:mm:ss`", textToDateTime},
		schema.Int:    {"as Unix seconds", intToDateTime},
		schema.Time:   {"whole seconds", timeToDateTime},
	},
	schema.KindDateTime64: {
		schema.String: {"RFC 3339 or `YYYY-MM-DD hh:mm:ss`, with a fraction", textToDateTime64},
		schema.Int:    {"as Unix nanoseconds", timeToDateTime64},
		schema.Time:   {"to its precision", timeToDateTime64},
	},
	schema.KindUUID: {
		schema.String: {"36 or 32 characters", textToUUID},
		schema.Bytes:  {"16 bytes", bytesToUUID},
	},
	schema.KindIPv4: {
		schema.String: {"address", textToIPv4},
		schema.Bytes:  {"4 bytes", bytesToIPv4},
	},
	schema.KindIPv6: {
		schema.String: {"address, IPv4 mapped", textToIPv6},
		schema.Bytes:  {"16 or 4 bytes", bytesToIPv6},
	},
	schema.KindEnum8:  enumCoercions,
	schema.KindEnum16: enumCoercions,
	schema.KindArray: {
		schema.String: {"one element", toElement},
		schema.Int:    {"one element, its text", toElement},
		schema.Double: {"one element, its text", toElement},
		schema.Bool:   {"one element, its text", toElement},
		schema.Bytes:  {"one element", toElement},
		schema.JSON:   {"array of strings, numbers, booleans", jsonToArray},
		schema.Time:   {"one element, its text", toElement},
	},
	// A Map is filled from all attributes, never from one value.
	schema.KindMap: {},
}
