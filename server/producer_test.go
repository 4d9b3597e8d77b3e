package server

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

func testRegistry(t *testing.T, adjust func(*Config)) *registry {
	t.Helper()
	c := testConfig()
	if adjust != nil {
		adjust(&c)
	}
	m := newMetrics(prometheus.NewRegistry())
	return newRegistry(&c, m)
}

// openAs opens the producer and returns its session.
func openAs(ctx context.Context, p *producer, o *opening) (*session, welcome, error) {
	_, cancel := context.WithCancelCause(ctx)
	s := newStreamSession(p, o, cancel, time.Second)
	o.level = pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED
	w, err := p.open(ctx, s)
	return s, w, err
}

// deliver accepts the next sequences and settles them.
func deliver(t *testing.T, p *producer, s *session, n int) {
	t.Helper()
	for range n {
		a, err := p.accept(context.Background(), s, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.routed(true)
		p.settle(a.epoch, a.sequence, nil, nil)
	}
}

func TestOpeningRules(t *testing.T) {
	const known, committed = uint64(1_000_000_000_000_000), uint64(5)
	for name, c := range map[string]struct {
		fresh bool // the producer is not known
		open  opening
		want  welcome
		code  codes.Code
	}{
		"a given epoch resumes":                    {open: opening{epoch: known}, want: welcome{epoch: known, committed: committed, resumed: true}},
		"one that knows better ignores committed":  {open: opening{epoch: known, committed: 3}, want: welcome{epoch: known, committed: committed, resumed: true}},
		"one that knows less goes on from there":   {open: opening{epoch: known, committed: 9}, want: welcome{epoch: known, committed: 9}},
		"a lower epoch is refused":                 {open: opening{epoch: known - 1}, code: codes.Aborted},
		"a higher epoch is adopted":                {open: opening{epoch: known + 7, committed: 40}, want: welcome{epoch: known + 7, committed: 40}},
		"an unknown producer's epoch is adopted":   {fresh: true, open: opening{epoch: 3, committed: 40}, want: welcome{epoch: 3, committed: 40}},
		"zero begins an epoch above the last":      {open: opening{}, want: welcome{epoch: known + 1}},
		"the last epoch can be claimed":            {open: opening{epoch: maxNumber, committed: 1}, want: welcome{epoch: maxNumber, committed: 1}},
		"zero begins at no less than milliseconds": {fresh: true, open: opening{}, want: welcome{epoch: 1_700_000_000_123}},
	} {
		t.Run(name, func(t *testing.T) {
			r := testRegistry(t, nil)
			r.now = func() time.Time { return time.UnixMilli(1_700_000_000_123) }
			p, err := r.use("", "p")
			if err != nil {
				t.Fatal(err)
			}
			if !c.fresh {
				s, _, err := openAs(t.Context(), p, &opening{epoch: known})
				if err != nil {
					t.Fatal(err)
				}
				deliver(t, p, s, int(committed))
				s.end()
			}
			_, got, err := openAs(t.Context(), p, &c.open)
			if c.code != codes.OK {
				wantStatus(t, err, c.code, "OLD_EPOCH")
				return
			}
			if err != nil || got != c.want {
				t.Fatalf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestThreeOpeningsTheNewestWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testRegistry(t, nil)
		p, _ := r.use("", "p")
		first, w, err := openAs(t.Context(), p, &opening{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.accept(t.Context(), first, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.routed(true)
		results := make(chan error, 2)
		for range 2 {
			go func() {
				_, _, err := openAs(t.Context(), p, &opening{})
				results <- err
			}()
			synctest.Wait() // the second opens after the first has begun to wait
		}
		if err := <-results; !errors.Is(err, errSuperseded) {
			t.Fatalf("the second opening got %v", err)
		}
		if _, err := p.accept(t.Context(), first, 2, 1); !errors.Is(err, errClosed) {
			t.Fatalf("the older stream accepted: %v", err)
		}
		first.end()
		synctest.Wait()
		if len(results) != 0 {
			t.Fatal("the newest did not wait for what was accepted")
		}
		p.settle(w.epoch, a.sequence, nil, nil)
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	})
}

func TestProducersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testRegistry(t, func(c *Config) { c.ProducerIdle = time.Hour })
		p, _ := r.use("", "p")
		s, w, err := openAs(t.Context(), p, &opening{})
		if err != nil {
			t.Fatal(err)
		}
		deliver(t, p, s, 3)
		s.end()
		r.leave(p)

		time.Sleep(59 * time.Minute)
		again, _ := r.use("", "p")
		if again != p {
			t.Fatal("forgotten too early")
		}
		time.Sleep(2 * time.Hour) // it is in use
		if third, _ := r.use("", "p"); third != p {
			t.Fatal("forgotten while in use")
		}
		r.leave(p)
		r.leave(p)
		time.Sleep(time.Hour)
		fresh, _ := r.use("", "p")
		if fresh == p {
			t.Fatal("not forgotten")
		}
		_, got, err := openAs(t.Context(), fresh, &opening{epoch: w.epoch, committed: 2})
		if err != nil || got.resumed || got.committed != 2 {
			t.Fatalf("after it was forgotten: %+v, %v", got, err)
		}
	})
}

func TestProducersInFlightAreNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testRegistry(t, nil)
		p, _ := r.use("", "p")
		s, w, err := openAs(t.Context(), p, &opening{})
		if err != nil {
			t.Fatal(err)
		}
		a, _ := p.accept(t.Context(), s, 1, 1)
		p.routed(true)
		s.end()
		r.leave(p)
		time.Sleep(5 * time.Hour)
		if again, _ := r.use("", "p"); again != p {
			t.Fatal("forgotten with entries in flight")
		}
		p.settle(w.epoch, a.sequence, nil, nil)
	})
}

func TestProducersAreBounded(t *testing.T) {
	r := testRegistry(t, func(c *Config) { c.MaxProducers = 3 })
	var used []*producer
	for i := range 3 {
		p, err := r.use("", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		used = append(used, p)
	}
	_, err := r.use("", "one more")
	wantStatus(t, err, codes.Unavailable, "TOO_MANY_PRODUCERS")
	for range 10 { // anonymous ones are not kept
		if _, err := r.use("", ""); err != nil {
			t.Fatal(err)
		}
	}
	r.leave(used[1])
	r.leave(used[0])
	if _, err := r.use("", "one more"); err != nil {
		t.Fatal(err)
	}
	if again, err := r.use("", "0"); err != nil || again != used[0] {
		t.Fatal("the one that was idle for longest was not the one forgotten")
	}
}

func TestOutboxIsBoundedAndTellsAgain(t *testing.T) {
	var b outbox
	for i := range uint64(3000) {
		b.add(i+1, []schema.Refusal{{Reason: schema.TooLarge}}, &schema.Outcome{DeadLettered: []schema.DeadLettered{{Rows: 1, ID: fmt.Sprint(i / 1000)}}}, true)
	}
	if len(b.letters) != 3 || b.letters[1].FirstSequence != 1001 || b.letters[1].LastSequence != 2000 || b.letters[1].Rows != 1000 {
		t.Fatalf("letters %v", b.letters)
	}
	told := 0
	for b.len() > 0 {
		var r pb.IngestStreamResponse
		b.take(&r)
		if n := len(r.Refusals) + len(r.DeadLettered); n > maxResponseOutcomes || n == 0 {
			t.Fatalf("%d in one response", n)
		}
		told += len(r.Refusals)
	}
	if told != 3000 || len(b.sent.refusals) != keptOutcomes {
		t.Fatalf("told %d, kept %d", told, len(b.sent.refusals))
	}
	b.resend(2990)
	if len(b.refusals) != 10 || b.refusals[0].Sequence != 2991 || len(b.letters) != 1 {
		t.Fatalf("told again: %d refusals, %d letters", len(b.refusals), len(b.letters))
	}
	for i := range uint64(3000) {
		b.add(i, []schema.Refusal{{}}, nil, true)
	}
	b.trim()
	if b.len() > 2*keptOutcomes || b.refusals[keptOutcomes-1].Sequence != 2999 {
		t.Fatalf("%d left", b.len())
	}
}

// Every epoch that the server assigns can be claimed. It assigns none when the numbers are used up.
func TestEpochsEnd(t *testing.T) {
	r := testRegistry(t, nil)
	p, _ := r.use("", "p")
	c := testConfig()
	for _, claimed := range []uint64{maxNumber - 1, maxNumber} {
		s, w, err := openAs(t.Context(), p, &opening{epoch: claimed})
		if err != nil || w.epoch != claimed {
			t.Fatalf("%+v, %v", w, err)
		}
		if claimed != maxNumber {
			s.end()
		}
		next, w, err := openAs(t.Context(), p, &opening{})
		if claimed == maxNumber {
			wantField(t, err, "INVALID_OPENING", "open.epoch")
			if p.session != s {
				t.Error("the refused opening has disturbed the stream")
			}
			return
		}
		if err == nil {
			_, err = c.checkOpening(&pb.Open{Producer: "p", Epoch: w.epoch})
		}
		if err != nil {
			t.Fatalf("the server gave %d and refuses it: %v", w.epoch, err)
		}
		next.end()
	}
}

// Unread outcomes are bounded for all producers together, and the count returns to zero when they are gone.
func TestKeptOutcomesAreBoundedTogether(t *testing.T) {
	r := testRegistry(t, nil)
	leave := func(id string) *producer {
		p, err := r.use("", id)
		if err != nil {
			t.Fatal(err)
		}
		s, w, err := openAs(t.Context(), p, &opening{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.accept(t.Context(), s, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.routed(true)
		s.end()
		r.leave(p)
		p.settle(w.epoch, a.sequence, make([]schema.Refusal, keptOutcomes), nil)
		return p
	}
	for range 3 { // nobody can ask for these
		leave("")
	}
	if n := r.kept.Load(); n != 0 {
		t.Errorf("%d outcomes are kept for anonymous producers", n)
	}
	var last *producer
	for i := range maxKeptOutcomes/keptOutcomes + 10 {
		last = leave(fmt.Sprint(i))
	}
	if n := r.kept.Load(); n != maxKeptOutcomes || last.outbox.len() != 0 {
		t.Errorf("%d outcomes are kept, %d of them by the last", n, last.outbox.len())
	}
	first, _ := r.use("", "0")
	s, _, err := openAs(t.Context(), first, &opening{epoch: first.epoch})
	if err != nil || first.outbox.len() != keptOutcomes || r.kept.Load() != maxKeptOutcomes-keptOutcomes {
		t.Errorf("resumed: %v, %d to tell, %d kept", err, first.outbox.len(), r.kept.Load())
	}
	s.end()
	r.leave(first)
	for len(r.producers) > 0 {
		r.mu.Lock()
		r.forgetOldestLocked(func(*producer) bool { return true })
		r.mu.Unlock()
	}
	if n := r.kept.Load(); n != 0 {
		t.Errorf("%d outcomes are kept for nobody", n)
	}
}
