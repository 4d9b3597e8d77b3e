package schema

import (
	"strconv"
	"unicode/utf8"
)

// Short returns a text for a message: cut after at most n bytes, between two characters, with an ellipsis in place of the rest.
func Short(text string, n int) string {
	if len(text) <= n {
		return text
	}
	end := n
	for end > max(0, n-utf8.UTFMax) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// Quoted returns the first 64 bytes of a text for a message, in quotes.
func Quoted(text string) string { return strconv.Quote(Short(text, 64)) }
