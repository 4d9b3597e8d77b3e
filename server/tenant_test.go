package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/server/access"
)

// keys are tenants, and a token for each.
type keys struct {
	t       *testing.T
	tenants []access.Tenant
	lines   []*access.Token
	tokens  map[string]string
}

func newKeys(t *testing.T, tenants ...access.Tenant) *keys {
	t.Helper()
	k := &keys{t: t, tenants: tenants, tokens: map[string]string{}}
	for _, tenant := range tenants {
		k.add(tenant.Name, tenant.Name, time.Time{})
	}
	return k
}

// add makes a token of a tenant.
func (k *keys) add(name, tenant string, expires time.Time, rights ...access.Right) {
	k.t.Helper()
	token, line, err := access.NewToken(tenant, expires, rights)
	if err != nil {
		k.t.Fatal(err)
	}
	k.tokens[name], k.lines = token, append(k.lines, line)
}

func (k *keys) policy() *access.Policy {
	k.t.Helper()
	policy, problems := access.NewPolicy(k.tenants, k.lines)
	if problems != nil {
		k.t.Fatal(problems)
	}
	return policy
}

// as returns a context for calls with a token.
func (k *keys) as(name string) context.Context {
	return grpcmetadata.AppendToOutgoingContext(k.t.Context(), "authorization", "Bearer "+k.tokens[name])
}

// caller returns who has a token.
func (k *keys) caller(name string) *access.Caller {
	k.t.Helper()
	caller, err := k.policy().Authenticate(access.Credentials{Authorization: []string{"Bearer " + k.tokens[name]}}, time.Now())
	if err != nil {
		k.t.Fatal(err)
	}
	return caller
}

func gated(k *keys) func(*Config) {
	return func(c *Config) { c.Gate.Use(k.policy()) }
}

func TestCallersAreAsked(t *testing.T) {
	k := newKeys(t, access.Tenant{Name: "shop", Routes: []string{"r"}}, access.Tenant{Name: "ops", Rights: []access.Right{access.Admin, access.Metrics}})
	f := newFixture(t, gated(k))
	admin, reflecting := pb.NewAdminServiceClient(f.conn), grpc_reflection_v1.NewServerReflectionClient(f.conn)
	calls := map[string]func(context.Context) error{
		"stream": func(ctx context.Context) error {
			stream, err := f.client.IngestStream(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&pb.IngestStreamRequest{Open: &pb.Open{Producer: "p"}}) // receiving returns why
			if _, err = stream.Recv(); err == nil {
				err = stream.CloseSend()
			}
			return err
		},
		"unary": func(ctx context.Context) error {
			_, err := f.client.Ingest(ctx, &pb.IngestRequest{Entries: entriesOf("a")})
			return err
		},
		"admin": func(ctx context.Context) error {
			_, err := admin.ListRoutes(ctx, &pb.ListRoutesRequest{})
			return err
		},
		"reflection": func(ctx context.Context) error {
			stream, err := reflecting.ServerReflectionInfo(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
			_, err = stream.Recv()
			return err
		},
		"health": func(ctx context.Context) error {
			_, err := grpc_health_v1.NewHealthClient(f.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			return err
		},
	}
	mayAll := map[string]string{"stream": "shop", "unary": "shop", "admin": "ops", "reflection": "ops"}
	for name, call := range calls {
		for _, who := range []string{"shop", "ops"} {
			if err := call(k.as(who)); mayAll[name] == "" || mayAll[name] == who {
				if err != nil {
					t.Errorf("%s as %s: %v", name, who, err)
				}
			} else {
				wantStatus(t, err, codes.PermissionDenied, "NOT_ALLOWED")
			}
		}
		if mayAll[name] != "" {
			wantStatus(t, call(t.Context()), codes.Unauthenticated, "NO_CREDENTIALS")
			wantStatus(t, call(grpcmetadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer x")), codes.Unauthenticated, "UNKNOWN_TOKEN")
		}
	}
	routed := f.router.routed()
	if len(routed) != 1 || routed[0].Tenant != "shop" || len(routed[0].Routes) != 1 {
		t.Errorf("routed: %+v", routed)
	}
	if used, _ := f.budget.now(); used != 0 {
		t.Errorf("%d bytes are charged", used)
	}
}

// TestMetricsNeedARight checks that anybody may ask whether the instance is ready, but only callers with the right see the reasons and
// the metrics.
func TestMetricsNeedARight(t *testing.T) {
	k := newKeys(t, access.Tenant{Name: "shop"}, access.Tenant{Name: "ops", Rights: []access.Right{access.Metrics}})
	f := newHTTPFixture(t, gated(k), func(*ingest) map[string]httpProtocol { return nil })
	f.readiness.set("secret reason")
	for _, test := range []struct {
		path, who string
		code      int
		body      string
	}{
		{"/livez", "", http.StatusOK, "alive\n"},
		{"/readyz", "", http.StatusServiceUnavailable, "not ready\nwhy is told to callers with the right metrics\n"},
		{"/readyz", "shop", http.StatusServiceUnavailable, "not ready\nwhy is told to callers with the right metrics\n"},
		{"/readyz", "ops", http.StatusServiceUnavailable, "not ready\nsecret reason\n"},
		{"/metrics", "", http.StatusUnauthorized, ""},
		{"/metrics", "shop", http.StatusForbidden, ""},
		{"/metrics", "ops", http.StatusOK, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.host+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.who != "" {
			r.Header.Set("Authorization", "Bearer "+k.tokens[test.who])
		}
		response, err := f.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != test.code || test.body != "" && string(body) != test.body {
			t.Errorf("%s as %q: %d, %q, %v", test.path, test.who, response.StatusCode, body, err)
		}
	}
}

// TestPostsNeedARight posts as others: only who may ingest is told more than that, and its entries are its tenant's.
func TestPostsNeedARight(t *testing.T) {
	k := newKeys(t, access.Tenant{Name: "shop"}, access.Tenant{Name: "ops", Rights: []access.Right{access.Metrics}})
	f := newPostFixture(t, gated(k))
	for who, want := range map[string]int{"": 401, "ops": 403, "shop": 200} {
		var headers []string
		if who != "" {
			headers = []string{"Authorization", "Bearer " + k.tokens[who]}
		}
		r, body := f.post("/post", bytes.NewReader(requestOf(t, "a")), headers...)
		if r.StatusCode != want || want == 401 && r.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("as %q: %s %v %s", who, r.Status, r.Header, body)
		}
	}
	if routed := f.router.routed(); len(routed) != 1 || routed[0].Tenant != "shop" {
		t.Errorf("routed: %+v", routed)
	}
}

// TestProducersAreNamedWithinATenant opens two streams of the same name as different tenants, and one more of each.
func TestProducersAreNamedWithinATenant(t *testing.T) {
	k := newKeys(t, access.Tenant{Name: "a", MaxStreams: 1}, access.Tenant{Name: "b"})
	f := newFixture(t, gated(k))
	open := func(who string) *testStream {
		stream, err := f.client.IngestStream(k.as(who))
		if err != nil {
			t.Fatal(err)
		}
		s := &testStream{t: t, stream: stream}
		s.send(&pb.IngestStreamRequest{Open: &pb.Open{Producer: "p"}})
		return s
	}
	a, b := open("a"), open("b")
	a.next()
	b.next()
	for _, s := range []*testStream{a, b} { // neither has ended the other
		s.request(1, "x")
		s.until(func() bool { return s.committed == 1 })
	}
	wantStatus(t, open("a").end(), codes.Unavailable, "TOO_MANY_STREAMS")
	open("b").next()
	wantStatus(t, b.end(), codes.Aborted, "SUPERSEDED")
	a.request(2, "y")
	a.until(func() bool { return a.committed == 2 })
}

// TestFullRegistryMakesRoomWithinTheTenant opens more producers than are kept: those of others stay.
func TestFullRegistryMakesRoomWithinTheTenant(t *testing.T) {
	r := testRegistry(t, func(c *Config) { c.MaxProducers = 3 })
	use := func(tenant, id string) *producer {
		p, err := r.use(tenant, id)
		if err != nil {
			t.Fatal(err)
		}
		r.leave(p)
		return p
	}
	first := use("a", "p")
	for _, id := range []string{"1", "2", "3", "4"} {
		use("b", id)
	}
	if use("a", "p") != first {
		t.Error("a tenant with many producers has pushed out another's")
	}
	use("c", "p") // has none of its own
	if len(r.producers) != 3 {
		t.Errorf("%d producers are kept", len(r.producers))
	}
}

// TestTenantLimits sends more than a tenant may: a stream waits and is told why, a call is told when to come again. Neither holds
// memory meanwhile, and other tenants go on.
func TestTenantLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeys(t, access.Tenant{Name: "a", MaxEntries: 2}, access.Tenant{Name: "b"})
		b := newBubble(t, func(c *Config) { gated(k)(c); c.MaxRequestEntries = 4 })
		b.caller = k.caller("a")
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("1", "2", "3", "4")} // as many as fit one request
		if s := p.all(t); s.committed != 1 {
			t.Fatalf("committed: %d", s.committed)
		}
		begun := time.Now()
		p.in <- &pb.IngestStreamRequest{Sequence: 2, Entries: entriesOf("1", "2")}
		time.Sleep(100 * time.Millisecond)
		s := p.all(t)
		if len(s.throttles) != 1 || s.throttles[0].Cause != pb.ThrottleCause_THROTTLE_CAUSE_TENANT || s.committed != 0 {
			t.Fatalf("throttles %v, committed %d", s.throttles, s.committed)
		}
		if used, _ := b.budget.now(); used != 0 {
			t.Errorf("a waiting request holds %d bytes", used)
		}
		ts := b.ingest.tenants
		_, err := b.callOf(ts.of(k.caller("a").Tenant), entriesOf("1"))
		wantStatus(t, err, codes.Unavailable, "TENANT_LIMIT")
		if wait := retryDelayOf(err); wait <= 0 || wait > 2*time.Second {
			t.Errorf("come again after %v", wait)
		}
		if _, err := b.callOf(ts.of(k.caller("b").Tenant), entriesOf("1")); err != nil {
			t.Errorf("another tenant: %v", err)
		}
		for s.committed == 0 {
			s.fold(<-p.out)
		}
		if waited := time.Since(begun); waited < 900*time.Millisecond || waited > 1100*time.Millisecond {
			t.Errorf("two entries of two a second waited %v", waited)
		}
		time.Sleep(time.Minute) // a call that waits as long is let in
		if _, err := b.callOf(ts.of(k.caller("a").Tenant), entriesOf("1")); err != nil {
			t.Errorf("later: %v", err)
		}
		b.close(p)
	})
}

// TestWaitingForTheTenantEnds cuts a stream off that waits: what waited is sent again and counts once.
func TestWaitingForTheTenantEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeys(t, access.Tenant{Name: "a", MaxBytes: 1})
		b := newBubble(t, gated(k))
		b.caller = k.caller("a")
		request := &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf(string(make([]byte, 200<<10)))}
		var pipes []*pipe
		for i := range 22 { // 4 MiB are free at first
			p := b.open(&pb.Open{}, 100)
			p.in <- &pb.IngestStreamRequest{Entries: request.Entries}
			pipes = append(pipes, p)
			if s := p.all(t); (s.committed == 1) != (i < 20) {
				t.Fatalf("stream %d: committed %d", i, s.committed)
			}
		}
		b.close(pipes...)
		if left := b.ingest.tenants.of(k.caller("a").Tenant).bounds.Load().bytes.left; left < 0 {
			t.Errorf("what was cut off is still owed: %v", left)
		}
	})
}

// TestStreamsOutliveNoCredentials expires and removes tokens: the streams opened with them drain, others stay.
func TestStreamsOutliveNoCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeys(t, access.Tenant{Name: "a"})
		k.add("removed", "a", time.Time{})
		k.add("brief", "a", time.Now().Add(5*time.Second))
		b := newBubble(t, func(c *Config) { gated(k)(c); c.StreamAge = 0 })
		open := func(who string) *pipe {
			b.caller = k.caller(who)
			return b.open(&pb.Open{}, 100)
		}
		stays, removed, brief := open("a"), open("removed"), open("brief")
		begun := time.Now()
		if s := brief.untilDrain(t); s.drain.Reason != pb.DrainReason_DRAIN_REASON_CREDENTIALS || time.Since(begun) != 5*time.Second {
			t.Errorf("%v after %v", s.drain, time.Since(begun))
		}
		k.lines = k.lines[:1]
		b.ingest.config.Gate.Use(k.policy())
		if s := removed.untilDrain(t); s.drain.Reason != pb.DrainReason_DRAIN_REASON_CREDENTIALS {
			t.Errorf("%v", s.drain)
		}
		wantStatus(t, <-removed.ended, codes.Unavailable, "DRAINED_CREDENTIALS")
		wantStatus(t, <-brief.ended, codes.Unavailable, "DRAINED_CREDENTIALS")
		k.tenants[0].MaxEntries = 7
		b.ingest.config.Gate.Use(k.policy())
		stays.in <- &pb.IngestStreamRequest{Entries: entriesOf("x")}
		if s := stays.all(t); s.committed != 1 || s.drain != nil {
			t.Errorf("committed %d, %v", s.committed, s.drain)
		}
		if bounds := b.ingest.tenants.known["a"].bounds.Load(); bounds.MaxEntries != 7 {
			t.Errorf("the new bound is not in force")
		}
		b.close(stays, removed, brief)
	})
}

// callOf makes a unary call of a tenant.
func (b *bubble) callOf(t *tenant, entries []*pb.Entry) (answer, error) {
	data, err := (&pb.IngestRequest{Entries: entries}).MarshalVT()
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := b.ingest.callContext(b.t.Context())
	defer cancel()
	return b.ingest.call(ctx, &call{tenant: t, intake: b.ingest.intake, receive: func(context.Context) (*frame, error) { return frameOf(data), nil }})
}

// retryDelayOf returns the wait that a status asks for.
func retryDelayOf(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.RetryDelay.AsDuration()
		}
	}
	return 0
}
