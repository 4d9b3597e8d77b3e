package batch

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonArray walks over the elements of a JSON array of strings, numbers and booleans without
// building it. Only strings with escapes are copied.
type jsonArray struct {
	text string
	at   int
	// begun says that the opening bracket was read, ended that nothing is left.
	begun, ended bool
	// malformed says that text is no such array. It is known once next has returned false.
	malformed bool
}

// next returns the next element: a string's value, or the text of a number or boolean. It returns
// false at the end, and where the text is no array of such elements.
func (a *jsonArray) next() (string, bool) {
	if a.ended {
		return "", false
	}
	if !a.separator() {
		a.ended = true
		return "", false
	}
	element, ok := a.element()
	if !ok {
		a.ended, a.malformed = true, true
	}
	return element, ok
}

// separator reads the sign before an element. It returns false at the end.
func (a *jsonArray) separator() bool {
	first := !a.begun
	if first {
		if a.sign() != '[' {
			a.malformed = true
			return false
		}
		a.begun = true
	}
	a.skipSpace()
	if first && (a.at == len(a.text) || a.text[a.at] != ']') {
		return true
	}
	switch sign := a.sign(); {
	case sign == ']':
		a.skipSpace()
		a.malformed = a.at != len(a.text)
		return false
	case sign == ',' && !first:
		a.skipSpace()
		return true
	}
	a.malformed = true
	return false
}

func (a *jsonArray) skipSpace() {
	for a.at < len(a.text) && strings.IndexByte(" \t\r\n", a.text[a.at]) >= 0 {
		a.at++
	}
}

// sign takes the next character that is no space, or 0 at the end.
func (a *jsonArray) sign() byte {
	a.skipSpace()
	if a.at == len(a.text) {
		return 0
	}
	a.at++
	return a.text[a.at-1]
}

func (a *jsonArray) element() (string, bool) {
	if a.at < len(a.text) && a.text[a.at] == '"' {
		return a.quoted()
	}
	start := a.at
	for a.at < len(a.text) && strings.IndexByte(" \t\r\n,]", a.text[a.at]) < 0 {
		a.at++
	}
	bare := a.text[start:a.at]
	return bare, bare == "true" || bare == "false" || isJSONNumber(bare)
}

func (a *jsonArray) quoted() (string, bool) {
	start, escaped := a.at, false
	for a.at++; a.at < len(a.text); a.at++ {
		switch c := a.text[a.at]; {
		case c == '"':
			a.at++
			if !escaped {
				return a.text[start+1 : a.at-1], true
			}
			return unescaped(a.text[start+1 : a.at-1])
		case c == '\\':
			escaped = true
			a.at++
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// unescaped returns the value of a JSON string. Bytes that are not UTF-8 are kept; half of a surrogate pair stands for no character.
func unescaped(text string) (string, bool) {
	plain := make([]byte, 0, len(text))
	for text != "" {
		before, after, found := strings.Cut(text, `\`)
		plain = append(plain, before...)
		if !found {
			break
		}
		if after == "" {
			return "", false
		}
		if after[0] != 'u' {
			i := strings.IndexByte(`"\/bfnrt`, after[0])
			if i < 0 {
				return "", false
			}
			plain = append(plain, "\"\\/\b\f\n\r\t"[i])
			text = after[1:]
			continue
		}
		r, ok := escapedRune(after)
		text = after[min(len(after), 5):]
		if utf16.IsSurrogate(r) {
			second, found := strings.CutPrefix(text, `\`)
			low, lowOK := escapedRune(second)
			r, ok = utf16.DecodeRune(r, low), ok && found && lowOK
			ok = ok && r != utf8.RuneError
			text = second[min(len(second), 5):]
		}
		if !ok {
			return "", false
		}
		plain = utf8.AppendRune(plain, r)
	}
	return string(plain), true
}

// escapedRune reads the u and four digits of an escape.
func escapedRune(text string) (rune, bool) {
	if len(text) < 5 || text[0] != 'u' {
		return 0, false
	}
	n := rune(0)
	for _, c := range []byte(text[1:5]) {
		digit := strings.IndexByte("0123456789abcdef", c|' ')
		if digit < 0 || c < '0' {
			return 0, false
		}
		n = n<<4 | rune(digit)
	}
	return n, true
}

// isJSONNumber says whether text is a number as RFC 8259 writes it.
func isJSONNumber(text string) bool {
	text = strings.TrimPrefix(text, "-")
	whole := leadingDigits(text)
	if whole == 0 || whole > 1 && text[0] == '0' {
		return false
	}
	text = text[whole:]
	if fraction, ok := strings.CutPrefix(text, "."); ok {
		digits := leadingDigits(fraction)
		if digits == 0 {
			return false
		}
		text = fraction[digits:]
	}
	if text != "" && (text[0] == 'e' || text[0] == 'E') {
		exponent := text[1:]
		if exponent != "" && (exponent[0] == '+' || exponent[0] == '-') {
			exponent = exponent[1:]
		}
		digits := leadingDigits(exponent)
		if digits == 0 {
			return false
		}
		text = exponent[digits:]
	}
	return text == ""
}

func leadingDigits(text string) int {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}
