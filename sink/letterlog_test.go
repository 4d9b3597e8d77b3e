package sink_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// Refused rows and letters that can't be written are counted, and logged once a minute with a short sample.
func TestBadRowsAreSaidSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := newBench(t, func(c *sink.DeliveryConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		b.memory.Reject = func(row sinktest.Row) *sink.Error {
			if row.Number()%10 != 0 {
				return nil
			}
			return &sink.Error{Class: sink.Row, Code: 469, Err: errors.New("violated. Column values: Body = " + strings.Repeat("secret ", 10_000))}
		}
		deliver := func(from uint64) {
			t.Helper()
			b.letters.Fail(errors.New("away"), errors.New("away"), errors.New("away"))
			if _, err := b.delivery.Deliver(t.Context(), b.maker.Batch(t, fmt.Sprint("batch", from), sinktest.Numbers(from, from+100)...), nil, sink.Limits{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		for i := range uint64(5) {
			deliver(100 * i)
		}
		lines := func(message string) (found []string) {
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, message) {
					found = append(found, line)
				}
			}
			return found
		}
		if took := time.Since(begun); took >= time.Minute {
			t.Fatalf("took %v", took)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines for 50 refused rows and 15 failed writes, want one each:\n%.2000s", n, log.String())
		}
		time.Sleep(time.Minute)
		deliver(1000)
		refused, failed := lines("rows refused"), lines("dead letters are not written")
		if len(refused) != 2 || !strings.Contains(refused[1], "rows=50 ") || !strings.Contains(refused[1], "table=logs.numbered") {
			t.Errorf("lines %q, want a second one with the 50 rows since the first", refused)
		}
		if len(failed) != 2 || !strings.Contains(failed[1], "times=15 ") {
			t.Errorf("lines %q, want a second one with the 15 failures since the first", failed)
		}
		for line := range strings.Lines(log.String()) {
			if len(line) > 1000 {
				t.Errorf("a line of %d bytes: %.200s", len(line), line)
			}
		}
	})
}
