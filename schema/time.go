package schema

import (
	"strings"
	"time"
)

// ParseTime reads a time in RFC 3339, all of it and strictly. "t" and "z" may be lower-case; digits of the fraction
// after the ninth are ignored.
func ParseTime(text string) (at time.Time, ok bool) {
	// time.Parse is slow to refuse a text. It also takes an hour of one digit, a comma before the fraction, and offsets of up to 24:60.
	const hour = len("2006-01-02T15")
	if len(text) < len("2006-01-02T15:04:05Z") || text[len("2006")] != '-' || text[hour] != ':' || text[len("2006-01-02T15:04:05")] == ',' {
		return at, false
	}
	if text[len("2006-01-02")] == 't' || text[len(text)-1] == 'z' {
		text = strings.ToUpper(text)
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, false
	}
	offset := text[len(text)-len("15:04"):]
	return at, text[len(text)-1] == 'Z' || offset[:2] < "24" && offset[3:] < "60"
}
