package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

func (f *fixture) ingest(r *pb.IngestRequest) (*pb.IngestResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return f.client.Ingest(ctx, r)
}

func TestUnaryAnonymous(t *testing.T) {
	f := newFixture(t, nil)
	f.router.outcome = func(r *schema.Request) *schema.Outcome {
		return &schema.Outcome{
			Refusals:     []schema.Refusal{{Index: r.Place(0), Route: "r", Reason: schema.OutOfRange}},
			DeadLettered: []schema.DeadLettered{{Rows: 1, ID: "b"}},
		}
	}
	entries := append([]*pb.Entry{{SeverityNumber: 99}}, entriesOf("a")...)
	r, err := f.ingest(&pb.IngestRequest{Entries: entries, Open: &pb.Open{Colo: "EWR"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Producer == "" || r.CommittedSequence != 1 || r.Acknowledgement != pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED ||
		len(r.Refusals) != 2 || len(r.DeadLettered) != 1 {
		t.Fatalf("got %v", r)
	}
	if e := f.router.routed()[0].Entries[0]; e.Body != "a" || e.Colo != "EWR" {
		t.Fatalf("routed %+v", e)
	}
	if r, err := f.ingest(&pb.IngestRequest{}); err != nil || r.CommittedSequence != 1 {
		t.Fatalf("an empty request: %v, %v", r, err)
	}
}

func TestUnaryWithAProducer(t *testing.T) {
	f := newFixture(t, nil)
	begun, err := f.ingest(&pb.IngestRequest{Open: &pb.Open{Producer: "p"}})
	if err != nil || begun.Epoch == 0 || begun.CommittedSequence != 0 {
		t.Fatalf("begun: %v, %v", begun, err)
	}
	send := func(sequence uint64, body string) (*pb.IngestResponse, error) {
		return f.ingest(&pb.IngestRequest{Sequence: sequence, Entries: entriesOf(body), Open: &pb.Open{Producer: "p", Epoch: begun.Epoch}})
	}
	for i := range uint64(3) {
		if r, err := send(i+1, "a"); err != nil || r.CommittedSequence != i+1 || r.Epoch != begun.Epoch {
			t.Fatalf("%v, %v", r, err)
		}
	}
	if r, err := send(2, "a"); err != nil || r.CommittedSequence != 3 {
		t.Fatalf("repeat: %v, %v", r, err)
	}
	_, err = send(2, "b")
	wantStatus(t, err, codes.FailedPrecondition, "SEQUENCE_ALTERED")
	_, err = send(9, "a")
	wantStatus(t, err, codes.OutOfRange, "SEQUENCE_GAP")
	_, err = send(0, "a")
	wantStatus(t, err, codes.InvalidArgument, "ZERO_SEQUENCE")
	if got := f.router.sequences(); !reflect.DeepEqual(got, []uint64{1, 2, 3}) {
		t.Fatalf("routed %v", got)
	}
	// A stream takes over, for which the same bytes are the same request; and a call ends the stream.
	s := f.open(&pb.Open{Producer: "p", Epoch: begun.Epoch})
	s.request(3, "a")
	s.request(4, "a")
	s.until(func() bool { return s.committed == 4 })
	if r, err := send(5, "a"); err != nil || r.CommittedSequence != 5 {
		t.Fatalf("%v, %v", r, err)
	}
	wantStatus(t, s.end(), codes.Aborted, "SUPERSEDED")
	if _, err = f.ingest(&pb.IngestRequest{Open: &pb.Open{Producer: "p"}}); err != nil {
		t.Fatal(err)
	}
	_, err = send(6, "a")
	wantStatus(t, err, codes.Aborted, "OLD_EPOCH")
}

func TestUnaryAdoptsAnEpoch(t *testing.T) {
	f := newFixture(t, nil)
	r, err := f.ingest(&pb.IngestRequest{Sequence: 8, Entries: entriesOf("a"), Open: &pb.Open{Producer: "p", Epoch: 77, CommittedSequence: 7}})
	if err != nil || r.CommittedSequence != 8 || r.Epoch != 77 {
		t.Fatalf("%v, %v", r, err)
	}
}

func TestUnaryViolations(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxRequestEntries = 2; c.MaxRequestBytes, c.MaxEntryBytes = 1<<17, 1<<16 })
	big := string(make([]byte, 1<<17))
	for _, c := range []struct {
		request *pb.IngestRequest
		code    codes.Code
		reason  string
	}{
		{&pb.IngestRequest{Sequence: 1}, codes.InvalidArgument, "ANONYMOUS_SEQUENCE"},
		{&pb.IngestRequest{Sequence: 1, Open: &pb.Open{Producer: "p"}}, codes.InvalidArgument, "SEQUENCE_WITHOUT_EPOCH"},
		{&pb.IngestRequest{Entries: entriesOf("a"), Open: &pb.Open{Producer: "p"}}, codes.InvalidArgument, "SEQUENCE_WITHOUT_EPOCH"},
		{&pb.IngestRequest{Entries: entriesOf("a", "b", "c")}, codes.ResourceExhausted, "TOO_LARGE"},
		{&pb.IngestRequest{Entries: entriesOf(big)}, codes.ResourceExhausted, "TOO_LARGE"},
		{&pb.IngestRequest{Open: &pb.Open{Acknowledgement: pb.Acknowledgement_ACKNOWLEDGEMENT_LOGGED}}, codes.FailedPrecondition, "NO_LOG"},
		{&pb.IngestRequest{Open: &pb.Open{Producer: "ä"}}, codes.InvalidArgument, "INVALID_OPENING"},
	} {
		_, err := f.ingest(c.request)
		wantStatus(t, err, c.code, c.reason)
	}
}

func TestUnaryDeadlineSaysWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.router.hold = true
		m := &pb.IngestRequest{Sequence: 4, Entries: entriesOf("a"), Open: &pb.Open{Producer: "p", Epoch: 9, CommittedSequence: 3}}
		_, err := b.call(t.Context(), m)
		known := wantStatus(t, err, codes.DeadlineExceeded, "NOT_COMMITTED_YET")
		if known["state"] != "accepted" || known["sequence"] != "4" || known["committed_sequence"] != "3" || known["producer"] != "p" {
			t.Fatalf("known: %v", known)
		}
		b.router.settleHeld(false)
		// The repeat of what was accepted is acknowledged, not stored.
		r, err := b.call(t.Context(), m)
		if err != nil || r.CommittedSequence != 4 || len(b.router.routed()) != 1 {
			t.Fatalf("%v, %v", r, err)
		}
	})
}

func TestUnaryAnswersBeforeItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		for asked, want := range map[time.Duration]time.Duration{
			100 * time.Millisecond: 90 * time.Millisecond, 5 * time.Second: 4950 * time.Millisecond, time.Hour: time.Minute,
		} {
			start := time.Now()
			call, cancel := context.WithTimeout(t.Context(), asked)
			ctx, done := b.ingest.callContext(call)
			<-ctx.Done()
			if took := time.Since(start); took != want || !errors.Is(context.Cause(ctx), errLate) {
				t.Errorf("a call with %v waits %v and ends with %v", asked, took, context.Cause(ctx))
			}
			done()
			cancel()
		}
	})
}

func TestUnaryConcurrentCallsOfOneEpoch(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) { r.hold = true })
	open := &pb.Open{Producer: "p", Epoch: 9}
	results := make(chan error, 4)
	for i := range uint64(4) {
		go func() {
			_, err := f.ingest(&pb.IngestRequest{Sequence: i + 1, Entries: entriesOf("a"), Open: open})
			results <- err
		}()
		eventually(t, "the request", func() bool { return len(f.router.routed()) == int(i)+1 })
	}
	f.router.settleHeld(true)
	for range 4 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
}

// Calls that overlap do not wait for each other: each is answered when its own request is settled, and so is its repeat.
func TestUnaryAnswersOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.router.hold = true
		call := func(sequence uint64) chan *pb.IngestResponse {
			answer := make(chan *pb.IngestResponse, 1)
			go func() {
				r, err := b.call(t.Context(), &pb.IngestRequest{Sequence: sequence, Entries: entriesOf("a"), Open: &pb.Open{Producer: "p", Epoch: 9}})
				if err != nil {
					t.Error(err)
				}
				answer <- r
			}()
			synctest.Wait()
			return answer
		}
		first, second, repeat := call(1), call(2), call(2)
		held := b.router.held
		b.router.settle(held[1], held[1])
		for _, answer := range []chan *pb.IngestResponse{second, repeat} {
			if r := <-answer; r.GetCommittedSequence() != 0 || r.GetEpoch() != 9 {
				t.Errorf("answered before the first: %v", r)
			}
		}
		b.router.settle(held[0], held[0])
		if r := <-first; r.GetCommittedSequence() != 2 {
			t.Errorf("the first: %v", r)
		}
	})
}

func TestUnaryReceivedLevel(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) { r.hold = true })
	r, err := f.ingest(&pb.IngestRequest{Entries: entriesOf("a"), Open: &pb.Open{Acknowledgement: pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED}})
	if err != nil || r.CommittedSequence != 0 || r.Acknowledgement != pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED {
		t.Fatalf("%v, %v", r, err)
	}
}

func TestUnaryPanic(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) {
		r.script = func(context.Context, *schema.Request, func(schema.WaitCause, string)) error { panic("bug") }
	})
	_, err := f.ingest(&pb.IngestRequest{Entries: entriesOf("a")})
	wantStatus(t, err, codes.Internal, "INTERNAL")
	if status.Convert(err).Message() != "internal error" {
		t.Errorf("the panic is told: %v", err)
	}
	f.budget.change(func() { f.budget.used = 0 })
}

// call makes a unary call.
func (b *bubble) call(ctx context.Context, m *pb.IngestRequest) (*pb.IngestResponse, error) {
	data, err := m.MarshalVT()
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := b.ingest.callContext(ctx)
	defer cancel()
	a, err := b.ingest.call(ctx, &call{tenant: b.ingest.tenants.of(anyone().Tenant), intake: b.ingest.intake, receive: func(context.Context) (*frame, error) { return frameOf(data), nil }})
	return a.response(), err
}

// callAs makes a unary call that headers open: a producer and a sequence, or none.
func (b *bubble) callAs(ctx context.Context, producer, sequence string, m *pb.IngestRequest) (answer, error) {
	data, err := m.MarshalVT()
	if err != nil {
		b.t.Fatal(err)
	}
	header := http.Header{}
	if producer != "" {
		header.Set(headerProducer, producer)
		header.Set(headerSequence, sequence)
	}
	o, err := b.ingest.config.headerOpening(header.Values, &pb.Open{})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := b.ingest.callContext(ctx)
	defer cancel()
	return b.ingest.call(ctx, &call{tenant: b.ingest.tenants.of(anyone().Tenant), intake: b.ingest.intake, opening: o, receive: func(context.Context) (*frame, error) { return frameOf(data), nil }})
}

// troubled is a request with an entry that the server refuses, one that a route refuses, and one that is dead-lettered.
func troubled(b *bubble, open *pb.Open) *pb.IngestRequest {
	b.router.outcome = func(r *schema.Request) *schema.Outcome {
		return &schema.Outcome{
			Refusals:     []schema.Refusal{{Index: r.Place(1), Route: "r", Reason: schema.OutOfRange}},
			DeadLettered: []schema.DeadLettered{{Rows: 1, ID: "b", Route: "r"}},
		}
	}
	entries := append(entriesOf("good", "refused by a route", "dead-lettered"), &pb.Entry{SeverityNumber: 99})
	return &pb.IngestRequest{Sequence: open.CommittedSequence + 1, Entries: entries, Open: open}
}

// Outcomes that a call could not report, because it was late or its client had gone, are reported by each repeat of the call, and by
// a stream that resumes.
func TestUnaryTellsWhatALateCallCouldNot(t *testing.T) {
	late := func(t *testing.T, b *bubble, m *pb.IngestRequest) {
		_, err := b.call(t.Context(), m)
		wantStatus(t, b.ingest.statusOf(err), codes.DeadlineExceeded, "NOT_COMMITTED_YET")
	}
	canceled := func(t *testing.T, b *bubble, m *pb.IngestRequest) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		if _, err := b.call(ctx, m); !errors.Is(err, context.Canceled) {
			t.Errorf("the canceled call ended with %v", err)
		}
	}
	unheard := func(t *testing.T, b *bubble, m *pb.IngestRequest) { // settled at the moment when its client goes
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
			b.router.settleHeld(false)
		}()
		_, _ = b.call(ctx, m)
	}
	received := func(t *testing.T, b *bubble, m *pb.IngestRequest) { // answered before the outcome of the routes is known
		m.Open.Acknowledgement = pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED
		defer func() { m.Open.Acknowledgement = 0 }()
		r, err := b.call(t.Context(), m)
		if err != nil || len(r.Refusals) != 1 || len(r.DeadLettered) != 0 {
			t.Errorf("level RECEIVED: %v, %v", r, err)
		}
	}
	for name, first := range map[string]func(*testing.T, *bubble, *pb.IngestRequest){
		"late": late, "canceled": canceled, "unheard": unheard, "received": received,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, nil)
				b.router.hold = true
				open := &pb.Open{Producer: "p", Epoch: 9}
				m := troubled(b, open)
				first(t, b, m)
				b.router.settleHeld(false)
				for range 2 {
					r, err := b.call(t.Context(), m)
					if err != nil || r.CommittedSequence != 1 || len(r.Refusals) != 2 || len(r.DeadLettered) != 1 || r.DeadLettered[0].Rows != 1 {
						t.Fatalf("the repeat: %v, %v", r, err)
					}
				}
				p := b.open(open, 100)
				if s := p.all(t); s.committed != 1 || len(s.refusals) != 2 || len(s.letters) != 1 {
					t.Errorf("a stream that resumes: committed %d, refusals %v, dead letters %v", s.committed, s.refusals, s.letters)
				}
				b.close(p)
				if n := len(b.router.routed()); n != 1 {
					t.Errorf("routed %d times", n)
				}
			})
		})
	}
}

// A stream that resumes reports what a late call could not, even without a repeat.
func TestStreamTellsWhatALateCallCouldNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.router.hold = true
		open := &pb.Open{Producer: "p", Epoch: 9}
		_, err := b.call(t.Context(), troubled(b, open))
		wantStatus(t, b.ingest.statusOf(err), codes.DeadlineExceeded, "NOT_COMMITTED_YET")
		b.router.settleHeld(false)
		p := b.open(open, 100)
		if s := p.all(t); s.committed != 1 || len(s.refusals) != 2 || len(s.letters) != 1 {
			t.Errorf("committed %d, refusals %v, dead letters %v", s.committed, s.refusals, s.letters)
		}
		b.close(p)
	})
}

// A repeat that arrives while the original waits gets the same answer.
func TestUnaryRepeatBesideTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.router.hold = true
		m := troubled(b, &pb.Open{Producer: "p", Epoch: 9})
		results := make(chan *pb.IngestResponse, 2)
		for range 2 {
			go func() {
				r, err := b.call(t.Context(), m)
				if err != nil {
					t.Error(err)
				}
				results <- r
			}()
			synctest.Wait()
		}
		b.router.settleHeld(false)
		for range 2 {
			if r := <-results; len(r.GetRefusals()) != 2 || len(r.GetDeadLettered()) != 1 {
				t.Errorf("got %v", r)
			}
		}
	})
}

// The outcomes kept for repeats are bounded, and dropped ones are counted.
func TestUnaryKeepsABoundedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.router.hold = true
		m := &pb.IngestRequest{Sequence: 1, Open: &pb.Open{Producer: "p", Epoch: 9}, Entries: append(make2(keptOutcomes+5, 99), entriesOf("a")...)}
		_, err := b.call(t.Context(), m)
		wantStatus(t, b.ingest.statusOf(err), codes.DeadlineExceeded, "NOT_COMMITTED_YET")
		b.router.settleHeld(false)
		r, err := b.call(t.Context(), m)
		if err != nil || len(r.Refusals) != keptOutcomes || metricOf(t, b.registry, "outcomes_untold_total") != 5 {
			t.Errorf("%d refusals, %v; dropped %v", len(r.GetRefusals()), err, metricOf(t, b.registry, "outcomes_untold_total"))
		}
		// An answer that is in time has all of them.
		m.Sequence = 2
		b.router.hold = false
		if r, err := b.call(t.Context(), m); err != nil || len(r.Refusals) != keptOutcomes+5 {
			t.Errorf("%d refusals, %v", len(r.GetRefusals()), err)
		}
	})
}

// An answer's watermark belongs to the epoch that it names, even if the next one begins before it is written.
func TestUnaryAnswersWithinOneEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, level := range []pb.Acknowledgement{pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED, pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED} {
			b := newBubble(t, nil)
			for i := range uint64(500) {
				open := &pb.Open{Producer: fmt.Sprint("p", i), Epoch: 9, CommittedSequence: 6, Acknowledgement: level}
				results := make(chan error, 2)
				go func() {
					r, err := b.call(t.Context(), &pb.IngestRequest{Sequence: 7, Entries: entriesOf("a"), Open: open})
					if err == nil && (r.Epoch != 9 || r.CommittedSequence != 7 && (r.CommittedSequence != 6 || level != pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED)) {
						err = fmt.Errorf("epoch %d with watermark %d", r.Epoch, r.CommittedSequence)
					} else if status.Code(err) == codes.Aborted {
						err = nil // the new epoch came first
					}
					results <- err
				}()
				go func() {
					_, err := b.call(t.Context(), &pb.IngestRequest{Open: &pb.Open{Producer: open.Producer}})
					results <- err
				}()
				for range 2 {
					if err := <-results; err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// A call that sends no request frees its place when its time is over.
func TestUnaryWithoutARequest(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.UnaryTimeout, c.MaxStreams = time.Millisecond, 1 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := f.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, pb.IngestService_Ingest_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	m := wantStatus(t, stream.RecvMsg(&pb.IngestResponse{}), codes.DeadlineExceeded, "NOT_COMMITTED_YET")
	if m["state"] != "not accepted" {
		t.Errorf("known: %v", m)
	}
	eventually(t, "the call's place", func() bool { return f.metric("open_streams") == 0 })
}
