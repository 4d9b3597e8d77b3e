package sink_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// lines is a log's output by lines.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// with returns the lines that contain the text.
func (l *lines) with(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// Fifty batches run into ten minutes of trouble: a line when it begins, one a minute, one when it is over, whatever the
// number of attempts.
func TestTroubleIsSaidOnceAMinute(t *testing.T) {
	for _, test := range []struct {
		class        sink.Class
		code         int
		begins, ends string
		perTable     bool
	}{
		{class: sink.Transient, code: 242, begins: "table takes no inserts", ends: "table takes inserts again", perTable: true},
		{class: sink.Transient, code: 0, begins: "ClickHouse takes no inserts", ends: "ClickHouse takes inserts again"},
		{class: sink.Ambiguous, code: 0, begins: "ClickHouse takes no inserts", ends: "ClickHouse takes inserts again"},
		{class: sink.Hold, code: 497, begins: "batches held", ends: "no batch is held any more", perTable: true},
	} {
		t.Run(fmt.Sprintf("%s %d", test.class, test.code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &lines{}
				b := newBench(t, func(c *sink.DeliveryConfig) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
				start := time.Now()
				b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
					if time.Since(start) < 10*time.Minute {
						return sinktest.Step{Err: of(test.class, test.code)}
					}
					return sinktest.Step{}
				}
				const batches = 50
				var group sync.WaitGroup
				for i := range uint64(batches) {
					group.Go(func() {
						batch := b.maker.Batch(t, fmt.Sprintf("batch-%d", i), sinktest.Numbers(10*i, 10*i+10)...)
						if _, err := b.delivery.Deliver(t.Context(), batch, nil, sink.Limits{}, nil); err != nil {
							t.Error(err)
						}
					})
				}
				group.Wait()
				begun := log.with(test.begins)
				if len(begun) < 9 || len(begun) > 12 {
					t.Errorf("%d lines in ten minutes, want about one a minute:\n%s", len(begun), log.text.String())
				}
				for _, part := range []string{"batches=50", "rows=500", "attempts=", "error="} {
					if last := begun[len(begun)-1]; !strings.Contains(last, part) {
						t.Errorf("%q lacks %s", last, part)
					}
				}
				if over := log.with(test.ends); len(over) != 1 {
					t.Errorf("the end was said %d times", len(over))
				}
				if all := log.with(""); len(all) > len(begun)+1 {
					t.Errorf("%d lines in all:\n%s", len(all), log.text.String())
				}
				if n := len(b.memory.Attempts()); n > batches*100 {
					t.Errorf("%d attempts", n)
				}
				b.conserves(t, sinktest.Numbers(0, 10*batches))
			})
		})
	}
}

// Intermittent trouble is logged no more often.
func TestFlappingIsSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		b := newBench(t, func(c *sink.DeliveryConfig) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
		attempts := 0
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
			if attempts++; attempts%2 == 1 {
				return sinktest.Step{Err: of(sink.Transient, 252)}
			}
			return sinktest.Step{}
		}
		for i := range uint64(600) {
			batch := b.maker.Batch(t, fmt.Sprintf("batch-%d", i), i)
			if _, err := b.delivery.Deliver(t.Context(), batch, nil, sink.Limits{}, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if all := log.with(""); len(all) > 24 {
			t.Errorf("%d lines in ten minutes:\n%s", len(all), log.text.String())
		}
	})
}

// A drain tries each batch once at once, and then with growing pauses, and logs no more than before.
func TestDrainDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		b := newBench(t, func(c *sink.DeliveryConfig) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
		b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step { return sinktest.Step{Err: of(sink.Transient, 0)} }
		drain := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+30*time.Second)
		defer cancel()
		before := 0
		time.AfterFunc(10*time.Minute, func() { before = len(b.memory.Attempts()); close(drain) })
		time.AfterFunc(10*time.Minute+time.Millisecond, func() {
			if len(b.memory.Attempts()) == before {
				t.Error("not tried once more when the drain began")
			}
		})
		if _, err := b.delivery.Deliver(ctx, b.maker.Batch(t, "batch", 1), nil, sink.Limits{}, drain); err == nil {
			t.Error("no error")
		}
		if n := len(b.memory.Attempts()) - before; n < 3 || n > 60 {
			t.Errorf("%d attempts in the 30 s of the drain", n)
		}
		if all := log.with(""); len(all) > 12 {
			t.Errorf("%d lines", len(all))
		}
	})
}
