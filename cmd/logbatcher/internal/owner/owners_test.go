package owner

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

// gateway is an instance as its owners see it: a log and a server, which accept and settle requests of one entry.
type gateway struct {
	t *testing.T
	*Owners
	mu    sync.Mutex
	known map[producer]*schema.LoggedProducer
	// filed are the sequences that are in files.
	filed map[producer]map[uint64]bool
	// rest are the sequences that go on without their producer.
	rest map[producer]map[uint64]bool
	// using are the producers with a stream.
	using map[producer]bool
	// opened is when that was opened.
	opened map[producer]time.Time
}

var _ Journal = (*gateway)(nil)
var _ Server = (*gateway)(nil)

// p is the producer of most tests.
var p = producer{"acme", "api-1/0"}

func (g *gateway) Producers() iter.Seq2[string, string] {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := slices.Collect(maps.Keys(g.known))
	return func(yield func(string, string) bool) {
		for _, p := range all {
			if !yield(p.tenant, p.id) {
				return
			}
		}
	}
}

func (g *gateway) Producer(tenant, id string) (schema.LoggedProducer, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.known[producer{tenant, id}]
	if known == nil {
		return schema.LoggedProducer{}, false
	}
	l := *known
	l.Unsettled = slices.Clone(l.Unsettled)
	return l, true
}

func (g *gateway) Forget(tenant, id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := producer{tenant, id}
	if known := g.known[p]; known != nil {
		for _, s := range known.Unsettled {
			if g.rest[p] == nil {
				g.rest = map[producer]map[uint64]bool{p: {}}
			}
			g.rest[p][s] = true
		}
	}
	delete(g.known, p)
	return nil
}

func (g *gateway) Drop(tenant, id string, epoch, from uint64) (entries int, err error) {
	p := producer{tenant, id}
	known := g.known[p]
	known.Unsettled = slices.DeleteFunc(known.Unsettled, func(s uint64) bool {
		drop := s > from && !g.filed[p][s]
		if drop {
			entries++
		}
		return drop
	})
	return entries, g.Forget(tenant, id)
}

func (g *gateway) Yield(tenant, id string, _ uint64, before time.Time, settled bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := producer{tenant, id}
	if g.opened[p].Before(before) {
		delete(g.using, p)
	}
	if g.using[p] {
		return false
	}
	known := g.known[p]
	return settled || known == nil || len(known.Unsettled) == 0
}

func (g *gateway) Unused(time.Duration) []schema.ProducerName { return nil }

// open opens the producer, as the server does: it returns where its client continues.
func (g *gateway) open(p producer, epoch, start uint64) (uint64, error) {
	ctx := g.t.Context()
	left, mine, err := g.Own(ctx, p.tenant, p.id, epoch)
	if err != nil {
		return 0, err
	}
	if known, ok := g.Producer(p.tenant, p.id); mine && ok {
		left = known
	}
	if epoch == left.Epoch {
		start = max(start, left.Accepted)
	}
	if err := g.Claim(ctx, p.tenant, p.id, epoch, start); err != nil {
		return 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.using[p], g.opened[p] = true, time.Now()
	if known := g.known[p]; known == nil || known.Epoch != epoch || known.Accepted < start {
		g.known[p] = &schema.LoggedProducer{
			Tenant: p.tenant, Producer: p.id, Epoch: epoch, Start: start, Accepted: start, Sums: left.Sums, Outcomes: left.Outcomes,
		}
	}
	return start, nil
}

// accept accepts requests up to a sequence, and files those up to another.
func (g *gateway) accept(p producer, to, filed uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.known[p]
	for known.Accepted < to {
		known.Accepted++
		known.Unsettled = append(known.Unsettled, known.Accepted)
		known.Sums = append(known.Sums, known.Accepted*7)
	}
	if g.filed[p] == nil {
		g.filed[p] = map[uint64]bool{}
	}
	for s := uint64(1); s <= filed; s++ {
		g.filed[p][s] = true
	}
}

// settle settles everything.
func (g *gateway) settle(p producer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[p].Unsettled = nil
}

func (g *gateway) leave(p producer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.using, p)
}

func connect(t *testing.T, server *embedded.Server) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Address(), MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// start starts an instance with a log. Redis is not fresh for it.
func start(t *testing.T, client redis.UniversalClient, log string) *gateway {
	t.Helper()
	g := &gateway{t: t, known: map[producer]*schema.LoggedProducer{}, filed: map[producer]map[uint64]bool{}}
	g.restart(client, log, func(c *Config) { c.Grace = 0 })
	return g
}

// restart makes it another process with the same log. What was settled is.
func (g *gateway) restart(client redis.UniversalClient, log string, change ...func(*Config)) {
	g.t.Helper()
	cfg := DefaultConfig()
	cfg.Forgotten = time.Hour
	for _, c := range change {
		c(&cfg)
	}
	g.using, g.opened = map[producer]bool{}, map[producer]time.Time{}
	g.Owners = New(client, cfg, g, log, "gw-"+log, log+":4320", prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	g.Serve(g)
	ctx, cancel := context.WithTimeout(g.t.Context(), 5*time.Second)
	defer cancel()
	if err := g.Recover(ctx); err != nil {
		g.t.Fatal(err)
	}
}

// round is what Run does again and again.
func (g *gateway) round() {
	ctx := g.t.Context()
	g.look(ctx)
	g.giveUpWanted(ctx)
	g.forgetLost()
	g.forgetExpired(ctx)
}

func mustOpen(t *testing.T, g *gateway, p producer, epoch, start uint64) uint64 {
	t.Helper()
	at, err := g.open(p, epoch, start)
	if err != nil {
		t.Fatalf("open with %s: %v", g.id, err)
	}
	return at
}

func wantElsewhere(t *testing.T, g *gateway, p producer, epoch, start uint64, owner string) {
	t.Helper()
	_, err := g.open(p, epoch, start)
	var elsewhere *schema.OwnedError
	if !errors.As(err, &elsewhere) || elsewhere.Log != owner || elsewhere.Instance != "gw-"+owner || elsewhere.Address != owner+":4320" {
		t.Fatalf("open with %s: %v, want that %s owns it", g.id, err, owner)
	}
}

func count(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

// both runs a test on a redis-server and on the in-process Redis of logbatcher dev.
func both(t *testing.T, test func(t *testing.T, client *redis.Client)) {
	t.Run("server", func(t *testing.T) { test(t, connect(t, embeddedtest.Redis(t))) })
	t.Run("stand-in", func(t *testing.T) { test(t, connect(t, embeddedtest.InProcessRedis(t))) })
}

// TestB13HandOver: A commits 10 and 11 after the connection broke, so the client of B knows 9 only.
func TestB13HandOver(t *testing.T) {
	both(t, func(t *testing.T, client *redis.Client) {
		a, b := start(t, client, "a"), start(t, client, "b")
		if at := mustOpen(t, a, p, 5, 0); at != 0 {
			t.Fatalf("begins at %d", at)
		}
		a.accept(p, 11, 0)
		a.known[p].Outcomes = []schema.LoggedOutcome{{Sequence: 11, Outcome: schema.Outcome{Unmatched: 3}}}
		a.opened[p] = time.Now().Add(-time.Minute)
		wantElsewhere(t, b, p, 5, 9, "a")
		a.round()
		wantElsewhere(t, b, p, 5, 9, "a") // not settled yet
		a.settle(p)
		a.round()
		if at := mustOpen(t, b, p, 5, 9); at != 11 {
			t.Errorf("B begins after %d, want 11", at)
		}
		if got, _ := b.Producer(p.tenant, p.id); !slices.Equal(got.Sums[len(got.Sums)-2:], []uint64{70, 77}) || len(got.Outcomes) != 1 || got.Outcomes[0].Unmatched != 3 {
			t.Errorf("B has %+v", got)
		}
		if _, known := a.Producer(p.tenant, p.id); known {
			t.Error("A's log knows the producer still")
		}
		wantElsewhere(t, a, p, 5, 11, "b")
		if a, b := count(t, a.metrics.owned), count(t, b.metrics.owned); a != 0 || b != 1 {
			t.Errorf("A owns %v, B %v", a, b)
		}
	})
}

// TestClientComesBack: what another wanted stays with the owner whose client has come back to it.
func TestClientComesBack(t *testing.T) {
	both(t, func(t *testing.T, client *redis.Client) {
		a, b := start(t, client, "a"), start(t, client, "b")
		mustOpen(t, a, p, 5, 0)
		a.accept(p, 3, 3)
		wantElsewhere(t, b, p, 5, 2, "a")
		a.round()
		a.using[p] = true
		if at := mustOpen(t, a, p, 5, 2); at != 3 {
			t.Errorf("at %d", at)
		}
		a.settle(p)
		for range 3 {
			a.round()
		}
		if !a.using[p] || a.owned[p] == nil {
			t.Error("the newer stream was ended, or the producer given up")
		}
	})
}

// TestB14TakenWhileAway: the record is released, or lost, while A is killed. B takes the producer from 9, and A must not replay 10, 11.
func TestB14TakenWhileAway(t *testing.T) {
	losses := map[string]func(t *testing.T, client *redis.Client, b *gateway){
		"released": func(t *testing.T, _ *redis.Client, b *gateway) { release(t, b, p) },
		"lost": func(t *testing.T, client *redis.Client, _ *gateway) {
			if err := client.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, client *redis.Client) {
				a, b, c := start(t, client, "a"), start(t, client, "b"), start(t, client, "c")
				mustOpen(t, a, p, 5, 0)
				a.accept(p, 12, 10) // 11 and 12 are in no file
				lose(t, client, b)
				b.round() // they say again who they are
				c.round()
				if at := mustOpen(t, b, p, 5, 9); at != 9 {
					t.Fatalf("B begins after %d", at)
				}
				// It goes on elsewhere before A returns.
				b.accept(p, 30, 30)
				b.settle(p)
				b.leave(p)
				wantElsewhere(t, c, p, 5, 30, "b")
				b.round()
				mustOpen(t, c, p, 5, 30)

				a.restart(client, "a", func(c *Config) { c.Grace = 0 })
				if rest := slices.Sorted(maps.Keys(a.rest[p])); !slices.Equal(rest, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
					t.Errorf("A replays or sends %v, want 1 to 10", rest)
				}
				if dropped := count(t, a.metrics.dropped); dropped != 2 {
					t.Errorf("%v entries dropped, want 2", dropped)
				}
				wantElsewhere(t, a, p, 5, 30, "c")
			})
		})
	}
}

// TestReleasedAndNotTaken: nobody has come for a released producer, so its owner has it again.
func TestReleasedAndNotTaken(t *testing.T) {
	both(t, func(t *testing.T, client *redis.Client) {
		a, b := start(t, client, "a"), start(t, client, "b")
		mustOpen(t, a, p, 5, 0)
		a.accept(p, 12, 10)
		release(t, b, p)
		a.restart(client, "a", func(c *Config) { c.Grace = 0 })
		if got, _ := a.Producer(p.tenant, p.id); len(got.Unsettled) != 12 {
			t.Errorf("A has %v", got.Unsettled)
		}
		wantElsewhere(t, b, p, 5, 9, "a")
		if left := client.Exists(t.Context(), a.books.taken("a")).Val(); left != 0 {
			t.Error("A is told still that it was released")
		}
	})
}

// TestReleasedFromTheLiving: the owner lets go of what was released, and does not write it again.
func TestReleasedFromTheLiving(t *testing.T) {
	both(t, func(t *testing.T, client *redis.Client) {
		a, b := start(t, client, "a"), start(t, client, "b")
		mustOpen(t, a, p, 5, 0)
		a.accept(p, 12, 10)
		release(t, b, p)
		a.round()
		if a.using[p] {
			t.Error("the stream goes on")
		}
		if at := mustOpen(t, b, p, 5, 9); at != 9 {
			t.Errorf("B begins after %d", at)
		}
		a.round()
		wantElsewhere(t, a, p, 5, 9, "b")
		b.round()
		if taken := count(t, a.metrics.taken); taken != 1 {
			t.Errorf("taken %v times", taken)
		}
	})
}

// TestLivingOwnersWriteLostRecordsAgain: for a while after Redis has lost its records nobody claims what has none.
func TestLivingOwnersWriteLostRecordsAgain(t *testing.T) {
	both(t, func(t *testing.T, client *redis.Client) {
		a, b := start(t, client, "a"), start(t, client, "b")
		b.books.grace = time.Hour
		mustOpen(t, a, p, 5, 0)
		a.accept(p, 12, 10)
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.open(p, 5, 9); !errors.Is(err, errFresh) {
			t.Fatalf("B: %v", err)
		}
		a.round()
		wantElsewhere(t, b, p, 5, 9, "a")
		if got, _ := a.Producer(p.tenant, p.id); len(got.Unsettled) != 12 || count(t, a.metrics.taken) != 0 {
			t.Errorf("A has %v", got.Unsettled)
		}
	})
}

// TestRestartOfRedis: records may be missing after a restart, though others are there.
func TestRestartOfRedis(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	client := connect(t, server)
	a, b := start(t, client, "a"), start(t, client, "b")
	b.books.grace = time.Hour
	mustOpen(t, a, p, 5, 0)
	q := producer{"acme", "api-2/0"}
	mustOpen(t, a, q, 6, 0)
	if err := client.HDel(t.Context(), a.books.owned(), q.field()).Err(); err != nil { // its last writes
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	a.round()
	if len(a.Degraded()) != 1 {
		t.Errorf("degraded: %q", a.Degraded())
	}
	if at := mustOpen(t, a, p, 5, 0); at != 0 { // a known one goes on
		t.Errorf("at %d", at)
	}
	if _, err := b.open(p, 5, 0); err == nil || errors.As(err, new(*schema.OwnedError)) {
		t.Errorf("B without Redis: %v", err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.open(q, 6, 0); !errors.Is(err, errFresh) {
		t.Errorf("B: %v", err)
	}
	wantElsewhere(t, b, p, 5, 0, "a")
	a.round()
	wantElsewhere(t, b, q, 6, 0, "a")
	if len(a.Degraded()) != 0 {
		t.Errorf("degraded: %q", a.Degraded())
	}
}

// TestB15EmptyVolume: an instance with the name and address of another, and an empty folder, is another owner.
func TestB15EmptyVolume(t *testing.T) {
	both(t, func(t *testing.T, client *redis.Client) {
		a := start(t, client, "a")
		mustOpen(t, a, p, 5, 0)
		a.accept(p, 12, 10)
		again := &gateway{t: t, known: map[producer]*schema.LoggedProducer{}, filed: map[producer]map[uint64]bool{}}
		again.restart(client, "new")
		again.self = a.self
		if err := again.lookForOrphans(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantElsewhere(t, again, p, 5, 9, "a")
		if degraded := again.Degraded(); len(degraded) != 1 {
			t.Errorf("degraded: %q", degraded)
		}
		release(t, again, p)
		if at := mustOpen(t, again, p, 5, 9); at != 9 {
			t.Errorf("begins after %d", at)
		}
	})
}

// TestRedisAwayAtTheStart: what the log has is its own, and claimed when Redis is back.
func TestRedisAwayAtTheStart(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	client := connect(t, server)
	a := start(t, client, "a")
	mustOpen(t, a, p, 5, 0)
	a.accept(p, 12, 10)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	a.Owners = New(client, cfg, a, "a", "gw-a", "a:4320", prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	a.Serve(a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Recover(ctx); err != nil {
		t.Fatal(err)
	}
	if at := mustOpen(t, a, p, 5, 9); at != 12 {
		t.Errorf("continues after %d", at)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	a.round()
	b := start(t, client, "b")
	wantElsewhere(t, b, p, 5, 9, "a")
}

// TestExpiry: a producer that went away is a new one when it comes back.
func TestExpiry(t *testing.T) {
	both(t, func(t *testing.T, client *redis.Client) {
		a, b := start(t, client, "a"), start(t, client, "b")
		mustOpen(t, a, p, 5, 0)
		a.accept(p, 12, 10)
		a.leave(p)
		a.Owners.Forget(p.tenant, p.id)
		a.round()
		if _, known := a.Producer(p.tenant, p.id); !known {
			t.Fatal("forgotten while it is not settled")
		}
		a.settle(p)
		a.round()
		if _, known := a.Producer(p.tenant, p.id); known {
			t.Error("not forgotten")
		}
		if at := mustOpen(t, b, p, 7, 0); at != 0 {
			t.Errorf("begins after %d", at)
		}
	})
}

// TestShutdown: whoever stops gives up what is settled.
func TestShutdown(t *testing.T) {
	both(t, func(t *testing.T, client *redis.Client) {
		a, b := start(t, client, "a"), start(t, client, "b")
		q := producer{"", "api-2/0"}
		mustOpen(t, a, p, 5, 0)
		mustOpen(t, a, q, 5, 0)
		a.accept(p, 12, 10)
		a.accept(q, 12, 10)
		a.settle(q)
		a.leave(p)
		a.leave(q)
		a.Close(t.Context())
		wantElsewhere(t, b, p, 5, 9, "a")
		if at := mustOpen(t, b, q, 5, 9); at != 12 {
			t.Errorf("begins after %d", at)
		}
	})
}

func release(t *testing.T, by *gateway, p producer) {
	t.Helper()
	states, err := by.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range states {
		if states[i].Tenant == p.tenant && states[i].Producer == p.id {
			if done, err := by.release(t.Context(), &states[i], "me"); err != nil || !done {
				t.Fatalf("release: %v, %v", done, err)
			}
			return
		}
	}
	t.Fatalf("%v is not listed: %+v", p, states)
}

// TestRecordIsReadBack: a record that can't be read is an error, not an absent one.
func TestRecordIsReadBack(t *testing.T) {
	for _, text := range []string{"x", "1 2", "1 2 x", "x 2 {}", `1 2 {"left":{"sums":[1]}}`} {
		if _, err := parseRecord(text); err == nil {
			t.Errorf("%q is a record", text)
		}
	}
	both(t, func(t *testing.T, client *redis.Client) {
		a := start(t, client, "a")
		if err := client.HSet(t.Context(), a.books.owned(), p.field(), "nonsense").Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.open(p, 5, 0); err == nil {
			t.Error("claimed in the place of nonsense")
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add(`1 1 {"log":"a","from":{"epoch":1,"sequence":2},"first":{},"left":{"epoch":1,"committed":2,"sums":[1,2]}}`)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRecord(text)
		if err != nil {
			return
		}
		s := r.state(p)
		if s.Start > s.Accepted || uint64(len(s.Sums)) > s.Accepted {
			t.Errorf("state %+v", s)
		}
		_, _ = parseMark(text)
		_ = parseInstance(text)
		_, _ = parseField(text)
		_ = fmt.Sprint(r)
	})
}
