package shard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// TestWhatIsInFilesOutlivesTheProcess: a process dies while neither ClickHouse nor Redis take anything. The next one delivers the batches and
// dead letters from their files, and Flush waits for them.
func TestWhatIsInFilesOutlivesTheProcess(t *testing.T) {
	for _, end := range []string{"dies", "is stopped"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s := newDisk(t), newStore()
				s.set("", true)
				s.redisAway.Store(true)
				config := historyConfig()
				config.KeepUnmatched = true
				kept := numbered(t, "b")
				kept.MaxAge, kept.OnTimeOutOfRange = time.Hour, schema.DeadLetter
				routes := []*schema.Route{numbered(t, "a"), kept}
				p := d.start(config, s.delivery(t), time.UTC, routes...)
				const requests = 200 // each a batch of each table: more than are delivered at a time
				for i := range requests {
					p.mustSend(
						[]schema.Entry{number(2*i, "a", "EWR", time.Now()), number(i, "b", "EWR", time.Now()), number(i, "none", "EWR", time.Now())},
						[]schema.Entry{number(2*i+1, "a", "EWR", time.Now()), number(i, "b", "EWR", time.Now().Add(-2*time.Hour))},
					)
					time.Sleep(2 * config.Linger)
				}
				synctest.Wait()
				for lsn, r := range d.requests {
					if !r.placed || r.settled != 0 {
						t.Fatalf("request %d: placed %v, settled %d times", lsn, r.placed, r.settled)
					}
				}
				if end == "dies" {
					p.die()
				} else {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					p.Shutdown(ctx)
					if err := <-p.ended; err != nil {
						t.Errorf("Run returns %v, but all is in the log", err)
					}
					cancel()
				}
				if len(d.files) != 4*requests {
					t.Errorf("%d files, want %d", len(d.files), 4*requests)
				}

				p = d.start(config, s.delivery(t), time.UTC, routes...)
				if _, rows := account(p.budget, "logs.of_a").held(); rows != 2*requests {
					t.Errorf("%d rows are in flight, want %d", rows, 2*requests)
				}
				s.set("", false)
				s.redisAway.Store(false)
				if _, _, err := p.Flush(t.Context(), ""); err != nil {
					t.Error(err)
				}
				s.want(t, "logs.of_a", 2*requests)
				s.want(t, "logs.of_b", requests)
				p.stop()
				reasons := map[string]int{}
				for _, l := range s.letters.All() {
					reasons[l.Reason] += l.Rows
					if n := bytes.Count(l.Payload, []byte("\n")); n != l.Rows {
						t.Errorf("a letter of %d rows has %d lines", l.Rows, n)
					}
				}
				if want := map[string]int{"unmatched": requests, "time_too_old": requests}; !maps.Equal(reasons, want) {
					t.Errorf("letters %v, want %v", reasons, want)
				}
				for lsn, r := range d.requests {
					if len(r.outcome.DeadLettered) != 2 || r.placedOutcome.Unmatched != 1 {
						t.Errorf("request %d: %+v, placed with %+v", lsn, r.outcome, r.placedOutcome)
					}
				}
			})
		})
	}
}

// TestRefusedAtReceiptStaysRefused: in a replay, an entry that was refused at receipt is skipped for all routes. It is no unmatched entry either.
func TestRefusedAtReceiptStaysRefused(t *testing.T) {
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d, s := newDisk(t), newStore()
			config := historyConfig()
			config.KeepUnmatched = keep
			p := d.start(config, s.delivery(t), time.UTC, numbered(t, "a"))
			r := &diskRequest{lsn: 1, pieces: [][]schema.Entry{{
				number(0, "a", "EWR", time.Now()), number(1, "a", "EWR", time.Now()), number(2, "none", "EWR", time.Now()), number(3, "none", "EWR", time.Now()),
			}}}
			d.requests[1] = r
			request := &schema.Request{
				Producer: "p", Epoch: 1, Sequence: 1, Received: time.Now(), LSN: 1,
				Skip: func(_ string, place uint32) bool { return place == 1 || place == 3 },
			}
			if err := p.routePieces(t.Context(), request, r); err != nil {
				t.Fatal(err)
			}
			p.stop()
			s.want(t, "logs.of_a", 1)
			if refused, letters := len(r.outcome.Refusals), len(s.letters.All()); r.outcome.Unmatched != 1 || refused+letters != 1 || (letters == 1) != keep {
				t.Errorf("kept %v: outcome %+v, %d letters", keep, r.outcome, letters)
			}
		})
	}
}

// TestLettersInFilesAreSkipped: entries whose letter is in a file when the process dies make no second one when their request is replayed.
func TestLettersInFilesAreSkipped(t *testing.T) {
	for _, first := range []int{0, 1} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s := newDisk(t), newStore()
				s.redisAway.Store(true)
				d.sealOnly(func(n int) bool { return n == first })
				config := historyConfig()
				config.KeepUnmatched = true
				kept := numbered(t, "a")
				kept.MaxAge, kept.OnTimeOutOfRange = time.Hour, schema.DeadLetter
				p := d.start(config, s.delivery(t), time.UTC, kept)
				p.mustSend([]schema.Entry{number(0, "none", "EWR", time.Now()), number(0, "a", "EWR", time.Now().Add(-2*time.Hour))})
				synctest.Wait()
				p.die()
				if len(d.files) != 1 {
					t.Fatalf("%d files, want 1", len(d.files))
				}
				d.sealing = nil
				s.redisAway.Store(false)
				d.start(config, s.delivery(t), time.UTC, kept).stop()
				reasons := map[string]int{}
				for _, l := range s.letters.All() {
					reasons[l.Reason] += l.Rows
				}
				if want := map[string]int{"unmatched": 1, "time_too_old": 1}; !maps.Equal(reasons, want) {
					t.Errorf("letters %v, want %v", reasons, want)
				}
			})
		})
	}
}

// TestB8LettersKeepTheirIDs: a letter is in the queue, and the process dies before it knows. The next one writes it under the same id.
func TestB8LettersKeepTheirIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisk(t), newStore()
		s.redisMute.Store(true)
		config := historyConfig()
		config.KeepUnmatched = true
		p := d.start(config, s.delivery(t), time.UTC, numbered(t, "a"))
		p.mustSend([]schema.Entry{number(0, "none", "EWR", time.Now())})
		synctest.Wait()
		before := s.letters.All()
		p.die()
		s.redisMute.Store(false)
		config.Instance = "later" // a letter's id must not come from what is new with each start
		d.start(config, s.delivery(t), time.UTC, numbered(t, "a")).stop()
		if after := s.letters.All(); len(before) != 1 || len(after) != 1 || after[0].ID != before[0].ID {
			t.Errorf("letters %v before the process died, %v after the next one", before, after)
		}
	})
}

// TestB18DeadLettersOfOneFileWaitForTheOther: a request has rows in two files. Those of the first go to the dead-letter queue, and the process dies
// while the second still waits. The producer hears of them all the same: the first file stays until the request's outcome is in the log.
func TestB18DeadLettersOfOneFileWaitForTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisk(t), newStore()
		s.set("logs.of_b", true)
		s.memory.Reject = func(row sinktest.Row) *sink.Error {
			if row.Number() == 1 {
				return &sink.Error{Class: sink.Row, Code: 469, Err: errors.New("violated")}
			}
			return nil
		}
		config := historyConfig()
		p := d.start(config, s.delivery(t), time.UTC, numbered(t, "a"), numbered(t, "b"))
		p.mustSend([]schema.Entry{number(0, "a", "EWR", time.Now()), number(1, "a", "EWR", time.Now()), number(0, "b", "EWR", time.Now())})
		time.Sleep(time.Minute)
		synctest.Wait()
		if letters := s.letters.All(); len(letters) != 1 {
			t.Fatalf("%d letters, want 1", len(letters))
		}
		p.die()
		s.set("logs.of_b", false)
		d.start(config, s.delivery(t), time.UTC, numbered(t, "a"), numbered(t, "b")).stop()
		s.want(t, "logs.of_a", 1)
		s.want(t, "logs.of_b", 1)
		if r := d.requests[1]; len(r.outcome.DeadLettered) != 1 || r.outcome.DeadLettered[0].Rows != 1 || len(s.letters.All()) != 1 {
			t.Errorf("outcome %+v, %d letters", r.outcome, len(s.letters.All()))
		}
	})
}

// TestMemoryIsFlatWhileClickHouseIsAway: what is in files takes next to no memory, so that requests go on until the log is full. Then they wait for
// the log, without holding memory, and go on when it has room.
func TestMemoryIsFlatWhileClickHouseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisk(t), newStore()
		s.set("", true)
		config := historyConfig()
		p := d.start(config, s.delivery(t), time.UTC, numbered(t, "a"))
		const requests, body = 5000, 4 << 10
		n, most := 0, 0
		for range requests {
			e := number(n, "a", "EWR", time.Now())
			e.Body = string(make([]byte, body))
			p.mustSend([]schema.Entry{e})
			if n++; n%100 == 0 {
				time.Sleep(config.Linger)
			}
			most = max(most, p.budget.Used())
		}
		time.Sleep(2 * config.Linger)
		synctest.Wait()
		if used, sent := p.budget.Used(), requests*body; used > sent/8 || most > 4<<20 {
			t.Errorf("%d bytes are used at the end, %d at most, for %d bytes of rows", used, most, sent)
		}

		d.mu.Lock()
		d.room = 1
		d.mu.Unlock()
		var causes []schema.WaitCause
		before := p.budget.Used()
		d.reserving = func() {
			if held := p.budget.Used() - before; held != 0 {
				t.Errorf("a request that waits for the log holds %d bytes", held)
			}
			d.mu.Lock()
			d.room = 0
			d.mu.Unlock()
			s.set("", false)
		}
		p.waiting = func(cause schema.WaitCause, _ string) { causes = append(causes, cause) }
		p.mustSend([]schema.Entry{number(n, "a", "EWR", time.Now())}, []schema.Entry{number(n+1, "a", "EWR", time.Now())})
		if !slices.Equal(causes, []schema.WaitCause{schema.WaitLog}) {
			t.Errorf("it waited for %v", causes)
		}
		d.reserving = nil
		p.stop()
		s.want(t, "logs.of_a", n+2)
	})
}

// TestBlocksThatAreFoundAreSettledAtOnce: a batch was inserted, and the process died before it heard of it. The next one asks for all batches at
// once, and inserts only the other.
func TestBlocksThatAreFoundAreSettledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisk(t), newStore()
		s.set("logs.of_b", true)
		decide := s.memory.Decide
		s.memory.Decide = func(b *batch.Block, a sink.Attempt) sinktest.Step {
			step := decide(b, a)
			if step.Err == nil && !b.Recovered() {
				step = sinktest.Step{Err: &sink.Error{Class: sink.Ambiguous, Err: errors.New("no answer")}, Stored: true}
			}
			return step
		}
		config := historyConfig()
		p := d.start(config, s.delivery(t), time.UTC, numbered(t, "a"), numbered(t, "b"))
		p.mustSend([]schema.Entry{number(0, "a", "EWR", time.Now()), number(0, "b", "EWR", time.Now())})
		time.Sleep(config.Linger)
		synctest.Wait()
		p.die()
		s.set("logs.of_b", false)
		counting := &finding{Delivery: s.delivery(t), memory: s.memory}
		d.start(config, counting, time.UTC, numbered(t, "a"), numbered(t, "b")).stop()
		s.want(t, "logs.of_a", 1)
		s.want(t, "logs.of_b", 1)
		if counting.asked != 2 || counting.delivered.Load() != 1 {
			t.Errorf("%d batches were asked for together and %d delivered, want 2 and 1", counting.asked, counting.delivered.Load())
		}
	})
}

// finding is a Delivery that knows what its sink has.
type finding struct {
	Delivery
	memory    *sinktest.Memory
	asked     int
	delivered atomic.Int32
}

func (f *finding) FindAll(ctx context.Context, blocks []*batch.Block) map[*batch.Block]bool {
	f.asked += len(blocks)
	found := map[*batch.Block]bool{}
	for _, b := range blocks {
		if presence, err := f.memory.Present(ctx, b); err == nil && presence.Rows > 0 {
			found[b] = true
		}
	}
	return found
}

func (f *finding) Deliver(ctx context.Context, b *batch.Block, file schema.LogFile, limits sink.Limits, drain <-chan struct{}) (sink.Outcome, error) {
	f.delivered.Add(1)
	return f.Delivery.Deliver(ctx, b, file, limits, drain)
}

// TestRoutingIsInTheLogBeforeItIsUsed: a routing that can't be put into the log is not used, and one that is replaced before it is used is not put
// there.
func TestRoutingIsInTheLogBeforeItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		broken := errors.New("broken")
		p := &process{disk: d}
		config := testConfig()
		config.WAL, config.Registerer = p, prometheus.NewRegistry()
		r, err := NewRouter(config, NewBudget(BudgetConfig{Limit: 1 << 20, Tables: 1 << 20}), &scripted{}, []*schema.Route{firehose(t)}, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.routings) != 0 {
			t.Error("the provisional routing is in the log")
		}
		if err := r.Reload([]*schema.Route{filtered(t, "a")}, time.UTC); err != nil {
			t.Fatal(err)
		}
		d.put = broken
		if err := r.Reload([]*schema.Route{filtered(t, "b")}, time.UTC); !errors.Is(err, broken) {
			t.Errorf("Reload returns %v", err)
		}
		if routes, _ := r.Routes(); len(d.routings) != 1 || routes[0].Name != "a" {
			t.Errorf("%d routings, route %s is used", len(d.routings), routes[0].Name)
		}
	})
}

// TestFilesThatCanNotBeOpened: they are left as they are, and the others are delivered.
func TestFilesThatCanNotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisk(t), newStore()
		s.set("", true)
		config := historyConfig()
		p := d.start(config, s.delivery(t), time.UTC, numbered(t, "a"))
		p.mustSend([]schema.Entry{number(0, "a", "EWR", time.Now())})
		time.Sleep(2 * config.Linger)
		synctest.Wait()
		p.die()
		s.set("", false)
		var good *diskFile
		for _, f := range d.files {
			good = f
		}
		d.files = map[string]*diskFile{}
		var said bytes.Buffer
		config.Log = slog.New(slog.NewTextHandler(&said, nil))
		p = d.start(config, s.delivery(t), time.UTC, numbered(t, "a"))
		bad := func(change func(f *diskFile, c *schema.Contents)) Recovered {
			f, c := *good, *good.contents
			f.contents = &c
			change(&f, &c)
			return Recovered{LogFile: &openFile{diskFile: &f, process: p}, Settle: func([]schema.Outcome) { t.Error("settled") }}
		}
		settled := 0
		if err := p.Recover(t.Context(), []Recovered{
			bad(func(_ *diskFile, c *schema.Contents) { c.Routing = "0123" }),
			bad(func(_ *diskFile, c *schema.Contents) { c.Route = "gone" }),
			bad(func(f *diskFile, _ *schema.Contents) { f.head = nil }),
			bad(func(f *diskFile, _ *schema.Contents) { f.head = []byte("bX") }),
			bad(func(f *diskFile, _ *schema.Contents) { f.head = []byte("l{") }),
			{LogFile: &openFile{diskFile: good, process: p}, Settle: func(o []schema.Outcome) { settled += len(o) }},
		}); err != nil {
			t.Error(err)
		}
		if n := strings.Count(said.String(), "can't be used"); n != 5 {
			t.Errorf("the log has %d problems, want 5:\n%s", n, said.String())
		}
		if d := p.Degraded(); len(d) != 1 || !strings.Contains(d[0], "5 files") {
			t.Errorf("degraded: %q", d)
		}
		p.running.stop()
		if settled != 1 {
			t.Errorf("%d parts are settled, want 1", settled)
		}
		s.want(t, "logs.of_a", 1)
	})
}

// TestPlacesOfABatch: a batch remembers its entries by request, as ranges, though requests in pieces take turns.
func TestPlacesOfABatch(t *testing.T) {
	b := &transit{route: &route{Route: numbered(t, "a"), routing: "0123"}}
	request := func(lsn uint64) *settlement {
		return &settlement{request: &schema.Request{LSN: lsn, Producer: "p", Sequence: lsn}}
	}
	first, second, refused, third := request(1), request(2), request(3), request(4)
	add := func(s *settlement, places ...uint32) {
		b.requests, b.begins = append(b.requests, s), append(b.begins, len(b.places))
		for _, place := range places {
			b.place(place)
		}
	}
	add(first, 0, 1, 2, 5)
	add(second, 6, 7)
	add(first, 6, 7, 3)
	add(refused)
	add(third, 4, 8)
	b.inPieces = true
	got := b.contents()
	part := func(lsn uint64, places ...schema.PlaceRange) schema.Part {
		return schema.Part{LSN: lsn, Producer: "p", Sequence: lsn, Places: places}
	}
	want := &schema.Contents{Routing: "0123", Route: "of a", Table: "logs.of_a", Parts: []schema.Part{
		part(1, schema.PlaceRange{From: 0, To: 3}, schema.PlaceRange{From: 5, To: 6}, schema.PlaceRange{From: 6, To: 8}, schema.PlaceRange{From: 3, To: 4}),
		part(2, schema.PlaceRange{From: 6, To: 8}),
		part(4, schema.PlaceRange{From: 4, To: 5}, schema.PlaceRange{From: 8, To: 9}),
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("contents\n%+v\nwant\n%+v", got, want)
	}
}

// TestLaneKeepsOrderAndWidth: jobs are done in their order, no more than width at a time, and set aside while they wait.
func TestLaneKeepsOrderAndWidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lane{width: 2}
		var mu sync.Mutex
		running, most, aside := 0, 0, 0
		var order []int
		for i := range 10 {
			run := l.add(func() {
				mu.Lock()
				running++
				most = max(most, running)
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second + time.Duration(i)*time.Millisecond)
				mu.Lock()
				running--
				mu.Unlock()
			}, func() { aside++ })
			if run != nil {
				go run()
				synctest.Wait()
			}
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if most != 2 || aside != 8 || !slices.IsSorted(order) || len(order) != 10 || l.running != 0 {
			t.Errorf("at most %d at a time, %d aside, in the order %v, %d still run", most, aside, order, l.running)
		}
	})
}
