package config

import (
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes. It is written as people do: 16MiB, 4 KB, or a plain number.
type Size int64

// The units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// String returns the size with the largest unit that divides it, so that ParseSize reads the same.
func (s Size) String() string {
	switch {
	case s == 0:
		return "0"
	case s%GiB == 0:
		return strconv.FormatInt(int64(s/GiB), 10) + "GiB"
	case s%MiB == 0:
		return strconv.FormatInt(int64(s/MiB), 10) + "MiB"
	case s%KiB == 0:
		return strconv.FormatInt(int64(s/KiB), 10) + "KiB"
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize reads a size: "16MiB" (1024s), "16MB" (1000s) or a number of bytes.
func ParseSize(text string) (Size, error) {
	bytes, err := humanize.ParseBytes(text)
	tooLarge := err == nil && bytes > math.MaxInt64/2 || err != nil && strings.HasPrefix(err.Error(), "too large")
	switch {
	case strings.ContainsAny(text, "-,") || leadingZero.MatchString(text) || err != nil && !tooLarge:
		return 0, fmt.Errorf("a size is a number with a unit, as in 16MiB; this is %q", cut(text))
	case tooLarge:
		return 0, fmt.Errorf("a size is below 4194304TiB; this is %q", cut(text))
	}
	return Size(bytes), nil
}

// maxDays is the longest duration, some 292 years.
const maxDays = math.MaxInt64 / int64(24*time.Hour)

// durationForm is what a duration looks like, however long it is.
var durationForm = regexp.MustCompile(`^([0-9]+d)?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))*$`)

// ParseDuration reads a duration as Go writes it ("1m30s"), with d for days of 24 hours before the
// rest ("7d", "1d12h").
func ParseDuration(text string) (time.Duration, error) {
	refuse := func() (time.Duration, error) {
		if text != "" && durationForm.MatchString(text) {
			return 0, fmt.Errorf("a duration is at most %dd; this is %q", maxDays, cut(text))
		}
		return 0, fmt.Errorf("a duration is a number with a unit (ms, s, m, h, d), as in 30s or 7d; this is %q", cut(text))
	}
	days, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		d, err := time.ParseDuration(text)
		if err != nil || text[0] == '+' {
			return refuse()
		}
		return d, nil
	}
	n, err := strconv.ParseUint(days, 10, 64)
	if err != nil || n > uint64(maxDays) {
		return refuse()
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || rest[0] == '+' || more > math.MaxInt64-d {
		return refuse()
	}
	return d + more, nil
}

// formatDuration writes a duration as ParseDuration reads it: whole days as 7d, and without
// units that are zero.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
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

// hidden is what is printed in a secret's place.
const hidden = "***"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
