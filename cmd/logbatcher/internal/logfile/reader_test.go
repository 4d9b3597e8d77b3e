package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

// readAll reads all of input, and fails the test for any error but the end.
func readAll(t testing.TB, input string, options Options) ([]Record, Stats) {
	t.Helper()
	if options.Location == nil {
		options.Location = time.UTC
	}
	if options.Now == nil {
		options.Now = testClock
	}
	reader := NewReader(strings.NewReader(input), options)
	var records []Record
	for {
		record, err := reader.Next()
		if err == io.EOF {
			if reader.Offset() != int64(len(input)) {
				t.Errorf("offset %d at the end of %d bytes", reader.Offset(), len(input))
			}
			return records, reader.Stats()
		}
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
}

func bodies(records []Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, r.Body)
	}
	return all
}

func find(r Record, key string) (Attribute, bool) {
	for _, a := range r.Attributes {
		if a.Key == key {
			return a, true
		}
	}
	return Attribute{}, false
}

// attributesText writes attributes shortly: key=value, with the kinds told apart by their looks.
func attributesText(r Record) string {
	var b strings.Builder
	for _, a := range r.Attributes {
		switch a.Kind {
		case String:
			fmt.Fprintf(&b, "%s=%q ", a.Key, a.Str)
		case Int:
			fmt.Fprintf(&b, "%s=%d ", a.Key, a.Int)
		case Double:
			fmt.Fprintf(&b, "%s=%#v ", a.Key, a.Double)
		case Bool:
			fmt.Fprintf(&b, "%s=%v ", a.Key, a.Bool)
		case JSON:
			fmt.Fprintf(&b, "%s=json:%s ", a.Key, a.Str)
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
		{"invalid UTF-8", "caf\xe9 \xff\xfe\xfd ok\n\xc3\xa9\n", []string{"caf\ufffd \ufffd ok", "é"}, Stats{Lines: 2, InvalidUTF8: 2}},
		{"U+FFFD itself", "a\ufffdb", []string{"a\ufffdb"}, Stats{Lines: 1}},
	} {
		records, stats := readAll(t, test.input, Options{})
		test.stats.Records, test.stats.Untimed = int64(len(test.want)), int64(len(test.want))
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
		{"replacement grows", "\xff1\xff2\xff3\xff4\n", 8, "\ufffd1\ufffd2", 4},
		{"byte order mark", "\xef\xbb\xbf12345678\n", 8, "12345678", 0},
		{"beyond the buffer", strings.Repeat("x", 300_000) + "\n", 8, "xxxxxxxx", 299_992},
		{"beyond the buffer, CRLF", strings.Repeat("x", 300_000) + "\r\n", 8, "xxxxxxxx", 299_992},
		{"default bound", strings.Repeat("x", DefaultMaxEntryBytes+5) + "\n", 0, strings.Repeat("x", DefaultMaxEntryBytes), 5},
		{"NULs before", strings.Repeat("\x00", 200_000) + "123456789\n", 8, "12345678", 1},
	} {
		for _, chunk := range []string{"whole", "bytes"} {
			var in io.Reader = strings.NewReader(test.input)
			if chunk == "bytes" {
				in = iotest.OneByteReader(in)
			}
			reader := NewReader(in, Options{MaxEntryBytes: test.limit})
			record, err := reader.Next()
			if err != nil {
				t.Fatal(test.name, err)
			}
			cut, _ := find(record, TruncatedBytesKey)
			if record.Body != test.want || cut.Int != test.cut || reader.Stats().TruncatedBytes != test.cut {
				t.Errorf("%s, %s: %.40q and %d cut, want %.40q and %d", test.name, chunk, record.Body, cut.Int, test.want, test.cut)
			}
			if _, err := reader.Next(); err != io.EOF {
				t.Errorf("%s: %v after the line", test.name, err)
			}
		}
	}
}

// Reading again from any record's offset gives the records behind it.
func TestOffset(t *testing.T) {
	const input = "\n2026-03-01 10:00:00 one\r\n\tat a\n\n\tat b\n2026-03-01 10:00:01 two\n\n\n2026-03-01 10:00:02 three"
	reader := NewReader(strings.NewReader(input), Options{})
	all, _ := readAll(t, input, Options{})
	for i := range all {
		if _, err := reader.Next(); err != nil {
			t.Fatal(err)
		}
		rest, _ := readAll(t, input[reader.Offset():], Options{})
		if got, want := bodies(rest), bodies(all[i+1:]); !reflect.DeepEqual(got, want) {
			t.Errorf("from offset %d: %q, want %q", reader.Offset(), got, want)
		}
	}
}

// What was read before a failure comes first, then the failure, again and again.
func TestReadError(t *testing.T) {
	broken := errors.New("broken")
	reader := NewReader(io.MultiReader(strings.NewReader("one\ntwo\nthr"), iotest.ErrReader(broken)), Options{})
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
		if text.Body != fmt.Sprintf("2026-03-01T10:00:00Z host app[%d]: text %d\n\tmore %d", i, i, i) || text.Service != "app" {
			t.Fatalf("%d: %q", i, text.Body)
		}
		if object.Body != fmt.Sprintf("m%d", i) || attributesText(object) != fmt.Sprintf("k=\"v%d\"", i) {
			t.Fatalf("%d: %+v", i, object)
		}
	}
}

// naiveLines is what the input's lines are, by the plainest code: those that are not blank.
func naiveLines(input string) []string {
	var lines []string
	for i, l := range strings.Split(input, "\n") {
		l = strings.TrimSuffix(l, "\r")
		l = strings.TrimLeft(l, "\x00")
		if i == 0 {
			l = strings.TrimPrefix(l, byteOrderMark)
		}
		l = strings.ToValidUTF8(l, "\ufffd")
		if !isBlank(l) {
			lines = append(lines, l)
		}
	}
	return lines
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"a\nb\n", "2026-03-01 10:00:00 one\n\tat x\n\nCaused by: y\n2026-03-01 10:00:01 two\n",
		`{"time":"2026-03-01T10:00:00Z","level":"warn","msg":"a\nb","n":1,"o":{"p":[1,2]}}` + "\nplain\n{broken\n",
		`{"log":"a\n","stream":"stdout","time":"2026-03-01T10:00:00Z"}` + "\n" + `{"log":"\tb","stream":"stdout","time":"2026-03-01T10:00:00Z"}`,
		"panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1\n", "Traceback (most recent call last):\n  File\nValueError: x\n",
		"<34>1 2026-03-01T10:00:00Z h a 1 m [x@1 a=\"b\\\"\" c=\"d\"] text\n<3>y\n", "\x00\x00\xff\xfe\r\n\xef\xbb\xbf\n",
		"192.0.2.1 - - [01/Mar/2026:10:15:00 +0000] \"GET /a?b HTTP/1.1\" 200 5 \"-\" \"c\\\"d\"\n", "I0301 10:15:00.123456 7 a.go:1] x\n",
	} {
		f.Add([]byte(s), uint16(0), uint8(0), false)
		f.Add([]byte(s), uint16(9), uint8(2), true)
	}
	f.Fuzz(func(t *testing.T, input []byte, limit uint16, fold uint8, small bool) {
		options := Options{MaxEntryBytes: int(limit), MaxFoldLines: int(fold) - 1, Location: time.UTC, Now: testClock}
		var in io.Reader = bytes.NewReader(input)
		if small {
			in = iotest.HalfReader(in)
		}
		reader := NewReader(in, options)
		var all []string
		var jsonLines, kept int64
		offset := int64(0)
		for {
			record, err := reader.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if reader.Offset() <= offset || reader.Offset() > int64(len(input)) {
				t.Fatalf("offset %d after %d", reader.Offset(), offset)
			}
			offset = reader.Offset()
			checkRecord(t, record, reader.maxBytes)
			all = append(all, record.Body)
			kept += int64(len(record.Body))
		}
		stats := reader.Stats()
		jsonLines = stats.JSONLines
		if reader.Offset() != int64(len(input)) || stats.Records != int64(len(all)) {
			t.Fatalf("offset %d of %d, %d records, %+v", reader.Offset(), len(input), len(all), stats)
		}
		if stats.TruncatedLines == 0 {
			checkConserved(t, string(input), all, stats)
		} else if jsonLines == 0 && utf8.Valid(input) {
			checkCounted(t, input, kept, all, stats)
		}
	})
}

func checkRecord(t *testing.T, r Record, maxBytes int) {
	t.Helper()
	if len(r.Body) > maxBytes {
		t.Fatalf("body of %d bytes, bound %d", len(r.Body), maxBytes)
	}
	if r.SeverityNumber < 0 || r.SeverityNumber > 24 {
		t.Fatalf("severity %d", r.SeverityNumber)
	}
	if (r.TraceID != "" && len(r.TraceID) != 32) || (r.SpanID != "" && len(r.SpanID) != 16) {
		t.Fatalf("ids %q %q", r.TraceID, r.SpanID)
	}
	for _, s := range []string{r.Body, r.SeverityText, r.Service} {
		if !utf8.ValidString(s) {
			t.Fatalf("%q is not UTF-8", s)
		}
	}
	for _, a := range r.Attributes {
		if !utf8.ValidString(a.Key) || !utf8.ValidString(a.Str) {
			t.Fatalf("%+v is not UTF-8", a)
		}
	}
}

// checkConserved finds every line that is not JSON in the bodies, in order.
func checkConserved(t *testing.T, input string, all []string, stats Stats) {
	t.Helper()
	text := strings.Join(all, "\n")
	var objects int64
	for _, l := range naiveLines(input) {
		if scanner := (jsonScanner{s: l}); l[0] == '{' {
			if _, ok := scanner.object(nil); ok && stats.JSONLines > 0 {
				objects++
				continue
			}
		}
		n := strings.Index(text, l)
		if n < 0 {
			t.Fatalf("line %q of %q is not in %q", l, input, all)
		}
		text = text[n+len(l):]
	}
	if objects < stats.JSONLines {
		t.Fatalf("%d JSON lines, counted %d", objects, stats.JSONLines)
	}
	if stats.JSONLines == 0 { // then nothing else may be there
		if got, want := nonBlank(all), naiveLines(input); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

func nonBlank(all []string) (lines []string) {
	for _, body := range all {
		for _, l := range strings.Split(body, "\n") {
			if !isBlank(l) {
				lines = append(lines, l)
			}
		}
	}
	return lines
}

// checkCounted adds up the bytes of text that were kept and cut.
func checkCounted(t *testing.T, input []byte, kept int64, all []string, stats Stats) {
	t.Helper()
	var want int64
	for _, l := range naiveLines(string(input)) {
		want += int64(len(l))
	}
	var blanks int64 // bytes of lines that are blank once they are cut, or were before
	for _, l := range strings.Split(string(input), "\n") {
		if len(strings.TrimSpace(l)) < len(l) || l == "" || strings.ContainsRune(l, 0) {
			blanks += int64(len(l))
		}
	}
	breaks := int64(strings.Count(strings.Join(all, ""), "\n"))
	if got := kept - breaks + stats.TruncatedBytes; got < want-blanks || got > want+blanks {
		t.Fatalf("%d bytes kept or cut, want %d (within %d)", got, want, blanks)
	}
}
