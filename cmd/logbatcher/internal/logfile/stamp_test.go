package logfile

import (
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema/logline"
)

var testNow = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func testClock() time.Time { return testNow }

func testStamps(loc *time.Location) *stamps {
	return &stamps{logline.Stamps{Location: loc, Now: testClock}}
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
	{"2026-03-01 10:15:00 CET up", "2026-03-01T09:15:00Z", " up"},
	{"2026-07-01 10:15:00 CEST up", "2026-07-01T08:15:00Z", " up"},
	{"2026-10-25 02:15:00 CEST the first", "2026-10-25T00:15:00Z", " the first"},
	{"2026-10-25 02:15:00 CET the second", "2026-10-25T01:15:00Z", " the second"},
	{"2026-03-01 10:15:00 +03 [99] up", "2026-03-01T07:15:00Z", " [99] up"},
	{"2026-03-01 10:15:00 -03: up", "2026-03-01T13:15:00Z", ": up"},
	{"2026-03-01 10:15:00 +0530: up", "2026-03-01T04:45:00Z", ": up"},
	{"2026-03-01 10:15:00 -12.5 degrees", "2026-03-01T09:15:00Z", " -12.5 degrees"},
	{"2026-03-01 10:15:00 -5 items", "2026-03-01T09:15:00Z", " -5 items"},
	{"2026-03-01 10:15:00 UTC+3 up", "2026-03-01T07:15:00Z", " up"},
	{"2026-03-01 10:15:00 GMT-05:00 up", "2026-03-01T15:15:00Z", " up"},
	{"2026-03-01 10:15:00 (UTC) up", "2026-03-01T10:15:00Z", " up"},
	{"2026-03-01 10:15:00 (Europe/Berlin) up", "2026-03-01T09:15:00Z", " up"},
	{"2026-03-01 10:15:00 (main) up", "2026-03-01T09:15:00Z", " (main) up"},
	{"2026-03-01 10:15:00\u221203:00 up", "2026-03-01T13:15:00Z", " up"},
	{"2026-03-01 10:15:00 utc up", "2026-03-01T10:15:00Z", " up"},
	{"2026-03-01 10:15:00 CETX up", "2026-03-01T09:15:00Z", " CETX up"},
	{"2026-03-01 10:15:00 GET /", "2026-03-01T09:15:00Z", " GET /"},
	{"2026-03-01 10:15:00UTC up", "2026-03-01T10:15:00Z", " up"},
	{"2026-03-01 10:15:00 America/New_York up", "2026-03-01T15:15:00Z", " up"},
	{"2026-03-01T10:15:00+01:00[Europe/Berlin] up", "2026-03-01T09:15:00Z", "[Europe/Berlin] up"},
	{"2026-03-01 10:15:00 Europe/Berlin: up", "2026-03-01T09:15:00Z", ": up"},
	{"2026-03-01 10:15:00 Etc/GMT+3 up", "2026-03-01T13:15:00Z", " up"},
	{"2026-03-01 10:15:00 INFO/MainProcess up", "2026-03-01T09:15:00Z", " INFO/MainProcess up"},
	{"2026-03-01 10:15:00 INFO up", "2026-03-01T09:15:00Z", " INFO up"},
	// A clock of twelve hours.
	{"2026-03-01 10:15:00 PM up", "2026-03-01T21:15:00Z", " up"},
	{"2026-03-01 12:15:00 AM up", "2026-02-28T23:15:00Z", " up"},
	{"2026-03-01 12:15:00 pm up", "2026-03-01T11:15:00Z", " up"},
	{"2026-03-01 10:15:00.5PM +0000 up", "2026-03-01T22:15:00.5Z", " up"},
	{"2026-03-01 1:15:00 p.m. up", "2026-03-01T12:15:00Z", " up"},
	{"2026-03-01 10:15:00 PMI up", "2026-03-01T09:15:00Z", " PMI up"},
	{"Mar 1, 2026 1:15:00 PM com.example.Shop main", "2026-03-01T12:15:00Z", " com.example.Shop main"},
	{"Mar 1, 2026, 1:15:00\u202fPM up", "2026-03-01T12:15:00Z", " up"},
	{"Sun Mar  1 10:15:00 PM UTC 2026 up", "2026-03-01T22:15:00Z", " up"},
	{"Mar  1 10:15:00 PM web1 up", "2026-03-01T21:15:00Z", " web1 up"},
	{"2026-03-01 10:15:00 up", "2026-03-01T09:15:00Z", " up"},
	{"2026-07-01 10:15:00 up", "2026-07-01T08:15:00Z", " up"},
	{"2026-03-01 10:15:00,747 - INFO  [main]", "2026-03-01T09:15:00.747Z", " - INFO  [main]"},
	{"2026-03-01 10:15:00 -1234 balance", "2026-03-01T09:15:00Z", " -1234 balance"},
	{"[2026-03-01 10:15:00 +0000] [81] [INFO] up", "2026-03-01T10:15:00Z", " [81] [INFO] up"},
	{"[2026-03-01T10:15:00] up", "2026-03-01T09:15:00Z", " up"},
	{"[2026-03-01 10:15:00,747: INFO/MainProcess] up", "2026-03-01T09:15:00.747Z", ": INFO/MainProcess] up"},
	{"2026-03-01T10:15:00Z", "2026-03-01T10:15:00Z", ""},
	{"2026-06-30T23:59:60Z leap", "2026-07-01T00:00:00Z", " leap"},
	{"2026-03-01T10:60:00Z up", unread, " up"},
	{"2026-03-01T10:15:61Z up", unread, " up"},
	{"2024-02-29T00:00:00Z up", "2024-02-29T00:00:00Z", " up"},
	{"2026-02-29T00:00:00Z up", unread, " up"},
	{"2026-13-01T00:00:00Z up", unread, " up"},
	{"2026-03-01T24:00:00Z up", unread, " up"},
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
	{"26/13/01 10:15:00 INFO up", unread, " INFO up"},
	{"26/03/01 10:15:00 PM up", unread, " up"},
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
	{"Mar 32 10:15:00 web1 up", unread, " web1 up"},
	{"Feb 30 10:15:00 web1 up", unread, " web1 up"},
	{"March on to the next station", "", ""},
	// Apache's error log, date.
	{"[Sun Mar 01 10:15:00 2026] [notice] up", "2026-03-01T09:15:00Z", " [notice] up"},
	{"[Sun Mar 01 10:15:00.902022 2026] [core:error] [pid 7:tid 8] up", "2026-03-01T09:15:00.902022Z", " [core:error] [pid 7:tid 8] up"},
	{"Sun Mar  1 10:15:00 2026 up", "2026-03-01T09:15:00Z", " up"},
	{"Sun Mar 01 2026 10:15:00 GMT+0100 (CET) up", "2026-03-01T09:15:00Z", " (CET) up"},
	{"Sun Feb 29 10:15:00 2026 up", unread, " up"},
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
	{"1772360100123.5 up", "2026-03-01T10:15:00.1235Z", " up"},
	{"0000-01-01T00:00:00Z up", unread, " up"},
	{"0001-01-01T00:00:00Z Go's zero time", unread, " Go's zero time"},
	{"1969-12-31T00:00:00Z before", unread, " before"},
	{"2262-01-01T00:00:00Z after", unread, " after"},
	// Not understood, and counted.
	{"2026-03-01 10:15:00 EST up", unread, " up"},
	{"2026-07-01 10:15:00 CET up", unread, " up"},
	{"2026-03-01 10:15:00 Europe/Atlantis up", unread, " up"},
	{"2026-03-01 10:15:00+99:00 up", unread, " up"},
	{"2026-03-01 10:15:00+12345 up", unread, " up"},
	{"2026-03-01 13:15:00 PM up", unread, " up"},
	{"03/01/2026 10:15:00 up", unread, " up"},
	{"3/1/2026, 10:15:00 PM up", unread, " up"},
	{"2026-03-01 10:15:00 MEZ up", unread, " up"},
	{"2026-03-01 10:15:00 (EST) up", unread, " up"},
	{"03/01/2026, 10:15:00 PM up", unread, " up"},
	// More layouts.
	{"2026.03.01 10:15:00.123456 [ 7 ] {} <Information> up", "2026-03-01T09:15:00.123456Z", " [ 7 ] {} <Information> up"},
	{"01.03.2026 10:15:00 up", "2026-03-01T09:15:00Z", " up"},
	{"Sun, 01 Mar 2026 10:15:00 GMT up", "2026-03-01T10:15:00Z", " up"},
	{"20260301T101500Z up", "2026-03-01T10:15:00Z", " up"},
	{"level=info ts=2026-03-01T10:15:00Z msg=up", "2026-03-01T10:15:00Z", " msg=up"},
	{"[INFO ][2026-03-01 10:15:00] up", "2026-03-01T09:15:00Z", " up"},
	{"INFO  [main] 2026-03-01 10:15:00,123 A.java:1 - up", "2026-03-01T09:15:00.123Z", " A.java:1 - up"},
	{"[main] 2026-03-01 10:15:00 up", "2026-03-01T09:15:00Z", " up"},
	{"I, [2026-03-01T10:15:00.5 #99]  INFO -- : up", "2026-03-01T09:15:00.5Z", " #99]  INFO -- : up"},
	{"I, we met [2026-03-01T10:15:00.5] up", "", ""},
	{"INFO | 2026-03-01 10:15:00 | up", "2026-03-01T09:15:00Z", " | up"},
	{"x", "", ""},
	{"<34>", "", ""},
	{"<34>1 ", "", ""},
	{"[", "", ""},
}

// unread is a stamp that is not understood.
const unread = "unread"

func TestFindStamp(t *testing.T) {
	berlin := mustLocation(t, "Europe/Berlin")
	for _, test := range findStampTests {
		for _, before := range findStampTests { // whose layout is then tried first
			p := testStamps(berlin)
			p.find(before.line)
			found, got, rest := p.find(test.line), "", ""
			if found.Found() {
				got, rest = unread, test.line[found.End:]
			}
			if !found.At.IsZero() {
				got = found.At.Format(time.RFC3339Nano)
			}
			if got != test.want || rest != test.rest {
				t.Errorf("%q after %q: %s and %q, want %s and %q", test.line, before.line, got, rest, test.want, test.rest)
			}
		}
	}
}

// FuzzStamp checks what is found in any line, and that a reader that remembers finds the same.
func FuzzStamp(f *testing.F) {
	for _, test := range findStampTests {
		f.Add(test.line)
	}
	berlin := mustLocation(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, s string) {
		p := testStamps(berlin)
		first := p.find(s)
		if !first.Found() {
			return
		}
		if first.start < 0 || first.start >= first.End || first.End > len(s) || !first.At.IsZero() && (first.At.Location() != time.UTC || !logline.Plausible(first.At)) {
			t.Fatalf("%q: %+v", s, first)
		}
		if again := p.find(s); again != first {
			t.Fatalf("%q: first %+v, remembered %+v", s, first, again)
		}
	})
}
