package server

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/server/access"
	"github.com/prometheus/client_golang/prometheus"
)

// fakeRouter copies the requests it is given and settles them as a test scripts, at once without a script.
type fakeRouter struct {
	mu     sync.Mutex
	copies []*schema.Request // with entries of their own, in the order of routing
	held   []*schema.Request // taken and not settled
	hold   bool
	// script, if any, is called instead of take. It may call take.
	script func(ctx context.Context, r *schema.Request, waiting func(schema.WaitCause, string)) error
	// outcome returns the outcome of a request. Nil: nothing is refused.
	outcome func(r *schema.Request) *schema.Outcome
}

// Route implements Router.
func (f *fakeRouter) Route(ctx context.Context, r *schema.Request, waiting func(schema.WaitCause, string)) error {
	f.mu.Lock()
	script := f.script
	f.mu.Unlock()
	if script != nil {
		return script(ctx, r, waiting)
	}
	return f.log(ctx, r, waiting)
}

// log takes a request as the real Router does: it is logged once nothing can fail any more.
func (f *fakeRouter) log(ctx context.Context, r *schema.Request, waiting func(schema.WaitCause, string)) (err error) {
	if r.Log != nil {
		if err := r.Log.Reserve(ctx, 1, func() { waiting(schema.WaitLog, "") }); err != nil {
			return err
		}
		if r.LSN, err = r.Log.Append("routing"); err != nil {
			return err
		}
	}
	f.take(r)
	return nil
}

func (f *fakeRouter) take(r *schema.Request) {
	c := *r
	c.Entries, c.Index = nil, nil
	for more := true; more; more = r.Decoder != nil && r.Decoder.Next() {
		for i := range r.Entries {
			if r.Skip == nil || !r.Skip("route", r.Place(i)) {
				c.Entries, c.Index = append(c.Entries, cloneEntries(r.Entries[i:i+1])...), append(c.Index, r.Place(i))
			}
		}
	}
	f.mu.Lock()
	f.copies = append(f.copies, &c)
	hold := f.hold
	if hold {
		f.held = append(f.held, r)
	}
	f.mu.Unlock()
	if !hold {
		go f.settle(r, &c)
	}
}

func (f *fakeRouter) settle(r, c *schema.Request) {
	outcome := &schema.Outcome{}
	if f.outcome != nil {
		outcome = f.outcome(c)
	}
	r.Release()
	if r.LSN != 0 {
		r.Placed(&schema.Outcome{Refusals: outcome.Refusals})
	}
	r.Settled(outcome)
}

func (f *fakeRouter) set(change func(*fakeRouter)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// settleHeld settles the held requests, in reverse order if asked to.
func (f *fakeRouter) settleHeld(reverse bool) {
	f.mu.Lock()
	held := f.held
	f.held = nil
	f.mu.Unlock()
	for i := range held {
		r := held[i]
		if reverse {
			r = held[len(held)-1-i]
		}
		f.settle(r, r)
	}
}

func (f *fakeRouter) routed() []*schema.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*schema.Request(nil), f.copies...)
}

func (f *fakeRouter) sequences() []uint64 {
	var s []uint64
	for _, r := range f.routed() {
		s = append(s, r.Sequence)
	}
	return s
}

func cloneEntries(entries []schema.Entry) []schema.Entry {
	own := make([]schema.Entry, len(entries))
	for i, e := range entries {
		for _, s := range []*string{
			&e.Body, &e.SeverityText, &e.Service, &e.TraceID, &e.SpanID, &e.EventName, &e.Colo,
			&e.ScopeName, &e.ScopeVersion, &e.ScopeSchemaURL, &e.ResourceSchemaURL,
		} {
			*s = strings.Clone(*s)
		}
		e.Attributes = append([]schema.Attribute(nil), e.Attributes...)
		for j := range e.Attributes {
			a := &e.Attributes[j]
			a.Key, a.Text = strings.Clone(a.Key), strings.Clone(a.Text)
		}
		own[i] = e
	}
	return own
}

// fakeBudget is a budget that counts, and blocks at a limit.
type fakeBudget struct {
	mu         sync.Mutex
	used, peak int
	limit      int // 0: none
	asked      func()
	waiting    []*fakeWaiter
}

type fakeWaiter struct {
	bytes   int
	granted chan struct{}
}

// Acquire implements Budget.
func (b *fakeBudget) Acquire(ctx context.Context, n int) error {
	if b.asked != nil {
		b.asked()
	}
	w := &fakeWaiter{n, make(chan struct{})}
	b.change(func() { b.waiting = append(b.waiting, w) })
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	b.change(func() {
		select {
		case <-w.granted:
			b.used -= n
		default:
			b.waiting = slices.DeleteFunc(b.waiting, func(other *fakeWaiter) bool { return other == w })
		}
	})
	return context.Cause(ctx)
}

// Release implements Budget.
func (b *fakeBudget) Release(n int) { b.change(func() { b.used -= n }) }

func (b *fakeBudget) change(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
	for len(b.waiting) > 0 {
		w := b.waiting[0]
		if b.limit != 0 && b.used != 0 && b.used+w.bytes > b.limit {
			return
		}
		b.used += w.bytes
		b.peak = max(b.peak, b.used)
		b.waiting = b.waiting[1:]
		close(w.granted)
	}
}

func (b *fakeBudget) now() (used, peak int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.peak
}

// fakeAdmin answers with what it has.
type fakeAdmin struct {
	letters     fakeLetters
	producers   fakeProducers
	books       fakeBooks
	shards      []schema.ShardState
	routes      []schema.RouteState
	explained   schema.Entry
	explanation schema.Explanation
	err         error
}

func (a *fakeAdmin) ListShards(context.Context) ([]schema.ShardState, error) { return a.shards, a.err }
func (a *fakeAdmin) ListRoutes(context.Context) ([]schema.RouteState, int, error) {
	return a.routes, 7, a.err
}
func (a *fakeAdmin) Flush(context.Context, string) (int, int, error) { return 2, 300, a.err }
func (a *fakeAdmin) Explain(_ context.Context, e *schema.Entry) (*schema.Explanation, error) {
	a.explained = *e
	return &a.explanation, a.err
}

// fakeReadiness reports what a test sets.
type fakeReadiness struct {
	mu                sync.Mutex
	reasons, degraded []string
	away              string
}

func (r *fakeReadiness) Ready() (bool, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.reasons) == 0, r.reasons
}

// set sets why the instance is not ready.
func (r *fakeReadiness) set(reasons ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons = reasons
}

func (r *fakeReadiness) Away() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

// setAway sets why nothing is committed.
func (r *fakeReadiness) setAway(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = why
}

func (r *fakeReadiness) Degraded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.degraded
}

// scribbler is a buffer pool that overwrites returned buffers, so that late readers read nonsense and are seen by the race
// detector.
type scribbler struct {
	mu   sync.Mutex
	free [][]byte
	out  int
}

// Get returns a buffer of the length.
func (s *scribbler) Get(n int) *[]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out++
	for i, b := range s.free {
		if cap(b) >= n && cap(b) <= 2*max(n, minSlab) {
			s.free = append(s.free[:i], s.free[i+1:]...)
			b = b[:n]
			return &b
		}
	}
	b := make([]byte, n, slabCap(n))
	return &b
}

// Put takes a buffer back.
func (s *scribbler) Put(p *[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out--
	b := (*p)[:cap(*p)]
	for i := range b {
		b[i] = 0xDB
	}
	s.free = append(s.free, b)
}

// fixture is a server on a loopback port, with a client.
type fixture struct {
	t         *testing.T
	server    *Server
	router    *fakeRouter
	budget    *fakeBudget
	admin     *fakeAdmin
	readiness *fakeReadiness
	buffers   *scribbler
	address   string
	client    pb.IngestServiceClient
	conn      *grpc.ClientConn
}

// anyone is the caller where nobody is asked who they are.
func anyone() *access.Caller {
	caller, _ := new(access.Gate).Authenticate(access.Credentials{})
	return caller
}

func testConfig() Config {
	c := DefaultConfig()
	c.Instance, c.Colo, c.Gate = "i1", "TST", new(access.Gate)
	c.Log, c.Registerer = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	c.ResponseInterval = time.Millisecond
	return c
}

func newFixture(t *testing.T, adjust func(*Config)) *fixture {
	t.Helper()
	f := &fixture{
		t: t, router: &fakeRouter{}, budget: &fakeBudget{}, admin: &fakeAdmin{}, readiness: &fakeReadiness{}, buffers: &scribbler{},
	}
	c := testConfig()
	if adjust != nil {
		adjust(&c)
	}
	s, err := New(c, f.router, f.budget, f.admin, f.readiness)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []*intake{s.ingest.intake, s.ingest.otlp, s.ingest.otlpJSON} {
		in.memory.buffers = f.buffers
	}
	f.server = s
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	f.conn = f.dial()
	f.client = pb.NewIngestServiceClient(f.conn)
	t.Cleanup(func() {
		_ = f.conn.Close()
		f.router.set(func(r *fakeRouter) { r.script, r.hold = nil, false })
		f.router.settleHeld(false)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		f.router.settleHeld(false)
		eventually(t, "the budget to be given back", func() bool { used, _ := f.budget.now(); return used == 0 })
	})
	return f
}

func (f *fixture) dial(options ...grpc.DialOption) *grpc.ClientConn {
	f.t.Helper()
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)
	conn, err := grpc.NewClient(f.address, options...)
	if err != nil {
		f.t.Fatal(err)
	}
	return conn
}

// eventually waits for a condition that other goroutines make true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	late := time.NewTimer(2 * time.Minute)
	defer late.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-late.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// testStream is the client's side of a stream. It accumulates the responses as a client would.
type testStream struct {
	t      *testing.T
	stream pb.IngestService_IngestStreamClient
	cancel context.CancelFunc
	opened *pb.Welcome

	committed, logged, received uint64
	refusals                    []*pb.Refusal
	letters                     []*pb.DeadLettered
	throttles                   []*pb.Throttle
	drain                       *pb.Drain
}

func (f *fixture) stream(options ...grpc.CallOption) *testStream {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	f.t.Cleanup(cancel)
	stream, err := f.client.IngestStream(ctx, options...)
	if err != nil {
		f.t.Fatal(err)
	}
	return &testStream{t: f.t, stream: stream, cancel: cancel}
}

func (f *fixture) open(o *pb.Open) *testStream {
	f.t.Helper()
	s := f.stream()
	s.send(&pb.IngestStreamRequest{Open: o})
	r := s.next()
	if r == nil || r.Welcome == nil {
		f.t.Fatalf("the first response is no welcome: %v", r)
	}
	return s
}

func (s *testStream) send(r *pb.IngestStreamRequest) {
	s.t.Helper()
	if err := s.stream.Send(r); err != nil {
		s.t.Logf("send: %v", err) // the receive says why
	}
}

func (s *testStream) request(sequence uint64, bodies ...string) {
	s.t.Helper()
	s.send(&pb.IngestStreamRequest{Sequence: sequence, Entries: entriesOf(bodies...)})
}

func entriesOf(bodies ...string) []*pb.Entry {
	var entries []*pb.Entry
	for _, b := range bodies {
		entries = append(entries, &pb.Entry{Body: b})
	}
	return entries
}

// next receives one response, and fails if the stream has ended.
func (s *testStream) next() *pb.IngestStreamResponse {
	s.t.Helper()
	r, err := s.stream.Recv()
	if err != nil {
		s.t.Fatalf("the stream ended: %v", err)
	}
	s.fold(r)
	return r
}

func (s *testStream) fold(r *pb.IngestStreamResponse) {
	if r.Welcome != nil {
		s.opened, s.committed, s.logged = r.Welcome, r.Welcome.CommittedSequence, r.Welcome.LoggedSequence
	}
	s.refusals = append(s.refusals, r.Refusals...)
	s.letters = append(s.letters, r.DeadLettered...)
	if r.Throttle != nil {
		s.throttles = append(s.throttles, r.Throttle)
	}
	if r.Drain != nil {
		s.drain = r.Drain
	}
	if r.CommittedSequence != 0 {
		if r.CommittedSequence < s.committed {
			s.t.Errorf("the watermark fell from %d to %d", s.committed, r.CommittedSequence)
		}
		s.committed = r.CommittedSequence
	}
	if r.LoggedSequence != 0 {
		if r.LoggedSequence < max(s.logged, s.committed) {
			s.t.Errorf("logged %d after %d, with %d committed", r.LoggedSequence, s.logged, s.committed)
		}
		s.logged = r.LoggedSequence
	}
	if r.ReceivedSequence != 0 {
		s.received = r.ReceivedSequence
	}
}

// until receives until the condition holds.
func (s *testStream) until(is func() bool) {
	s.t.Helper()
	for !is() {
		s.next()
	}
}

// end receives until the stream ends and returns its error.
func (s *testStream) end() error {
	s.t.Helper()
	for {
		r, err := s.stream.Recv()
		if err != nil {
			return err
		}
		s.fold(r)
	}
}
