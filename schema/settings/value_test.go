package settings

import (
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		text string
		want time.Duration
		form string
	}{
		{"0", 0, "0s"}, {"5s", 5 * time.Second, "5s"}, {"90m", 90 * time.Minute, "1h30m"}, {"1d", day, "1d"}, {"30d", 30 * day, "30d"},
		{"1d12h", 36 * time.Hour, "36h"}, {"60m", time.Hour, "1h"}, {"60s", time.Minute, "1m"}, {"1.5s", 1500 * time.Millisecond, "1.5s"},
		{"48h", 2 * day, "2d"}, {"100ms", 100 * time.Millisecond, "100ms"}, {"1h0m5s", time.Hour + 5*time.Second, "1h0m5s"},
	}
	for _, test := range tests {
		got, err := ParseDuration(test.text)
		if err != nil || got != test.want || FormatDuration(got) != test.form {
			t.Errorf("%s: got %v (%s), %v", test.text, got, FormatDuration(got), err)
		}
		if again, err := ParseDuration(FormatDuration(got)); err != nil || again != got {
			t.Errorf("%s: %s is read as %v, %v", test.text, FormatDuration(got), again, err)
		}
	}
	for _, text := range []string{"", "5", "d", "1.5d", "-1d", "1d-1h", "1d+1h", "+5s", "1w", "5 s", "999999d", "1dd", "1h1d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		text string
		want Size
		form string
	}{
		{"0", 0, "0"}, {"16MiB", 16 * MiB, "16MiB"}, {"16 MiB", 16 * MiB, "16MiB"}, {"4kb", 4000, "4000"}, {"1.5GiB", 1536 * MiB, "1536MiB"},
		{"1024", KiB, "1KiB"}, {"1000", 1000, "1000"}, {"2GiB", 2 * GiB, "2GiB"},
	}
	for _, test := range tests {
		var got Size
		err := got.UnmarshalText([]byte(test.text))
		if err != nil || got != test.want || got.String() != test.form {
			t.Errorf("%s: got %v, %v", test.text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "x", "1 apple", "1,000", "9EiB", "MiB"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestBoundsAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"100001d": "", "106751d": "", "106752d": "a duration is at most 106751d", "99999999999999999999d": "at most 106751d", "9999999h": "at most 106751d",
		"106751d24h": "at most 106751d", "1e3s": "a number with a unit", "d": "a number with a unit", "": "a number with a unit",
	} {
		_, err := ParseDuration(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{"9EiB": "below 4194304TiB", "99999999999999999999GiB": "below 4194304TiB", "x": "a number with a unit", "1e3": "a number with a unit"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
