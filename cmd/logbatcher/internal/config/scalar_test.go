package config

import (
	"fmt"
	"log/slog"
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
		if err != nil || got != test.want || formatDuration(got) != test.form {
			t.Errorf("%s: got %v (%s), %v", test.text, got, formatDuration(got), err)
		}
		if again, err := ParseDuration(formatDuration(got)); err != nil || again != got {
			t.Errorf("%s: %s is read as %v, %v", test.text, formatDuration(got), again, err)
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
		got, err := ParseSize(test.text)
		if err != nil || got != test.want || got.String() != test.form {
			t.Errorf("%s: got %v, %v", test.text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "x", "1 apple", "1,000", "9EiB", "MiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestSecretIsHidden(t *testing.T) {
	var log strings.Builder
	c := Default()
	c.Redis.Password = "sesame"
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", c.Redis.Password)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "redis", c.Redis)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", c, c.Redis, c.Redis, c.Redis.Password, c.Redis.Password), log.String()} {
		if strings.Contains(text, "sesame") {
			t.Errorf("the secret is in %s", text)
		}
	}
}
