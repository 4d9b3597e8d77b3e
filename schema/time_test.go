package schema

import (
	"regexp"
	"testing"
	"time"
)

// strictTime is the grammar of RFC 3339, apart from the ranges of day, hour, minute and second.
var strictTime = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// FuzzParseTime compares with the grammar and with time.Parse.
func FuzzParseTime(f *testing.F) {
	for _, text := range []string{
		"2026-11-25T10:00:00Z", "2026-11-25t10:00:00.123456789012z", "2026-11-25T10:00:00+01:30", "2026-11-25T10:00:00-23:59",
		"2026-11-25T1:00:00Z", "2026-11-25T1:00:00.5Z", "2026-11-25T10:00:00,5Z", "2026-11-25T10:00:00.5,5Z", "2026-11-25T10:00:00+24:00",
		"2026-11-25T10:00:00+10:60", "2026-11-25 10:00:00Z", "2026-11-25T10:00:00", "2026-11-25", "", "2026-02-30T10:00:00Z", "2026-11-25T24:00:00Z",
		"2026-11-25T10:00:60Z", "12026-11-25T10:00:00Z", "2026-11-25T10:00:00ZZ", "2026-11-25T10:00:00+0130", "a text that is no time at all",
		"2026-11-25T10:00:00.Z", "2026-11-25T10:00:00.5+01:00", "２026-11-25T10:00:00Z",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, ok := ParseTime(text)
		want, wantOK := time.Time{}, strictTime.MatchString(text)
		if wantOK {
			upper := []byte(text)
			for i, c := range upper {
				if c == 't' || c == 'z' {
					upper[i] = c - 'a' + 'A'
				}
			}
			var err error
			want, err = time.Parse(time.RFC3339, string(upper))
			wantOK = err == nil
		}
		if ok != wantOK || ok && !at.Equal(want) {
			t.Errorf("ParseTime(%q) = %v, %t; want %v, %t", text, at, ok, want, wantOK)
		}
	})
}
