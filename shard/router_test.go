package shard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// scripted is a Delivery that a test controls, to inject faults.
type scripted struct {
	mu      sync.Mutex
	batches []batchSeen
	letters []*sink.DeadLetter
	// deliver decides; nil commits at once.
	deliver func(ctx context.Context, b *batch.Block) (sink.Outcome, error)
}

type batchSeen struct {
	table, partition string
	rows             int
	origins          []batch.Origin
	at               time.Time
}

func (s *scripted) Deliver(ctx context.Context, b *batch.Block, _ schema.LogFile, _ sink.Limits, _ <-chan struct{}) (sink.Outcome, error) {
	s.mu.Lock()
	s.batches = append(s.batches, batchSeen{
		table: b.Layout().Table().Name, partition: b.Partition().ID, rows: b.Rows(), origins: b.Origins(), at: time.Now(),
	})
	deliver := s.deliver
	s.mu.Unlock()
	if deliver != nil {
		return deliver(ctx, b)
	}
	return sink.Outcome{Committed: b.Rows()}, nil
}

func (s *scripted) FindAll(context.Context, []*batch.Block) map[*batch.Block]bool { return nil }

func (s *scripted) DeadLetter(_ context.Context, letter *sink.DeadLetter) ([]sink.DeadLetter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters = append(s.letters, letter)
	return []sink.DeadLetter{*letter}, nil
}

func (s *scripted) rows() (batches, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		rows += b.rows
	}
	return len(s.batches), rows
}

func testConfig() Config {
	return Config{
		Compression: batch.Uncompressed,
		Instance:    "test", Shards: 2, Bucket: time.Minute, Linger: time.Second,
		MaxBatchRows: 1000, MaxBatchBytes: 1 << 20, MaxOpenBatches: 8, MaxOpenBytes: 4 << 20,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
}

func firehose(t *testing.T) *schema.Route {
	t.Helper()
	return schema.DefaultRoute("logs")
}

// filtered returns a route for the entries of one service, to its own table.
func filtered(t *testing.T, service string) *schema.Route {
	t.Helper()
	r := schema.DefaultRoute("logs")
	r.Name = service
	r.Table.Name = "of_" + service
	filter, problems := schema.ParseFilter(map[string]any{"service": map[string]any{"equals": service}}, "filter")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r.Filter = filter
	return r
}

// running is a running router that counts what it owes its callers.
type running struct {
	routes []string // that the sender may use; nil: all
	*Router
	t                 *testing.T
	budget            *Budget
	sequence          uint64
	mu                sync.Mutex
	released, settled int
	outcomes          map[uint64]*schema.Outcome
	ended             chan error
}

func start(t *testing.T, config Config, delivery Delivery, routes ...*schema.Route) *running {
	t.Helper()
	return startWith(t, BudgetConfig{Limit: 8 << 20, Tables: 6 << 20, TableShare: 0.25, LargestRequest: 1 << 20}, config, delivery, routes...)
}

func startWith(t *testing.T, bounds BudgetConfig, config Config, delivery Delivery, routes ...*schema.Route) *running {
	t.Helper()
	budget := NewBudget(bounds)
	router, err := NewRouter(config, budget, delivery, routes, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Router: router, t: t, budget: budget, outcomes: map[uint64]*schema.Outcome{}, ended: make(chan error, 1)}
	go func() { r.ended <- router.Run(context.Background()) }()
	return r
}

// send routes a request, and blocks if it has to wait.
func (r *running) send(entries ...schema.Entry) uint64 {
	r.t.Helper()
	sequence, err := r.try(context.Background(), entries...)
	if err != nil {
		r.t.Fatal(err)
	}
	return sequence
}

func (r *running) try(ctx context.Context, entries ...schema.Entry) (uint64, error) {
	return r.tryPieces(ctx, func(schema.WaitCause, string) {}, entries)
}

// tryPieces routes a request whose entries come in pieces.
func (r *running) tryPieces(ctx context.Context, waiting func(schema.WaitCause, string), pieces ...[]schema.Entry) (uint64, error) {
	r.mu.Lock()
	r.sequence++
	sequence := r.sequence
	r.mu.Unlock()
	request := &schema.Request{Tenant: "t", Routes: r.routes, Producer: "p", Epoch: 1, Sequence: sequence, Received: time.Now()}
	for _, piece := range pieces {
		request.Size += 400 * len(piece)
		for i := range piece {
			request.Size += len(piece[i].Body)
		}
	}
	views := &pieceViews{running: r, request: request, pieces: pieces}
	request.Bytes, request.Decoder = request.Size, views
	request.Release = func() {
		views.Suspend()
		r.mu.Lock()
		r.released++
		r.mu.Unlock()
	}
	request.Settled = func(o *schema.Outcome) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.settled++
		if r.outcomes[sequence] != nil {
			r.t.Errorf("request %d is settled twice", sequence)
		}
		r.outcomes[sequence] = o
	}
	if err := views.Resume(ctx); err != nil {
		return sequence, err
	}
	err := r.Route(ctx, request, waiting)
	if err != nil {
		views.Suspend()
	}
	return sequence, err
}

// pieceViews is the Decoder of a request whose entries exist already.
type pieceViews struct {
	*running
	request *schema.Request
	pieces  [][]schema.Entry
	next    int
	granted int
}

// Next implements schema.Decoder. It spoils the last piece, so a read after Next shows.
func (v *pieceViews) Next() bool {
	if v.next == len(v.pieces) {
		return false
	}
	v.spoil()
	places := 0
	for _, before := range v.pieces[:v.next] {
		places += len(before)
	}
	v.request.Entries, v.request.Index = slices.Clone(v.pieces[v.next]), nil
	for i := range v.request.Entries {
		v.request.Index = append(v.request.Index, uint32(places+i))
	}
	v.next++
	return true
}

func (v *pieceViews) spoil() {
	for i := range v.request.Entries {
		v.request.Entries[i].Body = "RELEASED"
	}
}

// Suspend implements schema.Decoder.
func (v *pieceViews) Suspend() {
	v.spoil()
	if v.granted > 0 {
		v.budget.Release(v.granted)
		v.granted = 0
	}
}

// Resume implements schema.Decoder.
func (v *pieceViews) Resume(ctx context.Context) error {
	if v.granted == 0 {
		if err := v.budget.Acquire(ctx, v.request.Bytes); err != nil {
			return err
		}
		v.granted = v.request.Bytes
	}
	v.next = 0
	v.Next()
	return nil
}

func (r *running) outcome(sequence uint64) *schema.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcomes[sequence]
}

// stop shuts down and checks that nothing is owed.
func (r *running) stop() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r.Shutdown(ctx)
	if err := <-r.ended; err != nil {
		r.t.Error(err)
	}
	if used := r.budget.Used(); used != 0 {
		r.t.Errorf("%d bytes are still charged to the budget", used)
	}
	for _, route := range r.routing.Load().routes {
		if bytes, rows := route.account.held(); bytes != 0 || rows != 0 {
			r.t.Errorf("table %s still holds %d bytes, %d rows", route.Table.FullName(), bytes, rows)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.released != r.settled {
		r.t.Errorf("%d requests released, %d settled", r.released, r.settled)
	}
}

var emptyStream = &schema.Stream{}

func entry(service, colo string, at time.Time) schema.Entry {
	return schema.Entry{
		Time: at.UnixNano(), ObservedTime: at.UnixNano(), Body: "body of " + service, Service: service, Colo: colo, Stream: emptyStream,
		Attributes: []schema.Attribute{schema.StringAttribute("k", "v")},
	}
}

func TestLingerSealsWhatHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		r := start(t, testConfig(), delivery, firehose(t))
		begun := time.Now()
		first := r.send(entry("a", "EWR", begun))
		time.Sleep(900 * time.Millisecond)
		second := r.send(entry("a", "EWR", time.Now()))
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		if batches, _ := delivery.rows(); batches != 0 {
			t.Fatalf("%d batches before the linger has passed", batches)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if batches, rows := delivery.rows(); batches != 1 || rows != 2 {
			t.Fatalf("%d batches with %d rows, want one with both rows", batches, rows)
		}
		if waited := delivery.batches[0].at.Sub(begun); waited != time.Second {
			t.Errorf("sealed after %v, want the linger of 1s", waited)
		}
		if r.outcome(first) == nil || r.outcome(second) == nil {
			t.Error("a request of a committed batch is not settled")
		}
		r.stop()
	})
}

func TestFullBatchIsSealedWithTheWholeRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		config := testConfig()
		config.MaxBatchRows = 10
		r := start(t, config, delivery, firehose(t))
		var many []schema.Entry
		for range 25 {
			many = append(many, entry("a", "EWR", time.Now()))
		}
		r.send(many...)
		synctest.Wait()
		if batches, rows := delivery.rows(); batches != 1 || rows != 25 {
			t.Errorf("%d batches with %d rows, want the request's 25 rows in one", batches, rows)
		}
		r.stop()
	})
}

func TestPartitionsAndColos(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		r := start(t, testConfig(), delivery, firehose(t))
		now := time.Now()
		yesterday := now.Add(-24 * time.Hour)
		var entries []schema.Entry
		for i := range 60 {
			at := now
			if i%3 == 0 {
				at = yesterday
			}
			entries = append(entries, entry("a", fmt.Sprintf("C%02d", i%20), at))
		}
		r.send(entries...)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		rows := 0
		for _, b := range delivery.batches {
			rows += b.rows
			for _, o := range b.origins {
				colo, bucket, _ := strings.Cut(o.ShardID, "-")
				if !strings.HasPrefix(colo, "C") || bucket != fmt.Sprint(now.UnixMilli()/60000) {
					t.Errorf("shard id %q, want COLO-BUCKET of the time of receipt", o.ShardID)
				}
			}
		}
		if rows != 60 || len(delivery.batches) > 4 {
			t.Errorf("%d rows in %d batches, want 60 in at most 2 shards × 2 partitions", rows, len(delivery.batches))
		}
		r.stop()
	})
}

// TestRowsOfAShardIDAreTogether sends entries whose colo and route alternate.
func TestRowsOfAShardIDAreTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		config := testConfig()
		config.Shards = 1
		delivery.deliver = func(_ context.Context, b *batch.Block) (sink.Outcome, error) {
			native, err := io.ReadAll(b.Native())
			if err != nil {
				t.Error(err)
			}
			for _, colo := range []string{"EWR", "AMS"} {
				last := 0
				for i := range 10 {
					at := bytes.Index(native, fmt.Appendf(nil, "%s %d.", colo, i))
					if at < last {
						t.Errorf("entry %d of %s is not there or out of order", i, colo)
					}
					last = at
				}
			}
			return sink.Outcome{Committed: b.Rows()}, nil
		}
		r := start(t, config, delivery, filtered(t, "a"), filtered(t, "b"))
		var entries []schema.Entry
		for i := range 40 {
			e := entry([]string{"a", "b"}[i%2], []string{"EWR", "AMS"}[i/2%2], time.Now())
			e.Body = fmt.Sprintf("%s %d.", e.Colo, i/4)
			entries = append(entries, e)
		}
		r.send(entries...)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(delivery.batches) != 2 {
			t.Fatalf("%d batches, want 2", len(delivery.batches))
		}
		for _, b := range delivery.batches {
			if b.rows != 20 || len(b.origins) != 2 {
				t.Errorf("%d rows of %s have %d origins, want 2", b.rows, b.table, len(b.origins))
			}
		}
		r.stop()
	})
}

func TestOldestIsSealedWhenTooManyAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		config := testConfig()
		config.Shards, config.MaxOpenBatches = 1, 3
		r := start(t, config, delivery, firehose(t))
		for day := range 5 {
			r.send(entry("a", "EWR", time.Now().Add(-time.Duration(day)*24*time.Hour)))
		}
		synctest.Wait()
		if batches, _ := delivery.rows(); batches != 2 {
			t.Errorf("%d batches sealed, want the 2 oldest of 5", batches)
		}
		r.stop()
	})
}

func TestTimeOutOfRangeIsRefusedOrKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		kept := filtered(t, "kept")
		kept.OnTimeOutOfRange = schema.DeadLetter
		r := start(t, testConfig(), delivery, firehose(t), kept)
		old := entry("kept", "EWR", time.Now().Add(-400*24*time.Hour))
		ahead := entry("other", "EWR", time.Now().Add(48*time.Hour))
		sequence := r.send(entry("other", "EWR", time.Now()), old, ahead)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		o := r.outcome(sequence)
		if o == nil {
			t.Fatal("the request is not settled")
		}
		if len(o.Refusals) != 2 || o.Refusals[0].Reason != schema.TimeTooOld || o.Refusals[0].Index != 1 ||
			o.Refusals[1].Reason != schema.TimeTooFarAhead || o.Refusals[1].Index != 2 {
			t.Errorf("refusals %+v", o.Refusals)
		}
		if len(o.DeadLettered) != 1 || o.DeadLettered[0].Rows != 1 || o.DeadLettered[0].Table != "logs.of_kept" {
			t.Errorf("dead-lettered %+v, want the old entry's copy for its own route", o.DeadLettered)
		}
		if len(delivery.letters) != 1 {
			t.Fatalf("%d letters, want 1", len(delivery.letters))
		}
		var back struct{ Service, Body string }
		err := json.Unmarshal(delivery.letters[0].Payload, &back)
		if err != nil || back.Service != "kept" || back.Body != "body of kept" {
			t.Errorf("the letter holds %q (%v), want the entry", delivery.letters[0].Payload, err)
		}
		if _, rows := delivery.rows(); rows != 1 {
			t.Errorf("%d rows delivered, want the good one", rows)
		}
		r.stop()
	})
}

func TestMaxAheadOfZeroAllowsNothingAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		route := firehose(t)
		route.MaxAhead = 0
		r := start(t, testConfig(), &scripted{}, route)
		sequence := r.send(entry("a", "EWR", time.Now()), entry("a", "EWR", time.Now().Add(5*time.Second)), entry("a", "EWR", time.Now().Add(-time.Second)))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		o := r.outcome(sequence)
		if o == nil || len(o.Refusals) != 1 || o.Refusals[0].Index != 1 || o.Refusals[0].Reason != schema.TimeTooFarAhead {
			t.Errorf("outcome %+v, want the entry of the future refused, and no other", o)
		}
		r.stop()
	})
}

func TestRowsSettledBeforeTheDeadlineAreNotLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		delivery.deliver = func(ctx context.Context, b *batch.Block) (sink.Outcome, error) {
			<-ctx.Done()
			return sink.Outcome{Committed: 2}, context.Cause(ctx)
		}
		r := start(t, testConfig(), delivery, firehose(t))
		r.send(entry("a", "EWR", time.Now()), entry("a", "EWR", time.Now()), entry("a", "EWR", time.Now()))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		r.Shutdown(ctx)
		var left *LeftoverError
		if err := <-r.ended; !errors.As(err, &left) || left.Rows != 1 {
			t.Errorf("Run returned %v, want the one row that is not settled", err)
		}
		if states, _ := r.Routes(); states[0].RowsCommitted != 2 {
			t.Errorf("%d rows committed, want the two that were", states[0].RowsCommitted)
		}
	})
}

func TestPiecesOfARequestAreOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		late := filtered(t, "late")
		r := start(t, testConfig(), delivery, filtered(t, "a"), late)
		ahead := entry("late", "EWR", time.Now().Add(48*time.Hour))
		sequence, err := r.tryPieces(t.Context(), func(schema.WaitCause, string) {},
			[]schema.Entry{entry("a", "EWR", time.Now()), entry("late", "LHR", time.Now())},
			[]schema.Entry{entry("a", "AMS", time.Now())},
			[]schema.Entry{entry("none", "EWR", time.Now()), ahead})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, rows := delivery.rows(); rows != 3 {
			t.Errorf("%d rows delivered, want 3", rows)
		}
		o := r.outcome(sequence)
		if o == nil || o.Unmatched != 1 || len(o.Refusals) != 2 || o.Refusals[0].Index+o.Refusals[1].Index != 3+4 {
			t.Errorf("outcome %+v, want the entries at 3 and 4 refused", o)
		}
		r.stop()
	})
}

func TestUnmatchedIsRefusedOrKept(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep=", keep), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				delivery := &scripted{}
				config := testConfig()
				config.KeepUnmatched = keep
				r := start(t, config, delivery, filtered(t, "a"))
				sequence := r.send(entry("a", "EWR", time.Now()), entry("b", "EWR", time.Now()))
				time.Sleep(2 * time.Second)
				synctest.Wait()
				o := r.outcome(sequence)
				if o == nil || o.Unmatched != 1 {
					t.Fatalf("outcome %+v, want one unmatched", o)
				}
				if keep && (len(delivery.letters) != 1 || len(o.Refusals) != 0 || len(o.DeadLettered) != 1) {
					t.Errorf("letters %d, outcome %+v, want the entry in a letter", len(delivery.letters), o)
				}
				if !keep && (len(o.Refusals) != 1 || o.Refusals[0].Reason != schema.Unmatched || o.Refusals[0].Index != 1) {
					t.Errorf("outcome %+v, want the entry refused", o)
				}
				r.stop()
			})
		})
	}
}

// TestTenantUsesItsRoutes sends entries that several routes match, as a tenant that may use one of them.
func TestTenantUsesItsRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		config := testConfig()
		config.KeepUnmatched = true
		r := start(t, config, delivery, firehose(t), filtered(t, "a"), filtered(t, "b"))
		r.routes = []string{"a", "gone"}
		sequence := r.send(entry("a", "EWR", time.Now()), entry("b", "EWR", time.Now()))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, rows := delivery.rows(); rows != 1 {
			t.Errorf("%d rows, want the one of the tenant's route", rows)
		}
		if o := r.outcome(sequence); o == nil || o.Unmatched != 1 || len(o.DeadLettered) != 1 || !strings.Contains(o.DeadLettered[0].Message, "the tenant may use") {
			t.Errorf("outcome %+v, want the other entry in a letter", o)
		}
		if l := delivery.letters[0]; !strings.Contains(l.ID, "/t:p/") || l.Origins[0].Tenant != "t" {
			t.Errorf("letter %s of %+v does not name the tenant", l.ID, l.Origins)
		}
		r.stop()
	})
}

func TestFlushWaitsForWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		delivery.deliver = func(_ context.Context, b *batch.Block) (sink.Outcome, error) {
			time.Sleep(3 * time.Second)
			return sink.Outcome{Committed: b.Rows()}, nil
		}
		r := start(t, testConfig(), delivery, firehose(t))
		r.send(entry("a", "EWR", time.Now()))
		begun := time.Now()
		batches, rows, err := r.Flush(t.Context(), "otel_logs")
		if err != nil || batches != 1 || rows != 1 {
			t.Errorf("Flush returned %d batches, %d rows, %v", batches, rows, err)
		}
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("Flush took %v, want no linger and the 3s of the insert", took)
		}
		if _, _, err := r.Flush(t.Context(), "nowhere"); !errors.Is(err, schema.ErrUnknownTable) {
			t.Errorf("Flush of an unknown table: %v", err)
		}
		r.stop()
	})
}

func TestDeadLetteredRowsAreToldToTheirRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		delivery.deliver = func(_ context.Context, b *batch.Block) (sink.Outcome, error) {
			return sink.Outcome{Committed: b.Rows() - 1, DeadLettered: []sink.DeadLetter{{
				DeadLettered: schema.DeadLettered{ID: "dead", Rows: 1, Code: 469, Message: "constraint"}, Origins: b.OriginsOf(batch.RowSet{{From: 2, To: 3}}),
			}}}, nil
		}
		r := start(t, testConfig(), delivery, firehose(t))
		first := r.send(entry("a", "EWR", time.Now()), entry("a", "EWR", time.Now()))
		second := r.send(entry("a", "EWR", time.Now()), entry("a", "EWR", time.Now()))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if o := r.outcome(first); o == nil || len(o.DeadLettered) != 0 {
			t.Errorf("outcome of the first request %+v", o)
		}
		if o := r.outcome(second); o == nil || len(o.DeadLettered) != 1 || o.DeadLettered[0].ID != "dead" || o.DeadLettered[0].Code != 469 {
			t.Errorf("outcome of the second request %+v, want its row dead-lettered", o)
		}
		r.stop()
	})
}

func TestShutdownDeadlineLeavesAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		delivery.deliver = func(ctx context.Context, b *batch.Block) (sink.Outcome, error) {
			<-ctx.Done()
			return sink.Outcome{}, context.Cause(ctx)
		}
		r := start(t, testConfig(), delivery, firehose(t))
		sequence := r.send(entry("a", "EWR", time.Now()), entry("a", "EWR", time.Now()))
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		r.Shutdown(ctx)
		var left *LeftoverError
		if err := <-r.ended; !errors.As(err, &left) || left.Batches != 1 || left.Rows != 2 ||
			left.Tables["logs.otel_logs"] != 2 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run returned %v, want one batch of logs.otel_logs with two rows left at the deadline", err)
		}
		if r.outcome(sequence) != nil {
			t.Error("a request whose rows were left is settled")
		}
		if _, err := r.try(context.Background(), entry("a", "EWR", time.Now())); !errors.Is(err, ErrClosed) {
			t.Errorf("Route after Shutdown: %v", err)
		}
	})
}

func TestReloadLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		r := start(t, testConfig(), delivery, firehose(t))
		for i := range 50 {
			r.send(entry("a", fmt.Sprintf("C%d", i%5), time.Now()))
			if i%10 == 9 {
				if err := r.Reload([]*schema.Route{firehose(t)}, time.UTC); err != nil {
					t.Fatal(err)
				}
			}
		}
		broken := firehose(t)
		broken.Table.PartitionBy = "cityHash64(Body)"
		if err := r.Reload([]*schema.Route{broken}, time.UTC); err == nil {
			t.Error("Reload took a partition key that the gateway can't compute")
		}
		r.send(entry("a", "EWR", time.Now()))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, rows := delivery.rows(); rows != 51 {
			t.Errorf("%d rows delivered, want 51", rows)
		}
		r.stop()
	})
}

func TestAnEntryTooLargeForALetterIsAloneInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		kept := firehose(t)
		kept.OnTimeOutOfRange = schema.DeadLetter
		r := start(t, testConfig(), delivery, kept)
		old := time.Now().Add(-400 * 24 * time.Hour)
		large := entry("a", "EWR", old)
		large.Body = strings.Repeat("\x01", 256<<10) // six bytes each in JSON
		half := entry("a", "EWR", old)
		half.Body = strings.Repeat("x", 500<<10)
		r.send(half, large, entry("a", "EWR", old), half, half)
		r.stop()
		rows := 0
		for _, letter := range delivery.letters {
			if rows += letter.Rows; letter.Rows > 1 && len(letter.Payload) > sink.MaxPayloadBytes {
				t.Errorf("letter %s has %d rows of %d bytes, more than the queue takes", letter.ID, letter.Rows, len(letter.Payload))
			}
		}
		if rows != 5 {
			t.Errorf("%d rows in letters, want 5", rows)
		}
	})
}
