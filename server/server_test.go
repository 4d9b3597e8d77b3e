package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

func TestHealthFollowsReadiness(t *testing.T) {
	f := newFixture(t, nil)
	health := grpc_health_v1.NewHealthClient(f.conn)
	state := func(service string) grpc_health_v1.HealthCheckResponse_ServingStatus {
		r, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status
	}
	eventually(t, "SERVING", func() bool { return state("") == grpc_health_v1.HealthCheckResponse_SERVING })
	f.readiness.mu.Lock()
	f.readiness.reasons = []string{"no room"}
	f.readiness.mu.Unlock()
	eventually(t, "NOT_SERVING", func() bool {
		return state("logbatcher.v1.IngestService") == grpc_health_v1.HealthCheckResponse_NOT_SERVING
	})
	if state("logbatcher.v1.AdminService") != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Error("AdminService is not SERVING")
	}
}

func TestReflection(t *testing.T) {
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := grpc_reflection_v1.NewServerReflectionClient(f.conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, ask := range []*grpc_reflection_v1.ServerReflectionRequest{
		{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}},
		{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "logbatcher.v1.IngestService"}},
		{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: otlpLogsService}},
		{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "opentelemetry.proto.collector.logs.v1.ExportLogsPartialSuccess"}},
		{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileByFilename{FileByFilename: otlpProto}},
		{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileByFilename{FileByFilename: "opentelemetry/proto/common/v1/common.proto"}},
	} {
		if err := stream.Send(ask); err != nil {
			t.Fatal(err)
		}
		r, err := stream.Recv()
		if err != nil || r.GetErrorResponse() != nil {
			t.Fatalf("%v, %v", r, err)
		}
		if list := r.GetListServicesResponse(); list != nil && !strings.Contains(list.String(), "logbatcher.v1.IngestService") {
			t.Errorf("services %v", list)
		}
	}
}

func TestAdmin(t *testing.T) {
	f := newFixture(t, nil)
	f.admin.shards = []schema.ShardState{{Number: 1, QueuedRequests: 2, InsertsInFlight: 3, RowsInFlight: 4, OpenBatches: []schema.OpenBatch{{ID: "b", Table: "d.t", Partition: "p", Rows: 5, Bytes: 6, Age: 7}}}}
	f.admin.routes = []schema.RouteState{{
		Name: "r", Table: "d.t", Filter: strings.Repeat("f", 2000), HeldReason: "grants\xff", RowsRouted: 1,
		LastFailedBatch: &schema.FailedBatch{ID: "b", Rows: 2, Time: time.Unix(3, 4), Attempt: 5, Class: "hold", Code: 497, Message: "m"},
	}}
	f.admin.explanation = schema.Explanation{ShardID: "EWR-1", Routes: []schema.RouteExplanation{
		{Route: "r", Table: "d.t", Matches: true, Conditions: []string{"a"}, Refusal: &schema.Refusal{Reason: schema.TimeTooOld}},
	}}
	client := pb.NewAdminServiceClient(f.conn)
	shards, err := client.ListShards(t.Context(), &pb.ListShardsRequest{})
	if err != nil || shards.Instance != "i1" || shards.Shards[0].OpenBatches[0].AgeNanos != 7 {
		t.Errorf("%v, %v", shards, err)
	}
	routes, err := client.ListRoutes(t.Context(), &pb.ListRoutesRequest{})
	if err != nil || routes.UnmatchedEntries != 7 || !routes.Routes[0].Held || len(routes.Routes[0].Filter) != 2000 || routes.Routes[0].LastFailedBatch.TimeUnixNano != 3_000_000_004 {
		t.Errorf("%v, %v", routes, err)
	}
	flushed, err := client.Flush(t.Context(), &pb.FlushRequest{})
	if err != nil || flushed.Batches != 2 || flushed.Rows != 300 {
		t.Errorf("%v, %v", flushed, err)
	}
	explained, err := client.Explain(t.Context(), &pb.ExplainRequest{Entry: &pb.Entry{Body: "x"}, Open: &pb.Open{Colo: "EWR"}})
	if err != nil || explained.ShardId != "EWR-1" || explained.Routes[0].Refusal.Reason != pb.RefusalReason_REFUSAL_REASON_TIME_TOO_OLD {
		t.Errorf("%v, %v", explained, err)
	}
	if e := f.admin.explained; e.Body != "x" || e.Colo != "EWR" || e.Time == 0 || e.Stream == nil {
		t.Errorf("explained %+v", e)
	}
	explained, err = client.Explain(t.Context(), &pb.ExplainRequest{Entry: &pb.Entry{SeverityNumber: 30}})
	if err != nil || len(explained.Refusals) != 1 || explained.Refusals[0].Field != "severity_number" {
		t.Errorf("%v, %v", explained, err)
	}
	f.admin.err = schema.ErrUnknownTable
	_, err = client.Flush(t.Context(), &pb.FlushRequest{Table: "nope"})
	wantStatus(t, err, codes.NotFound, "UNKNOWN_TABLE")
}

func TestReasonsHaveTheSameNumbers(t *testing.T) {
	for n, name := range pb.RefusalReason_name {
		want := strings.ToLower(strings.TrimPrefix(name, "REFUSAL_REASON_"))
		if n == 0 {
			want = "none"
		}
		if got := schema.Reason(n).String(); got != want {
			t.Errorf("reason %d is %q here and %q on the wire", n, got, name)
		}
	}
	for number, name := range pb.ThrottleCause_name {
		want := strings.Replace(strings.ToLower(strings.TrimPrefix(name, "THROTTLE_CAUSE_")), "unspecified", "none", 1)
		if got := schema.WaitCause(number).String(); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestHTTP(t *testing.T) {
	f := newFixture(t, nil)
	readiness := f.readiness
	h := NewHTTP(f.server, f.server.config.Registerer.(*prometheus.Registry), nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(listener) }()
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	get := func(path string) (int, string) {
		r, err := client.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	want := func(path string, code int, part string) {
		t.Helper()
		if got, body := get(path); got != code || !strings.Contains(body, part) {
			t.Errorf("%s: %d %q", path, got, body)
		}
	}
	want("/livez", 200, "alive")
	want("/readyz", 200, "ready\n")
	want("/metrics", 200, "logbatcher_open_streams 0")
	want("/", 404, "")
	readiness.mu.Lock()
	readiness.degraded = []string{"clickhouse away"}
	readiness.mu.Unlock()
	want("/readyz", 200, "clickhouse away")
	readiness.set("no room")
	want("/readyz", 503, "no room")
	transport.CloseIdleConnections()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// run serves a server that the test shuts down itself.
func (f *fixture) shutdown(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return f.server.Shutdown(ctx)
}

func TestShutdownDrainsStreams(t *testing.T) {
	f := newFixture(t, nil)
	var moves []*testStream
	for i := range 2 {
		moves = append(moves, f.open(&pb.Open{Producer: fmt.Sprint("moves", i)}))
	}
	results := make(chan error, len(moves))
	for _, s := range moves {
		go func() {
			for s.drain == nil {
				s.next()
			}
			s.request(1, "last")
			_ = s.stream.CloseSend()
			results <- s.end()
		}()
	}
	if err := f.shutdown(time.Minute); err != nil {
		t.Fatal(err)
	}
	for range moves {
		if err := <-results; !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
	for _, s := range moves {
		if s.committed != 1 || s.drain.Reason != pb.DrainReason_DRAIN_REASON_SHUTDOWN {
			t.Errorf("committed %d, drain %v", s.committed, s.drain)
		}
	}
	if r, err := f.server.health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil || r.Status != notServing {
		t.Errorf("health: %v, %v", r, err)
	}
}

func TestShutdownEndsStreamsThatStay(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.StreamDrain = time.Millisecond })
	stays := f.open(&pb.Open{Producer: "stays"})
	stays.request(1, "a")
	stays.until(func() bool { return stays.committed == 1 })
	ended := make(chan error, 1)
	go func() { ended <- stays.end() }()
	if err := f.shutdown(time.Minute); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, <-ended, codes.Unavailable, "DRAINED_SHUTDOWN")
}

func TestShutdownWithClickHouseAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		router, budget := &fakeRouter{hold: true}, &fakeBudget{}
		s, err := New(testConfig(), router, budget, &fakeAdmin{}, &fakeReadiness{})
		if err != nil {
			t.Fatal(err)
		}
		listener := bufconn.Listen(1 << 20)
		served := make(chan error, 1)
		go func() { served <- s.Serve(listener) }()
		f := &fixture{t: t, server: s, router: router, address: "passthrough:///memory"}
		f.conn = f.dial(grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		f.client = pb.NewIngestServiceClient(f.conn)
		stream := f.open(&pb.Open{Producer: "p"})
		stream.request(1, "a")
		unary := make(chan error, 1)
		go func() {
			_, err := f.ingest(&pb.IngestRequest{Entries: entriesOf("b")})
			unary <- err
		}()
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- stream.end() }()
		if err := f.shutdown(20 * time.Second); err == nil || !strings.Contains(err.Error(), "2 streams and calls") {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		wantStatus(t, <-ended, codes.Unavailable, "NOT_FINISHED")
		if m := wantStatus(t, <-unary, codes.Unavailable, "SHUTTING_DOWN"); m["state"] != "accepted" {
			t.Errorf("known %v", m)
		}
		if stream.received != 1 || stream.committed != 0 {
			t.Errorf("received %d, committed %d", stream.received, stream.committed)
		}
		router.settleHeld(false) // after the server has gone
		if used, _ := budget.now(); used != 0 {
			t.Errorf("%d bytes are still charged", used)
		}
		stream.cancel()
		_ = f.conn.Close()
	})
}

func TestTLS(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // only for its certificate
	defer certified.Close()
	f := newFixture(t, func(c *Config) {
		c.TLS = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	})
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	conn := f.dial(grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12})))
	defer func() { _ = conn.Close() }()
	f.client = pb.NewIngestServiceClient(conn)
	if r, err := f.ingest(&pb.IngestRequest{Entries: entriesOf("a")}); err != nil || r.CommittedSequence != 1 {
		t.Fatalf("%v, %v", r, err)
	}
}

func TestNewRefusesWhatIsWrong(t *testing.T) {
	if _, err := New(Config{}, &fakeRouter{}, &fakeBudget{}, &fakeAdmin{}, &fakeReadiness{}); err == nil {
		t.Error("an empty configuration is accepted")
	}
	if _, err := New(testConfig(), nil, &fakeBudget{}, &fakeAdmin{}, &fakeReadiness{}); err == nil {
		t.Error("no router is accepted")
	}
}

// A thousand stalled streams must not take more memory than the budget and what each stream may hold, though each of them tries to
// send several times as much.
func TestThousandSlowStreams(t *testing.T) {
	const size, limit = 16 << 10, 4 << 20
	streams := 1000
	if raceEnabled {
		streams = 200 // the race detector takes most of a minute for a thousand
	}
	f := newFixture(t, func(c *Config) {
		c.StreamWindowBytes, c.MaxStreams, c.MaxConnectionStreams = 64<<10, streams, streams
		c.MaxRequestBytes, c.MaxEntryBytes = 32<<10, 32<<10
		c.OpenTimeout = time.Minute
	})
	f.server.ingest.intake.memory.buffers = new(slabs[byte]) // the scribbler keeps every buffer
	f.budget.change(func() { f.budget.limit = limit })
	f.router.set(func(r *fakeRouter) { r.hold = true })
	before := liveHeap()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	var sent atomic.Int64
	body := strings.Repeat("x", size)
	for i := range streams {
		clients.Go(func() { f.pushyClient(ctx, fmt.Sprint(i), body, &sent) })
	}
	eventually(t, "all streams to wait for memory", func() bool { return f.metric("throttled_streams") == float64(streams) })
	if _, peak := f.budget.now(); peak > limit {
		t.Errorf("%d bytes were in flight", peak)
	}
	// Per stream the server holds a full window and the waiting request (measured: 81 KiB), the client in this process some ten
	// requests in buffers of twice their size, and both gRPC's own objects.
	const perStream = (64<<10 + 2*size) + 12*2*size + 64<<10
	held, bound := liveHeap()-before, int64(limit+streams*perStream)
	t.Logf("%d KiB are held for each stream, clients included", held>>10/int64(streams))
	if held > bound {
		t.Errorf("%d MiB are held, the bound is %d MiB", held>>20, bound>>20)
	}
	cancel()
	clients.Wait()
	f.router.set(func(r *fakeRouter) { r.hold = false })
	f.router.settleHeld(false)
	s := f.open(&pb.Open{Producer: "afterwards"}) // all memory has been returned
	s.request(1, body)
	s.until(func() bool { return s.committed == 1 })
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // the first one leaves what was in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// pushyClient sends 2 MiB, or as much as it can until ctx ends, and reads nothing.
func (f *fixture) pushyClient(ctx context.Context, producer, body string, sent *atomic.Int64) {
	stream, err := f.client.IngestStream(ctx)
	if err != nil {
		f.t.Errorf("%s: %v", producer, err)
		return
	}
	_ = stream.Send(&pb.IngestStreamRequest{Open: &pb.Open{Producer: producer}})
	for i := range uint64(2<<20) / uint64(len(body)) {
		if err := stream.Send(&pb.IngestStreamRequest{Sequence: i + 1, Entries: entriesOf(body)}); err != nil {
			if ctx.Err() == nil {
				f.t.Errorf("%s ended early: %v", producer, err)
			}
			return
		}
		sent.Add(1)
	}
	<-ctx.Done()
}

// Producers whose streams are cut at random and resumed get every sequence committed, and every sequence is routed once, with the
// bytes that were sent.
func TestNothingLostNothingDoubled(t *testing.T) {
	f := newFixture(t, nil)
	f.router.set(func(r *fakeRouter) {
		r.script = func(ctx context.Context, q *schema.Request, _ func(schema.WaitCause, string)) error {
			if rand.IntN(10) == 0 { // wait like a Router without room; the stream may be cut meanwhile
				yield(1000)
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
			c := *q
			c.Entries = cloneEntries(q.Entries)
			r.mu.Lock()
			r.copies = append(r.copies, &c)
			r.mu.Unlock()
			go func() {
				yield(1000)
				r.settle(q, &c)
			}()
			return nil
		}
	})
	const producers, sequences = 6, 150
	var clients sync.WaitGroup
	for p := range producers {
		clients.Go(func() { f.restlessClient(fmt.Sprintf("p%d", p), sequences) })
	}
	clients.Wait()
	got := map[string]int{}
	for _, r := range f.router.routed() {
		got[fmt.Sprintf("%s/%d/%s", r.Producer, r.Sequence, r.Entries[0].Body)]++
	}
	for p := range producers {
		for s := range uint64(sequences) {
			if n := got[fmt.Sprintf("p%d/%d/body %d", p, s+1, s+1)]; n != 1 {
				t.Errorf("sequence %d of p%d was routed %d times", s+1, p, n)
			}
		}
	}
	if len(got) != producers*sequences {
		t.Errorf("%d requests routed", len(got))
	}
}

// yield lets others go first, at random.
func yield(most int) {
	for range rand.IntN(most) {
		runtime.Gosched()
	}
}

// restlessClient sends sequences over streams that it cuts after a few requests each, until all are committed.
func (f *fixture) restlessClient(producer string, last uint64) {
	open := &pb.Open{Producer: producer}
	for open.CommittedSequence < last {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		stream, err := f.client.IngestStream(ctx)
		if err == nil {
			err = stream.Send(&pb.IngestStreamRequest{Open: proto.Clone(open).(*pb.Open)})
		}
		var r *pb.IngestStreamResponse
		if err == nil {
			r, err = stream.Recv()
		}
		if err != nil {
			f.t.Errorf("%s: opening: %v", producer, err)
			cancel()
			return
		}
		open.Epoch, open.CommittedSequence = r.Welcome.Epoch, r.Welcome.CommittedSequence
		sent := open.CommittedSequence
		for i := range uint64(rand.IntN(30)) + 1 {
			sequence := open.CommittedSequence + i + 1
			if sequence > last {
				_ = stream.CloseSend()
				break
			}
			_ = stream.Send(&pb.IngestStreamRequest{Sequence: sequence, Entries: entriesOf(fmt.Sprintf("body %d", sequence))})
			sent = sequence
		}
		for responses := rand.IntN(4); responses > 0 && open.CommittedSequence < sent; responses-- { // then it is cut, in the middle of whatever happens
			if r, err = stream.Recv(); err != nil {
				break
			}
			open.CommittedSequence = max(open.CommittedSequence, r.CommittedSequence)
		}
		cancel()
	}
}
