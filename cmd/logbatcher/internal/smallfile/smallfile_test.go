package smallfile

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sparse := write("sparse", "")
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(write("linked", "linked"), link); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, test := range []struct{ path, want, problem string }{
		{path: write("empty", "")},
		{path: write("full", "0123456789"), want: "0123456789"},
		{path: write("above", "0123456789x"), problem: "it has 11 bytes, at most 10 are allowed"},
		{path: link, want: "linked"},
		{path: sparse, problem: "it has 1099511627776 bytes"},
		{path: folder, problem: "it is a directory"},
		{path: "/dev/null"},
		{path: "/dev/zero", problem: "it has more bytes, at most 10"},
		{path: "/proc/self/status", problem: "it has more bytes"}, // its size is said to be 0
		{path: filepath.Join(folder, "none"), problem: "no such file"},
		{path: socket, problem: "no such device"},
	} {
		data, err := Read(t.Context(), test.path, 10)
		switch {
		case test.problem == "" && (err != nil || string(data) != test.want):
			t.Errorf("%s: got %q, %v", test.path, data, err)
		case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem) || !strings.Contains(err.Error(), test.path)):
			t.Errorf("%s: got %v, want %q", test.path, err, test.problem)
		}
	}
}

// TestReadPipe reads pipes whose writers come late, in pieces, or never.
func TestReadPipe(t *testing.T) {
	pipe := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	type result struct {
		data []byte
		err  error
	}
	start := func(ctx context.Context, path string) <-chan result {
		read := make(chan result, 1)
		go func() {
			data, err := Read(ctx, path, 100_000)
			read <- result{data, err}
		}()
		return read
	}
	// Opening for writing returns once the reader is there.
	open := func(t *testing.T, path string) *os.File {
		writer, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		return writer
	}
	cause := errors.New("the end")

	t.Run("no writer", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		read := start(ctx, pipe(t))
		cancel(cause)
		if got := <-read; !errors.Is(got.err, cause) {
			t.Errorf("got %q, %v", got.data, got.err)
		}
	})
	t.Run("writer that stays", func(t *testing.T) {
		path := pipe(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		read := start(ctx, path)
		writer := open(t, path)
		defer writer.Close()
		if _, err := writer.WriteString("colo: "); err != nil {
			t.Fatal(err)
		}
		cancel(cause)
		if got := <-read; !errors.Is(got.err, cause) {
			t.Errorf("got %q, %v", got.data, got.err)
		}
	})
	t.Run("writer that ends", func(t *testing.T) {
		path := pipe(t)
		read := start(t.Context(), path)
		writer := open(t, path)
		want := bytes.Repeat([]byte("0123456789"), 10_000) // more than a pipe holds
		for i := 0; i < len(want); i += 1000 {
			if _, err := writer.Write(want[i : i+1000]); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		if got := <-read; got.err != nil || !bytes.Equal(got.data, want) {
			t.Errorf("got %d bytes, %v", len(got.data), got.err)
		}
	})
	t.Run("writer that writes nothing", func(t *testing.T) {
		path := pipe(t)
		read := start(t.Context(), path)
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		if got := <-read; got.err != nil || len(got.data) > 0 {
			t.Errorf("got %q, %v", got.data, got.err)
		}
	})
	t.Run("writer without end", func(t *testing.T) {
		path := pipe(t)
		read := start(t.Context(), path)
		writer := open(t, path)
		defer writer.Close()
		var err error
		for err == nil {
			_, err = writer.Write(make([]byte, 4096)) // until the reader has gone
		}
		if got := <-read; got.err == nil || !strings.Contains(got.err.Error(), "more bytes") {
			t.Errorf("got %v", got.err)
		}
	})
}
