package logfile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func zipped(t *testing.T, texts ...string) []byte {
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
	return b.Bytes()
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"plain.log":   []byte("one\ntwo\n"),
		"zipped":      zipped(t, "one\ntwo\n"),
		"members.log": zipped(t, "one\n", "two\n"),
		"plain.gz":    []byte("one\ntwo\n"),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(name, err)
		}
		text, err := io.ReadAll(f)
		if err != nil || string(text) != "one\ntwo\n" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if f.Size() != int64(len(data)) || f.Position() != int64(len(data)) || f.ModTime().IsZero() {
			t.Errorf("%s: size %d, position %d of %d", name, f.Size(), f.Position(), len(data))
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenEmptyAndShort(t *testing.T) {
	for _, data := range []string{"", "a", "\x1f\x8b", "\x1f"} {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(f); err != nil || string(text) != data {
			t.Errorf("%q, %v", text, err)
		}
		f.Close()
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Error(err)
	}
	if _, err := Decompress(strings.NewReader("\x1f\x8b\x08 none")); err == nil {
		t.Error("a broken header is no error")
	}
}

// The text before the place where a gzip file breaks off is read, and then the error.
func TestTruncatedGzip(t *testing.T) {
	data := zipped(t, strings.Repeat("a line\n", 10_000))
	text, err := Decompress(bytes.NewReader(data[:len(data)-8]))
	if err != nil {
		t.Fatal(err)
	}
	reader := NewReader(text, Options{})
	count := 0
	for err == nil {
		if _, err = reader.Next(); err == nil {
			count++
		}
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) || count == 0 {
		t.Errorf("%d records, then %v", count, err)
	}
}
