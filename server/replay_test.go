package server

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// replayed is a service that logs requests, and one that is started on its log with other bounds and defaults.
type replaying struct {
	live, after *bubble
	log         *fakeLog
}

// newReplaying returns two services. adjust is for the bounds of the first.
func newReplaying(t *testing.T, adjust func(*Config)) *replaying {
	r := &replaying{log: &fakeLog{}}
	r.live = newBubble(t, func(c *Config) {
		c.WAL = r.log
		if adjust != nil {
			adjust(c)
		}
	})
	r.after = newBubble(t, func(c *Config) {
		c.WAL, c.Colo, c.Instance = r.log, "OTHER", "i2"
		c.MaxEntryBytes, c.MaxEntryAttributes, c.MaxRequestEntries, c.MaxOpenBytes = 1024, 1, 1, 1
	})
	return r
}

// intakeOf returns the intake of a protocol.
func (b *bubble) intakeOf(protocol string) *intake {
	posts := b.ingest.newJSONPosts()
	return map[string]*intake{
		protocolProtobuf: b.ingest.intake, protocolOTLP: b.ingest.otlp, protocolJSONLines: posts.logs, protocolEntryLines: posts.entries,
	}[protocol]
}

// run sends a request, replays it, and compares what is routed. It returns what was routed, nil if the request is not accepted.
func (r *replaying) run(t *testing.T, in *intake, data []byte) *schema.Request {
	t.Helper()
	r.log = &fakeLog{}
	for _, b := range []*bubble{r.live, r.after} {
		b.ingest.config.WAL = r.log
		b.router.set(func(f *fakeRouter) { f.copies = nil })
	}
	c := &call{tenant: r.live.ingest.tenants.of(anyone().Tenant), intake: in, receive: func(context.Context) (*frame, error) { return frameOf(data), nil }}
	if in.protocol == protocolProtobuf { // which has its opening in the request
		l, err := readOutline(data)
		if err != nil {
			return nil
		}
		if o, err := r.live.ingest.config.decodeOpening(data, &l); err != nil || o.producer != "" || o.level != levelCommitted {
			return nil // these have tests of their own
		}
	} else {
		shared := &pb.Open{Colo: "EWR", ScopeName: "scope", ScopeAttributes: []*pb.Attribute{{Key: "k", IntValue: 4}},
			ResourceAttributes: []*pb.Attribute{{Key: "service.name", StringValue: "shop\xff"}}}
		o, err := r.live.ingest.config.headerOpening(func(string) []string { return nil }, shared)
		if err != nil {
			t.Fatal(err)
		}
		c.opening = o
	}
	a, err := r.live.ingest.call(context.Background(), c)
	if err != nil {
		return nil
	}
	live := r.live.router.routed()
	for lsn, request := range r.log.unplaced() { // none, unless the router holds it
		t.Fatalf("request %d is not placed: %+v", lsn, request)
	}
	before := len(r.log.copied())
	if before == 0 && a.entries == 0 {
		return nil
	}
	logged := r.log.copied()[0].request
	server := r.after.server()
	r.log.set(func() { r.log.server = server })
	if err := server.Replay(context.Background(), logged, 1, nil); err != nil {
		t.Fatalf("Replay: %v", err)
	}
	replayed := r.after.router.routed()
	if len(live) != len(replayed) {
		t.Fatalf("%d requests were routed, %d again", len(live), len(replayed))
	}
	eventually(t, "the outcome", func() bool { return len(r.log.copied()) == before+2 })
	for i, record := range []string{"placed", "settled"} {
		placed := r.log.copied()[before+i]
		if len(logged.Refusals) > 0 && record == "settled" {
			record = "outcome"
		}
		if placed.kind != record || placed.outcome != nil && !reflect.DeepEqual(placed.outcome.Refusals, logged.Refusals) {
			t.Fatalf("%s: %+v, want the refusals %+v", placed.kind, placed.outcome, logged.Refusals)
		}
	}
	for _, b := range []*bubble{r.live, r.after} {
		eventually(t, "the budget", func() bool { used, _ := b.budget.now(); return used == 0 })
	}
	if len(live) == 0 {
		return nil
	}
	was, is := live[0], replayed[0]
	if !reflect.DeepEqual(was.Index, is.Index) || !reflect.DeepEqual(sameEmpty(was.Entries), sameEmpty(is.Entries)) {
		t.Fatalf("routed  %v %+v\nreplayed %v %+v", was.Index, was.Entries, is.Index, is.Entries)
	}
	if was.Producer != is.Producer || was.Epoch != is.Epoch || was.Sequence != is.Sequence || !was.Received.Equal(is.Received) ||
		is.Routing != "routing" || is.LSN != 1 || is.Log != nil {
		t.Fatalf("routed %+v, replayed %+v", was, is)
	}
	return is
}

// B5: what was accepted is routed again with the same entries, whatever the bounds and the defaults are after a restart; what was refused
// stays refused.
func TestB5ReplayIgnoresBoundsAndDefaults(t *testing.T) {
	long := strings.Repeat("x", 4000)
	m := &pb.IngestRequest{
		Open: &pb.Open{ScopeName: "scope", ResourceAttributes: []*pb.Attribute{{Key: "service.name", StringValue: "shop"}, {Key: "n", Type: pb.AttributeType_ATTRIBUTE_TYPE_INT}}},
		Entries: []*pb.Entry{
			{Body: "plain"}, {Body: long}, {SeverityNumber: 99}, {Body: "many", Attributes: []*pb.Attribute{{Key: "a", IntValue: 1}, {Key: "b", BoolValue: true}}},
			{Body: long + long}, {Body: "with its own", Colo: "LAX", Service: "own", TimeUnixNano: 7},
		},
	}
	request, err := m.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	rich, err := proto.Marshal(richLogs())
	if err != nil {
		t.Fatal(err)
	}
	for protocol, data := range map[string][]byte{
		protocolProtobuf:  request,
		protocolOTLP:      rich,
		protocolJSONLines: []byte("\n{\"msg\":\"a\",\"time\":\"Nov 24 10:00:00\"}\noops\n\n{\"msg\":\"" + long + "\",\"x\":[1],\"y\":2,\"z\":\"\\n\"}\n{\"msg\":\"" + long + long + "\"}"),
		protocolEntryLines: []byte(`{"body":"a","attributes":[{"key":"k","intValue":"1"},{"key":"l","stringValue":"\u00e9"}]}` + "\n" + `{"bodi":"b"}` + "\n" +
			`{"body":"` + long + `"}`),
	} {
		t.Run(protocol, func(t *testing.T) {
			r := newReplaying(t, func(c *Config) { c.MaxEntryBytes, c.MaxEntryAttributes = 6000, 100 })
			got := r.run(t, r.live.intakeOf(protocol), data)
			if got == nil || len(got.Entries) < 2 {
				t.Fatalf("replayed %+v", got)
			}
			for _, e := range got.Entries {
				if e.Colo == "OTHER" {
					t.Errorf("it has a default of now: %+v", e)
				}
			}
		})
	}
}

// What is in a batch of a route is not routed there again, and neither is what was refused at receipt.
func TestReplaySkips(t *testing.T) {
	log := &fakeLog{}
	b := newBubble(t, withLog(log))
	b.router.hold = true
	m := &pb.IngestRequest{Entries: append(entriesOf("a", "b"), &pb.Entry{SeverityNumber: 99}, &pb.Entry{Body: "c"}),
		Open: &pb.Open{Producer: "p", Epoch: 9, Acknowledgement: levelLogged}, Sequence: 1}
	if _, err := b.call(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	after, found := b.restarted(log, nil)
	type asked struct {
		route string
		place uint32
	}
	var got []asked
	skip := func(route string, place uint32) bool {
		got = append(got, asked{route, place})
		return place == 1
	}
	if err := found.replay(t.Context(), after.server(), skip); err != nil {
		t.Fatal(err)
	}
	r := after.router.routed()[0]
	if !reflect.DeepEqual(r.Index, []uint32{0, 3}) || r.Entries[1].Body != "c" || !reflect.DeepEqual(got, []asked{{"route", 0}, {"route", 1}, {"route", 3}}) {
		t.Errorf("routed %v %+v, asked for %v", r.Index, r.Entries, got)
	}
	// A version that reads an entry which the other one refused leaves it out, too.
	logged := found.copied()[1].request
	logged.Refusals = []schema.Refusal{{Index: 0, Message: "once"}}
	if err := after.server().Replay(t.Context(), logged, 2, nil); err != nil {
		t.Fatal(err)
	}
	r = after.router.routed()[1]
	if !reflect.DeepEqual(r.Index, []uint32{1, 3}) {
		t.Errorf("routed %v", r.Index)
	}
	eventually(t, "the outcome", func() bool { // it has the refusal of either version
		return slices.ContainsFunc(found.copied(), func(r *fakeRecord) bool { return r.kind == "outcome" && len(r.outcome.Refusals) == 2 })
	})
	b.router.settleHeld(false)
}

// What can't be replayed is an error, and keeps nothing.
func TestReplayFails(t *testing.T) {
	r := newReplaying(t, nil)
	data, _ := (&pb.IngestRequest{Entries: entriesOf("a")}).MarshalVT()
	r.run(t, r.live.intake(), data)
	good := *r.log.records[0].request
	failed := errors.New("closed")
	for name, spoil := range map[string]func(*schema.LoggedRequest){
		"protocol":     func(l *schema.LoggedRequest) { l.Protocol = "smoke" },
		"opening":      func(l *schema.LoggedRequest) { l.Opening = &schema.LoggedOpening{Data: []byte{formVersion, 1}} },
		"version":      func(l *schema.LoggedRequest) { l.Opening = &schema.LoggedOpening{Data: []byte{9}} },
		"no opening":   func(l *schema.LoggedRequest) { l.Opening = nil },
		"not protobuf": func(l *schema.LoggedRequest) { l.Data = []byte{0xff} },
		"no entry":     func(l *schema.LoggedRequest) { l.Data = []byte{requestEntry, 2, 0xff, 0xff} },
		"router": func(*schema.LoggedRequest) {
			r.after.router.script = func(context.Context, *schema.Request, func(schema.WaitCause, string)) error { return failed }
		},
	} {
		spoiled := good
		spoil(&spoiled)
		err := r.after.server().Replay(t.Context(), &spoiled, 7, nil)
		if err == nil || !strings.Contains(err.Error(), "number 7 in the log") || errors.Is(err, failed) != (name == "router") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if used, _ := r.after.budget.now(); used != 0 {
		t.Errorf("%d bytes are still charged", used)
	}
}

func (b *bubble) intake() *intake { return b.ingest.intake }

// FuzzReplay: any accepted request gives the same entries when it is replayed.
func FuzzReplay(f *testing.F) {
	protocols := []string{protocolProtobuf, protocolOTLP, protocolJSONLines, protocolEntryLines}
	rich, _ := proto.Marshal(richLogs())
	f.Add(uint8(0), designRequest(3))
	f.Add(uint8(1), rich)
	f.Add(uint8(2), []byte("{\"msg\":\"a\",\"ts\":1.5}\n\noops\n{\"time\":\"Jan  2 10:00:00\",\"a\":{\"b\":1}}"))
	f.Add(uint8(3), []byte(`{"body":"a","attributes":[{"key":"k","doubleValue":"NaN"}]}`))
	var r *replaying
	intakes := map[string]*intake{}
	f.Fuzz(func(t *testing.T, protocol uint8, data []byte) {
		if r == nil {
			r = newReplaying(t, func(c *Config) { c.MaxEntryBytes, c.MaxEntryAttributes = 2048, 6 })
			for _, name := range protocols {
				intakes[name] = r.live.intakeOf(name)
			}
		}
		r.live.t, r.after.t = t, t
		r.run(t, intakes[protocols[int(protocol)%len(protocols)]], data)
	})
}

// FuzzReadForm: an opening on a disk may be anything.
func FuzzReadForm(f *testing.F) {
	c := testConfig()
	f.Add(c.formOf(&pb.Open{Colo: "EWR", ResourceAttributes: []*pb.Attribute{{Key: "a", IntValue: 1}}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, form []byte) {
		bounds, shared, err := readForm(form)
		if err != nil {
			return
		}
		bounded := c.within(bounds)
		again, _, err := readForm(bounded.formOf(shared))
		if err != nil || again != bounds {
			t.Fatalf("%+v became %+v, %v", bounds, again, err)
		}
		_ = c.defaultsOf(shared)
		if _, views := newMemory().plan(bounded, 1000, 10); views < 0 {
			t.Fatalf("%d bytes of views", views)
		}
	})
}

// BenchmarkReplay measures a request of the log from its bytes to the Router.
func BenchmarkReplay(b *testing.B) {
	log := &fakeLog{}
	c := testConfig()
	c.WAL = log
	in := newIngest(&c, &discardRouter{}, &fakeBudget{}, &fakeReadiness{}, newMetrics(c.Registerer))
	s := &Server{config: c, ingest: in}
	logged := &schema.LoggedRequest{Protocol: protocolProtobuf, Opening: &schema.LoggedOpening{Data: c.formOf(&pb.Open{})}, Data: designRequest(500), Received: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Replay(context.Background(), logged, 1, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/entry")
}

// discardRouter takes requests and never settles them.
type discardRouter struct{}

func (discardRouter) Route(_ context.Context, r *schema.Request, _ func(schema.WaitCause, string)) error {
	r.Release()
	return nil
}
