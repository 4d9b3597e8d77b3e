package deadletter

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/sink"
)

func TestWriteOnceHoweverOftenWritten(t *testing.T) {
	both(t, func(t *testing.T, server *embedded.Server) {
		q := open(t, connect(t, server))
		want := letter("gw-1/7:0-2", 5000)
		for range 3 {
			mustWrite(t, q, want)
		}
		all := listAll(t, q)
		if len(all) != 1 {
			t.Fatalf("%d letters in the queue, want 1", len(all))
		}
		if all[0].Problem != nil || !reflect.DeepEqual(all[0].Letter, *want) {
			t.Errorf("read %+v (%v)\nwant %+v", all[0].Letter, all[0].Problem, *want)
		}
		if got := valueOf(t, q.metrics.repeats); got != 2 {
			t.Errorf("repeats = %v, want 2", got)
		}
		if got := valueOf(t, q.metrics.rows.WithLabelValues("logs.firehose", "row")); got != 3 {
			t.Errorf("rows = %v, want 3", got)
		}

		// A letter that was deleted stays away.
		if err := q.client.XDel(t.Context(), q.cfg.Stream, all[0].StreamID).Err(); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, q, want)
		if all := listAll(t, q); len(all) != 0 {
			t.Errorf("%d letters after deletion and a repeat, want 0", len(all))
		}
	})
}

func TestIDsExpire(t *testing.T) {
	client := connect(t, embeddedtest.Redis(t))
	q := open(t, client)
	mustWrite(t, q, letter("a", 10))
	key := q.cfg.idKey("a")
	if err := client.Expire(t.Context(), key, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, q, letter("a", 10))
	if ttl := client.TTL(t.Context(), key).Val(); ttl <= rememberIDs-time.Hour || ttl > rememberIDs {
		t.Errorf("id expires in %v after a repeat, want %v", ttl, rememberIDs)
	}
}

func TestWritersAtOnce(t *testing.T) {
	both(t, func(t *testing.T, server *embedded.Server) {
		const writers, letters = 8, 50
		q, second := open(t, connect(t, server)), open(t, connect(t, server))
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				queue := q
				if w%2 == 1 {
					queue = second
				}
				for i := range letters { // all write the same
					if err := writeUntilKept(t.Context(), queue, letter(fmt.Sprint(i), 300)); err != nil {
						t.Errorf("write: %v", err)
					}
				}
			})
		}
		group.Wait()
		wantEachOnce(t, q, letters)
	})
}

func wantEachOnce(t *testing.T, q *Queue, letters int) {
	t.Helper()
	times := make(map[string]int)
	for _, s := range listAll(t, q) {
		if s.Problem != nil {
			t.Errorf("letter %s: %v", s.StreamID, s.Problem)
		}
		times[s.Letter.ID]++
	}
	for i := range letters {
		if n := times[fmt.Sprint(i)]; n != 1 {
			t.Errorf("letter %d is there %d times, want once", i, n)
		}
	}
	if len(times) != letters {
		t.Errorf("%d different letters, want %d", len(times), letters)
	}
}

func bytesOf(l *sink.DeadLetter) int {
	_, bytes := encode(l)
	return bytes
}

func TestEntryIsBounded(t *testing.T) {
	both(t, func(t *testing.T, server *embedded.Server) {
		q := open(t, connect(t, server))
		largest := letter("largest", 0)
		largest.Payload = make([]byte, sink.MaxLetterBytes-bytesOf(largest))
		mustWrite(t, q, largest)

		larger := letter("larger", 0)
		larger.Payload = make([]byte, sink.MaxLetterBytes-bytesOf(larger)+1)
		err := q.Write(t.Context(), larger)
		if e := wantKind(t, err, TooLarge); !e.Permanent() || !strings.Contains(e.Error(), "1048577") {
			t.Errorf("error is %v, permanent %v; it should be permanent and name the bytes", e, e.Permanent())
		}
		if err := q.Write(t.Context(), letter("", 1)); !wantKind(t, err, Malformed).Permanent() {
			t.Error("a letter without an id should be refused for good")
		}
		if all := listAll(t, q); len(all) != 1 {
			t.Errorf("%d letters, want 1", len(all))
		}
	})
}

func TestLargestPayloadFits(t *testing.T) {
	l := letter("01JNGX0V7Q4M2Y8Z3K5R6T9W1B-18446744073709551615:0-99999", sink.MaxPayloadBytes)
	l.Message = strings.Repeat("é", 5_000) // a little more than the delivery keeps of it
	l.Origins = nil
	for range 1000 {
		l.Origins = append(l.Origins, letter("", 0).Origins[0])
		l.Origins[len(l.Origins)-1].Producer = strings.Repeat("p", 64-len("EWR-28749445"))
		l.Origins[len(l.Origins)-1].Epoch = 1<<64 - 1
		l.Origins[len(l.Origins)-1].Rows = 100_000
	}
	if n := bytesOf(l); n > sink.MaxLetterBytes {
		t.Errorf("takes %d bytes, more than a letter may, %d", n, sink.MaxLetterBytes)
	}
}

func small(c *Config) { c.MaxBytes = 2 * sink.MaxLetterBytes }

// fill writes letters of 100 000 bytes until no other fits.
func fill(t *testing.T, q *Queue) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := 0; ; i++ {
		done := make(chan error, 1)
		go func() { done <- q.Write(ctx, letter(fmt.Sprint("fill-", i), 100_000)) }()
		embeddedtest.Eventually(t, "the letter is written, or waits for room", func() bool { return len(done) > 0 || valueOf(t, q.metrics.waiting) == 1 })
		if len(done) == 0 {
			cancel()
		}
		if err := <-done; err != nil {
			e := wantKind(t, err, Full)
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "max_bytes") || e.Permanent() {
				t.Fatalf("error is %v; it should name max_bytes and the context's end, and not be permanent", err)
			}
			return i
		}
	}
}

func TestFullQueueHoldsWritersUntilThereIsRoom(t *testing.T) {
	both(t, func(t *testing.T, server *embedded.Server) {
		client := connect(t, server)
		q := open(t, client, small)
		n := fill(t, q)
		if n < 15 || n > 21 {
			t.Errorf("%d letters of 100 000 bytes fit into %d bytes", n, q.cfg.MaxBytes)
		}
		if got := valueOf(t, q.metrics.fullness); got < 0.8 || got > 1 {
			t.Errorf("fullness = %v, want about 1", got)
		}
		mustWrite(t, q, letter("fill-0", 100_000)) // a repeat needs no room

		done := make(chan error, 1)
		go func() { done <- q.Write(t.Context(), letter("late", 100_000)) }()
		embeddedtest.Eventually(t, "the letter waits for room", func() bool { return valueOf(t, q.metrics.waiting) == 1 })
		// Somebody makes room with redis-cli, which the queue does not notice.
		if err := client.XTrimMaxLen(t.Context(), q.cfg.Stream, int64(n-2)).Err(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatalf("write after room was made: %v", err)
		}
		if got := valueOf(t, q.metrics.waiting); got != 0 {
			t.Errorf("waiting = %v, want 0", got)
		}
		if all := listAll(t, q); len(all) != n-1 || all[len(all)-1].Letter.ID != "late" {
			t.Errorf("%d letters, want %d and the last one \"late\"", len(all), n-1)
		}
	})
}

func TestTrimTakesTheOldest(t *testing.T) {
	both(t, func(t *testing.T, server *embedded.Server) {
		q := open(t, connect(t, server), small, func(c *Config) { c.WhenFull = Trim })
		const letters = 60
		for i := range letters {
			mustWrite(t, q, letter(fmt.Sprint(i), 100_000))
		}
		all := listAll(t, q)
		if len(all) < 15 || len(all) > 21 {
			t.Errorf("%d letters kept, want about 18", len(all))
		}
		for i, s := range all {
			if want := fmt.Sprint(letters - len(all) + i); s.Letter.ID != want {
				t.Errorf("letter %d is %s, want %s", i, s.Letter.ID, want)
			}
		}
		gone := float64(letters - len(all))
		if got := valueOf(t, q.metrics.trimmed); got != gone {
			t.Errorf("trimmed = %v, want %v", got, gone)
		}
		if got := valueOf(t, q.metrics.trimmedRows); got != 3*gone {
			t.Errorf("trimmed rows = %v, want %v", got, 3*gone)
		}
	})
}

func TestBytesStayRight(t *testing.T) {
	client := connect(t, embeddedtest.Redis(t))
	q := open(t, client)
	for i := range 200 {
		mustWrite(t, q, letter(fmt.Sprint(i), 100*i))
	}
	counted, _, err := q.measure(t.Context(), false, 0)
	if err != nil {
		t.Fatal(err)
	}
	measured, _, err := q.measure(t.Context(), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ratio := float64(counted.bytes) / float64(measured.bytes); ratio < 0.9 || ratio > 1.1 || counted.letters != 200 {
		t.Errorf("counted %+v, measured %+v", counted, measured)
	}
	if err := client.Del(t.Context(), q.cfg.Stream).Err(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, q, letter("first again", 1000))
	if u, _, err := q.measure(t.Context(), true, 0); err != nil || u.letters != 1 || u.bytes > 10_000 {
		t.Errorf("usage after the stream was deleted = %+v, %v", u, err)
	}
}

func TestRunMeasuresAtOnceAndEnds(t *testing.T) {
	server := embeddedtest.Redis(t)
	mustWrite(t, open(t, connect(t, server)), letter("a", 1000))
	q := open(t, connect(t, server))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	embeddedtest.Eventually(t, "the queue is measured", func() bool { return valueOf(t, q.metrics.queued) == 1 })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestConfigReportsEverything(t *testing.T) {
	err := Config{Stream: "a}b", WhenFull: "drop"}.Validate()
	for _, setting := range []string{"stream", "max_bytes", "when_full"} {
		if err == nil || !strings.Contains(err.Error(), setting+":") {
			t.Errorf("%s is not named in: %v", setting, err)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
}
