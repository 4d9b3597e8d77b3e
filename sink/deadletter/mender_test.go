package deadletter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// workbench is a queue in Redis, a sink in memory that rejects numbers from Limit on, and a Mender of both.
type workbench struct {
	*Mender
	memory *sinktest.Memory
	table  *schema.Table
	routes []*schema.Route
	mended atomic.Bool // the sink takes all numbers
}

func newWorkbench(t *testing.T, client redis.UniversalClient) *workbench {
	t.Helper()
	w := &workbench{memory: sinktest.NewMemory(), table: sinktest.Table("logs", "numbered")}
	w.routes = []*schema.Route{{Name: "numbered", Table: w.table}}
	w.memory.Reject = func(row sinktest.Row) *sink.Error {
		if !w.mended.Load() && row.Number() >= sinktest.Limit {
			return &sink.Error{Class: sink.Row, Code: 469, Err: fmt.Errorf("Constraint `small` is violated by %d", row.Number())}
		}
		return nil
	}
	w.Mender = w.mender(t, client)
	return w
}

// mender returns another Mender of the same queue and sink, as another instance has it.
func (w *workbench) mender(t *testing.T, client redis.UniversalClient) *Mender {
	t.Helper()
	q := open(t, client)
	config := sink.DefaultDeliveryConfig()
	config.Sink, config.DeadLetters = w.memory, q
	config.Backoff = sink.Backoff{Min: time.Millisecond, Max: time.Millisecond}
	config.HoldBackoff, config.LateAfter = config.Backoff, 0
	delivery, err := sink.NewDelivery(config)
	if err != nil {
		t.Fatal(err)
	}
	return NewMender(q, delivery, func() ([]*schema.Route, *time.Location) { return w.routes, time.UTC }, slog.New(slog.DiscardHandler))
}

// bury writes a letter with rows of these numbers.
func (w *workbench) bury(t *testing.T, id string, numbers ...uint64) *sink.DeadLetter {
	t.Helper()
	block := sinktest.NewMaker(t, w.table).Batch(t, id, numbers...)
	l := letter(id, 0)
	l.Table, l.Route, l.Rows, l.Payload = "logs.numbered", "numbered", len(numbers), native(t, block)
	l.Origins = []batch.Origin{{Producer: "p/0", Epoch: 1, Sequence: 2, ShardID: "EWR-1", Rows: len(numbers)}}
	mustWrite(t, w.queue, l)
	return l
}

// buryEntries writes a letter of entries as JSON.
func (w *workbench) buryEntries(t *testing.T, id, table string, entries ...schema.Entry) {
	t.Helper()
	l := letter(id, 0)
	l.Table, l.Route, l.Rows, l.Format, l.Payload = table, "", len(entries), sink.FormatJSONEntries, nil
	for i := range entries {
		l.Payload = append(schema.AppendJSON(l.Payload, &entries[i]), '\n')
	}
	l.Origins = []batch.Origin{{Producer: "p/0", Epoch: 1, Sequence: 2, ShardID: "EWR-1", Rows: len(entries)}}
	mustWrite(t, w.queue, l)
}

func native(t *testing.T, b *batch.Block) []byte {
	t.Helper()
	payload, err := io.ReadAll(b.Native())
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// replay replays the selection and returns the outcomes by letter.
func replay(t *testing.T, m *Mender, work schema.LetterWork) map[string]string {
	t.Helper()
	outcomes := map[string]string{}
	work.Operator = "ada@host (test)"
	err := m.Replay(t.Context(), &work, func(r *schema.LetterReport) error {
		outcomes[r.ID] = r.Outcome.String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return outcomes
}

var execute = schema.LetterWork{Execute: true}

// wantRows checks that the table has each number once.
func (w *workbench) wantRows(t *testing.T, numbers ...uint64) {
	t.Helper()
	var got []uint64
	for _, row := range w.memory.Rows("logs.numbered") {
		got = append(got, row.Number())
	}
	slices.Sort(got)
	slices.Sort(numbers)
	if !slices.Equal(got, numbers) {
		t.Errorf("the table has %v, want %v", got, numbers)
	}
}

func TestReplay(t *testing.T) {
	both(t, func(t *testing.T, server *embedded.Server) {
		w := newWorkbench(t, connect(t, server))
		w.bury(t, "one", 1, 2)
		w.bury(t, "two", sinktest.Limit, 3)
		w.bury(t, "elsewhere", 4)

		dry := schema.LetterWork{}
		if got := replay(t, w.Mender, dry); got["one"] != "committed" || got["two"] != "committed" || len(listAll(t, w.queue)) != 3 {
			t.Errorf("a dry run says %v and leaves %d letters", got, len(listAll(t, w.queue)))
		}
		w.wantRows(t)
		if got := replay(t, w.Mender, schema.LetterWork{Execute: true, LetterSelection: schema.LetterSelection{IDs: []string{"one", "two"}}}); got["one"] != "committed" || got["two"] != "divided" || got["two.0-0"] != "refused" || got["two.1-1"] != "committed" {
			t.Errorf("outcomes %v", got)
		}
		w.wantRows(t, 1, 2, 3)

		all := listAll(t, w.queue)
		if len(all) != 2 || all[0].Letter.ID != "elsewhere" || all[1].Letter.ID != "two.0-0" {
			t.Fatalf("letters %+v", all)
		}
		back := all[1].Letter
		if len(back.History) != 1 || back.History[0].Message != "Constraint `severity_ok` is violated" || !strings.Contains(back.Message, "`small`") ||
			back.Attempts != 4 || back.Rows != 1 || back.Origins[0].Rows != 1 || back.Reason != "refused" || back.First != letter("", 0).First {
			t.Errorf("the letter came back as %+v", back)
		}

		w.mended.Store(true)
		if got := replay(t, w.Mender, execute); got["elsewhere"] != "committed" || got["two.0-0"] != "committed" || len(got) != 2 {
			t.Errorf("outcomes %v", got)
		}
		w.wantRows(t, 1, 2, 3, 4, sinktest.Limit)
		if left := len(listAll(t, w.queue)); left != 0 {
			t.Errorf("%d letters are left", left)
		}
		// A late repeat of the gateway's write brings nothing back.
		w.bury(t, "one", 1, 2)
		if left := len(listAll(t, w.queue)); left != 0 {
			t.Errorf("%d letters after a repeated write", left)
		}
		if u, _, err := w.queue.measure(t.Context(), false, 0); err != nil || u.letters != 0 || u.bytes > 1000 {
			t.Errorf("usage is %+v, %v", u, err)
		}
		if got := replay(t, w.Mender, execute); len(got) != 0 {
			t.Errorf("an empty queue has outcomes %v", got)
		}
	})
}

func TestReplayFindsWhatIsThere(t *testing.T) {
	w := newWorkbench(t, connect(t, embeddedtest.Redis(t)))
	l := w.bury(t, "one", 1, 2)
	if got := replay(t, w.Mender, execute); got["one"] != "committed" {
		t.Fatalf("outcomes %v", got)
	}
	// The letter is there again, as if its deletion had been lost; the token is forgotten.
	if err := w.queue.client.Del(t.Context(), w.queue.cfg.idKey("one")).Err(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, w.queue, l)
	w.memory.Forget()
	edit := []schema.Edit{{Column: "Body", Value: schema.Value{Text: "edited"}}}
	if got := replay(t, w.Mender, schema.LetterWork{Edits: edit}); got["one"] != "present" {
		t.Errorf("a dry run says %v", got)
	}
	if got := replay(t, w.Mender, schema.LetterWork{Execute: true, Edits: edit}); got["one"] != "present" {
		t.Errorf("outcomes %v", got)
	}
	w.wantRows(t, 1, 2)

	// A letter whose fate was unknown is there under the id of the block that was tried.
	tried := w.bury(t, "batch.0-1", 5, 6)
	block := sinktest.NewMaker(t, w.table).Batch(t, "batch", 5, 6)
	if err := w.memory.Insert(t.Context(), block, sink.Attempt{Number: 1, Token: "batch", QueryID: "batch-1"}); err != nil {
		t.Fatal(err)
	}
	if err := w.queue.client.Del(t.Context(), w.queue.cfg.Stream, w.queue.cfg.idKey("batch.0-1")).Err(); err != nil {
		t.Fatal(err)
	}
	tried.Tried, tried.Reason = []string{"batch"}, sink.ReasonFateUnknown
	mustWrite(t, w.queue, tried)
	older := *tried // of a version that did not know under which id
	older.ID, older.Tried = "batch.1-1", nil
	mustWrite(t, w.queue, &older)
	if got := replay(t, w.Mender, schema.LetterWork{}); got["batch.0-1"] != "present" || got["batch.1-1"] != "refused" {
		t.Errorf("a dry run says %v", got)
	}
	if got := replay(t, w.Mender, execute); got["batch.0-1"] != "present" {
		t.Errorf("outcomes %v", got)
	}
	w.wantRows(t, 1, 2, 5, 6)
}

func TestReplayWithEdits(t *testing.T) {
	w := newWorkbench(t, connect(t, embeddedtest.Redis(t)))
	w.bury(t, "one", sinktest.Limit, sinktest.Limit+1)
	number := func(text string) schema.LetterWork {
		return schema.LetterWork{Execute: true, Edits: []schema.Edit{{Column: sinktest.NumberColumn, Value: schema.Value{Text: text}}}}
	}
	for _, wrong := range []string{"many", "-1"} {
		if got := replay(t, w.Mender, number(wrong)); got["one"] != "refused" {
			t.Errorf("%s: outcomes %v", wrong, got)
		}
	}
	if all := listAll(t, w.queue); len(all) != 1 || len(all[0].Letter.History) != 0 {
		t.Errorf("an edit that fits no column has changed the letter: %+v", all)
	}
	if got := replay(t, w.Mender, number("7")); got["one"] != "committed" {
		t.Errorf("outcomes %v", got)
	}
	w.wantRows(t, 7, 7)
	for _, row := range w.memory.Rows("logs.numbered") {
		if row[schema.BatchIDColumn] != "one" {
			t.Errorf("the row's batch id is %v", row[schema.BatchIDColumn])
		}
	}
}

// An edit that moves rows to another partition is noted in the letter before anything is inserted.
func TestMovedRowsAreNoted(t *testing.T) {
	w := newWorkbench(t, connect(t, embeddedtest.Redis(t)))
	w.bury(t, "one", 1)
	w.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
		all := listAll(t, w.queue)
		if len(all) != 1 || !slices.Equal(all[0].Letter.Tried, []string{"one"}) {
			t.Errorf("the letter is to be looked up as %+v", all)
		}
		return sinktest.Step{}
	}
	work := schema.LetterWork{Execute: true, Edits: []schema.Edit{{Column: "Timestamp", Value: schema.Value{Text: "2026-01-01T00:00:00Z"}}}}
	if err := w.Replay(t.Context(), &work, func(r *schema.LetterReport) error {
		if r.Outcome != schema.LetterCommitted {
			t.Errorf("%+v", r)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	w.wantRows(t, 1)
	if left := len(listAll(t, w.queue)); left != 0 {
		t.Errorf("%d letters are left", left)
	}
}

func entry(at time.Time, attributes ...schema.Attribute) schema.Entry {
	return schema.Entry{Time: at.UnixNano(), Body: "entry", Attributes: attributes, Stream: &schema.Stream{}}
}

func TestReplayEntries(t *testing.T) {
	w := newWorkbench(t, connect(t, embeddedtest.Redis(t)))
	day, next := sinktest.Day, sinktest.Day.AddDate(0, 0, 1)
	w.buryEntries(t, "typed", "logs.numbered", entry(day, schema.StringAttribute("number", "many")))
	w.buryEntries(t, "days", "logs.numbered", entry(day, schema.IntAttribute("number", 1)), entry(next, schema.IntAttribute("number", 2)),
		entry(day, schema.IntAttribute("number", -1)))
	w.buryEntries(t, "unmatched", "", entry(day, schema.IntAttribute("number", 3)))
	got := replay(t, w.Mender, execute)
	want := map[string]string{
		"typed": "refused", "days": "divided", "days.0-0": "committed", "days.1-1": "committed", "days.2-2": "refused",
		"unmatched": "divided", "unmatched.0-0@numbered": "committed",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
	w.wantRows(t, 1, 2, 3)
	set := schema.LetterWork{Execute: true, Edits: []schema.Edit{{Column: sinktest.NumberColumn, Value: schema.Value{Text: "4"}}}}
	if got := replay(t, w.Mender, set); got["typed"] != "committed" || got["days.2-2"] != "committed" {
		t.Errorf("outcomes %v", got)
	}
	w.wantRows(t, 1, 2, 3, 4, 4)
	if left := listAll(t, w.queue); len(left) != 0 {
		t.Errorf("letters are left: %+v", left)
	}
}

func TestReplayLeavesWhatItCantRead(t *testing.T) {
	client := connect(t, embeddedtest.Redis(t))
	w := newWorkbench(t, client)
	foreign := client.XAdd(t.Context(), &redis.XAddArgs{Stream: w.queue.cfg.Stream, Values: []any{"hello", "world"}}).Val()
	damaged := w.bury(t, "damaged", 1)
	damaged.ID, damaged.Payload = "cut", damaged.Payload[:len(damaged.Payload)-3]
	mustWrite(t, w.queue, damaged)
	none := *damaged
	none.ID, none.Format, none.Payload = "none", sink.FormatNone, nil
	mustWrite(t, w.queue, &none)
	later := *damaged
	later.ID, later.Format = "later", "Parquet"
	mustWrite(t, w.queue, &later)
	w.bury(t, "good", 2)
	// A letter of a version without the fields that were added since.
	older := *damaged
	older.ID, older.Payload = "older", native(t, sinktest.NewMaker(t, w.table).Batch(t, "older", 3))
	values := valuesOf(&older)
	delete(values, "tried")
	delete(values, "history")
	client.XAdd(t.Context(), &redis.XAddArgs{Stream: w.queue.cfg.Stream, Values: values})

	want := map[string]string{foreign: "refused", "damaged": "committed", "cut": "refused", "none": "refused", "later": "refused", "good": "committed", "older": "committed"}
	if got := replay(t, w.Mender, execute); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
	w.wantRows(t, 1, 2, 3)
	for _, id := range []string{foreign, "cut", "none", "later"} {
		shown, err := w.Show(t.Context(), id)
		if err != nil || shown.Unreadable == "" || (shown.Problem == "") != (id != foreign) {
			t.Errorf("%s: shown as %+v, %v", id, shown, err)
		}
	}
	dropped := 0
	drop := schema.LetterWork{Execute: true, LetterSelection: schema.LetterSelection{IDs: []string{foreign, "cut"}}}
	if err := w.Drop(t.Context(), &drop, func(*schema.LetterReport) error { dropped++; return nil }); err != nil || dropped != 2 || len(listAll(t, w.queue)) != 2 {
		t.Errorf("%d dropped, %d left, %v", dropped, len(listAll(t, w.queue)), err)
	}
}

// TestOperatorsAtOnce has ten operators of several instances replay the same letters.
func TestOperatorsAtOnce(t *testing.T) {
	server := embeddedtest.Redis(t)
	w := newWorkbench(t, connect(t, server))
	var want []uint64
	for i := range uint64(60) {
		w.bury(t, fmt.Sprint("letter-", i), 2*i, 2*i+1)
		want = append(want, 2*i, 2*i+1)
	}
	var committed atomic.Int64
	var group sync.WaitGroup
	for range 10 {
		m := w.mender(t, connect(t, server))
		group.Go(func() {
			err := m.Replay(t.Context(), &execute, func(r *schema.LetterReport) error {
				switch r.Outcome {
				case schema.LetterCommitted:
					committed.Add(1)
				case schema.LetterClaimed, schema.LetterGone:
				default:
					t.Errorf("%s: %s: %s", r.ID, r.Outcome, r.Message)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	w.wantRows(t, want...)
	if left := len(listAll(t, w.queue)); left != 0 || committed.Load() != 60 {
		t.Errorf("%d letters were committed, %d are left", committed.Load(), left)
	}
}

// mortal ends the goroutine that sends a command to Redis, before the n-th one or after it: what a kill leaves behind.
type mortal struct {
	steps  atomic.Int64
	before bool
}

func (m *mortal) DialHook(next redis.DialHook) redis.DialHook { return next }
func (m *mortal) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (m *mortal) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		if !strings.HasPrefix(command.Name(), "eval") && command.Name() != "xrange" {
			return next(ctx, command)
		}
		last := m.steps.Add(-1) == 0
		if last && m.before {
			runtime.Goexit()
		}
		err := next(ctx, command)
		if last {
			runtime.Goexit()
		}
		return err
	}
}

// TestKillsAtEveryStep kills a replay before and after each of its commands to Redis, and inserts before and after they are
// executed, and has another one finish.
func TestKillsAtEveryStep(t *testing.T) {
	server := embeddedtest.Redis(t)
	for _, before := range []bool{true, false} {
		for step, finished := int64(1), false; !finished; step++ {
			client := connect(t, server)
			if err := client.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			w := newWorkbench(t, client)
			w.bury(t, "good", 1, 2)
			w.bury(t, "mixed", sinktest.Limit, 3, 4)
			w.buryEntries(t, "days", "logs.numbered", entry(sinktest.Day, schema.IntAttribute("number", 5)),
				entry(sinktest.Day.AddDate(0, 0, 1), schema.IntAttribute("number", 6)))
			dying := connect(t, server)
			m := w.mender(t, dying)
			hook := &mortal{before: before}
			hook.steps.Store(step)
			dying.AddHook(hook)
			var group sync.WaitGroup
			group.Go(func() {
				if err := m.Replay(t.Context(), &execute, func(*schema.LetterReport) error { return nil }); err == nil {
					finished = true
				}
			})
			group.Wait()
			w.memory.Forget()
			// Time passes, and the claims of the dead end.
			for _, key := range client.Keys(t.Context(), "*:claim:*").Val() {
				if err := client.Del(t.Context(), key).Err(); err != nil {
					t.Fatal(err)
				}
			}
			replay(t, w.Mender, execute)
			w.wantRows(t, 1, 2, 3, 4, 5, 6)
			left := listAll(t, w.queue)
			if len(left) != 1 || left[0].Letter.Rows != 1 || !strings.HasPrefix(left[0].Letter.ID, "mixed.0-") {
				t.Errorf("before %v, step %d: letters are left: %+v", before, step, left)
			}
			if t.Failed() {
				t.Fatalf("killed before %v step %d", before, step)
			}
			if step > 200 {
				t.Fatal("the replay never finishes")
			}
		}
	}
}

// TestAClaimOfTheDead is respected until it ends.
func TestAClaimOfTheDead(t *testing.T) {
	client := connect(t, embeddedtest.Redis(t))
	w := newWorkbench(t, client)
	w.bury(t, "one", 1)
	s, err := w.queue.find(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if holder, err := w.queue.claim(t.Context(), s, "bob@host xyz", time.Hour); err != nil || holder != "" {
		t.Fatal(holder, err)
	}
	if got := replay(t, w.Mender, execute); got["one"] != "claimed" {
		t.Errorf("outcomes %v", got)
	}
	drop := schema.LetterWork{Execute: true}
	err = w.Drop(t.Context(), &drop, func(r *schema.LetterReport) error {
		if r.Outcome != schema.LetterClaimed || !strings.Contains(r.Message, "bob@host,") {
			t.Errorf("drop: %+v", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.wantRows(t)
	if err := w.queue.release(t.Context(), s, "bob@host xyz"); err != nil {
		t.Fatal(err)
	}
	if got := replay(t, w.Mender, execute); got["one"] != "committed" {
		t.Errorf("outcomes %v", got)
	}
}

// TestReplayIsInterrupted cancels a replay while an insert runs: it is finished, and nothing after it is begun.
func TestReplayIsInterrupted(t *testing.T) {
	w := newWorkbench(t, connect(t, embeddedtest.Redis(t)))
	w.bury(t, "one", 1)
	w.bury(t, "two", 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
		cancel()
		return sinktest.Step{}
	}
	outcomes := 0
	err := w.Replay(ctx, &execute, func(r *schema.LetterReport) error {
		if outcomes++; r.Outcome != schema.LetterCommitted {
			t.Errorf("%+v", r)
		}
		return nil
	})
	if err != context.Canceled || outcomes != 1 {
		t.Errorf("%d letters, %v", outcomes, err)
	}
	w.wantRows(t, 1)
	if left := listAll(t, w.queue); len(left) != 1 || left[0].Letter.ID != "two" {
		t.Errorf("letters are left: %+v", left)
	}
}

func TestSelections(t *testing.T) {
	w := newWorkbench(t, connect(t, embeddedtest.Redis(t)))
	begin := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	for i := range 10 {
		l := letter(fmt.Sprint("l", i), 10)
		l.First, l.Code, l.Table = begin.Add(time.Duration(i)*time.Minute), 460+i, []string{"logs.a", "logs.b"}[i%2]
		l.Message = []string{"Constraint violated", "no grants"}[i/5]
		if i == 9 {
			l.Class, l.Reason = sink.Hold, "held_too_long"
		}
		mustWrite(t, w.queue, l)
	}
	for _, c := range []struct {
		sel  schema.LetterSelection
		want string
	}{
		{schema.LetterSelection{}, "0123456789"},
		{schema.LetterSelection{Table: "logs.a"}, "02468"},
		{schema.LetterSelection{Table: "b"}, "13579"},
		{schema.LetterSelection{Table: "ogs.a"}, ""},
		{schema.LetterSelection{Codes: []int{463, 461}}, "13"},
		{schema.LetterSelection{Class: "hold"}, "9"},
		{schema.LetterSelection{Reason: "NO GRANTS"}, "56789"},
		{schema.LetterSelection{Reason: "held_"}, "9"},
		{schema.LetterSelection{Since: begin.Add(3 * time.Minute)}, "3456789"},
		{schema.LetterSelection{Until: begin.Add(3 * time.Minute)}, "012"},
		{schema.LetterSelection{Since: begin.Add(3 * time.Minute), Until: begin.Add(5 * time.Minute), Table: "a"}, "4"},
		{schema.LetterSelection{IDs: []string{"l7", "l2"}}, "72"},
		{schema.LetterSelection{IDs: []string{"l7", "l2"}, Table: "a"}, "2"},
		{schema.LetterSelection{Since: time.Now().Add(time.Hour)}, ""},
	} {
		for _, size := range []int{1, 3, 100} {
			got, next := "", ""
			for {
				page, after, err := w.List(t.Context(), &c.sel, next, size)
				if err != nil || len(page) > size && len(c.sel.IDs) == 0 {
					t.Fatalf("%+v: %d letters, %v", c.sel, len(page), err)
				}
				for _, l := range page {
					got += l.ID[1:]
				}
				if next = after; next == "" {
					break
				}
			}
			if got != c.want {
				t.Errorf("%+v by %d: letters %s, want %s", c.sel, size, got, c.want)
			}
		}
	}
	if _, _, err := w.List(t.Context(), &schema.LetterSelection{}, "yesterday", 1); err != schema.ErrBadToken {
		t.Errorf("a token that is none: %v", err)
	}
	found := 0
	drop := schema.LetterWork{LetterSelection: schema.LetterSelection{IDs: []string{"l1", "l77", "l2"}}}
	if err := w.Drop(t.Context(), &drop, func(*schema.LetterReport) error { found++; return nil }); !errors.Is(err, schema.ErrUnknownLetter) || found != 2 {
		t.Errorf("%d of two letters are found beside one that is not there, %v", found, err)
	}
	if _, err := w.Show(t.Context(), "l77"); err == nil || !strings.Contains(err.Error(), `no dead letter "l77"`) {
		t.Errorf("an unknown letter: %v", err)
	}
	// The id key of a letter may have expired.
	if err := w.queue.client.Del(t.Context(), w.queue.cfg.idKey("l3")).Err(); err != nil {
		t.Fatal(err)
	}
	if l, err := w.Show(t.Context(), "l3"); err != nil || l.ID != "l3" {
		t.Errorf("a letter without its key: %+v, %v", l, err)
	}
}
