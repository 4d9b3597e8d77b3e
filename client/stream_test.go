package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

func bodies(texts ...string) (entries []*logbatcherv1.Entry) {
	for _, text := range texts {
		entries = append(entries, &logbatcherv1.Entry{Body: text})
	}
	return entries
}

func numbers(n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprint(i))
	}
	return texts
}

// TestBytesArriveAsTheyAre sends strings that are not UTF-8, NUL bytes, and a double that is -0.
func TestBytesArriveAsTheyAre(t *testing.T) {
	var l ledger
	var got []*logbatcherv1.Entry
	var colo string
	conn := serve(t, func(_ int, open *logbatcherv1.Open, s serverStream) error {
		colo = open.GetResourceAttributes()[0].GetStringValue()
		if err := s.Send(&logbatcherv1.IngestStreamResponse{
			Welcome:  &logbatcherv1.Welcome{Epoch: 1},
			Throttle: &logbatcherv1.Throttle{Message: "not \xff either"},
		}); err != nil {
			return err
		}
		return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
			got = append(got, r.GetEntries()...)
			return nil
		})
	})
	c := l.config("bytes")
	c.Open.ResourceAttributes = []*logbatcherv1.Attribute{{Key: "k", StringValue: "caf\xe9"}}
	throttled := ""
	c.OnThrottle = func(t *logbatcherv1.Throttle) { throttled = t.GetMessage() }
	shared := []*logbatcherv1.Attribute{
		{Key: "\xfe", StringValue: "\x00\xff"},
		{Key: "zero", Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_DOUBLE, DoubleValue: math.Copysign(0, -1)},
	}
	odd := &logbatcherv1.Entry{Body: "a\xffb", Service: "\xc0", Attributes: shared}
	if err := run(t, conn, c, bodies("before"), []*logbatcherv1.Entry{odd, {Attributes: shared}}, bodies("after")); err != nil {
		t.Fatal(err)
	}
	if l.committed.Entries != 4 || len(l.errors) > 0 || len(got) != 4 {
		t.Fatalf("%+v committed, %d arrived, errors %v", l.committed, len(got), l.errors)
	}
	if e := got[1]; e.GetBody() != "a\xffb" || e.GetService() != "\xc0" || got[3].GetBody() != "after" {
		t.Errorf("arrived: %q", got)
	}
	for _, e := range got[1:3] {
		a := e.GetAttributes()
		if len(a) != 2 || a[0].GetKey() != "\xfe" || a[0].GetStringValue() != "\x00\xff" || !math.Signbit(a[1].GetDoubleValue()) {
			t.Errorf("attributes arrived: %q", a)
		}
	}
	if colo != "caf\xe9" || throttled != "not \xff either" {
		t.Errorf("the opening has %q, the throttle %q", colo, throttled)
	}
}

// TestRequestsAreCutByTheWelcome sends one large request to servers with limits.
func TestRequestsAreCutByTheWelcome(t *testing.T) {
	large, huge := strings.Repeat("x", 3000), strings.Repeat("y", 9000)
	texts := slices.Insert(numbers(2000), 700, large, huge)
	for _, limits := range []*logbatcherv1.Limits{
		nil,
		{MaxRequestEntries: 500, MaxRequestBytes: 256 << 10, MaxEntryBytes: 64 << 10},
		{MaxRequestEntries: 7},
		{MaxRequestBytes: 5000},
		{MaxEntryBytes: 5000},
		{MaxRequestEntries: 1, MaxRequestBytes: 5000, MaxEntryBytes: 2000},
	} {
		t.Run(limits.String(), func(t *testing.T) {
			var l ledger
			var got []string
			given := make(chan struct{}) // then the limits become known
			conn := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error {
				<-given
				if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1, Limits: limits}); err != nil {
					return err
				}
				return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
					if most := limits.GetMaxRequestBytes(); most > 0 && r.SizeVT() > int(most) {
						return status.Errorf(codes.ResourceExhausted, "%d bytes", r.SizeVT())
					}
					if most := limits.GetMaxRequestEntries(); most > 0 && len(r.GetEntries()) > int(most) {
						return status.Errorf(codes.ResourceExhausted, "%d entries", len(r.GetEntries()))
					}
					for _, e := range r.GetEntries() {
						got = append(got, e.GetBody())
					}
					return nil
				})
			})
			p := open(t, l.config("cut", conn))
			give(t, p, bodies(texts...))
			close(given)
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			fit := func(text string) bool {
				size := uint64((&logbatcherv1.Entry{Body: text}).SizeVT())
				return (limits.GetMaxEntryBytes() == 0 || size <= limits.GetMaxEntryBytes()) &&
					(limits.GetMaxRequestBytes() == 0 || size < limits.GetMaxRequestBytes())
			}
			want := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return !fit(text) })
			if !slices.Equal(got, want) {
				t.Errorf("%d entries arrived, want %d, in order", len(got), len(want))
			}
			refused := len(texts) - len(want)
			if l.committed.Entries != len(texts) || l.committed.Refused != refused || len(l.refused) != refused {
				t.Errorf("reported %+v and %d refusals, want %d entries and %d refusals", l.committed, len(l.refused), len(texts), refused)
			}
			for i, e := range l.refused {
				r := l.refusals[i]
				if fit(e.GetBody()) || r.GetReason() != logbatcherv1.RefusalReason_REFUSAL_REASON_TOO_LARGE || !strings.Contains(r.GetMessage(), "max_") {
					t.Errorf("refused %d bytes: %v", len(e.GetBody()), r)
				}
			}
		})
	}
}

// TestSmallerLimitsForNumberedRequests cuts a stream whose request has its sequence, and resumes at a server with smaller limits.
func TestSmallerLimitsForNumberedRequests(t *testing.T) {
	var l ledger
	var got []string
	var epochs []uint64
	small := &logbatcherv1.Limits{MaxRequestEntries: 100}
	conn := serve(t, func(n int, open *logbatcherv1.Open, s serverStream) error {
		epochs = append(epochs, open.GetEpoch())
		switch n {
		case 0:
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 5}); err != nil {
				return err
			}
			for range 3 {
				if _, err := s.Recv(); err != nil {
					return err
				}
			}
			return unavailable("cut") // nothing was reported of the first request
		case 1:
			if err := s.Send(&logbatcherv1.IngestStreamResponse{
				Welcome:           &logbatcherv1.Welcome{Epoch: 5, CommittedSequence: 1, Resumed: true, Limits: small},
				Refusals:          []*logbatcherv1.Refusal{{Sequence: 1, Index: 1, Message: "told again"}},
				DeadLettered:      []*logbatcherv1.DeadLettered{{FirstSequence: 1, LastSequence: 1, Rows: 2, DeadLetter: "d", Route: "r"}},
				CommittedSequence: 1,
			}); err != nil {
				return err
			}
			return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
				return status.Errorf(codes.ResourceExhausted, "sequence %d is too large", r.GetSequence())
			})
		}
		if open.GetCommittedSequence() != 0 {
			return status.Errorf(codes.InvalidArgument, "a new epoch begins after %d", open.GetCommittedSequence())
		}
		if err := welcome(s, &logbatcherv1.Welcome{Epoch: 6, Limits: small}); err != nil {
			return err
		}
		sequence := uint64(0)
		return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
			if sequence++; r.GetSequence() != sequence || len(r.GetEntries()) > 100 {
				return status.Errorf(codes.OutOfRange, "sequence %d has %d entries", r.GetSequence(), len(r.GetEntries()))
			}
			for _, e := range r.GetEntries() {
				got = append(got, e.GetBody())
			}
			return nil
		})
	})
	texts := numbers(1000)
	if err := run(t, conn, l.config("smaller"), bodies("a", "refused"), bodies(texts[:950]...), bodies(texts[950:]...)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(epochs, []uint64{0, 5, 0}) || !slices.Equal(got, texts) {
		t.Errorf("epochs %d, %d entries arrived, want 1000 in order", epochs, len(got))
	}
	if l.committed.Entries != 1002 || l.committed.Refused != 1 || l.letters != 2 || len(l.refused) != 1 || l.refused[0].GetBody() != "refused" {
		t.Errorf("reported %+v, refused %q, %d rows dead-lettered", l.committed, l.refused, l.letters)
	}
}

// TestRequestsThatGRPCDoesNotTake uses a connection that sends small messages only.
func TestRequestsThatGRPCDoesNotTake(t *testing.T) {
	var l ledger
	var got []string
	var older sync.Mutex // held by a stream, so that the next one waits until it has ended
	committed := uint64(0)
	conn := serve(t, func(n int, open *logbatcherv1.Open, s serverStream) error {
		older.Lock()
		defer older.Unlock()
		if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1, Resumed: n > 0, CommittedSequence: committed}); err != nil {
			return err
		}
		return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
			if r.GetSequence() != committed+1 {
				return status.Errorf(codes.OutOfRange, "sequence %d after %d", r.GetSequence(), committed)
			}
			committed++
			for _, e := range r.GetEntries() {
				got = append(got, e.GetBody())
			}
			return nil
		})
	}, grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(1000)))
	huge := strings.Repeat("z", 2000)
	texts := numbers(500)
	if err := run(t, conn, l.config("own"), bodies(slices.Insert(slices.Clone(texts), 250, huge)...), bodies("after")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, append(texts, "after")) {
		t.Errorf("%d entries arrived, want 501 in order", len(got))
	}
	if len(l.refused) != 1 || l.refused[0].GetBody() != huge || !strings.Contains(l.refusals[0].GetMessage(), "1000") {
		t.Errorf("refused %v", l.refusals)
	}
	if l.committed.Entries != 502 || l.committed.Refused != 1 {
		t.Errorf("reported %+v", l.committed)
	}
}

// TestRefusalsToldTwice cuts the stream between a refusal and its watermark.
func TestRefusalsToldTwice(t *testing.T) {
	var l ledger
	told := &logbatcherv1.IngestStreamResponse{
		Refusals: []*logbatcherv1.Refusal{
			{Sequence: 1, Index: 0, Route: "a"}, {Sequence: 1, Index: 0, Route: "b"}, {Sequence: 1, Index: 2},
		},
		DeadLettered: []*logbatcherv1.DeadLettered{{FirstSequence: 1, LastSequence: 1, Rows: 1, DeadLetter: "d", Route: "a"}},
	}
	conn := serve(t, func(n int, _ *logbatcherv1.Open, s serverStream) error {
		if n == 0 {
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
				return err
			}
			if _, err := s.Recv(); err != nil {
				return err
			}
			if err := s.Send(told); err != nil {
				return err
			}
			return unavailable("cut")
		}
		again := told
		again.Welcome = &logbatcherv1.Welcome{Epoch: 1, Resumed: true, CommittedSequence: 1}
		if err := s.Send(again); err != nil {
			return err
		}
		return store(s, func(*logbatcherv1.IngestStreamRequest) error { return nil })
	})
	if err := run(t, conn, l.config("twice"), bodies("a", "b", "c")); err != nil {
		t.Fatal(err)
	}
	if len(l.refusals) != 3 || l.letters != 1 || l.committed.Entries != 3 || l.committed.Refused != 2 {
		t.Errorf("reported %d refusals, %d dead letters, %+v", len(l.refusals), l.letters, l.committed)
	}
}

// TestServerErrorsThatEndRun sends errors that another stream would not change.
func TestServerErrorsThatEndRun(t *testing.T) {
	for name, stream := range map[string]func(s serverStream) error{
		"no producer like that": func(serverStream) error { return status.Error(codes.InvalidArgument, "no producer like that") },
		"with epoch 0":          func(s serverStream) error { return welcome(s, &logbatcherv1.Welcome{}) },
		"is no Welcome":         func(s serverStream) error { return s.Send(&logbatcherv1.IngestStreamResponse{CommittedSequence: 1}) },
		"beyond the last one sent": func(s serverStream) error {
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
				return err
			}
			if err := s.Send(&logbatcherv1.IngestStreamResponse{CommittedSequence: 1000}); err != nil {
				return err
			}
			<-s.Context().Done()
			return s.Context().Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l ledger
			conn := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error { return stream(s) })
			err := run(t, conn, l.config("ended"), bodies("a"))
			if err == nil || !strings.Contains(err.Error(), name) || len(l.errors) != 1 || l.committed.Entries != 0 {
				t.Errorf("Close ended with %v, reported %v, %+v", err, l.errors, l.committed)
			}
		})
	}
}

// TestUnsentEntries counts what a server has never seen.
func TestUnsentEntries(t *testing.T) {
	seen := make(chan struct{})
	conn := serve(t, func(n int, _ *logbatcherv1.Open, s serverStream) error {
		if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
			return err
		}
		if _, err := s.Recv(); err != nil {
			return err
		}
		close(seen)
		<-s.Context().Done()
		return s.Context().Err()
	})
	var l ledger
	p := open(t, l.config("unsent", conn))
	give(t, p, bodies("a", "b", "c"))
	<-seen
	if err := p.Send(t.Context(), bodies("d")...); err != nil {
		t.Fatal(err)
	}
	if got := p.Statistics().Unsent; got > 1 {
		t.Errorf("after the server took 3, %d entries are unsent", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := p.Close(ctx)
	var left *UnfinishedError
	if !errors.As(err, &left) || !errors.Is(err, context.Canceled) || left.Entries != 4 || left.Spilled != 0 {
		t.Errorf("Close: %v", err)
	}
}

func TestNilEntryIsRefused(t *testing.T) {
	var l ledger
	p := open(t, l.config("nil", serve(t, accept)))
	if err := p.Send(t.Context(), &logbatcherv1.Entry{}, nil); err == nil || !strings.Contains(err.Error(), "entry 1 is nil") {
		t.Errorf("Send: %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// accept stores everything.
func accept(_ int, _ *logbatcherv1.Open, s serverStream) error {
	if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
		return err
	}
	return store(s, func(*logbatcherv1.IngestStreamRequest) error { return nil })
}
