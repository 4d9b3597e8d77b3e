package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// The scalars of YAML 1.2's core schema, and what looks like a number and is one in another version of YAML or in none.
var (
	coreDecimal = regexp.MustCompile(`^[-+]?[0-9]+$`)
	coreOctal   = regexp.MustCompile(`^0o[0-7]+$`)
	coreHex     = regexp.MustCompile(`^0x[0-9a-fA-F]+$`)
	coreFloat   = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	leadingZero = regexp.MustCompile(`^[-+]?0[0-9]+$`)
	nearNumber  = regexp.MustCompile(`^[-+]?([0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?|\.[0-9][0-9_]*|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+)$`)
)

// coreScalar returns the value of a scalar that stands without quotes: a bool, int64, uint64, float64, or the text itself. What
// could be meant as a number and is none by YAML 1.2, or not the same one by YAML 1.1, is an error. null is for the caller.
func coreScalar(text string) (any, error) {
	switch text {
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return math.Inf(1), nil
	case "-.inf", "-.Inf", "-.INF":
		return math.Inf(-1), nil
	case ".nan", ".NaN", ".NAN":
		return math.NaN(), nil
	}
	switch {
	case leadingZero.MatchString(text):
		decimal := strings.TrimLeft(strings.TrimLeft(text, "+-"), "0")
		if decimal == "" {
			decimal = "0"
		}
		return nil, fmt.Errorf("%s is octal in some versions of YAML and decimal in others; write %s, or put a text in quotes", cut(text), cut(decimal))
	case coreDecimal.MatchString(text):
		return coreInteger(text, text, 10)
	case coreOctal.MatchString(text):
		return coreInteger(text, text[2:], 8)
	case coreHex.MatchString(text):
		return coreInteger(text, text[2:], 16)
	case coreFloat.MatchString(text):
		x, err := strconv.ParseFloat(text, 64)
		mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
		if err != nil || x == 0 && strings.ContainsAny(mantissa, "123456789") {
			return nil, fmt.Errorf("the number %s does not fit 64 bits; put a text in quotes", cut(text))
		}
		return x, nil
	case nearNumber.MatchString(text):
		return nil, fmt.Errorf("%s is no number in YAML 1.2: one has neither _ nor 0b, and 0x and 0o are in small letters without a sign, "+
			"as in 1000, 0x3e8 or 1e3; put a text in quotes", cut(text))
	}
	return text, nil
}

// coreInteger reads digits in a base.
func coreInteger(text, digits string, base int) (any, error) {
	if n, err := strconv.ParseInt(digits, base, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(digits, "+"), base, 64); err == nil {
		return n, nil
	}
	return nil, fmt.Errorf("the number %s does not fit 64 bits; put a text in quotes", cut(text))
}

// canonical writes a number as the fields of a configuration read it.
func canonical(scalar any) string {
	if x, isFloat := scalar.(float64); isFloat {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return fmt.Sprint(scalar)
}
