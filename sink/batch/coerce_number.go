package batch

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// numberReason returns why strconv could not parse a number.
func numberReason(err error) schema.Reason {
	if errors.Is(err, strconv.ErrRange) {
		return schema.OutOfRange
	}
	return schema.TypeMismatch
}

// textToInteger takes an optional minus and decimal digits.
func textToInteger(t *target, in *schema.Attribute, out *value) schema.Reason {
	digits, negative := strings.CutPrefix(in.Text, "-")
	magnitude, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return numberReason(err)
	}
	if !negative && magnitude > t.high || negative && magnitude > -uint64(t.low) {
		return schema.OutOfRange
	}
	out.bits = magnitude
	if negative {
		out.bits = -magnitude
	}
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

// doubleToInteger takes whole numbers only: rounding would hide that the column does not fit.
func doubleToInteger(t *target, in *schema.Attribute, out *value) schema.Reason {
	x := in.AsDouble()
	if x != math.Trunc(x) { // a fraction, or NaN
		return schema.TypeMismatch
	}
	// float64(high) of the 64-bit types is rounded up to the power of two, which is out of range.
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

// textToFloat takes decimal numbers, inf and nan, and rounds to the nearest float. It refuses Go's hexadecimal numbers and
// underscores.
func textToFloat(t *target, in *schema.Attribute, out *value) schema.Reason {
	size := 64
	if t.Kind == schema.KindFloat32 {
		size = 32
	}
	if strings.ContainsAny(in.Text, "xXpP_") {
		return schema.TypeMismatch
	}
	x, err := strconv.ParseFloat(in.Text, size)
	if err != nil {
		return numberReason(err)
	}
	out.bits = floatBits(t, x)
	return schema.NoReason
}

// intToFloat takes integers that the column can hold exactly.
func intToFloat(t *target, in *schema.Attribute, out *value) schema.Reason {
	n := in.AsInt()
	x := float64(n)
	if t.Kind == schema.KindFloat32 {
		x = float64(float32(n))
	}
	// x may be 2^63, which can't be converted back.
	if x >= 1<<63 || int64(x) != n {
		return schema.OutOfRange
	}
	out.bits = floatBits(t, x)
	return schema.NoReason
}

// doubleToFloat rounds to the nearest Float32, but never to infinity.
func doubleToFloat(t *target, in *schema.Attribute, out *value) schema.Reason {
	x := in.AsDouble()
	if t.Kind == schema.KindFloat32 && math.IsInf(float64(float32(x)), 0) && !math.IsInf(x, 0) {
		return schema.OutOfRange
	}
	out.bits = floatBits(t, x)
	return schema.NoReason
}

func floatBits(t *target, x float64) uint64 {
	if t.Kind == schema.KindFloat32 {
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

// intToEnum takes an element's value.
func intToEnum(t *target, in *schema.Attribute, out *value) schema.Reason {
	n := in.AsInt()
	_, found := slices.BinarySearchFunc(t.Enum, n, func(e schema.EnumValue, n int64) int { return cmp.Compare(int64(e.Value), n) })
	if !found {
		return schema.OutOfRange
	}
	out.bits = uint64(n)
	return schema.NoReason
}
