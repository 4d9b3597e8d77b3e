package logfile

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An entry is returned when the input is quiet, and a line that came in two pieces is one.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		reader := NewReader(t.Context(), in, Options{Wait: time.Second, Location: time.UTC})
		started := time.Now()
		go func() {
			for _, step := range []struct {
				text string
				wait time.Duration
			}{
				{"2026-03-01 10:15:00 a\n", 500 * time.Millisecond},
				{"\tin time\n", 5 * time.Second},
				{"2026-03-01 10:15:01 b, fir", 5 * time.Second},
				{"st half and second\n2026-03-01 10:15:02 c", 5 * time.Second},
			} {
				_, _ = io.WriteString(out, step.text)
				time.Sleep(step.wait)
			}
			_ = out.Close()
		}()
		for _, want := range []struct {
			body string
			at   time.Duration
		}{
			{"2026-03-01 10:15:00 a\n\tin time", 1500 * time.Millisecond},
			{"2026-03-01 10:15:01 b, first half and second", 11500 * time.Millisecond},
			{"2026-03-01 10:15:02 c", 15500 * time.Millisecond},
		} {
			record, err := reader.Next()
			for errors.Is(err, ErrQuiet) {
				record, err = reader.Next()
			}
			if at := time.Since(started); err != nil || record.Body != want.body || at != want.at {
				t.Errorf("%q, %v after %s; want %q after %s", record.GetBody(), err, at, want.body, want.at)
			}
		}
		if _, err := reader.Next(); err != io.EOF {
			t.Error(err)
		}
	})
}

// A reader that is left alone leaves no goroutine behind, wherever it is left.
func TestReaderIsLeft(t *testing.T) {
	for _, records := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			in, out := io.Pipe()
			reader := NewReader(t.Context(), in, Options{Wait: time.Second})
			go func() {
				for range 4 {
					if _, err := io.WriteString(out, "text\n"); err != nil {
						return
					}
				}
			}()
			for range records {
				if _, err := reader.Next(); err != nil {
					t.Error(err)
				}
			}
			_ = in.Close() // ends the Read in progress
			synctest.Wait()
		})
	}
}

// A Next that waits ends with the context; what was read precedes the error.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		in, out := io.Pipe()
		reader := NewReader(ctx, in, Options{Wait: 5 * time.Second})
		go func() { _, _ = io.WriteString(out, "a\nunfinished") }()
		time.AfterFunc(time.Second, stop)
		for _, want := range []string{"a", "unfinished"} {
			if record, err := reader.Next(); err != nil || record.Body != want {
				t.Errorf("%q, %v; want %q", record.GetBody(), err, want)
			}
		}
		for range 2 {
			if _, err := reader.Next(); !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
		}
		_ = in.Close()
	})
}

// A busy input is stopped between two reads.
func TestStopBusyInput(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	reader := NewReader(ctx, endless{}, Options{Wait: time.Hour})
	if _, err := reader.Next(); err != nil {
		t.Fatal(err)
	}
	stop()
	for {
		if _, err := reader.Next(); errors.Is(err, ErrStopped) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, "x\n"), nil }

// With Wait the entries are the same as without.
func TestWaitReadsAll(t *testing.T) {
	input := strings.Repeat("2026-03-01 10:15:00 a\n\tb\n\nc\n", 20_000)
	reader := NewReader(t.Context(), strings.NewReader(input), Options{Wait: time.Minute})
	count := 0
	for {
		record, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil || record.Body != "2026-03-01 10:15:00 a\n\tb\n\nc" {
			t.Fatalf("%q, %v", record.GetBody(), err)
		}
		count++
	}
	if count != 20_000 {
		t.Errorf("%d records", count)
	}
}

// The clock of a file is the time at which it was written, unless that was lost.
func TestClock(t *testing.T) {
	written := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "a.log")
	for _, modified := range []time.Time{written, time.Unix(0, 0)} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, modified, modified)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if now := Clock(info)(); modified == written && !now.Equal(written) || modified != written && now.Year() < 2025 {
			t.Errorf("written %s, the clock is %s", modified, now)
		}
	}
	if info, err := os.Stat(os.DevNull); err != nil || Clock(info)().Year() < 2025 {
		t.Error("the null device has no present clock", err)
	}
}
