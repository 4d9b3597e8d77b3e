package schema

import (
	"slices"
	"strconv"
	"strings"
)

// The functions here compare SQL regardless of white space, comments, needless quotes and brackets. ClickHouse's own formatter, which package
// table asks, does the rest: it spells intervals as functions and keywords in capitals.

// CanonicalExpression returns an expression, or a list of them, in one spelling, without the parentheses or tuple() around the whole.
func CanonicalExpression(expression string) string {
	list := Tokens(expression)
	for {
		switch {
		case Wrapped(list):
			list = list[1 : len(list)-1]
		case len(list) > 1 && list[0].Is("tuple") && Wrapped(list[1:]):
			list = list[2 : len(list)-1]
		default:
			return CanonicalTokens(list)
		}
	}
}

// CanonicalTokens returns tokens in one spelling: a space between two words, none elsewhere.
func CanonicalTokens(list []Token) string {
	var b strings.Builder
	afterWord := false
	for _, t := range list {
		if afterWord && t.IsName() {
			b.WriteByte(' ')
		}
		afterWord = t.IsName()
		switch {
		case t.Kind == StringToken:
			b.WriteString(QuoteString(t.Text))
		case t.Kind == NameToken && !isBareWord(t.Text):
			b.WriteString(QuoteIdentifier(t.Text))
		default:
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// CanonicalCodec returns a codec list as ClickHouse writes it for a column of the type, with the arguments
// that it adds. CODEC(…) around it is optional.
func CanonicalCodec(codec string, t Type) string {
	list := Tokens(codec)
	if len(list) > 1 && list[0].Is("codec") && Wrapped(list[1:]) {
		list = list[2 : len(list)-1]
	}
	var out []string
	for _, part := range TopLevelParts(list) {
		if len(part) == 0 {
			continue
		}
		name, arguments := part[0].Text, ""
		if len(part) > 1 {
			arguments = CanonicalTokens(part[1:])
		}
		out = append(out, canonicalCodecName(name)+codecArguments(name, arguments, t))
	}
	if len(out) == 1 && strings.EqualFold(out[0], "Default") {
		return "" // what a column without a codec has
	}
	return strings.Join(out, ", ")
}

var codecNames = []string{"NONE", "LZ4", "LZ4HC", "ZSTD", "Delta", "DoubleDelta", "Gorilla", "T64", "FPC", "GCD", "Default"}

func canonicalCodecName(name string) string {
	i := slices.IndexFunc(codecNames, func(n string) bool { return strings.EqualFold(n, name) })
	if i < 0 {
		return name
	}
	return codecNames[i]
}

// codecArguments adds the arguments that ClickHouse fills in itself.
func codecArguments(name, arguments string, t Type) string {
	if arguments != "" && arguments != "()" {
		return strings.ReplaceAll(arguments, ",", ", ")
	}
	switch canonicalCodecName(name) {
	case "ZSTD":
		return "(1)"
	case "Delta", "Gorilla":
		if size := t.Kind.Size(); size > 0 && size <= 8 {
			return "(" + strconv.Itoa(size) + ")"
		}
	}
	return ""
}

// SameCodec compares two canonical codec lists. Which arguments ClickHouse adds to the rarer codecs
// depends on its version, so one without arguments equals one with any.
func SameCodec(a, b string) bool {
	left, right := TopLevelParts(Tokens(a)), TopLevelParts(Tokens(b))
	if len(left) != len(right) {
		return false
	}
	for i := range left {
		if len(left[i]) == 0 || len(right[i]) == 0 {
			return a == b // not a codec list
		}
		if !left[i][0].Is(right[i][0].Text) {
			return false
		}
		if len(left[i]) > 1 && len(right[i]) > 1 && CanonicalTokens(left[i]) != CanonicalTokens(right[i]) {
			return false
		}
	}
	return true
}

// CanonicalIndexType returns the type of an index, with its arguments, in one spelling.
func CanonicalIndexType(t string) string { return CanonicalTokens(Tokens(t)) }
