package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/logbatcher/logbatcher/schema"
)

// scalar returns the literal of a scalar node.
func scalar(node ast.ScalarNode) (l literal, err error) {
	kind := node.GetToken().Type
	l.text, l.quoted = node.GetToken().Value, kind == token.SingleQuoteType || kind == token.DoubleQuoteType
	switch n := node.(type) {
	case *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		l.value = n.GetValue()
		return l, nil
	case *ast.LiteralNode:
		l.text, l.value = n.Value.Value, n.Value.Value
		return l, nil
	case *ast.StringNode:
		l.text = n.Value
		if l.quoted {
			l.value = l.text
			return l, nil
		}
	}
	l.value, err = number(l.text)
	return l, err
}

var (
	// coreNumber matches the numbers of YAML 1.2's core schema.
	coreNumber = regexp.MustCompile(`^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+)$`)
	// nearNumber matches those too, and what is a number in another version of YAML or looks like one.
	nearNumber  = regexp.MustCompile(`^[-+]?([0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9_]+)?|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+)$`)
	leadingZero = regexp.MustCompile(`^[-+]?0[0-9]+$`)
)

// number returns the value of a plain scalar: a number, or else the text itself. A text that could be meant as a number and
// is none in YAML 1.2, or another one in YAML 1.1, is an error.
func number(text string) (any, error) {
	switch {
	case !nearNumber.MatchString(text):
		return text, nil
	case leadingZero.MatchString(text):
		return nil, fmt.Errorf("%s is octal in some versions of YAML and decimal in others; write it without the leading 0, or put a text in quotes",
			schema.Short(text, 64))
	case !coreNumber.MatchString(text):
		return nil, fmt.Errorf("%s is not a number in YAML 1.2, which has neither _ nor 0b, and 0x and 0o only in small letters without a sign, "+
			"as in 1000, 0x3e8 or 1e3; put a text in quotes", schema.Short(text, 64))
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), 0, 64); err == nil {
		return n, nil
	}
	x, err := strconv.ParseFloat(text, 64)
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	underflow := x == 0 && strings.ContainsAny(mantissa, "123456789")
	if err != nil || underflow || !strings.ContainsAny(text, ".eE") {
		return nil, fmt.Errorf("the number %s does not fit 64 bits; put a text in quotes", schema.Short(text, 64))
	}
	return x, nil
}
