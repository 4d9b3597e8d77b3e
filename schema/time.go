package schema

import (
	"strings"
	"time"
)

// ParseTime reads a time in RFC 3339, all of it and strictly. "t" and "z" may be lower-case; digits of the fraction
// after the ninth are ignored.
func ParseTime(text string) (at time.Time, ok bool) {
	upper := strings.ToUpper(text)
	at, err := time.Parse(time.RFC3339, upper)
	// time.Parse also takes an hour of one digit, a comma before the fraction, and offsets of up to 24:60.
	if err != nil || upper[len("2006-01-02T15")] != ':' || strings.Contains(upper, ",") {
		return at, false
	}
	offset := upper[len(upper)-len("15:04"):]
	return at, strings.HasSuffix(upper, "Z") || offset[:2] < "24" && offset[3:] < "60"
}
