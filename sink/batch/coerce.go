package batch

import (
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// coercion turns a value into what a column stores.
type coercion struct {
	// rule says how, in the words of docs/coercions.md, where it is one cell of the table.
	rule string
	// apply fills in what the column's kind reads of out, which it was given clear. Any result but NoReason
	// says why the value can't be held, and out does not count.
	apply func(t *target, in *schema.Attribute, out *value) schema.Reason
}

// target is what a coercion needs to know of its column.
type target struct {
	kind schema.Kind
	// name is the type without its wrappers, for messages.
	name string
	// low and high bound the integer kinds; high of UInt64 is all ones.
	low  int64
	high uint64
	// length is FixedString's.
	length int
	// tick is the nanoseconds of DateTime64's last digit.
	tick int64
	// location is the zone of DateTime and DateTime64, and the server's for Date.
	location *time.Location
	// elements and values are the Enum's.
	elements map[string]int16
	values   map[int16]bool
	// limits says what is in range, for messages.
	limits string
}

// The coercions. What each one takes and refuses stands at its function.
var (
	unchanged   = coercion{"unchanged", toText}
	decimalText = coercion{"decimal digits", intToText}
	doubleText  = coercion{"shortest decimal form", doubleToText}
	boolText    = coercion{"`true` or `false`", boolToText}
	timeText    = coercion{"RFC 3339 in UTC", timeToText}
	padded      = coercion{"padded with zero bytes", toFixedString}

	textInteger   = coercion{"parsed as a whole number", textToInteger}
	intInteger    = coercion{"in range", intToInteger}
	doubleInteger = coercion{"whole and in range", doubleToInteger}
	boolInteger   = coercion{"0 or 1", boolToInteger}
	timeInteger   = coercion{"Unix nanoseconds", timeToInteger}

	textFloat   = coercion{"parsed as a number", textToFloat}
	intFloat    = coercion{"where exact", intToFloat}
	doubleFloat = coercion{"nearest", doubleToFloat}

	textBool = coercion{"`true`, `false`, `1` or `0`", textToBool}
	intBool  = coercion{"0 or 1 only", intToBool}
	boolBool = coercion{"as it is", boolToInteger}

	textDate       = coercion{"`YYYY-MM-DD`, `YYYY-MM-DD hh:mm:ss` or RFC 3339", textToDate}
	timeDate       = coercion{"day in the server's zone", timeToDate}
	textDateTime   = coercion{"RFC 3339 or `YYYY-MM-DD hh:mm:ss`", textToDateTime}
	intDateTime    = coercion{"as Unix seconds", intToDateTime}
	timeDateTime   = coercion{"whole seconds", timeToDateTime}
	textDateTime64 = coercion{"RFC 3339 or `YYYY-MM-DD hh:mm:ss`, with a fraction", textToDateTime64}
	timeDateTime64 = coercion{"to its precision", timeToDateTime64}
	intDateTime64  = coercion{"as Unix nanoseconds", timeToDateTime64}

	textUUID  = coercion{"36 or 32 characters", textToUUID}
	textIPv4  = coercion{"address", textToIPv4}
	textIPv6  = coercion{"address, IPv4 mapped", textToIPv6}
	bytesUUID = coercion{"16 bytes", bytesToUUID}
	bytesIPv4 = coercion{"4 bytes", bytesToIPv4}
	bytesIPv6 = coercion{"16 or 4 bytes", bytesToIPv6}

	textEnum = coercion{"by name", textToEnum}
	intEnum  = coercion{"by value", intToEnum}

	jsonArrayText = coercion{"array of strings, numbers, booleans", jsonToArray}
	oneText       = coercion{"one element", toText}
	oneInt        = coercion{"one element, its text", intToText}
	oneDouble     = coercion{"one element, its text", doubleToText}
	oneBool       = coercion{"one element, its text", boolToText}
	oneTime       = coercion{"one element, its text", timeToText}
)

// integerCoercions are those of all integer columns; those of 64 bits take times as well.
var integerCoercions = [valueTypes]coercion{
	ofString: textInteger, ofInt: intInteger, ofDouble: doubleInteger, ofBool: boolInteger,
}

var longCoercions = [valueTypes]coercion{
	ofString: textInteger, ofInt: intInteger, ofDouble: doubleInteger, ofBool: boolInteger, ofTime: timeInteger,
}

var floatCoercions = [valueTypes]coercion{ofString: textFloat, ofInt: intFloat, ofDouble: doubleFloat}

var enumCoercions = [valueTypes]coercion{ofString: textEnum, ofInt: intEnum}

// coercions says, for the kind of a column and the type of a value, how the one becomes the
// other. An empty cell is a type mismatch. LowCardinality and Nullable make no difference.
// docs/coercions.md shows this table, and a test compares the two.
var coercions = [schema.KindMap + 1][valueTypes]coercion{
	schema.KindString: {
		ofString: unchanged, ofInt: decimalText, ofDouble: doubleText, ofBool: boolText,
		ofBytes: unchanged, ofJSON: unchanged, ofTime: timeText,
	},
	schema.KindFixedString: {ofString: padded, ofBytes: padded},
	schema.KindInt8:        integerCoercions,
	schema.KindInt16:       integerCoercions,
	schema.KindInt32:       integerCoercions,
	schema.KindInt64:       longCoercions,
	schema.KindUInt8:       integerCoercions,
	schema.KindUInt16:      integerCoercions,
	schema.KindUInt32:      integerCoercions,
	schema.KindUInt64:      longCoercions,
	schema.KindFloat32:     floatCoercions,
	schema.KindFloat64:     floatCoercions,
	schema.KindBool:        {ofString: textBool, ofInt: intBool, ofBool: boolBool},
	schema.KindDate:        {ofString: textDate, ofTime: timeDate},
	schema.KindDateTime:    {ofString: textDateTime, ofInt: intDateTime, ofTime: timeDateTime},
	schema.KindDateTime64:  {ofString: textDateTime64, ofInt: intDateTime64, ofTime: timeDateTime64},
	schema.KindUUID:        {ofString: textUUID, ofBytes: bytesUUID},
	schema.KindIPv4:        {ofString: textIPv4, ofBytes: bytesIPv4},
	schema.KindIPv6:        {ofString: textIPv6, ofBytes: bytesIPv6},
	schema.KindEnum8:       enumCoercions,
	schema.KindEnum16:      enumCoercions,
	schema.KindArray: {
		ofString: oneText, ofInt: oneInt, ofDouble: oneDouble, ofBool: oneBool,
		ofBytes: oneText, ofJSON: jsonArrayText, ofTime: oneTime,
	},
	// A Map is filled from the attributes as a whole, never from one value.
	schema.KindMap: {},
}
