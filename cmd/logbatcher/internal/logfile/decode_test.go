package logfile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
)

func zipped(t testing.TB, texts ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, text := range texts {
		w := gzip.NewWriter(&b)
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func zstandard(t testing.TB, text string) string {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	return string(encoder.EncodeAll([]byte(text), nil))
}

func utf16Text(text string, bigEndian bool) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		if bigEndian {
			b = append(b, byte(unit>>8), byte(unit))
		} else {
			b = append(b, byte(unit), byte(unit>>8))
		}
	}
	return string(b)
}

func TestDecode(t *testing.T) {
	zeros := strings.Repeat("\x00", 512)
	quine := "one\n"
	for range maxNesting {
		quine = zipped(t, quine)
	}
	for _, test := range []struct {
		name, input string
		want        []string
		err         string
	}{
		{"plain", "one\ntwo\n", []string{"one", "two"}, ""},
		{"nothing", "", nil, ""},
		{"two bytes", "ab", []string{"ab"}, ""},
		{"text that begins as an archive does", "PK\n7z\nB", []string{"PK", "7z", "B"}, ""},
		{"gzip", zipped(t, "one\ntwo\n"), []string{"one", "two"}, ""},
		{"members", zipped(t, "one\nt", "", "wo\n"), []string{"one", "two"}, ""},
		{"empty gzip", zipped(t, ""), nil, ""},
		{"padded gzip", zipped(t, "one\n") + zeros, []string{"one"}, ""},
		{"padded members", zipped(t, "one\n") + zeros + zipped(t, "two\n") + zeros, []string{"one", "two"}, ""},
		{"gzip and something else", zipped(t, "one\n") + "else", []string{"one"}, "gzip: other data follows"},
		{"gzip and half a header", zipped(t, "one\n") + "\x1f\x8b", []string{"one"}, "gzip"},
		{"truncated gzip", zipped(t, "one\ntwo\n")[:20], []string{"one", "two"}, "gzip: unexpected EOF"},
		{"broken gzip", "\x1f\x8b\x08 none", nil, "gzip"},
		{"zstd", zstandard(t, "one\ntwo\n"), []string{"one", "two"}, ""},
		{"zstd frames", zstandard(t, "one\nt") + "\x50\x2a\x4d\x18\x01\x00\x00\x00x" + zstandard(t, "wo\n"), []string{"one", "two"}, ""},
		{"zstd behind a skippable frame", "\x5f\x2a\x4d\x18\x01\x00\x00\x00x" + zstandard(t, "one\n"), []string{"one"}, ""},
		{"truncated zstd", zstandard(t, strings.Repeat("one\n", 100_000))[:20], nil, "zstd: unexpected EOF"},
		{"gzip in zstd", zstandard(t, zipped(t, "one\n")), []string{"one"}, ""},
		{"compressed as often as is read", quine, []string{"one"}, ""},
		{"compressed once more", zipped(t, quine), nil, "compressed more than 4 times over"},
		{"UTF-16", "\xff\xfe" + utf16Text("eins\r\nzwölf\n😀\n", false), []string{"eins", "zwölf", "😀"}, ""},
		{"UTF-16, big-endian", "\xfe\xff" + utf16Text("eins\r\nzwölf\n😀\n", true), []string{"eins", "zwölf", "😀"}, ""},
		{"UTF-16 without a mark", utf16Text("eins\nzwölf\n", false), []string{"eins", "zwölf"}, ""},
		{"UTF-16, big-endian, without a mark", utf16Text("eins\nzwölf\n", true), []string{"eins", "zwölf"}, ""},
		{"UTF-16 in gzip", zipped(t, "\xff\xfe"+utf16Text("eins\n", false)), []string{"eins"}, ""},
		{"only a byte order mark", "\xff\xfe", nil, ""},
		{"half a pair", "\xff\xfe\x3d\xd8a\x00\x00\xde\x3d\xd8", []string{"\xed\xa0\xbda\xed\xb8\x80\xed\xa0\xbd"}, ""},
		{"half a character", "\xff\xfe" + "a\x00b", []string{"a"}, "UTF-16: unexpected EOF"},
		{"UTF-32", "\xff\xfe\x00\x00a\x00\x00\x00", nil, "this is UTF-32, not text; try: iconv -f UTF-32 -t UTF-8 FILE | logbatcher send -"},
		{"xz", "\xfd7zXZ\x00\x00", nil, "this is an xz file, not text; try: xz -dc FILE | logbatcher send -"},
		{"bzip2", "BZh91AY&SY\xc0", nil, "this is a bzip2 file, not text; try: bzip2 -dc FILE | logbatcher send -"},
		{"ELF", "\x7fELF\x02\x01", nil, "this is a program (ELF), not a log"},
		{"tar", "a.log" + strings.Repeat("\x00", 252) + "ustar\x00", nil, "this is a tar archive, not text; try: tar -xOf FILE | logbatcher send -"},
		{"tar in gzip", zipped(t, "a.log"+strings.Repeat("\x00", 252)+"ustar\x00"+zeros), nil, "this is a tar archive"},
		{"sqlite", "SQLite format 3\x00\x10", nil, "this is an SQLite database, not a log"},
	} {
		for name, source := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "with the end": iotest.DataErrReader,
		} {
			if name == "bytes" && test.name == "tar" {
				continue // looked for only in what has arrived
			}
			reader := NewReader(t.Context(), source(strings.NewReader(test.input)), Options{})
			var got []string
			record, err := reader.Next()
			for ; err == nil; record, err = reader.Next() {
				got = append(got, record.Body)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s, %s: %q, want %q", test.name, name, got, test.want)
			}
			if (test.err == "") != (err == io.EOF) || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s, %s: %v, want %q", test.name, name, err, test.err)
			}
		}
	}
}

// What precedes the place where a compressed file breaks off is read, then the error is returned.
func TestTruncated(t *testing.T) {
	var text strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&text, "line %d\n", i*i)
	}
	for name, data := range map[string]string{"gzip": zipped(t, text.String()), "zstd": zstandard(t, text.String())} {
		reader := NewReader(t.Context(), strings.NewReader(data[:len(data)/2]), Options{})
		count := 0
		_, err := reader.Next()
		for ; err == nil; _, err = reader.Next() {
			count++
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || count < 50_000 {
			t.Errorf("%s: %d records, then %v", name, count, err)
		}
	}
}

// A pipe's first bytes are not waited for in vain.
func TestDecodeDoesNotWait(t *testing.T) {
	for _, first := range []string{"PK\n", "\xffx\n", "a\n", zipped(t, "x\n")} {
		in, out := io.Pipe()
		go func() { _, _ = io.WriteString(out, first) }()
		buffer := make([]byte, 10)
		if n, err := (&decoder{src: in}).Read(buffer); n == 0 || err != nil {
			t.Errorf("%q: %q, %v", first, buffer[:n], err)
		}
	}
}
