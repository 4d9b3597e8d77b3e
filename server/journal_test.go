package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/wal/journal"
)

// onJournal returns a server on a write-ahead log in a folder.
func onJournal(t *testing.T, dir string, hold bool) (*fixture, *journal.Journal) {
	t.Helper()
	c := journal.DefaultConfig()
	c.Dir, c.MaxBytes, c.SegmentBytes, c.ReserveBytes = dir, 256*settings.MiB, settings.MiB, 0
	var f *fixture
	c.Settled = func(tenant, producer string, epoch, sequence uint64, o *schema.Outcome) {
		f.server.Settle(tenant, producer, epoch, sequence, o)
	}
	j, err := journal.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := j.PutRouting("routing", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	f = newFixture(t, func(c *Config) { c.WAL = j })
	f.router.set(func(r *fakeRouter) {
		r.hold = hold
		r.outcome = func(r *schema.Request) *schema.Outcome {
			return &schema.Outcome{Refusals: []schema.Refusal{{Index: r.Place(0), Route: "r", Reason: schema.OutOfRange}},
				DeadLettered: []schema.DeadLettered{{Rows: 1, ID: "letter", Route: "r"}}}
		}
	})
	return f, j
}

// killed returns a folder with what a kill would have left in one.
func killed(t *testing.T, dir string) string {
	t.Helper()
	left := filepath.Join(t.TempDir(), "log")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return left
}

// replayAll replays what an earlier process has left.
func replayAll(t *testing.T, f *fixture, j *journal.Journal) {
	t.Helper()
	for u, err := range j.Unplaced() {
		if err != nil {
			t.Fatal(err)
		}
		if err := f.server.Replay(t.Context(), &u.LoggedRequest, u.LSN, u.Skip); err != nil {
			t.Fatal(err)
		}
	}
}

// A stream is logged and partly settled when its instance is killed, and goes on with the next one.
func TestJournalAcrossAKill(t *testing.T) {
	dir := t.TempDir()
	f, _ := onJournal(t, dir, true)
	s := f.open(&pb.Open{Producer: "p", Acknowledgement: levelLogged, Colo: "EWR"})
	epoch := s.opened.Epoch
	bad := append(entriesOf("a", "b"), &pb.Entry{SeverityNumber: 99})
	for sequence := range uint64(3) {
		s.send(&pb.IngestStreamRequest{Sequence: sequence + 1, Entries: bad})
	}
	s.request(4) // without entries
	s.until(func() bool { return s.logged == 4 })
	f.router.mu.Lock()
	first := f.router.held[0]
	f.router.held = f.router.held[1:]
	f.router.mu.Unlock()
	f.router.settle(first, first)
	s.until(func() bool { return s.committed == 1 })
	anonymous, err := f.ingest(&pb.IngestRequest{Entries: entriesOf("anonymous"), Open: &pb.Open{Acknowledgement: levelLogged}})
	if err != nil || anonymous.LoggedSequence != 1 {
		t.Fatalf("%v, %v", anonymous, err)
	}
	left := killed(t, dir)

	f, j := onJournal(t, left, true)
	s = f.open(&pb.Open{Producer: "p", Epoch: epoch, Acknowledgement: levelLogged, LoggedSequence: 4})
	if w := s.opened; w.LoggedSequence != 4 || w.CommittedSequence != 1 || !w.Resumed || w.Epoch != epoch {
		t.Fatalf("welcome %v", w)
	}
	s.until(func() bool { return len(s.refusals) == 2 && len(s.letters) == 1 }) // of the first
	s.send(&pb.IngestStreamRequest{Sequence: 3, Entries: bad})
	s.request(5, "c", "d")
	s.until(func() bool { return s.logged == 5 })
	replayAll(t, f, j)
	routed := f.router.routed()
	if len(routed) != 4 { // 5, and again 2, 3 and the anonymous one
		t.Fatalf("routed %v", f.router.sequences())
	}
	for i, sequence := range []uint64{5, 2, 3} {
		if r := routed[i]; r.Producer != "p" || r.Sequence != sequence || len(r.Entries) != 2 || r.Entries[1].Colo != "EWR" && sequence != 5 {
			t.Errorf("routed %+v", r)
		}
	}
	if r := routed[3]; r.Producer != anonymous.Producer || r.Entries[0].Body != "anonymous" || r.Entries[0].Colo != "TST" {
		t.Errorf("routed %+v", r)
	}
	f.router.settleHeld(true)
	s.until(func() bool { return s.committed == 5 })
	if len(s.refusals) != 2+2+2+1 {
		t.Errorf("refusals %v", s.refusals)
	}
	s.send(&pb.IngestStreamRequest{Sequence: 2, Entries: entriesOf("other")})
	wantStatus(t, s.end(), codes.FailedPrecondition, "SEQUENCE_ALTERED")

	// Nothing is left to route: that there was nothing to say about the request without entries may have been forgotten. Who has seen less is
	// told again.
	f, j = onJournal(t, killed(t, left), false)
	replayAll(t, f, j)
	if again := f.router.routed(); len(again) > 0 {
		t.Errorf("routed %+v", again)
	}
	s = f.open(&pb.Open{Producer: "p", Epoch: epoch, CommittedSequence: 3})
	s.until(func() bool { return len(s.refusals) > 0 })
	if s.opened.CommittedSequence != 5 || len(s.refusals) != 1 || s.refusals[0].Sequence != 5 {
		t.Errorf("welcome %v, refusals %v", s.opened, s.refusals)
	}
	s.request(6, "e", "f")
	s.until(func() bool { return s.committed == 6 })
}

// A request with a producer and a sequence in its headers is stored once across a kill, whatever its door and level.
func TestJournalMakesPostsExactlyOnce(t *testing.T) {
	dir := t.TempDir()
	before, _ := onJournal(t, dir, true)
	post := func(f *fixture, sequence, level, line string) (int, ingestAnswer, string) {
		posts := newHTTPFixtureOn(t, f, (*ingest).httpProtocols)
		return posts.postLines("?format=entry&colo=EWR", line, headerProducer, "shell/0", headerSequence, sequence, headerAcknowledgement, level)
	}
	if code, a, body := post(before, "1", "logged", `{"body":"a"}`); code != http.StatusOK || a.Repeat || a.LoggedSequence != 1 || a.CommittedSequence != 0 {
		t.Fatalf("%d %s", code, body)
	}
	f, j := onJournal(t, killed(t, dir), false)
	if code, a, body := post(f, "1", "logged", `{"body":"a"}`); code != http.StatusOK || !a.Repeat || a.LoggedSequence != 1 {
		t.Errorf("the repeat: %d %s", code, body)
	}
	if code, _, body := post(f, "1", "logged", `{"body":"b"}`); code != http.StatusConflict || !strings.Contains(body, "SEQUENCE_ALTERED") {
		t.Errorf("with other bytes: %d %s", code, body)
	}
	replayAll(t, f, j)
	// At the level committed the repeat is answered when the request of the dead process is, with what was wrong with it.
	if code, a, body := post(f, "1", "committed", `{"body":"a"}`); code != http.StatusOK || !a.Repeat || a.CommittedSequence != 1 || len(a.Refused) != 1 || len(a.DeadLettered) != 1 {
		t.Errorf("the repeat: %d %s", code, body)
	}
	if code, a, body := post(f, "2", "committed", `{"body":"c"}`); code != http.StatusOK || a.Repeat || a.CommittedSequence != 2 {
		t.Errorf("the next one: %d %s", code, body)
	}
	if got := f.router.routed(); len(got) != 2 || got[0].Entries[0].Body != "a" || got[0].Entries[0].Colo != "EWR" {
		t.Errorf("routed %+v", got)
	}
}

// An epoch, and what a producer of headers has sent, survive without a request in between; a forgotten producer does not.
func TestJournalKeepsProducers(t *testing.T) {
	dir := t.TempDir()
	f, _ := onJournal(t, dir, false)
	begun, err := f.ingest(&pb.IngestRequest{Open: &pb.Open{Producer: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	left := killed(t, dir)
	f, j := onJournal(t, left, false)
	s := f.open(&pb.Open{Producer: "p", Epoch: begun.Epoch})
	if !s.opened.Resumed || s.opened.Epoch != begun.Epoch {
		t.Errorf("welcome %v", s.opened)
	}
	s.cancel()
	eventually(t, "the stream to end", func() bool { return f.server.ingest.calls.Load() == 0 })
	f.server.ingest.registry.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if _, err := f.ingest(&pb.IngestRequest{Open: &pb.Open{Producer: "q"}}); err != nil {
		t.Fatal(err)
	}
	if _, ok := j.Producer("", "p"); ok {
		t.Error("the log knows p")
	}
	f, _ = onJournal(t, killed(t, left), false)
	if p := f.open(&pb.Open{Producer: "p"}); p.opened.Epoch <= begun.Epoch {
		t.Errorf("epoch %d after %d", p.opened.Epoch, begun.Epoch)
	}
}
