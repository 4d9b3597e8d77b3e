package schema

import (
	"strconv"
	"unicode/utf8"
)

// Short shortens a text for a message to at most n bytes of whole characters and an ellipsis.
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

// Quoted returns the first 64 bytes of a text in quotes, for a message.
func Quoted(text string) string { return strconv.Quote(Short(text, 64)) }
