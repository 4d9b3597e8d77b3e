package schema

import "strings"

// tokenKind is what a token of SQL is.
type TokenKind uint8

const (
	WordToken   TokenKind = iota + 1 // a bare identifier, a keyword or a number
	NameToken                        // a quoted identifier
	StringToken                      // a string literal
	SymbolToken                      // anything else, one character each
)

// token is one token of SQL.
type Token struct {
	Kind TokenKind
	// text is the token's value: without quotes and escapes where it had them.
	Text string
	// start and end are its place in the source.
	Start, End int
}

// is tells whether the token is the bare word, whatever its case, or the symbol.
func (t Token) Is(text string) bool {
	return (t.Kind == WordToken || t.Kind == SymbolToken) && strings.EqualFold(t.Text, text)
}

// tokens splits SQL. It never fails: what it can't read becomes symbols, and
// then two texts are the same only if they are written alike, which is the safe side.
func Tokens(sql string) []Token {
	var list []Token
	for i := 0; i < len(sql); {
		c := sql[i]
		start := i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
		case strings.HasPrefix(sql[i:], "--"):
			i = endOfComment(sql, i, "\n")
		case strings.HasPrefix(sql[i:], "/*"):
			i = endOfComment(sql, i, "*/")
		case c == '\'' || c == '`' || c == '"':
			text, end, ok := unquote(sql, i)
			if !ok {
				list = append(list, Token{SymbolToken, sql[i:], i, len(sql)})
				return list
			}
			i = end
			kind := NameToken
			if c == '\'' {
				kind = StringToken
			}
			list = append(list, Token{kind, text, start, end})
		case isWordByte(c):
			for i < len(sql) && isWordByte(sql[i]) {
				i++
			}
			// A number's fraction belongs to it: 0.01 is one token, a.b is three.
			if c >= '0' && c <= '9' && i+1 < len(sql) && sql[i] == '.' && isDigit(sql[i+1]) {
				for i++; i < len(sql) && isWordByte(sql[i]); i++ {
				}
			}
			list = append(list, Token{WordToken, sql[start:i], start, i})
		default:
			i++
			list = append(list, Token{SymbolToken, sql[start:i], start, i})
		}
	}
	return list
}

func endOfComment(sql string, start int, mark string) int {
	if n := strings.Index(sql[start+2:], mark); n >= 0 {
		return start + 2 + n + len(mark)
	}
	return len(sql)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c >= 0x80
}

// isBareWord tells whether an identifier may stand without quotes.
func isBareWord(name string) bool {
	for i := range len(name) {
		if !isWordByte(name[i]) || name[i] >= 0x80 {
			return false
		}
	}
	return name != "" && !isDigit(name[0])
}

// unquote reads the quoted text that begins at start, and returns it and where it ends.
// A mark that is doubled stands for itself, as does one after a backslash.
func unquote(sql string, start int) (text string, end int, ok bool) {
	mark := sql[start]
	var b strings.Builder
	for i := start + 1; i < len(sql); i++ {
		switch c := sql[i]; {
		case c == '\\' && i+1 < len(sql):
			i++
			b.WriteString(unescape(sql[i]))
		case c == mark && i+1 < len(sql) && sql[i+1] == mark:
			i++
			b.WriteByte(mark)
		case c == mark:
			return b.String(), i + 1, true
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, false
}

// unescape returns what a backslash and c stand for. An escape that is not known is kept as
// it is written, as ClickHouse does.
func unescape(c byte) string {
	switch c {
	case '0':
		return "\x00"
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case 'b':
		return "\b"
	case 'f':
		return "\f"
	case 'a':
		return "\a"
	case 'v':
		return "\v"
	case 'e':
		return "\x1b"
	case '\\', '\'', '"', '`', '/', '=':
		return string([]byte{c})
	}
	return string([]byte{'\\', c})
}

// topLevelParts splits a token list at the commas that are inside no parentheses.
func TopLevelParts(list []Token) [][]Token {
	var parts [][]Token
	depth, start := 0, 0
	for i, t := range list {
		switch {
		case t.Is("(") || t.Is("["):
			depth++
		case t.Is(")") || t.Is("]"):
			depth--
		case depth == 0 && t.Is(","):
			parts = append(parts, list[start:i])
			start = i + 1
		}
	}
	if start < len(list) {
		parts = append(parts, list[start:])
	}
	return parts
}

// wrapped tells whether the list is one pair of parentheses around everything else.
func Wrapped(list []Token) bool {
	if len(list) < 2 || !list[0].Is("(") {
		return false
	}
	depth := 0
	for i, t := range list {
		switch {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		}
		if depth == 0 {
			return i == len(list)-1
		}
	}
	return false
}
