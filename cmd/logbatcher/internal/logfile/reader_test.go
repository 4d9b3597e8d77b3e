package logfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema/logline"
)

// readAll reads all of input, and fails the test for any error but the end.
func readAll(t testing.TB, input string, options Options) ([]*logbatcherv1.Entry, Stats) {
	t.Helper()
	if options.Location == nil {
		options.Location = time.UTC
	}
	if options.Now == nil {
		options.Now = testClock
	}
	reader := NewReader(t.Context(), strings.NewReader(input), options)
	var records []*logbatcherv1.Entry
	for {
		record, err := reader.Next()
		if err == io.EOF {
			return records, *reader.stats
		}
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
}

func bodies(records []*logbatcherv1.Entry) []string {
	var all []string
	for _, r := range records {
		all = append(all, r.Body)
	}
	return all
}

// timeOf returns the time of an entry, or the zero time.
func timeOf(e *logbatcherv1.Entry) time.Time {
	if e.TimeUnixNano == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(e.TimeUnixNano)).UTC()
}

// truncated returns how many bytes an entry lacks, by its attribute.
func truncated(e *logbatcherv1.Entry) int64 {
	for _, a := range e.Attributes {
		if a.Key == truncatedBytesKey {
			return a.IntValue
		}
	}
	return 0
}

// attributesText formats attributes as key=value, each type in its own way.
func attributesText(r *logbatcherv1.Entry) string {
	var b strings.Builder
	for _, a := range r.Attributes {
		switch a.Type {
		case logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT:
			fmt.Fprintf(&b, "%s=%d ", a.Key, a.IntValue)
		case logbatcherv1.AttributeType_ATTRIBUTE_TYPE_DOUBLE:
			fmt.Fprintf(&b, "%s=%#v ", a.Key, a.DoubleValue)
		case logbatcherv1.AttributeType_ATTRIBUTE_TYPE_BOOL:
			fmt.Fprintf(&b, "%s=%v ", a.Key, a.BoolValue)
		case logbatcherv1.AttributeType_ATTRIBUTE_TYPE_JSON:
			fmt.Fprintf(&b, "%s=json:%s ", a.Key, a.StringValue)
		default:
			fmt.Fprintf(&b, "%s=%q ", a.Key, a.StringValue)
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

func TestLines(t *testing.T) {
	for _, test := range []struct {
		name, input string
		want        []string
		stats       Stats
	}{
		{"nothing", "", nil, Stats{}},
		{"no final newline", "a\nb", []string{"a", "b"}, Stats{Lines: 2}},
		{"CRLF", "a\r\nb\r\n", []string{"a", "b"}, Stats{Lines: 2}},
		{"CR at the end", "a\r", []string{"a"}, Stats{Lines: 1}},
		{"CR inside", "10%\r20%\n", []string{"10%\r20%"}, Stats{Lines: 1}},
		{"blank lines", "\n\na\n \t\n\r\nb\n\n", []string{"a", "b"}, Stats{Lines: 7, BlankLines: 5}},
		{"byte order mark", "\xef\xbb\xbfa\n\xef\xbb\xbfb\n", []string{"a", "\ufeffb"}, Stats{Lines: 2}},
		{"only a byte order mark", "\xef\xbb\xbf", nil, Stats{Lines: 1, BlankLines: 1}},
		{"NUL", "\x00\x00a\x00b\n\x00\x00\x00\nc", []string{"a\x00b", "c"}, Stats{Lines: 3, BlankLines: 1, SkippedNULBytes: 5}},
		{"invalid UTF-8", "caf\xe9 \xff\xfe\xfd ok\n\xc3\xa9\n", []string{"caf\xe9 \xff\xfe\xfd ok", "é"}, Stats{Lines: 2, InvalidUTF8: 1}},
		{"U+FFFD itself", "a\ufffdb", []string{"a\ufffdb"}, Stats{Lines: 1}},
	} {
		records, stats := readAll(t, test.input, Options{})
		test.stats.Untimed = int64(len(test.want))
		if got := bodies(records); !reflect.DeepEqual(got, test.want) || stats != test.stats {
			t.Errorf("%s: %q %+v, want %q %+v", test.name, got, stats, test.want, test.stats)
		}
	}
}

func TestLongLines(t *testing.T) {
	for _, test := range []struct {
		name, input string
		limit       int
		want        string
		cut         int64
	}{
		{"fits", "12345678\n", 8, "12345678", 0},
		{"fits with CRLF", "12345678\r\n", 8, "12345678", 0},
		{"one too many", "123456789\n", 8, "12345678", 1},
		{"one too many with CRLF", "123456789\r\n", 8, "12345678", 1},
		{"no final newline", "123456789", 8, "12345678", 1},
		{"rune across the cut", "1234567é9\n", 8, "1234567", 3},
		{"rune of four bytes", "12345\U0001F600\n", 8, "12345", 4},
		{"invalid bytes", "\xff1\xff2\xff3\xff4\xff\n", 8, "\xff1\xff2\xff3\xff4", 1},
		{"byte order mark", "\xef\xbb\xbf12345678\n", 8, "12345678", 0},
		{"beyond the buffer", strings.Repeat("x", 300_000) + "\n", 8, "xxxxxxxx", 299_992},
		{"beyond the buffer, CRLF", strings.Repeat("x", 300_000) + "\r\n", 8, "xxxxxxxx", 299_992},
		{"default bound", strings.Repeat("x", defaultMaxEntryBytes+5) + "\n", 0, strings.Repeat("x", defaultMaxEntryBytes), 5},
		{"CR where the line is held up to", "1234567812345678\rxx", 9, "123456781", 10},
		{"NULs before", strings.Repeat("\x00", 200_000) + "123456789\n", 8, "12345678", 1},
	} {
		for _, chunk := range []string{"whole", "bytes"} {
			var in io.Reader = strings.NewReader(test.input)
			if chunk == "bytes" {
				in = iotest.OneByteReader(in)
			}
			reader := NewReader(t.Context(), in, Options{MaxEntryBytes: test.limit})
			record, err := reader.Next()
			if err != nil {
				t.Fatal(test.name, err)
			}
			cut := truncated(record)
			if record.Body != test.want || cut != test.cut || reader.stats.TruncatedBytes != test.cut {
				t.Errorf("%s, %s: %.40q and %d cut, want %.40q and %d", test.name, chunk, record.Body, cut, test.want, test.cut)
			}
			if _, err := reader.Next(); err != io.EOF {
				t.Errorf("%s: %v after the line", test.name, err)
			}
		}
	}
}

// What was read before a failure comes first, then the failure, again and again.
func TestReadError(t *testing.T) {
	broken := errors.New("broken")
	reader := NewReader(t.Context(), io.MultiReader(strings.NewReader("one\ntwo\nthr"), iotest.ErrReader(broken)), Options{})
	for _, want := range []string{"one", "two", "thr"} {
		if record, err := reader.Next(); err != nil || record.Body != want {
			t.Fatalf("%q, %v; want %q", record.Body, err, want)
		}
	}
	for range 2 {
		if _, err := reader.Next(); !errors.Is(err, broken) {
			t.Errorf("%v, want %v", err, broken)
		}
	}
}

// Records do not change when the reader goes on.
func TestRecordsOwnTheirMemory(t *testing.T) {
	var input strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&input, "2026-03-01T10:00:00Z host app[%d]: text %d\n\tmore %d\n{\"msg\":\"m%d\",\"k\":\"v%d\",\"time\":\"2026-03-01T10:00:00Z\"}\n", i, i, i, i, i)
	}
	records, _ := readAll(t, input.String(), Options{})
	if len(records) != 10_000 {
		t.Fatal(len(records))
	}
	for i := range 5000 {
		text, object := records[2*i], records[2*i+1]
		if text.Body != fmt.Sprintf("2026-03-01T10:00:00Z host app[%d]: text %d\n\tmore %d", i, i, i) || attributesText(text) != `host.name="host"` {
			t.Fatalf("%d: %q", i, text.Body)
		}
		if object.Body != fmt.Sprintf("m%d", i) || attributesText(object) != fmt.Sprintf("k=\"v%d\"", i) {
			t.Fatalf("%d: %+v", i, object)
		}
	}
}

// naiveLines returns the lines of the input that are not blank, by the plainest code.
func naiveLines(input string) []string {
	var lines []string
	for i, l := range strings.Split(input, "\n") {
		l = strings.TrimSuffix(l, "\r")
		l = strings.TrimLeft(l, "\x00")
		if i == 0 {
			l = strings.TrimPrefix(l, byteOrderMark)
		}
		if !isBlank(logline.Plain(l)) {
			lines = append(lines, l)
		}
	}
	return lines
}

// FuzzReader checks that no line is lost: each is in the body of one record, in the order of the input, or, when it is
// JSON, among the fields of one; and that what is cut is counted.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"a\nb\n", "2026-03-01 10:00:00 one\n\tat x\n\nCaused by: y\n2026-03-01 10:00:01 two\n",
		`{"time":"2026-03-01T10:00:00Z","level":"warn","msg":"a\nb","n":1,"o":{"p":[1,2]}}` + "\nplain\n{broken\n",
		"panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1\n", "Traceback (most recent call last):\n  File\nValueError: x\n",
		"<34>1 2026-03-01T10:00:00Z h a 1 m [x@1 a=\"b\\\"\" c=\"d\"] text\n<3>y\n", "\x00\x00\xff\xfe\r\n\xef\xbb\xbf\n",
		"192.0.2.1 - - [01/Mar/2026:10:15:00 +0000] \"GET /a?b HTTP/1.1\" 200 5 \"-\" \"c\\\"d\"\n", " INFO x\n\x1b[31mERROR y\x1b[0m\n\x1b[m\n",
		"2026-03-01 10:15:00 CET x\n2026-03-01 10:15:00 PM y\n[error] z\n",
	} {
		f.Add([]byte(s), uint16(0), uint8(0), false)
		f.Add([]byte(s), uint16(9), uint8(2), true)
	}
	f.Fuzz(func(t *testing.T, input []byte, limit uint16, fold uint8, small bool) {
		if found, err := sniff(bufio.NewReader(bytes.NewReader(input))); found != nil || err != nil && len(input) > 0 {
			return // not text
		}
		options := Options{MaxEntryBytes: int(limit), MaxFoldLines: int(fold) - 1, Location: time.UTC, Now: testClock}
		var in io.Reader = bytes.NewReader(input)
		if small {
			in = iotest.HalfReader(in)
		}
		reader := NewReader(t.Context(), in, options)
		var bodies []string
		for {
			record, err := reader.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			checkRecord(t, record, reader.maxBytes)
			bodies = append(bodies, record.Body)
		}
		stats := *reader.stats
		if stats.Lines < stats.BlankLines+stats.FoldedLines || int64(len(bodies))+stats.FoldedLines+stats.BlankLines != stats.Lines {
			t.Fatalf("%d records, %+v", len(bodies), stats)
		}
		checkConserved(t, string(input), bodies, reader.maxBytes, stats)
	})
}

func checkRecord(t *testing.T, r *logbatcherv1.Entry, maxBytes int) {
	t.Helper()
	if len(r.Body) > maxBytes {
		t.Fatalf("body of %d bytes, bound %d", len(r.Body), maxBytes)
	}
	if r.SeverityNumber > 24 {
		t.Fatalf("severity %d", r.SeverityNumber)
	}
	if (r.TraceId != "" && len(r.TraceId) != 32) || (r.SpanId != "" && len(r.SpanId) != 16) {
		t.Fatalf("ids %q %q", r.TraceId, r.SpanId)
	}
}

// checkConserved finds the lines in the bodies: whole, or up to the bound.
func checkConserved(t *testing.T, input string, bodies []string, maxBytes int, stats Stats) {
	t.Helper()
	var got []string
	for _, body := range bodies {
		got = append(got, strings.Split(body, "\n")...)
	}
	var cut int64
	next := 0
	for _, l := range naiveLines(input) {
		if strings.HasPrefix(strings.Trim(logline.Plain(l), logline.White), "{") && json.Valid([]byte(strings.Trim(logline.Plain(l), logline.White))) || len(l) > maxBytes && l[0] == '{' {
			return // its message may be anything; what follows is ambiguous
		}
		if c := (&line{text: l[:min(len(l), maxBytes)]}); c.cri() {
			return
		}
		keep := fit(l, maxBytes)
		cut += int64(len(l) - keep)
		if isBlank(logline.Plain(l[:keep])) {
			continue
		}
		for next < len(got) && isBlank(logline.Plain(got[next])) {
			next++
		}
		if next == len(got) || got[next] != l[:keep] {
			t.Fatalf("line %q of %q is not next in %q", l, input, bodies)
		}
		next++
	}
	if stats.TruncatedBytes < cut {
		t.Fatalf("%d bytes cut, counted %d", cut, stats.TruncatedBytes)
	}
}

// The year of a stamp without one follows the clock at its line, on a pipe that stays open for long.
func TestYearFollowsTheClock(t *testing.T) {
	var input strings.Builder
	var want []time.Time
	for day := range 800 {
		at := time.Date(2026, 11, 25, 10, 15, 0, 0, time.UTC).AddDate(0, 0, day)
		want = append(want, at)
		input.WriteString(at.Format(time.Stamp) + " web1 app[1]: hello\n")
	}
	line := 0
	clock := func() time.Time {
		line++
		return want[line-1].Add(time.Hour)
	}
	records, _ := readAll(t, input.String(), Options{Now: clock})
	for i, record := range records {
		if !timeOf(record).Equal(want[i]) {
			t.Fatalf("%q is of %s, want %s", record.Body, timeOf(record), want[i])
		}
	}
	if len(records) != len(want) || line != len(want) {
		t.Errorf("%d records, the clock was asked %d times", len(records), line)
	}
}
