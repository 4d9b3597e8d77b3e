package logfile

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An entry is given out when the input is quiet, and a line that came in two pieces is one.
func TestFoldWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		reader := NewReader(in, Options{FoldWait: time.Second, Location: time.UTC})
		defer reader.Close()
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
				t.Errorf("%q, %v after %s; want %q after %s", record.Body, err, at, want.body, want.at)
			}
		}
		if _, err := reader.Next(); err != io.EOF {
			t.Error(err)
		}
	})
}

// Close ends the goroutine at each place where it can be.
func TestFoldWaitClose(t *testing.T) {
	for _, records := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			in, out := io.Pipe()
			reader := NewReader(in, Options{FoldWait: time.Second})
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
			reader.Close()
			reader.Close()
			_ = in.Close() // ends the Read that the goroutine is in
			synctest.Wait()
		})
	}
}

// A Next that waits ends with Close; what it has is given out first.
func TestFoldWaitEndsAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		reader := NewReader(in, Options{FoldWait: time.Hour})
		go func() { _, _ = io.WriteString(out, "a\nunfinished") }()
		time.AfterFunc(time.Second, reader.Close)
		for _, want := range []string{"a", "unfinished"} {
			if record, err := reader.Next(); err != nil || record.Body != want {
				t.Errorf("%q, %v; want %q", record.Body, err, want)
			}
		}
		if _, err := reader.Next(); !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
		_ = in.Close()
	})
}

// With FoldWait the records are the same as without.
func TestFoldWaitReadsAll(t *testing.T) {
	input := strings.Repeat("2026-03-01 10:15:00 a\n\tb\n\nc\n", 20_000)
	reader := NewReader(strings.NewReader(input), Options{FoldWait: time.Minute})
	defer reader.Close()
	count := 0
	for {
		record, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil || record.Body != "2026-03-01 10:15:00 a\n\tb\n\nc" {
			t.Fatalf("%q, %v", record.Body, err)
		}
		count++
	}
	if count != 20_000 {
		t.Errorf("%d records", count)
	}
}
