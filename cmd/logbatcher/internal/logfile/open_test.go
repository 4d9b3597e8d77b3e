package logfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOpen(t *testing.T) {
	written := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for name, data := range map[string]string{"plain.log": "one\ntwo\n", "zipped": zipped(t, "one\ntwo\n"), "plain.gz": "one\ntwo\n", "empty": ""} {
		path := filepath.Join(t.TempDir(), name)
		if err := errors.Join(os.WriteFile(path, []byte(data), 0o600), os.Chtimes(path, written, written)); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != data {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if f.Size() != int64(len(data)) || f.Position() != int64(len(data)) || !f.Now().Equal(written) {
			t.Errorf("%s: size %d, position %d of %d, written %s", name, f.Size(), f.Position(), len(data), f.Now())
		}
		if now := Clock(f.file.Load())(); !now.Equal(written) {
			t.Errorf("%s: as standard input it is of %s", name, now)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if now := Clock(strings.NewReader(""))(); now.Year() < 2025 {
		t.Error(now)
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
}

// A file whose time was lost is read as one of today.
func TestOpenWithoutTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0))); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Now().Year() < 2025 {
		t.Error(f.Now())
	}
}

// Opening a named pipe does not wait for a writer, nor does the end of reading it.
func TestOpenNamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	reader := NewReader(f, Options{FoldWait: time.Millisecond, Now: f.Now})
	if _, err := reader.Next(); !errors.Is(err, ErrQuiet) {
		t.Errorf("%v, want ErrQuiet", err)
	}
	writer, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(writer, "one\n"); err != nil {
		t.Fatal(err)
	}
	record, err := reader.Next()
	for ; errors.Is(err, ErrQuiet); record, err = reader.Next() {
	}
	if err != nil || record.Body != "one" {
		t.Errorf("%q, %v", record.Body, err)
	}
	reader.Close()
	if _, err := reader.Next(); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if err := errors.Join(writer.Close(), f.Close()); err != nil {
		t.Error(err)
	}
}
