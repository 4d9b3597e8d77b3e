package deadletter

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// deliver delivers rows that the table refuses, so they go to the queue.
func deliver(t *testing.T, q *Queue, body string, rows uint64) sink.Outcome {
	t.Helper()
	memory := sinktest.NewMemory()
	memory.Reject = func(sinktest.Row) *sink.Error { return &sink.Error{Class: sink.Row, Code: 469} }
	config := sink.DefaultDeliveryConfig()
	config.Sink, config.DeadLetters = memory, q
	delivery, err := sink.NewDelivery(config)
	if err != nil {
		t.Fatal(err)
	}
	maker := sinktest.NewMaker(t, sinktest.Table("logs", "numbered"))
	maker.Body = body
	outcome, err := delivery.Deliver(t.Context(), maker.Batch(t, "batch", sinktest.Numbers(0, rows)...), nil, sink.Limits{}, nil)
	if err != nil {
		t.Fatalf("deliver: %v", err)
	}
	return outcome
}

// noise returns a text that hardly compresses.
func noise(bytes int) string {
	text := make([]byte, bytes)
	_, _ = rand.NewChaCha8([32]byte{}).Read(text) // does not fail
	return string(text)
}

func TestARowTooLargeForTheQueueSettles(t *testing.T) {
	server := embeddedtest.Redis(t)
	compressible := strings.Repeat("request refused ", (1100<<10)/16)
	for _, test := range []struct {
		name, body, format string
		rows, letters      int
	}{
		{"fits", noise(700 << 10), sink.FormatNative, 2, 2},
		{"fits when compressed", compressible, sink.FormatNative + sink.GzipSuffix, 1, 1},
		{"several that fit when compressed", compressible, sink.FormatNative + sink.GzipSuffix, 2, 2},
		{"never fits", noise(1100 << 10), sink.FormatNone, 1, 1},
		{"several that never fit", noise(1100 << 10), sink.FormatNone, 2, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := open(t, connect(t, server), func(c *Config) { c.Stream = test.name })
			outcome := deliver(t, q, test.body, uint64(test.rows))
			all := listAll(t, q)
			if len(all) != test.letters || len(outcome.DeadLettered) != test.letters {
				t.Fatalf("%d letters in the queue, %d in the outcome, want %d", len(all), len(outcome.DeadLettered), test.letters)
			}
			for i, stored := range all {
				l := &stored.Letter
				if stored.Problem != nil || l.Format != test.format || l.Rows != 1 || l.Reason != "refused" || l.Code != 469 ||
					len(l.Origins) != 1 || l.Origins[0].Producer != "producer" {
					t.Errorf("letter %s: format %s, rows %d, reason %s, origins %v (%v)", l.ID, l.Format, l.Rows, l.Reason, l.Origins, stored.Problem)
				}
				if none := l.Format == sink.FormatNone; none != (len(l.Payload) == 0) || none != strings.Contains(l.Message, "the row is left out") ||
					outcome.DeadLettered[i].Message != l.Message {
					t.Errorf("letter %s with %d bytes: %s", l.ID, len(l.Payload), l.Message)
				}
			}
		})
	}
}

func TestALetterOfTheGatewayIsDividedUntilItFits(t *testing.T) {
	both(t, func(t *testing.T, server *embedded.Server) {
		q := open(t, connect(t, server))
		config := sink.DefaultDeliveryConfig()
		config.Sink, config.DeadLetters = sinktest.NewMemory(), q
		delivery, err := sink.NewDelivery(config)
		if err != nil {
			t.Fatal(err)
		}
		lines := []string{"small\n", strings.ReplaceAll(noise(1300<<10), "\n", " ") + "\n", "{}\n", strings.Repeat("a", 1100<<10) + "\n", "last\n"}
		whole := letter("gw/p/1/1/0/0", 0)
		whole.Origins, whole.Rows, whole.Format = whole.Origins[:1], len(lines), sink.FormatJSONEntries
		whole.Payload = []byte(strings.Join(lines, ""))
		written, err := delivery.DeadLetter(t.Context(), whole)
		if err != nil {
			t.Fatal(err)
		}
		formats := map[string]int{}
		ids := map[string]bool{}
		for _, stored := range listAll(t, q) {
			formats[stored.Letter.Format] += stored.Letter.Rows
			ids[stored.Letter.ID] = true
			if stored.Letter.Origins[0].Rows != stored.Letter.Rows {
				t.Errorf("letter %s of %d rows says %+v", stored.Letter.ID, stored.Letter.Rows, stored.Letter.Origins)
			}
		}
		if formats[sink.FormatJSONEntries] != 3 || formats[sink.FormatJSONEntries+sink.GzipSuffix] != 1 || formats[sink.FormatNone] != 1 {
			t.Errorf("rows by format %v, want 3 as they are, 1 compressed, 1 left out", formats)
		}
		for _, w := range written {
			if !ids[w.ID] || w.Payload != nil {
				t.Errorf("letter %s (%d bytes) was returned and not written", w.ID, len(w.Payload))
			}
		}
		if len(written) != len(ids) {
			t.Errorf("%d letters returned, %d written", len(written), len(ids))
		}
	})
}

// refusing refuses every letter permanently.
type refusing struct{ writes int }

func (r *refusing) Write(context.Context, *sink.DeadLetter) error {
	r.writes++
	return &Error{Kind: Malformed, Op: "write", Err: context.Canceled}
}

func TestNothingWaitsForALetterThatIsRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := &refusing{}
		config := sink.DefaultDeliveryConfig()
		config.Sink, config.DeadLetters = sinktest.NewMemory(), queue
		delivery, err := sink.NewDelivery(config)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		l := letter("x", 100)
		l.Rows = 1
		if _, err := delivery.DeadLetter(t.Context(), l); err != nil || queue.writes != 3 || time.Since(begun) != 0 {
			t.Errorf("%v after %d writes and %v, want 3 at once", err, queue.writes, time.Since(begun))
		}
	})
}

func TestAWrongKeyIsWaitedFor(t *testing.T) {
	client := connect(t, embeddedtest.Redis(t))
	q := open(t, client)
	if err := client.Set(t.Context(), q.cfg.Stream, "somebody else's", 0).Err(); err != nil {
		t.Fatal(err)
	}
	config := sink.DefaultDeliveryConfig()
	config.Sink, config.DeadLetters = sinktest.NewMemory(), q
	config.Backoff = sink.Backoff{Min: time.Millisecond, Max: time.Millisecond}
	delivery, err := sink.NewDelivery(config)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := delivery.DeadLetter(t.Context(), letter("kept", 100))
		done <- err
	}()
	embeddedtest.Eventually(t, "the letter was refused some times", func() bool { return valueOf(t, q.metrics.errors.WithLabelValues("refused")) >= 3 })
	if len(done) > 0 {
		t.Fatalf("DeadLetter returned %v while the key is somebody else's", <-done)
	}
	if err := client.Del(t.Context(), q.cfg.Stream).Err(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if all := listAll(t, q); len(all) != 1 || all[0].Letter.Format != sink.FormatNative {
		t.Errorf("%d letters after the key was mended, want the one, whole", len(all))
	}
}
