package wal

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/logbatcher/logbatcher/schema/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig is that of a small log in a folder.
func testConfig(dir string) Config {
	c := DefaultConfig()
	c.Dir, c.SegmentBytes, c.ReserveBytes, c.MaxBytes = dir, 4*settings.KiB, 64*settings.KiB, settings.MiB
	return c
}

// body is the body of a batch file.
type body string

func (b body) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, strings.NewReader(string(b)))
	return n, err
}

// start opens a log, reads all of it and starts it.
func start(t *testing.T, config Config) (l *Log, records []string, report Report) {
	t.Helper()
	l, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	report, err = l.Scan(func(r Record) error {
		records = append(records, fmt.Sprintf("%d %d %s", r.LSN, r.Kind, r.Payload))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Files(); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l, records, report
}

// TestRecordsComeBack writes records over several segments, in two processes, and reads them again.
func TestRecordsComeBack(t *testing.T) {
	for _, compression := range []string{Uncompressed, Zstd} {
		t.Run(compression, func(t *testing.T) {
			config := testConfig(t.TempDir())
			config.Compression = compression
			var want []string
			var id string
			for process := range 3 {
				l, records, report := start(t, config)
				if got, want := strings.Join(records, "\n"), strings.Join(want, "\n"); got != want {
					t.Fatalf("process %d reads\n%s\nnot\n%s", process, got, want)
				}
				if report.Lost != 0 || len(report.Damage) != 0 || report.Torn != 0 {
					t.Fatalf("report: %+v", report)
				}
				if process > 0 && l.ID() != id {
					t.Errorf("id %s, was %s", l.ID(), id)
				}
				id = l.ID()
				var last LSN
				for i := range 50 {
					text := strings.Repeat(fmt.Sprintf("record %d of process %d. ", i, process), i*i/5)
					var err error
					if last, err = l.Append(uint8(i), []byte(text[:len(text)/3]), []byte(text[len(text)/3:])); err != nil {
						t.Fatal(err)
					}
					want = append(want, fmt.Sprintf("%d %d %s", last, i, text))
					if i%7 == 0 {
						if err := l.Sync(t.Context(), last); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := l.Sync(t.Context(), last); err != nil {
					t.Fatal(err)
				}
				var again []string
				if err := l.Read(1, func(r Record) error {
					again = append(again, fmt.Sprintf("%d %d %s", r.LSN, r.Kind, r.Payload))
					return nil
				}); err != nil || strings.Join(again, "\n") != strings.Join(want, "\n") {
					t.Errorf("Read: %v; %d records, want %d", err, len(again), len(want))
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestFilesComeBack writes batch files with notes and removes some.
func TestFilesComeBack(t *testing.T) {
	config := testConfig(t.TempDir())
	l, _, _ := start(t, config)
	long := strings.Repeat("0123456789", 20_000)
	for _, id := range []string{"a/1", "b", "c"} {
		f, err := l.Create(t.Context(), id, []byte("head of "+id), body(id+long))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := f.Note(t.Context(), fmt.Appendf(nil, "note %d of %s", i, id)); err != nil {
				t.Fatal(err)
			}
		}
		if id == "b" {
			if err := f.Remove(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(config); err != nil {
		t.Fatal(err)
	} else {
		defer l.Close()
		files, err := l.Files()
		if err != nil || len(files) != 2 || len(l.Damage()) != 0 {
			t.Fatalf("%d files, damage %v, %v", len(files), l.Damage(), err)
		}
		for i, id := range []string{"a/1", "c"} {
			f := files[i]
			got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			if err != nil || string(got) != id+long || f.ID() != id || string(f.Head()) != "head of "+id || string(bytes.Join(f.Notes(), []byte(","))) != "note 0 of "+id+",note 1 of "+id+",note 2 of "+id {
				t.Errorf("%s: head %q, %d bytes, notes %q, %v", f.ID(), f.Head(), len(got), f.Notes(), err)
			}
		}
	}
}
