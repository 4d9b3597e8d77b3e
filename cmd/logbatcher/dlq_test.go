package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// bury has the gateway dead-letter entries, in requests of so many, and returns when they are in the queue.
func (tr *traffic) bury(t *testing.T, requests, entries int) {
	t.Helper()
	conn := tr.connect(t)
	for range requests {
		_, list := tr.entries(entries)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		answer, err := logbatcherv1.NewIngestServiceClient(conn).Ingest(ctx, &logbatcherv1.IngestRequest{Entries: list})
		cancel()
		if err != nil || len(answer.DeadLettered) == 0 {
			t.Fatalf("%v, %v", answer, err)
		}
	}
}

// wantOnce checks that the table has the first numbers once each, and that nothing is in the queue.
func (b *bench) wantOnce(t *testing.T, numbers int) {
	t.Helper()
	rows := b.numbers(t, "numbered")
	for n := range numbers {
		if rows[n] != 1 {
			t.Errorf("number %d is there %d times", n, rows[n])
		}
	}
	if len(rows) != numbers {
		t.Errorf("%d numbers are in the table, want %d", len(rows), numbers)
	}
	if left := b.letters(t); len(left) != 0 {
		t.Errorf("in the queue are still %v", left)
	}
}

// TestDeadLetterCommands manages the letters of a real ClickHouse from the command line.
func TestDeadLetterCommands(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.OwnRedis(t))
	i := b.start(t)
	run := func(want int, arguments ...string) string {
		t.Helper()
		status, out, errs := command(t, "", append([]string{"dlq"}, append(arguments, "--address", b.address)...)...)
		if status != want {
			t.Errorf("dlq %q: exit status %d, want %d; printed %s, complained %s", arguments, status, want, out, errs)
		}
		return out + errs
	}
	has := func(out string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(out, text) {
				t.Errorf("%q is not in:\n%s", text, out)
			}
		}
	}
	has(run(exitOK, "list"), "no dead letters")
	has(run(exitOK, "replay", "--all", "--yes"), "no dead letters")
	has(run(exitOK, "drop", "--all"), "no dead letters")
	if out := run(exitOK, "export"); out != "" {
		t.Errorf("an empty queue is exported as %q", out)
	}
	has(run(exitError, "show", "nothing"), `the queue has no dead letter "nothing"`)
	has(run(exitError, "replay", "nothing", "--yes"), `the queue has no dead letter "nothing"`)

	b.clickhouse.Exec(t, "ALTER TABLE numbered ADD CONSTRAINT only_good CHECK bad = 0")
	tr := b.traffic(t)
	tr.isBad = func(n int) bool { return n%2 == 0 }
	tr.bury(t, 4, 6)
	stored := b.stored(t)
	first := stored[0].Letter.ID
	has(run(exitOK, "list"), first, "only_good", "4 letters, 12 rows")
	has(run(exitOK, "list", "--table", "numbered", "--code", "469", "--reason", "ONLY_GOOD", "--since", "1h", "--class", "row", "--limit", "2"), "2 letters", "--limit")
	has(run(exitOK, "list", "--until", "1h"), "no dead letters")
	has(run(exitOK, "list", first), "1 letter, 3 rows")
	has(run(exitOK, "show", first, "--rows", "1", "--first-row", "1"), "row 1\n", "> bad", "UInt8", "1 row more", "only_good", "producer anonymous/")

	has(run(exitNotAllStored, "replay", "--table", "numbered"), "would be refused: "+first, "3 of 3 rows", "Nothing was changed")
	has(run(exitNotAllStored, "replay", first, "--yes", "--set", "bad=256"), "refused: "+first, "out of range of UInt8")
	has(run(exitNotAllStored, "replay", first, "--yes", "--set", "bda=0"), "did you mean bad?")
	has(run(exitNotAllStored, "replay", first, "--yes"), "refused: "+first, "1 letter, 3 rows: refused")
	has(run(exitOK, "show", first), "before", "tried", "2 times")
	has(run(exitOK, "replay", first, "--set", "bad=0"), "would be committed: "+first)
	has(run(exitOK, "replay", first, "--set", "bad=0", "--yes"), "committed: "+first)
	if got := b.clickhouse.Query(t, "SELECT count(), max(bad) FROM numbered WHERE _batch_id = '"+first+"'"); got != "3\t0" {
		t.Errorf("the edited rows are %q", got)
	}

	for line := range strings.Lines(run(exitOK, "export", stored[1].Letter.ID)) {
		var letter struct {
			ID      string
			Payload []byte
			Values  []map[string]*string
		}
		if err := json.Unmarshal([]byte(line), &letter); err != nil || letter.ID != stored[1].Letter.ID || string(letter.Payload) != string(stored[1].Letter.Payload) ||
			len(letter.Values) != 3 || *letter.Values[0]["bad"] != "1" {
			t.Errorf("exported %.300s: %v", line, err)
		}
	}
	has(run(exitOK, "drop", stored[1].Letter.ID), "would be dropped", "Nothing was changed")
	has(run(exitOK, "drop", stored[1].Letter.ID, "--yes"), "dropped: "+stored[1].Letter.ID)

	// The column gets another type, by hand and in the route.
	b.clickhouse.Exec(t, "ALTER TABLE numbered DROP CONSTRAINT only_good", "ALTER TABLE numbered MODIFY COLUMN bad String")
	has(run(exitNotAllStored, "replay", "--all"), "column bad is String in the table and UInt8 in the letter")
	b.write(t, "columns:"+strings.Replace(numberedColumns, "bad, type: UInt8", "bad, type: String", 1)+"routes:"+numberedRoute)
	i.hangUp(t, "reloaded")
	has(run(exitOK, "replay", "--all"), "2 letters, 6 rows: would be committed")
	has(run(exitOK, "replay", "--all", "--yes", "--rate", "100000", "--quiet"), "2 letters, 6 rows: committed")
	if got := b.clickhouse.Query(t, "SELECT count(), uniqExact(n) FROM numbered"); got != "21\t21" {
		t.Errorf("rows and numbers %q, want all 24 but the 3 that were dropped", got)
	}
	has(run(exitOK, "list"), "no dead letters")
	for text, times := range map[string]int{"msg=\"dead letter replayed\"": 6, "msg=\"dead letter dropped\"": 1, "outcome=committed": 3} {
		if got := i.log.count(text); got < times {
			t.Errorf("the log has %q %d times, want %d", text, got, times)
		}
	}
	if replayed, dropped := i.metric(t, "logbatcher_dead_letters_replayed_rows_total", "committed"), i.metric(t, "logbatcher_dead_letters_dropped_rows_total"); replayed != 9 || dropped != 3 {
		t.Errorf("%v rows replayed and %v dropped, by the metrics", replayed, dropped)
	}

	if err := b.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{{"list"}, {"replay", "--all", "--yes"}} {
		has(run(exitError, words...), "logbatcher:dead_letters: away")
	}
	b.address = closedAddress(t)
	if out := run(exitError, "list"); !strings.HasPrefix(out, "logbatcher: "+b.address+": ") || strings.Contains(out, "rpc error") || !strings.Contains(out, "refused") {
		t.Errorf("without a server: %q", out)
	}
}

// TestReplayLooksInAllPartitions has edits move rows to another partition, after or before the letter was replayed without them and could
// not be deleted.
func TestReplayLooksInAllPartitions(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t),
		"columns:"+numberedColumns+"routes:"+strings.Replace(numberedRoute, `partition_by: ""`, "partition_by: toDate(time)", 1))
	b.start(t)
	b.clickhouse.Exec(t, "ALTER TABLE numbered ADD CONSTRAINT only_good CHECK bad = 0")
	tr := b.traffic(t)
	tr.isBad = func(int) bool { return true }
	tr.bury(t, 2, 3)
	b.clickhouse.Exec(t, "ALTER TABLE numbered DROP CONSTRAINT only_good")
	store := redis.NewClient(&redis.Options{Addr: b.redis.Address()})
	defer store.Close()
	stream := config.Default().DeadLetters.Stream
	letters, err := store.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil || len(letters) != 2 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	replay := func(want string, arguments ...string) {
		t.Helper()
		arguments = append([]string{"dlq", "replay", "--all", "--address", b.address}, arguments...)
		if status, out, errs := command(t, "", arguments...); status != exitOK || !strings.Contains(out, want) {
			t.Errorf("%q: exit status %d, printed %s, complained %s; want %q", arguments, status, out, errs, want)
		}
	}
	restore := func() {
		t.Helper()
		for _, letter := range letters {
			if err := store.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: letter.Values}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	const day = "time=2026-01-01 00:00:00"
	replay("2 letters, 6 rows: would be committed", "--set", day)
	replay("2 letters, 6 rows: committed", "--yes")
	restore()
	replay("2 letters, 6 rows: is in the table already", "--set", day)
	replay("2 letters, 6 rows: was in the table already", "--yes", "--set", day)
	b.wantOnce(t, 6)

	b.clickhouse.Exec(t, "TRUNCATE TABLE numbered")
	restore()
	replay("2 letters, 6 rows: committed", "--yes", "--set", day)
	if got := b.clickhouse.Query(t, "SELECT DISTINCT partition FROM system.parts WHERE database = currentDatabase() AND table = 'numbered' AND active"); got != "2026-01-01" {
		t.Errorf("partitions %q", got)
	}
	for i := range letters { // as the replay had noted before its insert
		letters[i].Values["tried"] = `["` + letters[i].Values["id"].(string) + `"]`
	}
	restore()
	replay("2 letters, 6 rows: was in the table already", "--yes")
	b.wantOnce(t, 6)
}

// left returns how many letters are in the queue, -1 if Redis does not say.
func (b *bench) left(ctx context.Context) int64 {
	store := redis.NewClient(&redis.Options{Addr: b.redis.Address()})
	defer store.Close()
	n, err := store.XLen(ctx, config.Default().DeadLetters.Stream).Result()
	if err != nil {
		return -1
	}
	return n
}

// replayAll replays all letters once, and reports what the call ended with.
func (b *bench) replayAll(ctx context.Context, admin logbatcherv1.AdminServiceClient, report func(*logbatcherv1.DeadLetterReport)) error {
	calls, err := admin.ReplayDeadLetters(ctx, &logbatcherv1.ReplayDeadLettersRequest{
		Selection: &logbatcherv1.DeadLetterSelection{All: true}, Execute: true, Operator: "test",
	})
	for err == nil {
		var response *logbatcherv1.ReplayDeadLettersResponse
		if response, err = calls.Recv(); err == nil {
			report(response.Report)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// TestReplayOnceWhateverFails has ten operators replay at two instances, and go away and come back, while answers of ClickHouse are
// lost and Redis is killed.
func TestReplayOnceWhateverFails(t *testing.T) {
	letters, kills := 30, 1
	if !testing.Short() {
		letters, kills = 300, 5
	}
	server := embeddedtest.OwnClickHouse(t)
	proxy := server.InjectFaults(t)
	b := numbered(t, server, embeddedtest.OwnRedis(t))
	b.change = func(c *config.Config) { c.ClickHouse.DeliveryConfig.AttemptTimeout = 5 * time.Second }
	b.start(t)
	b.clickhouse.Exec(t, "ALTER TABLE numbered ADD CONSTRAINT only_good CHECK bad = 0")
	tr := b.traffic(t)
	tr.isBad = func(int) bool { return true }
	tr.bury(t, letters, 3)
	appendAlways(t, b)
	b.clickhouse.Exec(t, "ALTER TABLE numbered DROP CONSTRAINT only_good")
	second := *b
	second.address = "127.0.0.1:0"
	second.change = func(c *config.Config) {
		b.change(c)
		c.WAL.Dir = t.TempDir()
	}
	second.start(t)
	other := second.traffic(t)

	proxy.Set(embeddedtest.Faults{DropAnswer: letters / 6, CorruptAnswer: letters / 6, Refuse: letters / 6})
	var settled atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var operators sync.WaitGroup
	for k := range 10 {
		admin := logbatcherv1.NewAdminServiceClient(tr.connect(t))
		if k%2 == 1 {
			admin = logbatcherv1.NewAdminServiceClient(other.connect(t))
		}
		random := rand.New(rand.NewPCG(1, uint64(k)))
		operators.Go(func() {
			for ctx.Err() == nil && b.left(ctx) != 0 {
				// Most are interrupted after a few letters.
				calling, interrupt := context.WithCancel(ctx)
				left := 1 + random.IntN(letters/3)
				err := b.replayAll(calling, admin, func(r *logbatcherv1.DeadLetterReport) {
					switch r.Outcome {
					case logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_COMMITTED, logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_PRESENT:
						if settled.Add(1); left == 0 {
							interrupt()
						}
						left--
					case logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_REFUSED:
						t.Errorf("%v", r)
					}
				})
				interrupt()
				if code := grpcstatus.Code(err); err != nil && code != codes.Canceled && code != codes.Unavailable {
					t.Errorf("operator %d: %v", k, err)
				}
			}
		})
	}
	for kill := range kills {
		embeddedtest.Eventually(t, "letters are replayed", func() bool {
			return settled.Load() >= int64(letters*(kill+1)/(kills+2)) || b.left(ctx) == 0 || ctx.Err() != nil
		})
		if err := b.redis.Kill(); err != nil {
			t.Error(err)
		}
		if err := b.redis.Restart(t.Context()); err != nil {
			t.Error(err)
		}
		appendAlways(t, b)
	}
	operators.Wait()
	if counts := proxy.Counts(); counts.Dropped == 0 || counts.Corrupted == 0 || counts.Refused == 0 {
		t.Errorf("faults have struck %+v", counts)
	}
	b.wantOnce(t, 3*letters)
}

// TestReplayKilled kills the service again and again while letters are replayed through it.
func TestReplayKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("the claims of the dead take half a minute to end")
	}
	const letters, kills = 60, 4
	s := newService(t, "clickhouse: {attempt_timeout: 1s, late_after: 0s}\n")
	b := s.bench
	b.clickhouse.Exec(t, "ALTER TABLE numbered ADD CONSTRAINT only_good CHECK bad = 0")
	tr := b.traffic(t)
	tr.isBad = func(int) bool { return true }
	tr.bury(t, letters, 3)
	b.clickhouse.Exec(t, "ALTER TABLE numbered DROP CONSTRAINT only_good")
	for kill := range kills {
		replaying := startProcess(t, "dlq", "replay", "--all", "--yes", "--address", b.address)
		eventually(t, "letters are replayed", func() bool { return b.left(t.Context()) <= int64(letters*(kills-kill)/(kills+1)) })
		s.signal(t, syscall.SIGKILL)
		if status, last := replaying.wait(t); status != exitError || !strings.Contains(last, b.address) {
			t.Errorf("the command ends with %d and %q when the service is killed", status, last)
		}
		<-s.ended
		s.process = startProcess(t, s.arguments()...)
		b.address = s.logged(t, `msg=serving .*grpc=(\S+)`)
	}
	t.Logf("%d letters are left after the kills", b.left(t.Context()))
	eventually(t, "the claims of the dead have ended and all is replayed", func() bool {
		replaying := startProcess(t, "dlq", "replay", "--all", "--yes", "--address", b.address)
		if status, _ := replaying.wait(t); status == exitOK {
			return b.left(t.Context()) == 0
		}
		time.Sleep(time.Second)
		return false
	})
	b.wantOnce(t, 3*letters)
}
