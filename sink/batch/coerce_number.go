package batch

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// parseWhole reads an optional minus and decimal digits, which have to be the whole text.
func parseWhole(text string) (magnitude uint64, negative bool, reason schema.Reason) {
	digits := text
	if digits != "" && digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	if digits == "" {
		return 0, false, schema.TypeMismatch
	}
	overflow := false
	for i := range len(digits) {
		d := uint64(digits[i] - '0')
		if d > 9 {
			return 0, false, schema.TypeMismatch
		}
		if magnitude > (math.MaxUint64-d)/10 {
			overflow = true
		}
		magnitude = magnitude*10 + d
	}
	if overflow {
		return 0, negative, schema.OutOfRange
	}
	return magnitude, negative, schema.NoReason
}

func textToInteger(t *target, in *schema.Attribute, out *value) schema.Reason {
	magnitude, negative, reason := parseWhole(in.Text)
	if reason != schema.NoReason {
		return reason
	}
	if !negative {
		if magnitude > t.high {
			return schema.OutOfRange
		}
		out.bits = magnitude
		return schema.NoReason
	}
	// The magnitude of the lowest value, without negating what can't be negated.
	if magnitude > uint64(-(t.low+1))+1 || t.low == 0 && magnitude > 0 {
		return schema.OutOfRange
	}
	out.bits = -magnitude
	return schema.NoReason
}

func intToInteger(t *target, in *schema.Attribute, out *value) schema.Reason {
	n := in.AsInt()
	if n < t.low || n > 0 && uint64(n) > t.high {
		return schema.OutOfRange
	}
	out.bits = uint64(n)
	return schema.NoReason
}

// doubleToInteger takes whole numbers alone: rounding would hide that the column does not fit.
func doubleToInteger(t *target, in *schema.Attribute, out *value) schema.Reason {
	x := in.AsDouble()
	if x != math.Trunc(x) { // a fraction, or NaN
		return schema.TypeMismatch
	}
	// float64(high) of the 64-bit kinds rounds up to the power of two, which is out of range.
	tooHigh := float64(t.high)
	if t.high < 1<<53 {
		tooHigh++
	}
	if x < float64(t.low) || x >= tooHigh {
		return schema.OutOfRange
	}
	if x < 0 {
		out.bits = uint64(int64(x))
	} else {
		out.bits = uint64(x)
	}
	return schema.NoReason
}

func boolToInteger(_ *target, in *schema.Attribute, out *value) schema.Reason {
	if in.AsBool() {
		out.bits = 1
	}
	return schema.NoReason
}

// timeToInteger gives Unix nanoseconds; only Int64 and UInt64 can hold them.
func timeToInteger(t *target, in *schema.Attribute, out *value) schema.Reason {
	return intToInteger(t, in, out)
}

// textToFloat takes decimal numbers, inf and nan, and rounds to the nearest that the column can
// hold. Go's hexadecimal numbers and underscores are refused.
func textToFloat(t *target, in *schema.Attribute, out *value) schema.Reason {
	size := 64
	if t.kind == schema.KindFloat32 {
		size = 32
	}
	if strings.ContainsAny(in.Text, "xXpP_") {
		return schema.TypeMismatch
	}
	x, err := strconv.ParseFloat(in.Text, size)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return schema.OutOfRange
	case err != nil:
		return schema.TypeMismatch
	}
	out.bits = floatBits(t, x)
	return schema.NoReason
}

// intToFloat takes the integers that the column can hold exactly.
func intToFloat(t *target, in *schema.Attribute, out *value) schema.Reason {
	n := in.AsInt()
	x := float64(n)
	if t.kind == schema.KindFloat32 {
		x = float64(float32(n))
	}
	// 2^63 is the one float that int64 can't hold: converting it back would not be defined.
	if x >= 1<<63 || int64(x) != n {
		return schema.OutOfRange
	}
	out.bits = floatBits(t, x)
	return schema.NoReason
}

// doubleToFloat rounds to the nearest Float32; a finite number does not become infinite.
func doubleToFloat(t *target, in *schema.Attribute, out *value) schema.Reason {
	x := in.AsDouble()
	if t.kind == schema.KindFloat32 && math.IsInf(float64(float32(x)), 0) && !math.IsInf(x, 0) {
		return schema.OutOfRange
	}
	out.bits = floatBits(t, x)
	return schema.NoReason
}

func floatBits(t *target, x float64) uint64 {
	if t.kind == schema.KindFloat32 {
		return uint64(math.Float32bits(float32(x)))
	}
	return math.Float64bits(x)
}

func textToBool(_ *target, in *schema.Attribute, out *value) schema.Reason {
	switch in.Text {
	case "true", "1":
		out.bits = 1
	case "false", "0":
	default:
		return schema.TypeMismatch
	}
	return schema.NoReason
}

func intToBool(_ *target, in *schema.Attribute, out *value) schema.Reason {
	if in.Bits > 1 {
		return schema.OutOfRange
	}
	out.bits = in.Bits
	return schema.NoReason
}

// intToEnum takes the value of an element.
func intToEnum(t *target, in *schema.Attribute, out *value) schema.Reason {
	n := in.AsInt()
	if n != int64(int16(n)) || !t.values[int16(n)] {
		return schema.OutOfRange
	}
	out.bits = uint64(n)
	return schema.NoReason
}
