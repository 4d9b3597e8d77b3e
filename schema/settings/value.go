package settings

import (
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/logbatcher/logbatcher/schema"
)

// Size is a number of bytes. Its text has a unit, as in 16MiB or 4 KB, or is a plain number.
type Size int64

// The units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// String returns the size with the largest unit that divides it, so that UnmarshalText reads the same size.
func (s Size) String() string {
	for _, unit := range []struct {
		size Size
		name string
	}{{GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if s != 0 && s%unit.size == 0 {
			return strconv.FormatInt(int64(s/unit.size), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// UnmarshalText reads a size: "16MiB" (powers of 1024), "16MB" (powers of 1000) or a number of bytes.
func (s *Size) UnmarshalText(text []byte) error {
	bytes, err := humanize.ParseBytes(string(text))
	tooLarge := err == nil && bytes > math.MaxInt64/2 || err != nil && strings.HasPrefix(err.Error(), "too large")
	switch {
	case strings.ContainsAny(string(text), "-,") || leadingZero.Match(text) || err != nil && !tooLarge:
		return fmt.Errorf("a size is a number with a unit, as in 16MiB; this is %s", schema.Quoted(string(text)))
	case tooLarge:
		return fmt.Errorf("a size is below 4194304TiB; this is %s", schema.Quoted(string(text)))
	}
	*s = Size(bytes)
	return nil
}

// day is the unit that time.Duration lacks, and maxDays the longest duration, some 292 years.
const (
	day     = 24 * time.Hour
	maxDays = math.MaxInt64 / int64(day)
)

// durationForm matches durations of any length.
var durationForm = regexp.MustCompile(`^([0-9]+d)?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))*$`)

// ParseDuration reads a duration as Go writes it ("1m30s"), which may begin with days of 24 hours ("7d", "1d12h").
func ParseDuration(text string) (time.Duration, error) {
	whole, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		whole, rest = "0", text
	}
	n, errDays := strconv.ParseInt(whole, 10, 64)
	var more time.Duration
	var err error
	if rest != "" || !hasDays {
		more, err = time.ParseDuration(rest)
	}
	switch {
	case text != "0" && (text == "" || !durationForm.MatchString(text)):
		return 0, fmt.Errorf("a duration is a number with a unit (ms, s, m, h, d), as in 30s or 7d; this is %s", schema.Quoted(text))
	case err != nil || errDays != nil || n > maxDays || more > math.MaxInt64-time.Duration(n)*day:
		return 0, fmt.Errorf("a duration is at most %dd; this is %s", maxDays, schema.Quoted(text))
	}
	return time.Duration(n)*day + more, nil
}

// FormatDuration writes a duration as ParseDuration reads it: whole days as 7d, and without units that are zero.
func FormatDuration(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Secret is a text that is never printed. Convert it to string to use it.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
