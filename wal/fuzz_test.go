package wal_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/wal"
	"github.com/logbatcher/logbatcher/wal/crashfs"
)

// contents reads a file.
func contents(t testing.TB, fs *crashfs.FS, name string) []byte {
	t.Helper()
	handle, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	size, err := handle.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := handle.ReadAt(b, 0); n < len(b) {
		t.Fatal(err)
	}
	return b
}

// put writes a file.
func put(t testing.TB, fs *crashfs.FS, name string, b []byte) {
	t.Helper()
	handle, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	if _, err := handle.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// sample returns a log with everything in it.
func sample(t testing.TB) *crashfs.FS {
	t.Helper()
	fs := crashfs.New()
	for range 2 {
		l, err := wal.Open(config(fs))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Scan(func(wal.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Files(); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var lsn wal.LSN
		for i := range 6 {
			if lsn, err = l.Append(uint8(i), []byte(strings.Repeat("payload", i*5))); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				if err := l.Sync(t.Context(), lsn); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.SaveCheckpoint([]byte("checkpoint"), lsn+1, 1); err != nil {
			t.Fatal(err)
		}
		if lsn > 10 {
			f, err := l.Create(t.Context(), "f", []byte("head"), body(strings.Repeat("body", 50)))
			for i := 0; err == nil && i < 3; i++ {
				err = f.Note(t.Context(), fmt.Appendf(nil, "note %d", i))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// again opens the log, appends a record, and opens it again: what was there the first time is there the second time.
func again(t *testing.T, fs *crashfs.FS, size int) {
	var first []string
	for turn := range 2 {
		l, err := wal.Open(config(fs))
		if err != nil {
			if turn == 1 {
				t.Fatal(err)
			}
			return // another version or another log
		}
		var records []string
		last := wal.LSN(0)
		report, err := l.Scan(func(r wal.Record) error {
			if r.LSN <= last || len(r.Payload) > size {
				t.Fatalf("record %d behind %d, %d bytes", r.LSN, last, len(r.Payload))
			}
			last = r.LSN
			records = append(records, fmt.Sprint(r.LSN, r.Kind, string(r.Payload)))
			return nil
		})
		if err != nil || report.Next <= last {
			t.Fatalf("%+v, %v", report, err)
		}
		files, err := l.Files()
		if err != nil {
			if turn == 1 || !strings.Contains(err.Error(), "later version") {
				t.Fatal(err)
			}
			l.Close()
			return
		}
		for _, f := range files {
			if n, err := io.Copy(io.Discard, io.NewSectionReader(f, 0, f.Size())); (err != nil) != (f.Damaged() != nil) || err == nil && n != f.Size() {
				t.Fatalf("file %s: %d of %d bytes, %v, %v", f.ID(), n, f.Size(), err, f.Damaged())
			}
			for _, note := range f.Notes() {
				records = append(records, f.ID()+string(f.Head())+string(note))
			}
		}
		if turn == 1 {
			if !slices.Equal(slices.DeleteFunc(records, func(r string) bool { return strings.HasSuffix(r, "the record behind") }), first) {
				t.Fatalf("first %q\nthen %q", first, records)
			}
		} else {
			first = records
			if err := l.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			lsn, err := l.Append(9, []byte("the record behind"))
			if err == nil {
				err = l.Sync(t.Context(), lsn)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// fuzz puts changed bytes in the place of one of a log's files.
func fuzz(f *testing.F, name string, fix func([]byte)) {
	base := sample(f)
	whole := contents(f, base, name)
	f.Add(whole, false)
	f.Add(whole[:len(whole)-5], true)
	f.Add([]byte{}, false)
	for at := 3; at < len(whole); at += 37 {
		changed := slices.Clone(whole)
		changed[at] ^= 0x41
		f.Add(changed, at%2 == 0)
	}
	f.Fuzz(func(t *testing.T, b []byte, fixed bool) {
		if len(b) > 1<<20 {
			return
		}
		if fixed {
			b = slices.Clone(b)
			fix(b)
		}
		fs := base.Crash(crashfs.Crash{At: base.Ops()})
		put(t, fs, name, b)
		again(t, fs, len(b)+1000)
	})
}

func FuzzLastSegment(f *testing.F) {
	fuzz(f, "/log/0000000000000002.log", func(b []byte) { wal.FixSegment(b, 2) })
}

func FuzzFirstSegment(f *testing.F) {
	fuzz(f, "/log/0000000000000001.log", func(b []byte) { wal.FixSegment(b, 1) })
}

func FuzzCheckpoint(f *testing.F) { fuzz(f, "/log/checkpoint", wal.FixCheckpoint) }

func FuzzFile(f *testing.F) { fuzz(f, "/log/batches/f", wal.FixFile) }
