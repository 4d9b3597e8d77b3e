package logfile

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of a JSON line; a deeper one is text.
const maxJSONDepth = 500

// jsonScanner reads the JSON value at s[i:]. It is as strict as encoding/json, and keeps what that
// loses: the order of members, repeated keys, the digits of integers.
type jsonScanner struct {
	s string
	i int
}

// object appends the members of the object that s is to members. Members that are null are left out.
func (j *jsonScanner) object(members []Attribute) ([]Attribute, bool) {
	j.i++ // {
	if j.space() == '}' {
		j.i++
		return members, j.atEnd()
	}
	for {
		if j.space() != '"' {
			return members, false
		}
		key, ok := j.string()
		if !ok || j.space() != ':' {
			return members, false
		}
		j.i++
		member := Attribute{Key: key}
		null, ok := j.member(&member)
		if !ok {
			return members, false
		}
		if !null {
			members = append(members, member)
		}
		switch j.space() {
		case ',':
			j.i++
		case '}':
			j.i++
			return members, j.atEnd()
		default:
			return members, false
		}
	}
}

// member reads a value into m.
func (j *jsonScanner) member(m *Attribute) (null, ok bool) {
	c := j.space()
	start := j.i
	switch {
	case c == '"':
		m.Kind = String
		m.Str, ok = j.string()
		return false, ok
	case c == '{' || c == '[':
		m.Kind = JSON
		ok = j.skip(1)
		m.Str = j.s[start:j.i]
		return false, ok
	case c == '-' || isDigit(c):
		integral, ok := j.number()
		if ok {
			setNumber(m, j.s[start:j.i], integral)
		}
		return false, ok
	case c == 't':
		m.Kind, m.Bool = Bool, true
		return false, j.literal("true")
	case c == 'f':
		m.Kind = Bool
		return false, j.literal("false")
	case c == 'n':
		return true, j.literal("null")
	}
	return false, false
}

// setNumber keeps integers of 64 bits exactly, others as Double; what neither holds, a longer
// integer or a number too large, is the String of its digits.
func setNumber(m *Attribute, digits string, integral bool) {
	if integral {
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			m.Kind, m.Int = Int, n
			return
		}
	} else if f, err := strconv.ParseFloat(digits, 64); err == nil && !math.IsInf(f, 0) {
		m.Kind, m.Double = Double, f
		return
	}
	m.Kind, m.Str = String, digits
}

// skip passes over a value of any kind.
func (j *jsonScanner) skip(depth int) bool {
	switch c := j.space(); {
	case c == '"':
		_, ok := j.raw()
		return ok
	case c == '{' || c == '[':
		return depth < maxJSONDepth && j.skipNested(c, depth)
	case c == '-' || isDigit(c):
		_, ok := j.number()
		return ok
	case c == 't':
		return j.literal("true")
	case c == 'f':
		return j.literal("false")
	case c == 'n':
		return j.literal("null")
	}
	return false
}

func (j *jsonScanner) skipNested(open byte, depth int) bool {
	end := open + 2 // ] and } in ASCII
	j.i++
	if j.space() == end {
		j.i++
		return true
	}
	for {
		if open == '{' {
			if j.space() != '"' {
				return false
			}
			if _, ok := j.raw(); !ok || j.space() != ':' {
				return false
			}
			j.i++
		}
		if !j.skip(depth + 1) {
			return false
		}
		switch j.space() {
		case ',':
			j.i++
		case end:
			j.i++
			return true
		default:
			return false
		}
	}
}

// space passes over white space and returns the byte behind it, 0 at the end.
func (j *jsonScanner) space() byte {
	for j.i < len(j.s) {
		switch c := j.s[j.i]; c {
		case ' ', '\t', '\r', '\n':
			j.i++
		default:
			return c
		}
	}
	return 0
}

func (j *jsonScanner) atEnd() bool { return j.space() == 0 && j.i == len(j.s) }

func (j *jsonScanner) literal(word string) bool {
	if !strings.HasPrefix(j.s[j.i:], word) {
		return false
	}
	j.i += len(word)
	return true
}

// number passes over a number; integral has neither fraction nor exponent.
func (j *jsonScanner) number() (integral, ok bool) {
	if j.s[j.i] == '-' {
		j.i++
	}
	first := j.i
	if n := j.digits(); n == 0 || (n > 1 && j.s[first] == '0') {
		return false, false
	}
	integral = true
	if j.i < len(j.s) && j.s[j.i] == '.' {
		j.i++
		integral = false
		if j.digits() == 0 {
			return false, false
		}
	}
	if j.i < len(j.s) && j.s[j.i]|0x20 == 'e' {
		j.i++
		integral = false
		if j.i < len(j.s) && (j.s[j.i] == '+' || j.s[j.i] == '-') {
			j.i++
		}
		if j.digits() == 0 {
			return false, false
		}
	}
	return integral, true
}

func (j *jsonScanner) digits() int {
	start := j.i
	for j.i < len(j.s) && isDigit(j.s[j.i]) {
		j.i++
	}
	return j.i - start
}

// string reads a string and resolves its escapes.
func (j *jsonScanner) string() (string, bool) {
	start := j.i + 1
	escaped, ok := j.raw()
	if !ok {
		return "", false
	}
	value := j.s[start : j.i-1]
	if escaped {
		value = unescape(value)
	}
	return value, true
}

// raw passes over a string.
func (j *jsonScanner) raw() (escaped, ok bool) {
	s := j.s
	for i := j.i + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			j.i = i + 1
			return escaped, true
		case c < ' ':
			return false, false
		case c == '\\':
			escaped = true
			i++
			if i == len(s) {
				return false, false
			}
			switch s[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if i+4 >= len(s) || hex4(s[i+1:i+5]) < 0 {
					return false, false
				}
				i += 4
			default:
				return false, false
			}
		}
	}
	return false, false
}

// unescape resolves the escapes of a valid string. A surrogate without its other half becomes U+FFFD.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for {
		n := strings.IndexByte(s, '\\')
		if n < 0 {
			return string(append(b, s...))
		}
		b = append(b, s[:n]...)
		c := s[n+1]
		s = s[n+2:]
		switch c {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := hex4(s[:4])
			s = s[4:]
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(s[2:6]))
				}
				if pair != utf8.RuneError {
					s = s[6:]
				}
				r = pair
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, c)
		}
	}
}

// hex4 returns the number that four hexadecimal digits spell, or -1.
func hex4(s string) rune {
	var n rune
	for i := range 4 {
		c := s[i]
		switch {
		case isDigit(c):
			n = n<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}
