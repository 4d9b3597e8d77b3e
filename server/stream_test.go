package server

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// wantStatus checks code and reason of a status, and the details that its code requires. It returns the metadata.
func wantStatus(t *testing.T, err error, code codes.Code, reason string) map[string]string {
	t.Helper()
	st, ok := status.FromError(err)
	if !ok || st.Code() != code {
		t.Fatalf("got %v, want %v", err, code)
	}
	var info *errdetails.ErrorInfo
	retry := false
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d.RetryDelay.AsDuration() > 0
		}
	}
	if info == nil || info.Reason != reason || info.Domain != errorDomain {
		t.Fatalf("got %v with %v, want the reason %s", err, info, reason)
	}
	if (code == codes.Unavailable) != retry {
		t.Fatalf("%v: RetryInfo is there: %v", err, retry)
	}
	return info.Metadata
}

func TestStreamCommits(t *testing.T) {
	f := newFixture(t, nil)
	s := f.open(&pb.Open{Producer: "p", Client: "test/1"})
	w := s.opened
	if w.Producer != "p" || w.Epoch == 0 || w.CommittedSequence != 0 || w.Resumed || w.Instance != "i1" ||
		w.Acknowledgement != pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED || w.Limits.MaxRequestEntries != 10_000 {
		t.Fatalf("welcome: %v", w)
	}
	s.request(1, "a", "b")
	s.request(2)
	s.request(3, "c")
	s.until(func() bool { return s.committed == 3 })
	if s.received != 3 {
		t.Errorf("received %d", s.received)
	}
	if err := s.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := s.end(); !errors.Is(err, io.EOF) {
		t.Fatalf("ended with %v", err)
	}
	routed := f.router.routed()
	if len(routed) != 2 || routed[0].Sequence != 1 || routed[1].Sequence != 3 || routed[0].Entries[1].Body != "b" {
		t.Fatalf("routed %v", f.router.sequences())
	}
	if r := routed[0]; r.Producer != "p" || r.Epoch != w.Epoch || r.Bytes <= 0 || time.Since(r.Received) > time.Minute {
		t.Errorf("request: %+v", r)
	}
}

func TestStreamSettlesInAnyOrder(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) { r.hold = true })
	s := f.open(&pb.Open{Producer: "p"})
	for i := range uint64(5) {
		s.request(i+1, "x")
	}
	eventually(t, "five requests", func() bool { return len(f.router.routed()) == 5 })
	if s.committed != 0 {
		t.Fatal("committed before it was settled")
	}
	f.router.settleHeld(true)
	s.until(func() bool { return s.committed == 5 })
}

func TestStreamViolations(t *testing.T) {
	long := strings.Repeat("x", 129)
	open := func(o *pb.Open) []*pb.IngestStreamRequest { return []*pb.IngestStreamRequest{{Open: o}} }
	opened := func(rest ...*pb.IngestStreamRequest) []*pb.IngestStreamRequest {
		return append(open(&pb.Open{Producer: "p"}), rest...)
	}
	one := &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
	for name, c := range map[string]struct {
		requests []*pb.IngestStreamRequest
		code     codes.Code
		reason   string
	}{
		"request before the opening": {[]*pb.IngestStreamRequest{one}, codes.InvalidArgument, "NOT_OPENED"},
		"no request at all":          {nil, codes.InvalidArgument, "NOT_OPENED"},
		"opening with entries":       {[]*pb.IngestStreamRequest{{Open: &pb.Open{}, Entries: entriesOf("a")}}, codes.InvalidArgument, "OPENING_NOT_ALONE"},
		"opening with a sequence":    {[]*pb.IngestStreamRequest{{Open: &pb.Open{}, Sequence: 1}}, codes.InvalidArgument, "OPENING_NOT_ALONE"},
		"second opening":             {opened(&pb.IngestStreamRequest{Open: &pb.Open{}}), codes.InvalidArgument, "OPENED_TWICE"},
		"zero sequence":              {opened(&pb.IngestStreamRequest{Entries: entriesOf("a")}), codes.InvalidArgument, "ZERO_SEQUENCE"},
		"gap":                        {opened(one, &pb.IngestStreamRequest{Sequence: 3}), codes.OutOfRange, "SEQUENCE_GAP"},
		"other bytes": {
			opened(one, &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("b")}), codes.FailedPrecondition, "SEQUENCE_ALTERED",
		},
		"anonymous with a sequence": {append(open(&pb.Open{}), one), codes.InvalidArgument, "ANONYMOUS_SEQUENCE"},
		"anonymous with an epoch":   {open(&pb.Open{Epoch: 4}), codes.InvalidArgument, "INVALID_OPENING"},
		"logged":                    {open(&pb.Open{Acknowledgement: pb.Acknowledgement_ACKNOWLEDGEMENT_LOGGED}), codes.FailedPrecondition, "NO_LOG"},
		"unknown level":             {open(&pb.Open{Acknowledgement: 9}), codes.InvalidArgument, "INVALID_OPENING"},
		"long producer":             {open(&pb.Open{Producer: long}), codes.InvalidArgument, "INVALID_OPENING"},
		"producer with a space":     {open(&pb.Open{Producer: "a b"}), codes.InvalidArgument, "INVALID_OPENING"},
		"bad colo":                  {open(&pb.Open{Colo: "a-b"}), codes.InvalidArgument, "INVALID_OPENING"},
		"attribute without a key":   {open(&pb.Open{ResourceAttributes: []*pb.Attribute{{}}}), codes.InvalidArgument, "INVALID_OPENING"},
		"committed without epoch":   {open(&pb.Open{Producer: "p", CommittedSequence: 3}), codes.InvalidArgument, "INVALID_OPENING"},
		"huge epoch":                {open(&pb.Open{Producer: "p", Epoch: 1 << 63}), codes.InvalidArgument, "INVALID_OPENING"},
		"large opening": {
			open(&pb.Open{ScopeName: strings.Repeat("x", 70<<10)}), codes.ResourceExhausted, "TOO_LARGE",
		},
		"too many entries": {
			opened(&pb.IngestStreamRequest{Sequence: 1, Entries: make11()}), codes.ResourceExhausted, "TOO_LARGE",
		},
		"too many bytes": {
			opened(&pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf(strings.Repeat("x", 1<<20))}), codes.ResourceExhausted, "TOO_LARGE",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *Config) {
				c.MaxRequestEntries, c.MaxRequestBytes, c.MaxEntryBytes = 10, 1<<20, 1<<17
			})
			s := f.stream()
			for _, r := range c.requests {
				s.send(r)
			}
			_ = s.stream.CloseSend()
			wantStatus(t, s.end(), c.code, c.reason)
		})
	}
}

func make11() []*pb.Entry { return entriesOf(strings.Split("abcdefghijk", "")...) }

func TestStreamNotProtobuf(t *testing.T) {
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := f.conn.NewStream(ctx, &pb.IngestService_ServiceDesc.Streams[0], pb.IngestService_IngestStream_FullMethodName, grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg([]byte{0x12, 0xFF}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, stream.RecvMsg(new([]byte)), codes.InvalidArgument, "MALFORMED")
}

func TestStreamFarTooLarge(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxRequestBytes, c.MaxEntryBytes = 1<<17, 1<<16 })
	s := f.open(&pb.Open{Producer: "p"})
	s.request(1, strings.Repeat("x", 1<<20))
	if m := wantStatus(t, s.end(), codes.ResourceExhausted, "TOO_LARGE"); m["bound"] != "max_request_bytes" || m["limit"] != "131072" {
		t.Fatalf("metadata %v", m)
	}
}

func TestStreamRepeatIsAcknowledgedAndNotStored(t *testing.T) {
	f := newFixture(t, nil)
	s := f.open(&pb.Open{Producer: "p"})
	s.request(1, "a")
	s.request(2, "b")
	s.until(func() bool { return s.committed == 2 })
	s.request(1, "a")
	if r := s.next(); r.CommittedSequence != 2 || r.ReceivedSequence != 2 {
		t.Fatalf("answer to the repeat: %v", r)
	}
	s.request(3, "c") // the stream goes on
	s.until(func() bool { return s.committed == 3 })
	if got := f.router.sequences(); !reflect.DeepEqual(got, []uint64{1, 2, 3}) {
		t.Fatalf("routed %v", got)
	}
}

func TestStreamRefusalsComeBeforeTheWatermark(t *testing.T) {
	f := newFixture(t, nil)
	f.router.outcome = func(r *schema.Request) *schema.Outcome {
		return &schema.Outcome{
			Refusals:     []schema.Refusal{{Index: r.Place(0), Field: "body\xff", Reason: schema.TypeMismatch, Message: "no", Route: "r"}},
			DeadLettered: []schema.DeadLettered{{Rows: 2, Route: "r", Table: "d.t", ID: "b1", Code: 469, Message: "bad \xfe"}},
		}
	}
	s := f.stream(grpc.ForceCodecV2(laxCodec{}))
	s.send(&pb.IngestStreamRequest{Open: &pb.Open{Producer: "p"}})
	entries := []*pb.Entry{{SeverityNumber: 25}, {Body: "good"}, {Attributes: []*pb.Attribute{{Key: "k\xff", Type: 9}}}}
	s.send(&pb.IngestStreamRequest{Sequence: 1, Entries: entries})
	for s.committed < 1 {
		r := s.next()
		if r.CommittedSequence == 1 && len(s.refusals) != 3 {
			t.Fatalf("the watermark came with %d refusals told", len(s.refusals))
		}
	}
	got := map[string]uint32{}
	for _, r := range s.refusals {
		got[r.Field] = r.Index
		if r.Sequence != 1 || r.Message == "" {
			t.Errorf("refusal %v", r)
		}
	}
	if want := map[string]uint32{"severity_number": 0, `attributes["k\xff"].type`: 2, "body\uFFFD": 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("refused %v", got)
	}
	if l := s.letters; len(l) != 1 || l[0].FirstSequence != 1 || l[0].Rows != 2 || l[0].Message != "bad \uFFFD" {
		t.Errorf("dead letters %v", l)
	}
	if r := f.router.routed()[0]; len(r.Entries) != 1 || r.Place(0) != 1 {
		t.Errorf("routed %+v", r)
	}
}

func TestStreamAnonymous(t *testing.T) {
	f := newFixture(t, nil)
	s, other := f.open(&pb.Open{}), f.open(&pb.Open{})
	if s.opened.Producer == "" || s.opened.Producer == other.opened.Producer {
		t.Fatalf("names %q, %q", s.opened.Producer, other.opened.Producer)
	}
	s.request(0, "a")
	s.request(0, "a")
	s.until(func() bool { return s.committed == 2 })
	if got := f.router.sequences(); !reflect.DeepEqual(got, []uint64{1, 2}) {
		t.Fatalf("routed %v", got)
	}
}

func TestStreamReceivedLevel(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) { r.hold = true })
	s := f.open(&pb.Open{Producer: "p", Acknowledgement: pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED})
	s.request(1, "a")
	s.until(func() bool { return s.received == 1 })
	_ = s.stream.CloseSend()
	if err := s.end(); !errors.Is(err, io.EOF) || s.committed != 0 {
		t.Fatalf("ended with %v at %d", err, s.committed)
	}
}

func TestCutStreamResumes(t *testing.T) {
	f := newFixture(t, nil)
	f.router.outcome = func(r *schema.Request) *schema.Outcome {
		return &schema.Outcome{Refusals: []schema.Refusal{{Index: 0, Reason: schema.Unmatched}}}
	}
	f.router.set(func(r *fakeRouter) { r.hold = true })
	s := f.open(&pb.Open{Producer: "p"})
	s.request(1, "a")
	s.request(2, "b")
	eventually(t, "two requests", func() bool { return len(f.router.routed()) == 2 })
	s.cancel()
	f.router.settleHeld(true)
	f.router.set(func(r *fakeRouter) { r.hold = false })
	s = f.open(&pb.Open{Producer: "p", Epoch: s.opened.Epoch})
	if w := s.opened; !w.Resumed || w.CommittedSequence != 2 {
		t.Fatalf("welcome %v", w)
	}
	if len(s.refusals) != 2 {
		t.Fatalf("the welcome covers refusals that were not told: %v", s.refusals)
	}
	s.request(2, "b")
	s.request(3, "c")
	s.until(func() bool { return s.committed == 3 })
	if got := f.router.sequences(); !reflect.DeepEqual(got, []uint64{1, 2, 3}) {
		t.Fatalf("routed %v", got)
	}
}

func TestNewerOpeningStopsTheOlderStream(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) { r.hold = true })
	older := f.open(&pb.Open{Producer: "p"})
	older.request(1, "a")
	eventually(t, "the request", func() bool { return len(f.router.routed()) == 1 })
	newer := f.stream()
	newer.send(&pb.IngestStreamRequest{Open: &pb.Open{Producer: "p"}})
	wantStatus(t, older.end(), codes.Aborted, "SUPERSEDED")

	var settled atomic.Bool
	welcomed := make(chan struct{})
	go func() {
		defer close(welcomed)
		newer.next()
		if !settled.Load() {
			t.Error("welcomed before the older stream's entries were settled")
		}
	}()
	settled.Store(true)
	f.router.settleHeld(false)
	<-welcomed
	if newer.opened.Epoch <= older.opened.Epoch || newer.opened.CommittedSequence != 0 {
		t.Fatalf("welcome %v after %v", newer.opened, older.opened)
	}
	stale := f.stream()
	stale.send(&pb.IngestStreamRequest{Open: &pb.Open{Producer: "p", Epoch: older.opened.Epoch}})
	wantStatus(t, stale.end(), codes.Aborted, "OLD_EPOCH")
	newer.request(1, "b") // and the stale opening has not disturbed it
	f.router.settleHeld(false)
	eventually(t, "the request", func() bool { return len(f.router.routed()) == 2 })
	f.router.settleHeld(false)
	newer.until(func() bool { return newer.committed == 1 })
}

func TestNewerOpeningEndsAWaitingRoute(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) {
		r.script = func(ctx context.Context, _ *schema.Request, _ func(schema.WaitCause, string)) error {
			<-ctx.Done()
			return ctx.Err()
		}
	})
	older := f.open(&pb.Open{Producer: "p"})
	older.request(1, "a")
	newer := f.open(&pb.Open{Producer: "p", Epoch: older.opened.Epoch})
	wantStatus(t, older.end(), codes.Aborted, "SUPERSEDED")
	if newer.opened.CommittedSequence != 0 || !newer.opened.Resumed {
		t.Fatalf("welcome %v", newer.opened)
	}
	f.router.set(func(r *fakeRouter) { r.script = nil })
	newer.request(1, "other") // sequence 1 was never accepted, so this is no repeat
	newer.until(func() bool { return newer.committed == 1 })
}

func TestOpeningGivesUpWaitingForTheOlder(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.FinishTimeout = 50 * time.Millisecond })
	f.router.set(func(r *fakeRouter) { r.hold = true })
	s := f.open(&pb.Open{Producer: "p"})
	s.request(1, "a")
	eventually(t, "the request", func() bool { return len(f.router.routed()) == 1 })
	s.cancel()
	s = f.stream()
	s.send(&pb.IngestStreamRequest{Open: &pb.Open{Producer: "p"}})
	wantStatus(t, s.end(), codes.Unavailable, "OLDER_NOT_FINISHED")
}

func TestThrottleIsToldAndEnded(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.ThrottleAfter = 10 * time.Millisecond })
	room := make(chan struct{})
	f.router.set(func(r *fakeRouter) {
		r.script = func(ctx context.Context, q *schema.Request, waiting func(schema.WaitCause, string)) error {
			waiting(schema.WaitTable, "logs.app")
			<-room
			r.take(q)
			return nil
		}
	})
	s := f.open(&pb.Open{Producer: "p"})
	s.request(1, "a")
	s.until(func() bool { return len(s.throttles) == 1 })
	if th := s.throttles[0]; th.Cause != pb.ThrottleCause_THROTTLE_CAUSE_TABLE || th.Table != "logs.app" || th.Message == "" {
		t.Fatalf("throttle %v", th)
	}
	close(room)
	s.until(func() bool { return len(s.throttles) == 2 && s.committed == 1 })
	if th := s.throttles[1]; th.Cause != 0 {
		t.Fatalf("throttle %v", th)
	}
}

func TestThrottleForMemory(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.ThrottleAfter = 10 * time.Millisecond })
	f.budget.change(func() { f.budget.limit, f.budget.used = 1, 1 })
	s := f.open(&pb.Open{Producer: "p"})
	s.request(1, "a")
	s.until(func() bool { return len(s.throttles) == 1 })
	if th := s.throttles[0]; th.Cause != pb.ThrottleCause_THROTTLE_CAUSE_MEMORY {
		t.Fatalf("throttle %v", th)
	}
	if len(f.router.routed()) != 0 {
		t.Fatal("decoded beyond the budget")
	}
	f.budget.change(func() { f.budget.limit, f.budget.used = 0, 0 })
	s.until(func() bool { return s.committed == 1 })
}

func TestRouterThatTakesNothing(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) {
		r.script = func(context.Context, *schema.Request, func(schema.WaitCause, string)) error {
			return errors.New("closed")
		}
	})
	s := f.open(&pb.Open{Producer: "p"})
	s.request(1, "a")
	wantStatus(t, s.end(), codes.Unavailable, "NOT_ACCEPTING")
}

func TestPanicEndsOneStreamOnly(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) {
		r.script = func(context.Context, *schema.Request, func(schema.WaitCause, string)) error { panic("bug") }
	})
	s := f.open(&pb.Open{Producer: "p"})
	other := f.open(&pb.Open{Producer: "q"})
	s.request(1, "a")
	wantStatus(t, s.end(), codes.Internal, "INTERNAL")
	f.router.set(func(r *fakeRouter) { r.script = nil })
	other.request(1, "b")
	other.until(func() bool { return other.committed == 1 })
	// The panicking Router may have kept the request, so its memory stays charged.
	f.budget.change(func() { f.budget.used = 0 })
}

func TestTooManyStreams(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxStreams = 1 })
	f.open(&pb.Open{Producer: "p"})
	wantStatus(t, f.stream().end(), codes.Unavailable, "TOO_MANY_STREAMS")
}

func TestCompressedStreams(t *testing.T) {
	f := newFixture(t, nil)
	for _, name := range []string{gzip.Name, "zstd"} {
		s := f.stream(grpc.UseCompressor(name))
		s.send(&pb.IngestStreamRequest{Open: &pb.Open{Producer: name}})
		s.request(1, strings.Repeat("a", 100_000))
		s.until(func() bool { return s.committed == 1 })
	}
}

// metric returns the value of a metric, summed over its labels.
func (f *fixture) metric(name string) float64 {
	f.t.Helper()
	return metricOf(f.t, f.server.config.Registerer.(prometheus.Gatherer), name)
}

// counterValue returns the value of one counter.
func counterValue(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].Metric[0].GetCounter().GetValue()
}

func metricOf(t *testing.T, gatherer prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() == "logbatcher_"+name {
			for _, m := range family.Metric {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func TestMetricsCount(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) { r.hold = true })
	s := f.open(&pb.Open{Producer: "p"})
	s.send(&pb.IngestStreamRequest{Sequence: 1, Entries: []*pb.Entry{{Body: "a"}, {SeverityNumber: 99}}})
	s.request(2, "b")
	s.request(2, "b")
	eventually(t, "two requests", func() bool { return len(f.router.routed()) == 2 })
	eventually(t, "the repeat", func() bool { return f.metric("requests_repeated_total") == 1 })
	want := func(name string, want float64) {
		t.Helper()
		if got := f.metric(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	want("entries_received_total", 3)
	want("entries_refused_total", 1)
	want("requests_received_total", 3)
	want("open_streams", 1)
	want("known_producers", 1)
	want("watermark_lag_requests", 2)
	f.router.settleHeld(true)
	s.until(func() bool { return s.committed == 2 })
	want("watermark_lag_requests", 0)
	want("commit_seconds", 2)
}
