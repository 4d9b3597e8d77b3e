package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/mem"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// An alert on the seconds that streams wait must fire while they wait, not afterwards.
func TestWaitingIsCountedWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.router.set(func(r *fakeRouter) {
			r.script = func(ctx context.Context, _ *schema.Request, waiting func(schema.WaitCause, string)) error {
				waiting(schema.WaitTable, "d.t")
				<-ctx.Done()
				return ctx.Err()
			}
		})
		p, q := b.open(&pb.Open{Producer: "p"}, 100), b.open(&pb.Open{Producer: "q"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		time.Sleep(5 * time.Second)
		q.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		time.Sleep(3 * time.Second)
		for _, when := range []string{"while both wait", "afterwards"} {
			seconds, streams := collected(t, b.registry)
			if want := map[string]float64{"while both wait": 2}[when]; seconds["table"] != 11 || seconds["memory"] != 0 || streams["table"] != want {
				t.Errorf("%s: %v seconds, %v streams, want 11 seconds for the table and %v streams", when, seconds, streams, want)
			}
			b.close(p, q)
			time.Sleep(time.Minute)
		}
	})
}

// collected returns the seconds and the streams by cause.
func collected(t *testing.T, registry *prometheus.Registry) (seconds, streams map[string]float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seconds, streams = map[string]float64{}, map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			switch f.GetName() {
			case "logbatcher_throttled_streams":
				streams[m.Label[0].GetValue()] = m.Gauge.GetValue()
			case "logbatcher_throttled_seconds_total":
				seconds[m.Label[0].GetValue()] = m.Counter.GetValue()
			}
		}
	}
	return seconds, streams
}

func frameOf(data []byte) *frame { return &frame{mem.BufferSlice{mem.SliceBuffer(data)}} }

// Copying and decoding do not count as waiting for memory.
func TestDecodingIsNoWaiting(t *testing.T) {
	in, budget := testIntake(t, nil)
	p, err := testRegistry(t, nil).use("", "p")
	if err != nil {
		t.Fatal(err)
	}
	s := newStreamSession(p, nil, nil, time.Hour)
	waits := func() bool { return s.waiting.cause != 0 }
	var waited bool
	budget.asked = func() { waited = waits() }
	decoders := newProtobufDecoder(in.config)
	in.decoders.New = func() any {
		if waits() {
			t.Error("the request is said to wait for memory while it is decoded")
		}
		return decoders()
	}
	data, err := (&pb.IngestStreamRequest{Entries: make10000()}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	r, err := in.admit(t.Context(), frameOf(data), testReceived, s)
	if err != nil {
		t.Fatal(err)
	}
	if waits() || !waited {
		t.Errorf("waiting %v after the budget was asked (%v)", waits(), waited)
	}
	if err := r.decode(t.Context(), &defaults{}); err != nil {
		t.Fatal(err)
	}
	r.Suspend()
	if err := r.Resume(t.Context()); err != nil || waits() {
		t.Errorf("resumed with %v, waiting %v", err, waits())
	}
	r.free()
	if used, _ := budget.now(); used != 0 {
		t.Errorf("%d bytes are still charged", used)
	}
}

// Calls of one producer are routed one after the other; those waiting for their turn hold nothing of the budget.
func TestCallsThatWaitForTheirTurnHoldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		opened, err := b.call(t.Context(), &pb.IngestRequest{Open: &pb.Open{Producer: "p"}})
		if err != nil {
			t.Fatal(err)
		}
		b.router.set(func(r *fakeRouter) {
			r.script = func(ctx context.Context, q *schema.Request, waiting func(schema.WaitCause, string)) error {
				q.Decoder.Suspend()
				<-ctx.Done()
				return ctx.Err()
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 5)
		for sequence := range 5 {
			go func() {
				_, err := b.call(ctx, &pb.IngestRequest{
					Open: &pb.Open{Producer: "p", Epoch: opened.Epoch}, Sequence: uint64(sequence) + 1, Entries: entriesOf("a"),
				})
				ended <- err
			}()
			synctest.Wait()
		}
		if used, _ := b.budget.now(); used != 0 {
			t.Errorf("%d bytes are charged for calls that wait", used)
		}
		cancel()
		for range 5 {
			if err := <-ended; err == nil {
				t.Error("a call that was canceled has succeeded")
			}
		}
		b.close()
	})
}
