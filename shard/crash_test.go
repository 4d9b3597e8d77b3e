package shard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
	"github.com/logbatcher/logbatcher/wal/crashfs"
	"github.com/logbatcher/logbatcher/wal/journal"
)

// TestCrashes runs router, delivery and the real log on a disk that stops at one of its operations, and another process on what that leaves, which
// stops too. The third one goes on to the end. Then every entry whose request was promised to be logged is in the table or in a dead letter once, and
// every other request is there completely or not at all.
func TestCrashes(t *testing.T) {
	crashes := 60
	if testing.Short() {
		crashes = 15
	}
	for seed := range crashes {
		random := rand.New(rand.NewPCG(uint64(seed), 9))
		o := &outside{t: t, promised: map[uint64]int{}}
		fs := crashfs.New()
		for life := range 3 {
			synctest.Test(t, func(t *testing.T) { o.live(t, fs, life < 2) })
			if t.Failed() {
				t.Fatalf("seed %d, life %d", seed, life)
			}
			if life == 2 {
				break
			}
			at := 1 + random.IntN(fs.Ops()-1)
			fs = fs.Crash(crashfs.Crash{At: at, Unsynced: crashfs.Unsynced(random.IntN(3)), Seed: random.Uint64()})
			o.crash(at)
		}
		if o.check(); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

const (
	crashRequests = 12
	crashEntries  = 10
)

// outside is what the processes have to do with: a table, a queue of dead letters, and producers. Everything has the number of the disk's operation
// before which it happened.
type outside struct {
	t  *testing.T
	fs *crashfs.FS // of the process that runs

	mu       sync.Mutex
	inserts  []happened
	letters  []happened
	promised map[uint64]int // requests, by their sequences
	sent     uint64
}

// happened is an insert or a dead letter.
type happened struct {
	id      string
	numbers []int
	at      int
}

// crash forgets what happened after an operation of the disk.
func (o *outside) crash(at int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	later := func(h happened) bool { return h.at > at }
	o.inserts, o.letters = slices.DeleteFunc(o.inserts, later), slices.DeleteFunc(o.letters, later)
	for _, list := range [][]happened{o.inserts, o.letters} {
		for i := range list {
			list[i].at = 0
		}
	}
	for sequence, when := range o.promised {
		if when > at {
			delete(o.promised, sequence)
		} else {
			o.promised[sequence] = 0
		}
	}
}

// Insert implements sink.Sink: rows whose number is a multiple of 37 are refused.
func (o *outside) Insert(_ context.Context, b *batch.Block, _ sink.Attempt) error {
	numbers, err := numbersOf(b.Native())
	if err != nil {
		return &sink.Error{Class: sink.Transient, Op: "insert into", Err: err}
	}
	for _, n := range numbers {
		if n%37 == 0 {
			return &sink.Error{Class: sink.Row, Code: 469, Op: "insert into", Err: fmt.Errorf("%d is violated", n)}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.ContainsFunc(o.inserts, func(h happened) bool { return h.id == b.ID() }) {
		o.inserts = append(o.inserts, happened{b.ID(), numbers, o.fs.Ops()})
	}
	return nil
}

// Present implements sink.Sink.
func (o *outside) Present(_ context.Context, b *batch.Block) (sink.Presence, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.inserts {
		if h.id == b.ID() {
			return sink.Presence{Rows: len(h.numbers)}, nil
		}
	}
	return sink.Presence{}, nil
}

var bodyNumber = regexp.MustCompile(`number (\d+) of`)

// Write implements sink.DeadLetters.
func (o *outside) Write(_ context.Context, l *sink.DeadLetter) error {
	var numbers []int
	if l.Format == sink.FormatNative {
		var err error
		if numbers, err = numbersOf(strings.NewReader(string(l.Payload))); err != nil {
			o.t.Error(err)
		}
	} else {
		for _, found := range bodyNumber.FindAllSubmatch(l.Payload, -1) {
			n, _ := strconv.Atoi(string(found[1]))
			numbers = append(numbers, n)
		}
	}
	if len(numbers) != l.Rows {
		o.t.Errorf("a letter of %d rows has %d", l.Rows, len(numbers))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.ContainsFunc(o.letters, func(h happened) bool { return h.id == l.ID }) {
		o.letters = append(o.letters, happened{l.ID, numbers, o.fs.Ops()})
	}
	return nil
}

// numbersOf returns the numbers of the rows in a Native block.
func numbersOf(native io.Reader) ([]int, error) {
	block, err := io.ReadAll(native)
	if err != nil {
		return nil, err
	}
	rows, err := sinktest.Decode(block)
	var numbers []int
	for _, row := range rows {
		numbers = append(numbers, int(row.Number()))
	}
	return numbers, err
}

// live is the life of a process: it recovers, takes some new requests, and ends in order.
func (o *outside) live(t *testing.T, fs *crashfs.FS, sends bool) {
	o.fs = fs
	c := journal.DefaultConfig()
	c.Dir, c.FS, c.Log, c.CheckpointInterval = "log", fs, slog.New(slog.DiscardHandler), time.Second
	c.MaxBytes, c.SegmentBytes, c.ReserveBytes = 256*settings.MiB, settings.MiB, 0
	c.Settled = func(string, string, uint64, uint64, *schema.Outcome) {}
	j, err := journal.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	delivery := sink.DefaultDeliveryConfig()
	delivery.Sink, delivery.DeadLetters = o, o
	settles, err := sink.NewDelivery(delivery)
	if err != nil {
		t.Fatal(err)
	}
	config := testConfig()
	config.Instance = fmt.Sprintf("life-%d", o.sent)
	config.WAL, config.KeepUnmatched, config.MaxBatchRows, config.Registerer = j, true, 37, prometheus.NewRegistry()
	budget := NewBudget(BudgetConfig{Limit: 8 << 20, Tables: 6 << 20, TableShare: 1, LargestRequest: 1 << 20})
	r, err := NewRouter(config, budget, settles, []*schema.Route{numbered(t, "a"), numbered(t, "b")}, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(context.Background()) }()
	if err := o.recover(t, j, r); err != nil {
		t.Fatal(err)
	}
	for range crashRequests {
		if !sends {
			break
		}
		o.send(t, j, r)
		time.Sleep(300 * time.Millisecond)
	}
	r.Shutdown(context.Background())
	if err := errors.Join(<-ended, j.Close()); err != nil {
		t.Fatal(err)
	}
}

func (o *outside) recover(t *testing.T, j *journal.Journal, r *Router) error {
	for hash, data := range j.Routings() {
		whole := new(schema.Routing)
		if err := errors.Join(json.Unmarshal(data, whole), r.AddRouting(hash, whole)); err != nil {
			return err
		}
	}
	var files []Recovered
	for _, f := range j.Files() {
		files = append(files, Recovered{LogFile: f, Settle: f.Settle})
	}
	if err := r.Recover(t.Context(), files); err != nil {
		return err
	}
	for u, err := range j.Unplaced() {
		if err != nil {
			return err
		}
		q := requestOf(j, &u.LoggedRequest)
		q.LSN, q.Routing, q.Skip = u.LSN, u.Routing, u.Skip
		if err := r.Route(t.Context(), q, func(schema.WaitCause, string) {}); err != nil {
			return err
		}
	}
	return nil
}

// send sends a new request. Its data is its sequence: the entries follow from that.
func (o *outside) send(t *testing.T, j *journal.Journal, r *Router) {
	o.mu.Lock()
	o.sent++
	sequence := o.sent
	o.mu.Unlock()
	logged := &schema.LoggedRequest{
		Producer: fmt.Sprint("p", sequence), Epoch: 1, Sequence: 1, Received: time.Now(), Entries: crashEntries, Protocol: "test",
		Opening: &schema.LoggedOpening{Data: []byte("opening")}, Data: strconv.AppendUint(nil, sequence, 10),
	}
	q := requestOf(j, logged)
	q.Log = j.Request(logged, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.promised[sequence] = o.fs.Ops()
	})
	if err := r.Route(t.Context(), q, func(schema.WaitCause, string) {}); err != nil {
		t.Fatal(err)
	}
}

// requestOf makes a request of what is logged.
func requestOf(j *journal.Journal, logged *schema.LoggedRequest) *schema.Request {
	sequence, _ := strconv.Atoi(string(logged.Data))
	q := &schema.Request{
		Producer: logged.Producer, Epoch: logged.Epoch, Sequence: logged.Sequence, Received: logged.Received, Size: 4000, Bytes: 4000,
		Release: func() {},
	}
	for i := range crashEntries {
		n := sequence*crashEntries + i
		e := number(n, []string{"a", "b", "a", "none"}[n%4], fmt.Sprint("C", n%3), logged.Received)
		e.Body = fmt.Sprintf("number %d of all", n)
		q.Entries = append(q.Entries, e)
	}
	q.Placed = func(outcome *schema.Outcome) { j.Placed(q.LSN, outcome) }
	q.Settled = func(outcome *schema.Outcome) { j.Settled(q.LSN, outcome, nil) }
	return q
}

// check counts the entries of all requests.
func (o *outside) check() {
	times := map[int]int{}
	for _, list := range [][]happened{o.inserts, o.letters} {
		for _, h := range list {
			for _, n := range h.numbers {
				times[n]++
			}
		}
	}
	for sequence := uint64(1); sequence <= o.sent; sequence++ {
		_, promised := o.promised[sequence]
		whole, nothing := true, true
		for i := range crashEntries {
			n := times[int(sequence)*crashEntries+i]
			whole, nothing = whole && n == 1, nothing && n == 0
		}
		if !whole && (promised || !nothing) {
			var counts []int
			for i := range crashEntries {
				counts = append(counts, times[int(sequence)*crashEntries+i])
			}
			o.t.Errorf("request %d, promised %v: its entries are there %v times", sequence, promised, counts)
		}
	}
}
