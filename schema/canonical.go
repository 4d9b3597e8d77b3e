package schema

import (
	"slices"
	"strconv"
	"strings"
)

// ClickHouse does not return expressions and codecs as it was given them: it drops parentheses and quotes, and adds the
// arguments of codecs. The functions here normalize both spellings, so that a table that fits is not altered again.

// CanonicalExpression returns an expression, or a list of them, without what does not change its meaning: white space,
// comments, needless quotes, and parentheses or tuple() around the whole.
func CanonicalExpression(expression string) string {
	return canonicalTokens(unwrap(Tokens(expression)))
}

// unwrap returns the list without the parentheses or tuple() around the whole.
func unwrap(list []Token) []Token {
	for {
		switch {
		case Wrapped(list):
			list = list[1 : len(list)-1]
		case len(list) > 0 && list[0].Is("tuple") && Wrapped(list[1:]):
			list = list[1:]
		default:
			return list
		}
	}
}

// canonicalTokens separates two words by a space and writes no other space.
func canonicalTokens(list []Token) string {
	var b strings.Builder
	for i, t := range list {
		if i > 0 && t.IsName() && list[i-1].IsName() {
			b.WriteByte(' ')
		}
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

// CanonicalCodec returns a codec list as ClickHouse returns it for a column of the type, with the arguments that it adds. The
// list may be in CODEC(…).
func CanonicalCodec(codec string, t Type) string {
	list := Tokens(codec)
	if len(list) > 1 && list[0].Is("codec") && Wrapped(list[1:]) {
		list = list[2 : len(list)-1]
	}
	var out []string
	for _, part := range TopLevelParts(list) {
		if len(part) > 0 {
			out = append(out, canonicalCodecName(part[0].Text)+codecArguments(part, t))
		}
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

// codecArguments returns a codec's arguments, or those that ClickHouse adds.
func codecArguments(codec []Token, t Type) string {
	if arguments := canonicalTokens(codec[1:]); arguments != "" && arguments != "()" {
		return strings.ReplaceAll(arguments, ",", ", ")
	}
	switch canonicalCodecName(codec[0].Text) {
	case "ZSTD":
		return "(1)"
	case "Delta", "Gorilla":
		if size := t.Kind.Size(); size > 0 && size <= 8 {
			return "(" + strconv.Itoa(size) + ")"
		}
	}
	return ""
}

// SameCodec compares two canonical codec lists. Which arguments ClickHouse adds to the rarer codecs depends on its version, so a
// codec without arguments is the same as one with any.
func SameCodec(a, b string) bool {
	return slices.EqualFunc(TopLevelParts(Tokens(a)), TopLevelParts(Tokens(b)), func(a, b []Token) bool {
		if len(a) == 0 || len(b) == 0 || !a[0].Is(b[0].Text) {
			return false
		}
		return len(a) == 1 || len(b) == 1 || canonicalTokens(a[1:]) == canonicalTokens(b[1:])
	})
}
