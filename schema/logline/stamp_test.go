package logline

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestEpoch(t *testing.T) {
	for number, want := range map[string]string{
		"1772360100": "2026-03-01T10:15:00Z", "1772360100.5": "2026-03-01T10:15:00.5Z", "1772360100.123456789": "2026-03-01T10:15:00.123456789Z",
		"1772360100123": "2026-03-01T10:15:00.123Z", "1772360100123.25": "2026-03-01T10:15:00.12325Z",
		"1772360100123456": "2026-03-01T10:15:00.123456Z", "1772360100123456.5": "2026-03-01T10:15:00.1234565Z",
		"1772360100123456789": "2026-03-01T10:15:00.123456789Z", "1772360100123456789.9": "2026-03-01T10:15:00.123456789Z",
		"1.7723601005e9": "2026-03-01T10:15:00.5Z", "1.772360100123E+12": "2026-03-01T10:15:00.123Z",
		"1000000000": "2001-09-09T01:46:40Z", "999999999": "", "4102444800": "", "0": "", "-1772360100": "", "1e400": "", "x": "", "": "",
		"1772360100.": "2026-03-01T10:15:00Z", "1772360100.-5": "", "99999999999999999999": "",
	} {
		got := ""
		if at, ok := Epoch(number); ok {
			got = at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", number, got, want)
		}
	}
}

// references are layouts with the zones that time.Parse reads behind them.
func references() (all []string) {
	for _, layout := range layouts {
		if layout.unread || layout.yearless {
			continue
		}
		for _, zone := range []string{"", "Z07:00", "-0700", " -0700", " Z07:00"} {
			if layout.yearLast {
				zone += " 2006"
			}
			all = append(all, layout.text+zone)
		}
	}
	return all
}

// FuzzStamp compares what is read of s with time.Parse: it must accept what time.Parse would also write, and mean the same.
func FuzzStamp(f *testing.F) {
	for _, s := range []string{
		"2026-03-01T10:15:00Z", "2026-03-01 10:15:00.123+02:00", "2026-03-01 10:15:00 -0700", "2026/03/01 10:15:00.5",
		"26/03/01 10:15:00", "01/Mar/2026:10:15:00 -0700", "01-Mar-2026 10:15:00.5", "Sun Mar  1 10:15:00 2026",
		"Sun Mar  1 10:15:00 -0700 2026", "1772360100.5", "<34>1 2026-03-01T10:15:00Z", "Mar  1 10:15:00",
		"2026-03-29 02:30:00", "INFO [2026-03-01 10:15:00", "a [01/Mar/2026:10:15:00 -0700]", "time=2026-03-01T10:15:00Z",
		"2026-03-01 10:15:00 PM CET", "2026-03-01 10:15:00 Europe/Berlin", "t=\"2026-03-01 10:15:00 GMT+1\" [", "2026-06-30T23:59:60Z",
	} {
		f.Add(s)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Skip(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := &Stamps{Location: berlin, Now: time.Now}
		got, _ := p.Whole(s)
		for _, layout := range references() {
			want, err := time.ParseInLocation(layout, s, berlin)
			if err == nil && Plausible(want) && canonical(want, layout, s) && !got.Equal(want) {
				t.Errorf("%s: %q is %s, want %s", layout, s, got, want)
			}
		}
	})
}

// canonical reports whether at formats to s, apart from a fraction. time.Parse also accepts spaces and
// signs for digits, names in other case, and more that no log has.
func canonical(at time.Time, layout, s string) bool {
	_, offset := at.Zone()
	if strings.Contains(layout, "07") && (offset <= -86400 || offset >= 86400 || strings.Contains(layout, " -07") && (offset%900 != 0 || offset > 14*3600 || offset < -14*3600)) {
		return false // no zone
	}
	return at.Format(layout) == fractions.ReplaceAllString(s, "$1")
}

var fractions = regexp.MustCompile(`(:\d\d|T\d{6})[.,]\d+`)

// FuzzStampOfMoment formats a moment in each layout; it must be read back.
func FuzzStampOfMoment(f *testing.F) {
	f.Add(int64(1772360100), uint32(123456789), int16(-420))
	f.Add(int64(951782400), uint32(0), int16(0))
	f.Add(int64(0), uint32(999999999), int16(825))
	f.Fuzz(func(t *testing.T, seconds int64, nanos uint32, zoneMinutes int16) {
		loc := time.FixedZone("", int(zoneMinutes%840)/15*15*60)
		at := time.Unix(seconds%9_214_646_400, int64(nanos%1e9)).In(loc)
		p := &Stamps{Location: loc, Now: time.Now}
		for _, layout := range references() {
			if strings.HasPrefix(layout, "06/") && (at.Year() < 1969 || at.Year() > 2068) {
				continue
			}
			for _, fraction := range []string{"", ".000", ",000000", ".000000000"} {
				text := at.Format(strings.Replace(strings.Replace(layout, ":05", ":05"+fraction, 1), "150405", "150405"+fraction, 1))
				want := at.Truncate(time.Second)
				if fraction != "" {
					unit := time.Second
					for range len(fraction) - 1 {
						unit /= 10
					}
					want = at.Truncate(unit)
				}
				if !Plausible(want) {
					continue
				}
				if got, _ := p.Whole(text); !got.Equal(want) {
					t.Errorf("%s: %q is %s, want %s", layout, text, got, want)
				}
			}
		}
	})
}
