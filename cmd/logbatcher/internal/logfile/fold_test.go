package logfile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema/logline"
)

// A case's input is its entries, joined: folding must find them again.
func TestFold(t *testing.T) {
	const stamp = "2026-03-01 10:15:00,123 "
	for _, test := range []struct {
		name string
		want []string
	}{
		{"Java", []string{
			stamp + "INFO up",
			stamp + "ERROR failed\njava.lang.IllegalStateException: no stock\n\tat a.B.c(B.java:7)\n\tat a.B.main(B.java:3)\n" +
				"Caused by: java.io.IOException: closed\n\tat d.E.f(E.java:9)\n\t... 12 more",
			stamp + "INFO next",
		}},
		{"Java without stamps", []string{
			"request failed", // the exception's own line looks like another entry
			"java.lang.IllegalStateException: no stock\n\tat a.B.c(B.java:7)\nCaused by: x\n... 3 more\nat a.B.d(B.java:1)",
			"next",
		}},
		{"Python", []string{
			stamp + "ERROR failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nValueError: bad",
			stamp + "INFO next",
		}},
		{"Python without stamps", []string{
			"ERROR:root:failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nValueError: bad",
			"INFO:root:next",
		}},
		{"Go panic behind stamps", []string{
			"2026/03/01 10:15:00 serving",
			"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:7 +0x1d\nexit status 2",
			"2026/03/01 10:16:00 serving",
		}},
		{"Go panic behind JSON", []string{
			`{"time":"2026-03-01T10:15:00Z","level":"INFO"}`,
			"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:7 +0x1d",
			`{"time":"2026-03-01T10:16:00Z","level":"INFO"}`,
		}},
		{"Java thread", []string{
			stamp + "INFO up",
			"Exception in thread \"main\" java.lang.Error\n\tat a.B.c(B.java:7)",
		}},
		{"a block", []string{
			stamp + "DEBUG configuration:\n{\n  \"a\": 1\n}\nend of it",
			stamp + "INFO next",
		}},
		{"an object without a time among stamps", []string{
			stamp + "DEBUG got:\n{\"a\": 1}",
			stamp + "INFO next",
		}},
		{"stray text behind JSON", []string{
			`{"time":"2026-03-01T10:15:00Z","k":1}`,
			"listening on 8080",
			`{"time":"2026-03-01T10:15:00Z","k":2}` + "\n  indented",
			`{"time":"2026-03-01T10:15`,
		}},
		{"levels behind white space", []string{
			"DEBUG " + stamp + "a", " INFO " + stamp + "b\n\tat c", "\t WARN d", "ERROR e", "  [error] f", " level=info msg=g",
		}},
		{"white space before stamps", []string{stamp + "a", " " + stamp + "b", "\ufeff\t[" + stamp + "] c"}},
		{"levels without stamps", []string{" INFO a", " WARN b\n    c", "ERROR d"}},
		{"colours", []string{
			stamp + "INFO a", "\x1b[33m" + stamp + "WARN b\x1b[0m\n\x1b[2m\tat c\x1b[0m", "\x1b]8;;http://x\x07\x1b(B\x1b[1;31m" + stamp + "d",
			"\x1b[31mERROR\x1b[0m e", "#033[31mERROR#033[0m f",
		}},
		{"stamps that are not understood", []string{
			stamp + "a", "2026-03-01 10:15:00 EST b\nc", "2026-03-01 13:15:00 PM d", "2026-02-30 10:15:00 e",
		}},
		{"objects with a level, a message or a time among stamps", []string{
			stamp + "a", stamp + "b\n{\"a\": 1}", `{"level":"error"}`, stamp + "c", `{"time":"2026-03-01T10:15:00Z"}`, "\x1b[32m  " + `{"severity_number":9}` + "\x1b[0m",
			stamp + "d\ne",
		}},
		{"words that are no levels", []string{
			stamp + "a\nERROR_CODE\nError: boom\nLOG x\nDEBUG=1\n<error>\nTRACE-ID: 7\nerror: x\n  error",
		}},
		{"no stamps", []string{"one", "two", "three"}},
		{"a banner, then stamps", []string{
			"Starting the shop", "version 7", stamp + "a", stamp + "b", stamp + "c\nfolded",
		}},
		{"few stamps among many lines", []string{"one", "two", "three", stamp + "x", "four", "five"}},
		{"blank lines inside", []string{stamp + "a\n\n\n  b", stamp + "c"}},
		{"first line continues nothing", []string{"  indented\n  more", "text"}},
	} {
		records, stats := readAll(t, strings.Join(test.want, "\n")+"\n", Options{})
		if got := bodies(records); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
		folded := int64(0)
		for _, body := range test.want {
			for _, l := range strings.Split(body, "\n")[1:] {
				if l != "" {
					folded++
				}
			}
		}
		if stats.FoldedLines != folded {
			t.Errorf("%s: %d folded, want %d", test.name, stats.FoldedLines, folded)
		}
	}
}

func TestFoldOff(t *testing.T) {
	records, _ := readAll(t, "2026-03-01 10:15:00 a\n\tb\nc\n", Options{MaxFoldLines: -1})
	if got := bodies(records); !reflect.DeepEqual(got, []string{"2026-03-01 10:15:00 a", "\tb", "c"}) {
		t.Errorf("%q", got)
	}
}

// A fold that has no room goes on in records with the same time, severity and service.
func TestFoldIsSplit(t *testing.T) {
	head := "Mar  1 10:15:00 web1 shop[7]: ERROR: dump"
	for _, test := range []struct {
		name    string
		options Options
		want    int // records
	}{
		{"by lines", Options{MaxFoldLines: 4}, 4},
		{"by bytes", Options{MaxEntryBytes: len(head) + 2*len("\n\tline 10")}, 4},
	} {
		var input strings.Builder
		input.WriteString(head + "\n")
		for i := range 16 {
			fmt.Fprintf(&input, "\tline %d\n", 10+i)
		}
		records, _ := readAll(t, input.String(), test.options)
		var lines []string
		for i, r := range records {
			lines = append(lines, strings.Split(r.Body, "\n")...)
			if r.TimeUnixNano == 0 || r.TimeUnixNano != records[0].TimeUnixNano || r.SeverityNumber != logline.Error || r.SeverityText != "ERROR" {
				t.Errorf("%s: record %d is %+v", test.name, i, r)
			}
		}
		if len(records) != test.want || strings.Join(lines, "\n")+"\n" != input.String() {
			t.Errorf("%s: %q", test.name, bodies(records))
		}
	}
}

// One accidental stamp does not make entries of 500 lines out of a file without any.
func TestFoldGivesUp(t *testing.T) {
	input := "2026-03-01 10:15:00 started\n" + strings.Repeat("a line of text\n", 100)
	records, _ := readAll(t, input, Options{MaxFoldLines: 10})
	if len(records) < 70 {
		t.Errorf("%d records", len(records))
	}
	for i, r := range records {
		if want := time.Date(2026, 3, 1, 10, 15, 0, 0, time.UTC); timeOf(r) != want {
			t.Fatalf("record %d is of %s", i, timeOf(r))
		}
	}
}

func TestInheritedTime(t *testing.T) {
	input := "before\n" + `{"time":"2026-03-01T10:15:00Z","msg":"a"}` + "\nstray\n"
	records, stats := readAll(t, input, Options{})
	if len(records) != 3 || records[0].TimeUnixNano != 0 || records[2].TimeUnixNano != records[1].TimeUnixNano || stats.InheritedTimes != 1 || stats.Untimed != 1 {
		t.Errorf("%+v %+v", records, stats)
	}
}

func TestCrashSeverity(t *testing.T) {
	for line, want := range map[string]uint32{
		"panic: runtime error": logline.Fatal, "fatal error: all goroutines are asleep": logline.Fatal,
		"Exception in thread \"main\" java.lang.Error": logline.Error, "panicking is no use": 0,
	} {
		records, _ := readAll(t, line, Options{})
		if records[0].SeverityNumber != want {
			t.Errorf("%q: %d, want %d", line, records[0].SeverityNumber, want)
		}
	}
}
