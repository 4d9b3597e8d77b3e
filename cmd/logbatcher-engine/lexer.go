package main

import "strings"

// A token is a piece of SQL text: a word, a quoted text or a single character.
// White space and comments are no tokens.
type token struct {
	kind       tokenKind
	start, end int // in the text
}

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // a keyword, a bare identifier or a number
	tokenQuoted           // '…', "…" or `…`
	tokenMark             // any other character
)

// A lexer cuts SQL into tokens, as far as is needed to find keywords that are
// not inside of a string or comment. It never fails: what it does not
// understand is a mark, and the engine reports the error.
type lexer struct {
	text string
	at   int
}

func (l *lexer) next() token {
	l.skipBlanks()
	start := l.at
	if start >= len(l.text) {
		return token{tokenEnd, start, start}
	}
	c := l.text[start]
	switch {
	case c == '\'' || c == '"' || c == '`':
		l.at = quotedEnd(l.text, start)
		return token{tokenQuoted, start, l.at}
	case isWordByte(c):
		for l.at < len(l.text) && isWordByte(l.text[l.at]) {
			l.at++
		}
		return token{tokenWord, start, l.at}
	}
	l.at++
	return token{tokenMark, start, l.at}
}

// word returns a token's text in upper case if it is a word, else "".
func (l *lexer) word(t token) string {
	if t.kind != tokenWord {
		return ""
	}
	return strings.ToUpper(l.text[t.start:t.end])
}

// is reports whether a token is this mark.
func (l *lexer) is(t token, mark byte) bool {
	return t.kind == tokenMark && l.text[t.start] == mark
}

func (l *lexer) skipBlanks() {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case strings.IndexByte(" \t\n\r\f\v", rest[0]) >= 0:
			l.at++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "# "), strings.HasPrefix(rest, "#!"):
			l.at += lengthUntil(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			l.at += 2 + lengthUntil(rest[2:], "*/")
		default:
			return
		}
	}
}

// lengthUntil is the length of text up to and with the end mark.
func lengthUntil(text, end string) int {
	if i := strings.Index(text, end); i >= 0 {
		return i + len(end)
	}
	return len(text)
}

// quotedEnd finds the end of the quoted text that begins at start.
func quotedEnd(text string, start int) int {
	quote := text[start]
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			if i+1 < len(text) && text[i+1] == quote {
				i++
				continue
			}
			return i + 1
		}
	}
	return len(text)
}

func isWordByte(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c >= 0x80
}
