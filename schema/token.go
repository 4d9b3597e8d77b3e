package schema

import "strings"

// TokenKind is the kind of a token of SQL.
type TokenKind uint8

// The kinds of tokens.
const (
	WordToken   TokenKind = iota + 1 // a bare identifier, a keyword or a number
	NameToken                        // a quoted identifier
	StringToken                      // a string literal
	SymbolToken                      // any other character, or a quoted text that is not closed
)

// Token is one token of SQL.
type Token struct {
	Kind TokenKind
	// Text is the token's value, without quotes and escapes.
	Text string
	// Start and End are its place in the source: [Start, End).
	Start, End int
}

// Is reports whether the token is the bare word, in any case, or the symbol.
func (t Token) Is(text string) bool {
	return (t.Kind == WordToken || t.Kind == SymbolToken) && strings.EqualFold(t.Text, text)
}

// IsName reports whether the token can be an identifier, quoted or not.
func (t Token) IsName() bool { return t.Kind == WordToken || t.Kind == NameToken }

// Opens reports whether the token is an opening bracket.
func (t Token) Opens() bool { return t.Is("(") || t.Is("[") || t.Is("{") }

// Closes reports whether the token is a closing bracket.
func (t Token) Closes() bool { return t.Is(")") || t.Is("]") || t.Is("}") }

// Tokens splits SQL, without space and comments. It never fails: what it can't read becomes symbols, and then
// two texts are the same only if they are spelled alike, which is the safe side.
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

// isBareWord reports whether an identifier needs no quotes.
func isBareWord(name string) bool {
	for i := range len(name) {
		if !isWordByte(name[i]) || name[i] >= 0x80 {
			return false
		}
	}
	return name != "" && !isDigit(name[0])
}

// unquote reads the quoted text that begins at start, and returns it and where it ends.
// The quote stands for itself when it is doubled or follows a backslash.
func unquote(sql string, start int) (text string, end int, ok bool) {
	mark := sql[start]
	var b strings.Builder
	for i := start + 1; i < len(sql); i++ {
		switch c := sql[i]; {
		case c == '\\' && i+1 < len(sql):
			i++
			if plain, known := unescaped[sql[i]]; known {
				b.WriteByte(plain)
			} else {
				b.WriteString(sql[i-1 : i+1]) // as ClickHouse does
			}
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

// unescaped has what a character after a backslash stands for.
var unescaped = map[byte]byte{
	'0': 0, 'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f', 'a': '\a', 'v': '\v', 'e': 0x1b,
	'\\': '\\', '\'': '\'', '"': '"', '`': '`', '/': '/', '=': '=',
}

// TopLevelParts splits a list at the commas outside brackets. Nothing follows the last comma of a list that ends in one.
func TopLevelParts(list []Token) [][]Token {
	var parts [][]Token
	depth, start := 0, 0
	for i, t := range list {
		switch {
		case t.Opens():
			depth++
		case t.Closes():
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

// Wrapped reports whether the list is one pair of parentheses around everything else.
func Wrapped(list []Token) bool {
	return len(list) > 0 && list[0].Is("(") && Closing(list) == len(list)-1
}

// Closing returns the place of the token that closes the bracket at the beginning of the list, or -1.
func Closing(list []Token) int {
	depth := 0
	for i, t := range list {
		switch {
		case t.Opens():
			depth++
		case t.Closes():
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return -1
}
