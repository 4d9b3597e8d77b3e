package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// hold receives requests without committing them, and reports what respond makes of each.
func hold(s serverStream, respond func(*logbatcherv1.IngestStreamRequest) *logbatcherv1.IngestStreamResponse) error {
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if response := respond(r); response != nil {
			if err := s.Send(response); err != nil {
				return err
			}
		}
	}
}

// TestLoggedIsDropped sends at level LOGGED: entries are gone when they are logged, tokens stay until they are committed, and the next
// opening says what is not kept.
func TestLoggedIsDropped(t *testing.T) {
	var l ledger
	openings := make(chan *logbatcherv1.Open, 2)
	commit := make(chan struct{})
	conn := serve(t, func(n int, open *logbatcherv1.Open, s serverStream) error {
		openings <- open
		if n == 0 {
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 4}); err != nil {
				return err
			}
			for range 2 {
				r, err := s.Recv()
				if err != nil {
					return err
				}
				if err := s.Send(&logbatcherv1.IngestStreamResponse{LoggedSequence: r.GetSequence()}); err != nil {
					return err
				}
			}
			<-commit
			return unavailable("cut")
		}
		if err := s.Send(&logbatcherv1.IngestStreamResponse{
			Welcome:  &logbatcherv1.Welcome{Epoch: 4, Resumed: true, LoggedSequence: 2, CommittedSequence: 1},
			Refusals: []*logbatcherv1.Refusal{{Sequence: 1, Index: 0, Message: "late"}, {Sequence: 2, Index: 0}},
		}); err != nil {
			return err
		}
		return hold(s, func(r *logbatcherv1.IngestStreamRequest) *logbatcherv1.IngestStreamResponse {
			return &logbatcherv1.IngestStreamResponse{LoggedSequence: r.GetSequence(), CommittedSequence: r.GetSequence()}
		})
	})
	c := l.config("logged", conn)
	c.Open.Acknowledgement = logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_LOGGED
	p := open(t, c)
	if err := p.SendToken(t.Context(), 17, &logbatcherv1.Entry{Body: "a"}); err != nil {
		t.Fatal(err)
	}
	give(t, p, nil, bodies("b"))
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := p.Statistics(); s.Bytes != tokenBytes || s.Reached != 2 {
		t.Errorf("logged and not committed: %+v", s)
	}
	close(commit)
	give(t, p, bodies("c"))
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-openings
	if o := <-openings; o.GetEpoch() != 4 || o.GetLoggedSequence() != 2 || o.GetCommittedSequence() != 0 || o.GetAcknowledgement() != c.Open.Acknowledgement {
		t.Errorf("the second opening is %v", o)
	}
	if len(l.tokens) != 2 || l.tokens[0] != 17 || l.tokens[1] != nil || l.refused[0] != nil {
		t.Errorf("refused %v with %v", l.refusals, l.tokens)
	}
	if s := p.Statistics(); s.Bytes != 0 || s.Reached != 3 || s.Doubtful != 0 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

// TestKeptUntilCommitted is at level LOGGED, at an instance that dies with its log. With KeepUntilCommitted the next one gets what was
// logged and not committed.
func TestKeptUntilCommitted(t *testing.T) {
	for _, keep := range []bool{true, false} {
		var l ledger
		var got []string
		logged := make(chan struct{})
		conn := serve(t, func(n int, open *logbatcherv1.Open, s serverStream) error {
			if n == 0 {
				if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
					return err
				}
				for range 2 {
					if _, err := s.Recv(); err != nil {
						return err
					}
				}
				if err := s.Send(&logbatcherv1.IngestStreamResponse{LoggedSequence: 2, CommittedSequence: 1}); err != nil {
					return err
				}
				<-logged
				return unavailable("died")
			}
			if want := uint64(2); !keep && open.GetLoggedSequence() != want {
				return status.Errorf(codes.InvalidArgument, "opened with %v", open)
			}
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1, CommittedSequence: open.GetCommittedSequence()}); err != nil {
				return err
			}
			return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
				got = append(got, r.GetEntries()[0].GetBody())
				return nil
			})
		})
		reported := make(chan struct{}, 10)
		c := l.config("kept", conn)
		c.Open.Acknowledgement = logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_LOGGED
		c.KeepUntilCommitted = keep
		c.OnProgress = func(Progress) { reported <- struct{}{} }
		p := open(t, c)
		give(t, p, bodies("a"), bodies("b"))
		<-reported
		close(logged)
		give(t, p, bodies("c"))
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{"c"}
		if keep {
			want = []string{"b", "c"}
		}
		if s := p.Statistics(); s.Reached != 3 || !slices.Equal(got, want) {
			t.Errorf("keep %v: the second instance got %q, want %q; %+v", keep, got, want, s)
		}
	}
}

func withTimeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestLostLog opens at a server that lost what it had acknowledged as logged: the rest goes into a new epoch, and the loss is told.
func TestLostLog(t *testing.T) {
	var l ledger
	var got []string
	conn := serve(t, func(n int, open *logbatcherv1.Open, s serverStream) error {
		switch n {
		case 0:
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
				return err
			}
			if _, err := s.Recv(); err != nil {
				return err
			}
			if err := s.Send(&logbatcherv1.IngestStreamResponse{LoggedSequence: 1}); err != nil {
				return err
			}
			if _, err := s.Recv(); err != nil {
				return err
			}
			return unavailable("died")
		case 1:
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
				return err
			}
			r, err := s.Recv()
			if err != nil {
				return err
			}
			return status.Errorf(codes.OutOfRange, "expected 1, got %d", r.GetSequence())
		}
		if open.GetEpoch() != 0 || open.GetLoggedSequence() != 0 {
			return status.Errorf(codes.InvalidArgument, "opened with %v", open)
		}
		if err := welcome(s, &logbatcherv1.Welcome{Epoch: 2}); err != nil {
			return err
		}
		return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
			got = append(got, r.GetEntries()[0].GetBody())
			return nil
		})
	})
	c := l.config("lost", conn)
	c.Open.Acknowledgement = logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_LOGGED
	p := open(t, c)
	give(t, p, bodies("a"))
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	give(t, p, bodies("b"))
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := p.Statistics(); s.Lost != 1 || s.Reached != 2 || !slices.Equal(got, []string{"b"}) {
		t.Errorf("%+v, stored %q", s, got)
	}
}

// TestFull fills the memory while no server answers.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error { <-s.Context().Done(); return nil })
		for _, when := range []WhenFull{Fail, Block} {
			var l ledger
			c := l.config("full", conn)
			c.MaxBytes, c.WhenFull = 1000, when
			p := open(t, c)
			entry := &logbatcherv1.Entry{Body: strings.Repeat("x", 600)}
			if err := p.Send(t.Context(), entry); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := p.Send(ctx, entry)
			cancel()
			took := time.Since(began)
			if when == Fail && (!errors.Is(err, ErrFull) || took != 0) || when == Block && (!errors.Is(err, context.DeadlineExceeded) || took != time.Minute) {
				t.Errorf("Send returned %v after %v", err, took)
			}
			began = time.Now()
			err = p.Close(context.Background())
			var left *UnfinishedError
			if took := time.Since(began); !errors.As(err, &left) || left.Entries != 1 || took != c.FlushTimeout {
				t.Errorf("Close returned %v after %v", err, took)
			}
		}
	})
}

// TestTooLargeIsRefusedToItsCaller sends an entry above the limit of the Welcome, and one that no server takes before there is one.
func TestTooLargeIsRefusedToItsCaller(t *testing.T) {
	var l ledger
	early := make(chan struct{})
	conn := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error {
		<-early
		if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1, Limits: &logbatcherv1.Limits{MaxEntryBytes: 100, MaxRequestBytes: 1000}}); err != nil {
			return err
		}
		return store(s, func(*logbatcherv1.IngestStreamRequest) error { return nil })
	})
	p := open(t, l.config("large", conn))
	var large *TooLargeError
	if err := p.Send(t.Context(), &logbatcherv1.Entry{Body: strings.Repeat("x", maxEntryBytes)}); !errors.As(err, &large) || large.Limit != maxEntryBytes {
		t.Errorf("Send: %v", err)
	}
	close(early)
	if err := p.Send(t.Context(), bodies("a")...); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Send(t.Context(), &logbatcherv1.Entry{}, &logbatcherv1.Entry{Body: strings.Repeat("x", 100)}); !errors.As(err, &large) || large.Limit != 100 || large.Index != 1 {
		t.Errorf("Send: %v", err)
	}
	if err := p.Close(t.Context()); err != nil || p.Statistics().Given != 1 {
		t.Errorf("%v, %+v", err, p.Statistics())
	}
}

// TestLingering gives entries one by one: they go together when the oldest has lingered, or when a batch is full.
func TestLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		var mu sync.Mutex
		var sizes []int
		var times []time.Duration
		began := time.Now()
		conn := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error {
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
				return err
			}
			return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
				mu.Lock()
				defer mu.Unlock()
				sizes, times = append(sizes, len(r.GetEntries())), append(times, time.Since(began))
				return nil
			})
		})
		c := l.config("linger", conn)
		c.Linger, c.BatchEntries = time.Second, 10
		p := open(t, c)
		synctest.Wait()
		for n := range 25 {
			if err := p.Send(t.Context(), bodies(fmt.Sprint(n))...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		mu.Lock()
		if !slices.Equal(sizes, []int{10, 10}) {
			t.Errorf("batches of %d", sizes)
		}
		mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(sizes, []int{10, 10, 5}) || times[2] != 200*time.Millisecond+c.Linger {
			t.Errorf("batches of %d after %v", sizes, times)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBatchesGrowWhileNothingIsSent gives entries for an hour while the server is away: they wait in few requests.
func TestBatchesGrowWhileNothingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		var sizes []int
		conn := serve(t, func(n int, _ *logbatcherv1.Open, s serverStream) error {
			if n == 0 {
				<-s.Context().Done()
				return s.Context().Err()
			}
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
				return err
			}
			return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
				sizes = append(sizes, len(r.GetEntries()))
				return nil
			})
		})
		c := l.config("grow", conn)
		c.WelcomeTimeout = time.Hour
		p := open(t, c)
		for range 2500 {
			if err := p.Send(t.Context(), bodies("x")...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if err := p.Close(withTimeout(t, 2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if len(sizes) > 5 {
			t.Errorf("2500 entries were sent in requests of %d", sizes)
		}
	})
}

// TestSeveralStreams sends over three streams to two servers, one of which can't be reached for a while. Each stream is a producer.
func TestSeveralStreams(t *testing.T) {
	var mu sync.Mutex
	got, ids := map[string]int{}, map[string]bool{}
	stream := func(_ int, open *logbatcherv1.Open, s serverStream) error {
		mu.Lock()
		ids[open.GetProducer()] = true
		mu.Unlock()
		if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
			return err
		}
		return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range r.GetEntries() {
				got[e.GetBody()]++
			}
			return nil
		})
	}
	away := serve(t, func(n int, open *logbatcherv1.Open, s serverStream) error {
		if n < 20 {
			return unavailable("away")
		}
		return stream(n, open, s)
	})
	var l ledger
	c := l.config("several", serve(t, stream), away)
	c.Streams, c.BatchEntries, c.Linger = 3, 7, time.Millisecond
	p := open(t, c)
	var givers sync.WaitGroup
	for g := range 4 {
		givers.Go(func() {
			for n := range 250 {
				if err := p.Send(t.Context(), bodies(fmt.Sprint(g, "/", n))...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	givers.Wait()
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1000 || l.committed.Entries != 1000 {
		t.Errorf("%d entries are stored, %d reported", len(got), l.committed.Entries)
	}
	for id := range ids {
		if !strings.HasPrefix(id, "several/") {
			t.Errorf("a stream is %q", id)
		}
	}
}

// TestAnotherOwner opens at an instance that does not own the producer: its wait is heeded, then the other address is tried.
func TestAnotherOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened []time.Time
		other := serve(t, func(int, *logbatcherv1.Open, serverStream) error {
			opened = append(opened, time.Now())
			st, err := status.New(codes.Unavailable, "owned by gateway-2").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)})
			if err != nil {
				return err
			}
			return st.Err()
		})
		owner := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error {
			opened = append(opened, time.Now())
			return accept(0, nil, s)
		})
		var l ledger
		c := l.config("owned")
		c.MaxBackoff = 10 * time.Second
		c.Conns = []grpc.ClientConnInterface{other, owner}
		p := open(t, c)
		give(t, p, bodies("a"))
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(opened) != 2 || opened[1].Sub(opened[0]) != 3*time.Second || len(l.errors) != 1 {
			t.Errorf("opened at %v, errors %v", opened, l.errors)
		}
	})
}

// TestThrottledStreamIsAvoided throttles one of two streams.
func TestThrottledStreamIsAvoided(t *testing.T) {
	var l ledger
	p := &Producer{config: l.config("throttled")}
	p.config.Streams = 2
	a, b := p.streamOf("a"), p.streamOf("b")
	a.open, b.open = true, true
	a.throttled = true
	b.window.bytes = 1000
	for range 4 {
		if p.chooseLocked() != b {
			t.Error("a throttled stream gets the next request")
		}
	}
	b.throttled = true
	if p.chooseLocked() != a {
		t.Error("the stream that has more to send gets the next request")
	}
}
