package server

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/server/access"
)

// pipe is a gRPC stream without a network, so that a handler can be tested in virtual time.
type pipe struct {
	grpc.ServerStream
	ctx      context.Context
	cancel   context.CancelFunc
	in       chan *pb.IngestStreamRequest
	out      chan *pb.IngestStreamResponse
	ended    chan error
	finished time.Time
}

// Context implements grpc.ServerStream.
func (p *pipe) Context() context.Context { return p.ctx }

// RecvMsg implements grpc.ServerStream.
func (p *pipe) RecvMsg(m any) error {
	select {
	case r, ok := <-p.in:
		if !ok {
			return io.EOF
		}
		data, err := r.MarshalVT()
		if err != nil {
			return err
		}
		*m.(*frame) = *frameOf(data)
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// SendMsg implements grpc.ServerStream.
func (p *pipe) SendMsg(m any) error {
	select {
	case p.out <- m.(*pb.IngestStreamResponse):
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// bubble is an ingest service for a synctest bubble.
type bubble struct {
	t        *testing.T
	ingest   *ingest
	router   *fakeRouter
	budget   *fakeBudget
	registry *prometheus.Registry
	caller   *access.Caller // of streams
}

func newBubble(t *testing.T, adjust func(*Config)) *bubble {
	t.Helper()
	c := testConfig()
	if adjust != nil {
		adjust(&c)
	}
	b := &bubble{t: t, router: &fakeRouter{}, budget: &fakeBudget{}, registry: prometheus.NewRegistry(), caller: anyone()}
	m := newMetrics(b.registry)
	b.ingest = newIngest(&c, b.router, b.budget, &fakeReadiness{}, m)
	return b
}

// open opens a stream; unread is how many responses it may hold before its client must read.
func (b *bubble) open(o *pb.Open, unread int) *pipe {
	p := &pipe{in: make(chan *pb.IngestStreamRequest), out: make(chan *pb.IngestStreamResponse, unread), ended: make(chan error, 1)}
	p.ctx, p.cancel = context.WithCancel(context.WithValue(context.Background(), callerKey{}, b.caller))
	go func() {
		err := b.ingest.serveStream(nil, p)
		p.finished = time.Now()
		p.cancel() // as gRPC does when a handler returns
		p.ended <- err
	}()
	if o != nil {
		p.in <- &pb.IngestStreamRequest{Open: o}
	}
	return p
}

func (b *bubble) close(pipes ...*pipe) {
	for _, p := range pipes {
		p.cancel()
	}
	synctest.Wait()
	b.ingest.children.Wait()
	if n := b.ingest.calls.Load(); n != 0 {
		b.t.Errorf("%d calls are left", n)
	}
}

// all returns the responses received so far.
func (p *pipe) all(t *testing.T) *testStream {
	s := &testStream{t: t}
	for {
		time.Sleep(10 * time.Millisecond) // longer than ResponseInterval
		synctest.Wait()
		select {
		case r := <-p.out:
			s.fold(r)
		default:
			return s
		}
	}
}

// untilDrain returns the responses up to the Drain.
func (p *pipe) untilDrain(t *testing.T) *testStream {
	s := &testStream{t: t}
	for s.drain == nil {
		s.fold(<-p.out)
	}
	return s
}

func TestHalfCloseWaitsForCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.router.set(func(r *fakeRouter) { r.hold = true })
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		close(p.in)
		time.Sleep(b.ingest.config.FinishTimeout - time.Second)
		if len(p.ended) != 0 {
			t.Fatalf("ended before its request was committed: %v", <-p.ended)
		}
		b.router.settleHeld(false)
		if err := <-p.ended; err != nil {
			t.Fatal(err)
		}
		if s := p.all(t); s.committed != 1 {
			t.Errorf("committed %d", s.committed)
		}
		b.close(p)
	})
}

func TestHalfCloseGivesUpAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		synctest.Wait()
		b.router.set(func(r *fakeRouter) { r.hold = true }) // ClickHouse goes away
		p.in <- &pb.IngestStreamRequest{Sequence: 2, Entries: entriesOf("b")}
		close(p.in)
		start := time.Now()
		m := wantStatus(t, <-p.ended, codes.Unavailable, "NOT_FINISHED")
		if took := p.finished.Sub(start); took != b.ingest.config.FinishTimeout {
			t.Errorf("took %v", took)
		}
		if s := p.all(t); s.committed != 1 || s.received != 2 || m["unsettled"] != "1" {
			t.Errorf("committed %d, received %d, %v", s.committed, s.received, m)
		}
		b.router.settleHeld(false)
		b.close(p)
	})
}

func TestStreamWithoutAnOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		start := time.Now()
		p := b.open(nil, 10)
		wantStatus(t, <-p.ended, codes.DeadlineExceeded, "NO_OPENING")
		if took := p.finished.Sub(start); took != b.ingest.config.OpenTimeout {
			t.Errorf("took %v", took)
		}
		b.close(p)
	})
}

func TestStreamAgeDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		c := b.ingest.config
		start := time.Now()
		p := b.open(&pb.Open{Producer: "p"}, 100)
		s := p.untilDrain(t)
		if s.drain.Reason != pb.DrainReason_DRAIN_REASON_AGE {
			t.Fatalf("drain %v", s.drain)
		}
		deadline := time.Unix(0, int64(s.drain.DeadlineUnixNano))
		if age := deadline.Add(-c.StreamDrain).Sub(start); age < c.StreamAge*4/5 || age > c.StreamAge*6/5 {
			t.Errorf("told at the age of %v", age)
		}
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")} // it is read until the deadline
		synctest.Wait()
		b.router.set(func(r *fakeRouter) { r.hold = true })
		p.in <- &pb.IngestStreamRequest{Sequence: 2, Entries: entriesOf("a")}
		time.Sleep(time.Until(deadline) + time.Second)
		select {
		case p.in <- &pb.IngestStreamRequest{Sequence: 3, Entries: entriesOf("a")}:
		case <-time.After(time.Second):
		}
		synctest.Wait()
		b.router.settleHeld(false) // within the grace
		wantStatus(t, <-p.ended, codes.Unavailable, "DRAINED_AGE")
		if s := p.all(t); s.committed != 2 || s.received != 2 {
			t.Errorf("last watermarks: committed %d, received %d", s.committed, s.received)
		}
		b.close(p)
	})
}

func TestStreamThatMovesWhenToldEndsWithOK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.untilDrain(t)
		close(p.in)
		if err := <-p.ended; err != nil {
			t.Fatal(err)
		}
		b.close(p)
	})
}

func TestDrainedStreamEndsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		c := b.ingest.config
		b.router.set(func(r *fakeRouter) { r.hold = true })
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		start := time.Now()
		b.ingest.life.begin(start.Add(c.StreamDrain))
		wantStatus(t, <-p.ended, codes.Unavailable, "NOT_FINISHED")
		if took := p.finished.Sub(start); took != c.StreamDrain+c.FinishTimeout {
			t.Errorf("took %v", took)
		}
		if s := p.all(t); s.drain.Reason != pb.DrainReason_DRAIN_REASON_SHUTDOWN || s.received != 1 || s.committed != 0 {
			t.Errorf("drain %v, received %d, committed %d", s.drain, s.received, s.committed)
		}
		b.router.settleHeld(false)
		b.close(p)
	})
}

func TestHurryingEndsADrainedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.router.set(func(r *fakeRouter) { r.hold = true })
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		b.ingest.life.begin(time.Now().Add(time.Second))
		time.Sleep(2 * time.Second)
		b.ingest.life.hurry()
		wantStatus(t, <-p.ended, codes.Unavailable, "NOT_FINISHED")
		if _, err := b.call(context.Background(), &pb.IngestRequest{}); err != nil {
			// hurrying ends unary calls too, but one that has nothing to wait for is done before
			wantStatus(t, b.ingest.statusOf(err), codes.Unavailable, "SHUTTING_DOWN")
		}
		b.router.settleHeld(false)
		b.close(p)
	})
}

func TestDrainCutsAWaitingRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.router.set(func(r *fakeRouter) {
			r.script = func(ctx context.Context, _ *schema.Request, waiting func(schema.WaitCause, string)) error {
				waiting(schema.WaitMemory, "")
				<-ctx.Done()
				return ctx.Err()
			}
		})
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		b.ingest.life.begin(time.Now().Add(time.Minute))
		wantStatus(t, <-p.ended, codes.Unavailable, "DRAINED_SHUTDOWN")
		if s := p.all(t); s.received != 0 || len(s.throttles) == 0 {
			t.Errorf("received %d, throttles %v", s.received, s.throttles)
		}
		if used, _ := b.budget.now(); used != 0 {
			t.Errorf("%d bytes are still charged", used)
		}
		b.close(p)
	})
}

func TestThrottleOnlyWhenItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		wait := b.ingest.config.ThrottleAfter - time.Millisecond
		b.router.set(func(r *fakeRouter) {
			r.script = func(_ context.Context, q *schema.Request, waiting func(schema.WaitCause, string)) error {
				waiting(schema.WaitMemory, "")
				time.Sleep(wait)
				waiting(schema.WaitTable, "d.t")
				time.Sleep(2 * time.Millisecond * time.Duration(q.Sequence-1))
				r.take(q)
				return nil
			}
		})
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		time.Sleep(time.Second)
		if s := p.all(t); len(s.throttles) != 0 || s.committed != 1 {
			t.Fatalf("throttles %v, committed %d", s.throttles, s.committed)
		}
		p.in <- &pb.IngestStreamRequest{Sequence: 2, Entries: entriesOf("a")}
		time.Sleep(time.Second)
		s := p.all(t)
		if len(s.throttles) != 2 || s.throttles[0].Table != "d.t" || s.throttles[1].Cause != 0 {
			t.Fatalf("throttles %v", s.throttles)
		}
		b.close(p)
	})
}

// A client that never reads its responses must not make them pile up.
func TestUnreadRefusalsStopTheReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, func(c *Config) { c.MaxPendingOutcomes = 10 })
		p := b.open(&pb.Open{Producer: "p"}, 0)
		sent := uint64(0)
		bad := []*pb.Entry{{SeverityNumber: 99}, {SeverityNumber: 99}, {SeverityNumber: 99}}
		for range 1000 {
			select {
			case p.in <- &pb.IngestStreamRequest{Sequence: sent + 1, Entries: bad}:
				sent++
			case <-time.After(100 * time.Millisecond):
			}
			if sent < 3 {
				synctest.Wait()
			}
		}
		producer, _ := b.ingest.registry.use("", "p")
		if waiting := producer.outbox.len(); waiting > 10+3 || sent > 10 {
			t.Fatalf("%d refusals wait, %d requests were read", waiting, sent)
		}
		s := p.all(t) // now it reads
		if s.committed != sent || len(s.refusals) != 3*int(sent) {
			t.Fatalf("committed %d of %d with %d refusals", s.committed, sent, len(s.refusals))
		}
		throttled := false
		for _, th := range s.throttles {
			throttled = throttled || th.Cause == pb.ThrottleCause_THROTTLE_CAUSE_RESPONSES
		}
		if !throttled {
			t.Errorf("throttles %v", s.throttles)
		}
		b.close(p)
	})
}

func TestStreamEndsThoughTheClientDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		p := b.open(&pb.Open{Producer: "p"}, 0)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		close(p.in)
		wantStatus(t, <-p.ended, codes.Unavailable, "RESPONSES_UNREAD")
		b.close(p)
	})
}

func TestResponsesAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, func(c *Config) { c.ResponseInterval = 100 * time.Millisecond })
		p := b.open(&pb.Open{Producer: "p"}, 1000)
		for i := range uint64(100) {
			p.in <- &pb.IngestStreamRequest{Sequence: i + 1, Entries: entriesOf("a")}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if n := len(p.out); n > 12 {
			t.Errorf("%d responses in a second", n)
		}
		if s := p.all(t); s.committed != 100 || s.received != 100 {
			t.Errorf("committed %d, received %d", s.committed, s.received)
		}
		b.close(p)
	})
}

func TestOpeningDuringShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		silent := b.open(nil, 10) // it has not opened yet
		b.router.set(func(r *fakeRouter) { r.hold = true })
		cut := b.open(&pb.Open{Producer: "p"}, 10)
		cut.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		synctest.Wait()
		cut.cancel()
		if err := <-cut.ended; !errors.Is(err, context.Canceled) {
			wantStatus(t, err, codes.Canceled, "CANCELED")
		}
		waiting := b.open(&pb.Open{Producer: "p"}, 10) // it waits for what the first accepted
		synctest.Wait()
		b.ingest.life.begin(time.Now().Add(time.Second))
		wantStatus(t, <-silent.ended, codes.Unavailable, "SHUTTING_DOWN")
		wantStatus(t, <-waiting.ended, codes.Unavailable, "SHUTTING_DOWN")
		late := b.open(nil, 10)
		wantStatus(t, <-late.ended, codes.Unavailable, "SHUTTING_DOWN")
		b.router.settleHeld(false)
		b.close(silent, cut, waiting, late)
	})
}

// Requests without entries cost the budget nothing, so their number has a bound of its own.
func TestUnsettledSequencesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testRegistry(t, nil)
		p, _ := r.use("", "p")
		s, w, err := openAs(t.Context(), p, &opening{})
		if err != nil {
			t.Fatal(err)
		}
		for range maxUnsettled {
			if _, err := p.accept(t.Context(), s, 0, 1); err != nil {
				t.Fatal(err)
			}
			p.routed(true)
		}
		waited := make(chan error, 1)
		go func() { waited <- s.awaitRoom(t.Context(), 10) }()
		synctest.Wait()
		if len(waited) != 0 || s.waiting.cause != schema.WaitMemory {
			t.Fatalf("did not wait; cause %v", s.waiting.cause)
		}
		p.settle(w.epoch, 1, nil, nil)
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
	})
}

func TestJitter(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 80, 0.5: 100, 1: 120} {
		if got := jittered(100, random); got != want {
			t.Errorf("jittered(100, %v) is %v", random, got)
		}
	}
}
