package logfile

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func testClock() time.Time { return testNow }

func testStamps(loc *time.Location) *stampParser {
	return &stampParser{calendar: calendar{loc: loc, now: testClock}}
}

func mustLocation(tb testing.TB, name string) *time.Location {
	tb.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		tb.Skip(err)
	}
	return loc
}

// findStampTests are lines and their stamps; without a zone these are Berlin's, an hour ahead in winter.
var findStampTests = []struct {
	line string
	want string // RFC 3339 in UTC; empty is none
	rest string
}{
	// RFC 3339 and its relatives.
	{"2026-03-01T10:15:00Z up", "2026-03-01T10:15:00Z", " up"},
	{"2026-03-01T10:15:00.123456789Z up", "2026-03-01T10:15:00.123456789Z", " up"},
	{"2026-03-01T10:15:00.1234567891234Z up", "2026-03-01T10:15:00.123456789Z", " up"},
	{"2026-03-01T10:15:00,5+02:00 up", "2026-03-01T08:15:00.5Z", " up"},
	{"2026-03-01 10:15:00+0200 up", "2026-03-01T08:15:00Z", " up"},
	{"2026-03-01 10:15:00-05 up", "2026-03-01T15:15:00Z", " up"},
	{"2026-03-01 10:15:00 +0530 up", "2026-03-01T04:45:00Z", " up"},
	{"2026-03-01 10:15:00.123 UTC [81] LOG:  ready", "2026-03-01T10:15:00.123Z", " [81] LOG:  ready"},
	{"2026-03-01 10:15:00 GMT up", "2026-03-01T10:15:00Z", " up"},
	{"2026-03-01 10:15:00 CET up", "2026-03-01T09:15:00Z", " CET up"},
	{"2026-03-01 10:15:00 up", "2026-03-01T09:15:00Z", " up"},
	{"2026-07-01 10:15:00 up", "2026-07-01T08:15:00Z", " up"},
	{"2026-03-01 10:15:00,747 - INFO  [main]", "2026-03-01T09:15:00.747Z", " - INFO  [main]"},
	{"2026-03-01 10:15:00 -1234 balance", "2026-03-01T09:15:00Z", " -1234 balance"},
	{"[2026-03-01 10:15:00 +0000] [81] [INFO] up", "2026-03-01T10:15:00Z", " [81] [INFO] up"},
	{"[2026-03-01T10:15:00] up", "2026-03-01T09:15:00Z", " up"},
	{"[2026-03-01 10:15:00,747: INFO/MainProcess] up", "2026-03-01T09:15:00.747Z", ": INFO/MainProcess] up"},
	{"2026-03-01T10:15:00Z", "2026-03-01T10:15:00Z", ""},
	{"2026-06-30T23:59:60Z leap", "2026-07-01T00:00:00Z", " leap"},
	{"2024-02-29T00:00:00Z up", "2024-02-29T00:00:00Z", " up"},
	{"2026-02-29T00:00:00Z up", "", ""},
	{"2026-13-01T00:00:00Z up", "", ""},
	{"2026-03-01T24:00:00Z up", "", ""},
	{"2026-03-01T10:15:00up", "", ""},
	{"2026-03-01", "", ""},
	{"2026-03-01T10:15", "", ""},
	{"time=2026-03-01T10:15:00.123+01:00 level=INFO msg=up", "2026-03-01T09:15:00.123Z", " level=INFO msg=up"},
	{`time="2026-03-01T10:15:00Z" level=info msg=up`, "2026-03-01T10:15:00Z", `" level=info msg=up`},
	{"ts=2026-03-01T10:15:00Z level=info", "2026-03-01T10:15:00Z", " level=info"},
	{"INFO  [2026-03-01 10:15:00,747] com.example.Shop: up", "2026-03-01T09:15:00.747Z", " com.example.Shop: up"},
	{"[ERROR] 2026/03/01 10:15:00 down", "2026-03-01T09:15:00Z", " down"},
	// Slashes.
	{"2026/03/01 10:15:00 up", "2026-03-01T09:15:00Z", " up"},
	{"2026/03/01 10:15:00.123456 up", "2026-03-01T09:15:00.123456Z", " up"},
	{"2026/03/01 10:15:00 [error] 7#7: *1 open() failed", "2026-03-01T09:15:00Z", " [error] 7#7: *1 open() failed"},
	{"26/03/01 10:15:00 INFO up", "2026-03-01T09:15:00Z", " INFO up"},
	{"26/13/01 10:15:00 INFO up", "", ""},
	// Syslog: no year.
	{"Mar  1 10:15:00 web1 cron[7]: up", "2026-03-01T09:15:00Z", " web1 cron[7]: up"},
	{"Mar 01 10:15:00 web1 cron[7]: up", "2026-03-01T09:15:00Z", " web1 cron[7]: up"},
	{"Mar 1 10:15:00 web1 cron[7]: up", "2026-03-01T09:15:00Z", " web1 cron[7]: up"},
	{"Mar 11 12:00:00 web1 tomorrow", "2026-03-11T11:00:00Z", " web1 tomorrow"},
	{"Mar 11 14:00:00 web1 next year", "2025-03-11T13:00:00Z", " web1 next year"},
	{"Dec 31 23:59:59 web1 last year", "2025-12-31T22:59:59Z", " web1 last year"},
	{"Feb 29 10:00:00 web1 leap day", "2024-02-29T09:00:00Z", " web1 leap day"},
	{"Mar  1 10:15:00.123 web1 up", "2026-03-01T09:15:00.123Z", " web1 up"},
	{"Mar  1 2025 10:15:00 web1 up", "2025-03-01T09:15:00Z", " web1 up"},
	{"<34>Mar  1 10:15:00 web1 su: up", "2026-03-01T09:15:00Z", " web1 su: up"},
	{"<34>1 2026-03-01T10:15:00.003Z web1 su - ID47 - up", "2026-03-01T10:15:00.003Z", " web1 su - ID47 - up"},
	{"Mar 32 10:15:00 web1 up", "", ""},
	{"Feb 30 10:15:00 web1 up", "", ""},
	{"March on to the next station", "", ""},
	// Apache's error log, date.
	{"[Sun Mar 01 10:15:00 2026] [notice] up", "2026-03-01T09:15:00Z", " [notice] up"},
	{"[Sun Mar 01 10:15:00.902022 2026] [core:error] [pid 7:tid 8] up", "2026-03-01T09:15:00.902022Z", " [core:error] [pid 7:tid 8] up"},
	{"Sun Mar  1 10:15:00 2026 up", "2026-03-01T09:15:00Z", " up"},
	{"Sun Mar  1 10:15:00 CET 2026 up", "2026-03-01T09:15:00Z", " up"},
	{"Sun Mar  1 10:15:00 UTC 2026 up", "2026-03-01T10:15:00Z", " up"},
	{"Sun Mar  1 10:15:00 -0500 2026 up", "2026-03-01T15:15:00Z", " up"},
	{"[Sun Mar 01 10:15:00 20261] up", "", ""},
	// Access logs, Tomcat.
	{`192.0.2.1 - - [01/Mar/2026:10:15:00 -0700] "GET /"`, "2026-03-01T17:15:00Z", ` "GET /"`},
	{`::1 - - [01/Mar/2026:10:15:00 +0000] "GET /"`, "2026-03-01T10:15:00Z", ` "GET /"`},
	{`web1 192.0.2.1 - ann [01/Mar/2026:10:15:00 +0000] "GET /"`, "2026-03-01T10:15:00Z", ` "GET /"`},
	{`- - - [01/Mar/2026:10:15:00 +0000] "GET /"`, "2026-03-01T10:15:00Z", ` "GET /"`},
	{`192.0.2.1 - [x] [01/Mar/2026:10:15:00 +0000] "GET /"`, "2026-03-01T10:15:00Z", ` "GET /"`},
	{`192.0.2.1 - - [01/Mar/2026:10:15:00 +0000 "GET /"`, "", ""},
	{"01-Mar-2026 10:15:00.123 INFO [main] up", "2026-03-01T09:15:00.123Z", " INFO [main] up"},
	{"01 Mar 2026 10:15:00.123 * ready", "2026-03-01T09:15:00.123Z", " * ready"},
	// klog.
	{"I0301 10:15:00.123456   17813 main.go:116] up", "2026-03-01T09:15:00.123456Z", "   17813 main.go:116] up"},
	{"E1231 10:15:00.123456   17813 main.go:116] up", "2025-12-31T09:15:00.123456Z", "   17813 main.go:116] up"},
	{"X0301 10:15:00.123456   17813 main.go:116] up", "", ""},
	// Epochs.
	{"1772360100 up", "2026-03-01T10:15:00Z", " up"},
	{"1772360100.123456789 up", "2026-03-01T10:15:00.123456789Z", " up"},
	{"1772360100123 up", "2026-03-01T10:15:00.123Z", " up"},
	{"1772360100123456 up", "2026-03-01T10:15:00.123456Z", " up"},
	{"1772360100123456789\tup", "2026-03-01T10:15:00.123456789Z", "\tup"},
	{"[1772360100] up", "2026-03-01T10:15:00Z", " up"},
	{"177236010 up", "", ""},
	{"1772360100up", "", ""},
	{"0772360100 up", "", ""},
	{"9999999999 up", "", ""},
	{"99999999999999999999 up", "", ""},
	{"0001-01-01T00:00:00Z Go's zero time", "", ""},
	{"1969-12-31T00:00:00Z before", "", ""},
	{"2262-01-01T00:00:00Z after", "", ""},
	{"x", "", ""},
	{"<34>", "", ""},
	{"<34>1 ", "", ""},
	{"[", "", ""},
}

func TestFindStamp(t *testing.T) {
	berlin := mustLocation(t, "Europe/Berlin")
	for _, test := range findStampTests {
		found, ok := testStamps(berlin).find(test.line)
		if !ok {
			if test.want != "" {
				t.Errorf("%q: no stamp, want %s", test.line, test.want)
			}
			continue
		}
		if got := found.at.Format(time.RFC3339Nano); got != test.want || test.line[found.end:] != test.rest {
			t.Errorf("%q: %s and %q, want %s and %q", test.line, got, test.line[found.end:], test.want, test.rest)
		}
	}
}

// The format of the line before is tried first, and any other still found.
func TestFindStampRemembersTheFormat(t *testing.T) {
	p := testStamps(time.UTC)
	lines := []struct {
		line   string
		format stampFormat
	}{
		{"2026-03-01T10:15:00Z up", isoStamp},
		{"no stamp here", isoStamp},
		{"Mar  1 10:15:00 web1 up", syslogStamp},
		{"I0301 10:15:00.123456 1 a.go:1] up", klogStamp},
		{"1772360100 up", epochStamp},
	}
	for _, l := range lines {
		p.find(l.line)
		if p.likely != l.format {
			t.Errorf("after %q the likely format is %d, want %d", l.line, p.likely, l.format)
		}
	}
}

// local agrees with time.Date across changes of summer time, in any order of dates.
func TestCalendarLocal(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"} {
		loc := mustLocation(t, name)
		c := calendar{loc: loc}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 365 * 96 {
			at = at.Add(15*time.Minute + 7*time.Second)
			date := civil{at.Year(), int(at.Month()), at.Day(), at.Hour(), at.Minute(), at.Second(), 5}
			want := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 5, loc)
			if got := c.local(date); !got.Equal(want) {
				t.Fatalf("%s: %s, want %s", name, got, want)
			}
		}
	}
}

// layouts pairs parsers with what time.Parse calls their format.
func layouts(p *stampParser) map[string]func(string) (time.Time, int, bool) {
	return map[string]func(string) (time.Time, int, bool){
		time.RFC3339:                 p.iso,
		"2006-01-02 15:04:05":        p.iso,
		"2006-01-02 15:04:05Z07:00":  p.iso,
		"2006-01-02 15:04:05 -0700":  p.iso,
		"2006-01-02T15:04:05-0700":   p.iso,
		"2006/01/02 15:04:05":        p.slash,
		"06/01/02 15:04:05":          p.slash,
		"02/Jan/2006:15:04:05 -0700": p.day,
		"02-Jan-2006 15:04:05":       p.day,
		time.ANSIC:                   p.ctime,
		time.RubyDate:                p.ctime,
	}
}

// What time.Parse accepts, if it would also write it so, is accepted with the same moment, and
// the other way about.
func checkAgainstTimeParse(t *testing.T, p *stampParser, s string) {
	t.Helper()
	for layout, parse := range layouts(p) {
		want, err := time.ParseInLocation(layout, s, p.loc)
		got, end, ok := parse(s)
		whole := ok && end == len(s)
		switch {
		case err == nil && !whole:
			if canonical(want, layout, s) {
				t.Errorf("%s: %q is %s for time.Parse, and nothing here", layout, s, want)
			}
		case err == nil && !got.Equal(want) && !(strings.HasPrefix(layout, "06/") && want.Year() < 2000):
			t.Errorf("%s: %q is %s, want %s", layout, s, got, want)
		}
	}
	if at, end, ok := p.iso(s); ok && end == len(s) {
		if !strings.Contains(s, ":60") && !parsesAs(s, p.loc,
			"2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
			"2006-01-02T15:04:05 Z07:00", "2006-01-02T15:04:05 Z0700", "2006-01-02T15:04:05 MST") {
			t.Errorf("%q is %s here, and nothing for time.Parse", s, at)
		}
	}
}

// canonical says whether s is what formatting at gives, apart from a fraction. time.Parse also takes
// spaces and signs for digits, names in other case, and more that no log has.
func canonical(at time.Time, layout, s string) bool {
	_, offset := at.Zone()
	if offset <= -86400 || offset >= 86400 || (strings.Contains(layout, ":05 -0700") && offset%900 != 0) {
		return false // read as no zone, or as no stamp
	}
	return at.Format(layout) == fractions.ReplaceAllString(s, "$1")
}

var fractions = regexp.MustCompile(`(:\d\d)[.,]\d+`)

func parsesAs(s string, loc *time.Location, layouts ...string) bool {
	s = s[:10] + "T" + s[11:]
	s = strings.Replace(strings.Replace(s, ",", ".", 1), "z", "Z", 1)
	for _, layout := range layouts {
		if _, err := time.ParseInLocation(layout, s, loc); err == nil {
			return true
		}
	}
	return false
}

func FuzzStamp(f *testing.F) {
	for _, s := range []string{
		"2026-03-01T10:15:00Z", "2026-03-01 10:15:00.123+02:00", "2026-03-01 10:15:00 -0700", "2026/03/01 10:15:00.5",
		"26/03/01 10:15:00", "01/Mar/2026:10:15:00 -0700", "01-Mar-2026 10:15:00.5", "Sun Mar  1 10:15:00 2026",
		"Sun Mar  1 10:15:00 -0700 2026", "1772360100.5", "I0301 10:15:00.123456", "<34>1 2026-03-01T10:15:00Z", "Mar  1 10:15:00",
		"2026-03-29 02:30:00", "INFO [2026-03-01 10:15:00", "a [01/Mar/2026:10:15:00 -0700]", "time=2026-03-01T10:15:00Z",
	} {
		f.Add(s)
	}
	berlin := mustLocation(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return
		}
		p := testStamps(berlin)
		checkAgainstTimeParse(t, p, s)
		p.whole(s)
		first, ok := p.find(s)
		if !ok {
			return
		}
		if first.end <= 0 || first.end > len(s) || first.at.Location() != time.UTC {
			t.Fatalf("%q: %+v", s, first)
		}
		if again, ok := p.find(s); !ok || !again.at.Equal(first.at) || again.end != first.end {
			t.Fatalf("%q: first %+v, remembered %+v", s, first, again)
		}
	})
}

// FuzzStampOfMoment formats a moment in each layout; it must be read back.
func FuzzStampOfMoment(f *testing.F) {
	f.Add(int64(1772360100), uint32(123456789), int16(-420))
	f.Add(int64(951782400), uint32(0), int16(0))
	f.Add(int64(0), uint32(999999999), int16(825))
	f.Fuzz(func(t *testing.T, seconds int64, nanos uint32, zoneMinutes int16) {
		loc := time.FixedZone("", int(zoneMinutes%960)/15*15*60)
		at := time.Unix(seconds%253402300800, int64(nanos%1e9)).In(loc)
		if at.Year() < 0 || at.Year() > 9999 {
			return
		}
		p := testStamps(loc)
		for layout, parse := range layouts(p) {
			if strings.HasPrefix(layout, "06/") && (at.Year() < 2000 || at.Year() > 2068) {
				continue
			}
			for _, fraction := range []string{"", ".000", ",000000", ".000000000"} {
				text := at.Format(strings.Replace(layout, ":05", ":05"+fraction, 1))
				want := at.Truncate(time.Second)
				if fraction != "" {
					unit := time.Second
					for range len(fraction) - 1 {
						unit /= 10
					}
					want = at.Truncate(unit)
				}
				if got, end, ok := parse(text); !ok || end != len(text) || !got.Equal(want) {
					t.Errorf("%q: %s, %d, %v; want %s", text, got, end, ok, want)
				}
			}
		}
	})
}
