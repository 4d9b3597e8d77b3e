package sink

import (
	"encoding/json"
	"strings"
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
			var plain string
			err := json.Unmarshal([]byte(a.text[start:a.at]), &plain)
			return plain, err == nil
		case c == '\\':
			escaped = true
			a.at++
		case c < ' ':
			return "", false
		}
	}
	return "", false
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
