package schema

import (
	"slices"
	"strconv"
	"strings"
)

// ClickHouse does not give back what it was given: it spells intervals as functions, adds the
// arguments of codecs, drops parentheses. The functions here bring both spellings to one, so that a table that fits
// is not altered again at each start.

// keywords are written in capitals by ClickHouse wherever they stand in an expression.
var keywords = map[string]string{
	"and": "AND", "or": "OR", "not": "NOT", "is": "IS", "null": "NULL", "in": "IN", "like": "LIKE",
	"ilike": "ILIKE", "between": "BETWEEN", "case": "CASE", "when": "WHEN", "then": "THEN", "else": "ELSE",
	"end": "END", "as": "AS", "desc": "DESC", "asc": "ASC", "delete": "DELETE", "where": "WHERE",
	"to": "TO", "disk": "DISK", "volume": "VOLUME", "recompress": "RECOMPRESS", "codec": "CODEC",
	"true": "true", "false": "false",
}

// canonicalExpression returns an expression, or a list of them, without what
// does not change its meaning: white space, comments, needless quotes, the
// parentheses or tuple() around the whole, and INTERVAL in place of a function.
func CanonicalExpression(expression string) string {
	list := dropDelete(Tokens(expression))
	for {
		if Wrapped(list) {
			list = list[1 : len(list)-1]
			continue
		}
		if len(list) > 1 && list[0].Is("tuple") && Wrapped(list[1:]) {
			list = list[2 : len(list)-1]
			continue
		}
		break
	}
	return CanonicalTokens(list)
}

// dropDelete leaves the word out where a TTL says DELETE, which is what it does anyway.
func dropDelete(list []Token) []Token {
	return slices.DeleteFunc(list, func(t Token) bool { return t.Kind == WordToken && t.Is("delete") })
}

func CanonicalTokens(list []Token) string {
	var b strings.Builder
	var last TokenKind
	for i := 0; i < len(list); i++ {
		if text, used := canonicalInterval(list[i:]); used > 0 {
			writeToken(&b, &last, WordToken, text)
			last = SymbolToken // it ends in a parenthesis
			i += used - 1
			continue
		}
		t := list[i]
		switch t.Kind {
		case StringToken:
			writeToken(&b, &last, StringToken, QuoteString(t.Text))
		case NameToken:
			text := t.Text
			if !isBareWord(text) {
				text = QuoteIdentifier(text)
			}
			writeToken(&b, &last, WordToken, text)
		case WordToken:
			text := t.Text
			if keyword, ok := keywords[strings.ToLower(text)]; ok {
				text = keyword
			}
			writeToken(&b, &last, WordToken, text)
		default:
			writeToken(&b, &last, SymbolToken, t.Text)
		}
	}
	return b.String()
}

// writeToken separates two words by a space and puts none anywhere else.
func writeToken(b *strings.Builder, last *TokenKind, kind TokenKind, text string) {
	if *last == WordToken && kind == WordToken {
		b.WriteByte(' ')
	}
	b.WriteString(text)
	*last = kind
}

var intervalUnits = map[string]string{
	"nanosecond": "Nanosecond", "microsecond": "Microsecond", "millisecond": "Millisecond",
	"second": "Second", "minute": "Minute", "hour": "Hour", "day": "Day", "week": "Week",
	"month": "Month", "quarter": "Quarter", "year": "Year",
}

// canonicalInterval turns INTERVAL 7 DAY and INTERVAL '7 day' into toIntervalDay(7), and tells how many
// tokens that took; 0: the list begins with no such interval.
func canonicalInterval(list []Token) (text string, used int) {
	if len(list) < 2 || !list[0].Is("interval") {
		return "", 0
	}
	number, unit, used := list[1].Text, "", 3
	if list[1].Kind == StringToken {
		if n, u, ok := strings.Cut(strings.TrimSpace(list[1].Text), " "); ok {
			number, unit, used = n, u, 2
		}
	}
	if unit == "" {
		if len(list) < 3 || list[2].Kind != WordToken {
			return "", 0
		}
		unit = list[2].Text
	}
	if _, err := strconv.ParseInt(number, 10, 64); err != nil {
		return "", 0
	}
	name, ok := intervalUnits[strings.TrimSuffix(strings.ToLower(strings.TrimSpace(unit)), "s")]
	if !ok {
		return "", 0
	}
	return "toInterval" + name + "(" + number + ")", used
}

// canonicalCodec returns a codec list as ClickHouse writes it back for a column of the type, with the arguments
// that it adds. The CODEC(…) around it may be there or not.
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

// sameCodec compares two canonical codec lists. Which arguments ClickHouse adds to the rarer codecs
// depends on its version, so that one without arguments is the same as one with any.
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

// canonicalIndexType returns the type of an index with its arguments, as ClickHouse writes it.
func CanonicalIndexType(t string) string { return CanonicalTokens(Tokens(t)) }
