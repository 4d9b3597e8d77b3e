package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/wal"
	"github.com/logbatcher/logbatcher/wal/crashfs"
)

func places(from, to uint32) schema.PlaceRange { return schema.PlaceRange{From: from, To: to} }

func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := show(got), show(want); g != w {
		t.Errorf("%s: %s, want %s", what, g, w)
	}
}

// TestHistoryB1: two shards have entries of a request for the same partition, and one of them has sealed its batch when the process is killed.
func TestHistoryB1(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 0)
	r := p.request("a", 1, 1, 6)
	lsn := p.accept(r)
	p.seal("ewr", "logs", part(r, lsn, places(0, 1), places(2, 3), places(4, 5)))
	p = p.restart()
	check(t, "what is routed again", p.unplaced("logs", "other"), map[uint64][]string{lsn: {"logs:1", "logs:3", "logs:5", "other:0", "other:1", "other:2", "other:3", "other:4", "other:5"}})
	check(t, "files", len(p.Files()), 1)
}

// TestHistoryB2: a request has rows in two open batches of the same partition, because its partitioner has forgotten the first. One is sealed.
func TestHistoryB2(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 0)
	r := p.request("a", 1, 1, 5)
	lsn := p.accept(r)
	p.seal("first", "logs", part(r, lsn, places(3, 5), places(0, 1))) // places may go back
	want := map[uint64][]string{lsn: {"logs:1", "logs:2"}}
	p = p.restart()
	check(t, "what is routed again", p.unplaced("logs"), want)
	f := p.Files()[0]
	f.Settle(make([]schema.Outcome, 1))
	f.Settled(3, 0)
	p.sync()
	p = p.restart()
	check(t, "what is routed again when the file is settled", p.unplaced("logs"), want)
	p.checkpoint()
	p = p.restart()
	check(t, "what is routed again behind a checkpoint", p.unplaced("logs"), want)
}

// TestHistoryB4: a request goes under the routing that it was accepted under, and that is kept as long as the request or a file of it is.
func TestHistoryB4(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 0)
	for _, hash := range []string{"old", "new", "unused"} {
		if err := p.PutRouting(hash, []byte("data of "+hash)); err != nil {
			t.Fatal(err)
		}
	}
	first, second := p.request("a", 1, 1, 1), p.request("a", 1, 2, 1)
	for _, r := range []struct {
		*schema.LoggedRequest
		routing string
	}{{first, "old"}, {second, "new"}} {
		if _, err := p.Request(r.LoggedRequest, func() {}).Append(r.routing); err != nil {
			t.Fatal(err)
		}
	}
	p.sync()
	p = p.restart()
	if err := p.checkpoint(); err != nil {
		t.Fatal(err)
	}
	p = p.restart() // of the process that had put them, nothing is left but what the requests need
	check(t, "routings", p.Routings(), map[string][]byte{"old": []byte("data of old"), "new": []byte("data of new")})
	var under []string
	for u := range p.Unplaced() {
		under = append(under, u.Routing)
	}
	check(t, "requests go under", under, []string{"old", "new"})
	if _, err := p.log.Config("unused"); err == nil {
		t.Error("the routing that nothing needs is still there")
	}
}

// TestHistoryB6: the opening of a stream is in a segment that is deleted long before the stream ends.
func TestHistoryB6(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 0)
	opening := &schema.LoggedOpening{Data: []byte("attributes of the stream")}
	var last uint64
	first := p.log.Segment()
	for sequence := uint64(1); p.log.Segment() < first+3 || sequence < 30; sequence++ {
		r := p.request("a", 1, sequence, 1)
		r.Opening, r.Data = opening, make([]byte, 200<<10)
		last = p.accept(r)
		p.Placed(last, &schema.Outcome{})
		if sequence < 29 {
			p.Settled(last, &schema.Outcome{}, func() {})
			if err := p.checkpoint(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		p.mu.Lock()
		p.state.requests[last].placed = false // it is still on its way into batches
		p.mu.Unlock()
	}
	if err := p.checkpoint(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(p.config.Dir, "0000000000000001.log")); err == nil {
		t.Error("the first segment is still there")
	}
	p = p.restart()
	var data []string
	for u, err := range p.Unplaced() {
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, string(u.Opening.Data))
	}
	check(t, "openings", data, slices.Repeat([]string{"attributes of the stream"}, max(1, len(data))))
	check(t, "missing", p.Recovered().Missing, 0)
}

// TestHistoryB6Checkpoint: nothing needs the opening any more when a checkpoint is written, but the stream sends on.
func TestHistoryB6Checkpoint(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 0)
	first, second := p.request("a", 1, 1, 1), p.request("a", 1, 2, 1)
	second.Opening = first.Opening
	lsn := p.accept(first)
	p.Placed(lsn, &schema.Outcome{})
	p.Settled(lsn, &schema.Outcome{}, func() {})
	if err := p.checkpoint(); err != nil {
		t.Fatal(err)
	}
	lsn = p.accept(second)
	p = p.restart()
	check(t, "missing", p.Recovered().Missing, 0)
	check(t, "what is routed again", p.unplaced("logs"), map[uint64][]string{lsn: {"logs:0"}})
}

// TestHistoryB7: no batch is sealed before its requests are durable.
func TestHistoryB7(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 0)
	for sequence := uint64(1); sequence < 50; sequence++ {
		r := p.request("a", 1, sequence, 1)
		lsn, err := p.Request(r, func() {}).Append("routing")
		if err != nil {
			t.Fatal(err)
		}
		p.seal("batch"+show(sequence), "logs", part(r, lsn, places(0, 1)))
		if durable := uint64(p.log.Durable()); durable < lsn {
			t.Fatalf("the file is there, and of %d records %d are durable", lsn, durable)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r := p.request("a", 1, 50, 1)
	if _, err := p.Seal(ended, "late", &schema.Contents{Parts: []schema.Part{part(r, uint64(p.log.Durable())+100, places(0, 1))}}, nil, body("")); err == nil {
		t.Error("a file of a request that never became durable")
	}
	if _, err := os.Stat(filepath.Join(p.config.Dir, "batches", "late")); err == nil {
		t.Error("the file is there")
	}
}

// TestHistoryB14: another instance has accepted requests too, which this one has in its log.
func TestHistoryB14(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 3, 0)
	var lsns []uint64
	var requests []*schema.LoggedRequest
	for sequence := uint64(1); sequence <= 4; sequence++ {
		requests = append(requests, p.request("a", 3, sequence, 2))
		lsns = append(lsns, p.accept(requests[sequence-1]))
	}
	p.seal("b", "logs", part(requests[3], lsns[3], places(0, 2)))
	p = p.restart()
	entries, err := p.Drop("", "a", 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "entries that were dropped", entries, 4)
	want := map[uint64][]string{lsns[0]: {"logs:0", "logs:1"}, lsns[1]: {"logs:0", "logs:1"}}
	check(t, "what is routed again", p.unplaced("logs"), want)
	if known, ok := p.Producer("", "a"); ok { // what was dropped must not count as accepted
		t.Errorf("the log knows the producer as %+v", known)
	}
	check(t, "files", len(p.Files()), 1) // it was sealed: it may be in ClickHouse
	p = p.restart()
	check(t, "what is routed again after another restart", p.unplaced("logs"), want)
	p.checkpoint()
	p = p.restart()
	check(t, "what is routed again after a checkpoint", p.unplaced("logs"), want)
	balance(t, p)
}

// TestHistoryB18: nobody who has seen that a request is settled can miss what was wrong with it.
func TestHistoryB18(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 0)
	r := p.request("a", 1, 1, 3)
	lsn := p.accept(r)
	f := p.seal("b", "logs", part(r, lsn, places(0, 2)))
	refusals := []schema.Refusal{{Index: 2, Reason: schema.TooLarge, Message: "too large"}}
	p.Placed(lsn, &schema.Outcome{Refusals: refusals})
	letters := []schema.DeadLettered{{Rows: 1, Route: "logs", Table: "db.logs", ID: "b:1", Code: 469, Message: "constraint"}}
	recorded := make(chan struct{})
	var before uint64
	p.Settled(lsn, &schema.Outcome{Refusals: refusals, DeadLettered: letters}, func() {
		before = uint64(p.log.Durable())
		close(recorded)
	})
	<-recorded
	if before < p.position()-1 {
		t.Errorf("told at %d, the outcome is %d", before, p.position()-1)
	}
	f.Settled(1, 1)
	p.sync()
	for range 2 {
		p = p.restart()
		known, _ := p.Producer("", "a")
		check(t, "outcomes", known.Outcomes, []schema.LoggedOutcome{{Sequence: 1, Outcome: schema.Outcome{Refusals: refusals, DeadLettered: letters}}})
		check(t, "unsettled", known.Unsettled, []uint64(nil))
		p.checkpoint()
	}
	balance(t, p)
	check(t, "entries", p.Entries()[schema.ProducerName{Producer: "a"}], schema.EntryLedger{Received: 3, Refused: 1, Settled: 2})
	check(t, "rows", p.Rows()["db.logs"], schema.RowLedger{Routed: 2, Committed: 1, DeadLettered: 1})
}

// TestHistoryB18KilledBetween: the outcome is in the log, and has been told, but that the file is settled is not when the process is killed.
func TestHistoryB18KilledBetween(t *testing.T) {
	for _, checkpointed := range []bool{false, true} {
		p := start(t, testConfig(t.TempDir()))
		p.begin("a", 1, 0)
		r := p.request("a", 1, 1, 2)
		lsn := p.accept(r)
		p.seal("b", "logs", part(r, lsn, places(0, 2)))
		p.Placed(lsn, &schema.Outcome{})
		recorded := make(chan struct{})
		whole := schema.Outcome{DeadLettered: []schema.DeadLettered{{Rows: 1, ID: "b:1"}}}
		p.Settled(lsn, &whole, func() { close(recorded) })
		<-recorded
		if checkpointed {
			p.checkpoint()
		}
		p = p.restart()
		check(t, "unsettled", p.unsettled("a"), []uint64(nil)) // committed must not go back
		files := p.Files()
		check(t, "files", len(files), 1)
		files[0].Settle([]schema.Outcome{whole})
		files[0].Settled(1, 1)
		known, _ := p.Producer("", "a")
		check(t, "outcomes", known.Outcomes, []schema.LoggedOutcome{{Sequence: 1, Outcome: whole}})
		p.sync()
		p = p.restart()
		check(t, "files at the end", len(p.Files()), 0)
		balance(t, p)
	}
}

// TestHistoryB18Parts: a request is in two files and in its replay. Its outcome is told once, when all of them have theirs.
func TestHistoryB18Parts(t *testing.T) {
	config := testConfig(t.TempDir())
	told := make(chan *schema.Outcome, 10)
	config.Settled = func(tenant, producer string, epoch, sequence uint64, o *schema.Outcome) {
		if tenant != "" || producer != "a" || epoch != 1 || sequence != 1 {
			t.Errorf("told of %s %s %d %d", tenant, producer, epoch, sequence)
		}
		told <- o
	}
	p := start(t, config)
	p.begin("a", 1, 0)
	r := p.request("a", 1, 1, 6)
	lsn := p.accept(r)
	p.seal("b1", "logs", part(r, lsn, places(0, 2)))
	p.seal("b2", "logs", part(r, lsn, places(2, 4)))
	p = p.restart()
	check(t, "what is routed again", p.unplaced("logs"), map[uint64][]string{lsn: {"logs:4", "logs:5"}})
	files := p.Files()
	slices.SortFunc(files, func(a, b *File) int { return slices.Compare([]byte(a.ID()), []byte(b.ID())) })
	letter := func(id string) schema.Outcome {
		return schema.Outcome{DeadLettered: []schema.DeadLettered{{Rows: 1, ID: id}}}
	}
	files[0].Settle([]schema.Outcome{letter("b1:0")})
	files[0].Settled(1, 1)
	p.sync()
	if _, err := os.Stat(filepath.Join(config.Dir, "batches", "b1")); err != nil {
		t.Error("the file with a dead letter is gone, and the letter is in no outcome yet")
	}
	// The replay seals the rest, and its batch has a dead letter too.
	refused := schema.Outcome{Refusals: []schema.Refusal{{Index: 5, Route: "logs", Reason: schema.OutOfRange}}}
	late := p.seal("b3", "logs", part(r, lsn, places(4, 5)))
	p.Placed(lsn, &refused)
	ofReplay := letter("b3:0")
	ofReplay.Refusals = refused.Refusals
	p.Settled(lsn, &ofReplay, nil)
	late.Settled(0, 1)
	p.sync()
	if _, err := os.Stat(filepath.Join(config.Dir, "batches", "b3")); err != nil {
		t.Error("the new file with a dead letter is gone, and the letter is in no outcome yet")
	}
	select {
	case o := <-told:
		t.Fatalf("told %+v before all parts were there", o)
	default:
	}
	check(t, "unsettled", p.unsettled("a"), []uint64{1})
	files[1].Settle([]schema.Outcome{{}})
	files[1].Settled(2, 0)
	whole := <-told
	check(t, "letters", len(whole.DeadLettered), 2)
	check(t, "refusals", len(whole.Refusals), 1)
	p.sync()
	p.sync()
	p = p.restart()
	check(t, "files", len(p.Files()), 0)
	check(t, "what is routed again", p.unplaced("logs"), map[uint64][]string{})
	check(t, "unsettled", p.unsettled("a"), []uint64(nil))
	check(t, "rows", p.Rows()["db.logs"], schema.RowLedger{Routed: 5, Committed: 3, DeadLettered: 2})
	balance(t, p)
	if len(told) > 0 {
		t.Error("told twice")
	}
}

// TestHistoryB19: a producer expired, and the clock was set back: its old epoch must not be given again.
func TestHistoryB19(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 900, 0)
	p.begin("b", 100, 0)
	if err := p.Forget("", "a"); err != nil {
		t.Fatal(err)
	}
	p.sync()
	for range 2 {
		if _, ok := p.Producer("", "a"); ok {
			t.Error("the producer is still known")
		}
		check(t, "the highest epoch of forgotten producers", p.ForgottenEpoch(), 900)
		p.checkpoint()
		p = p.restart()
	}
}

// TestHistoryB20: what the log knows of a producer has no time in it, so a wrong clock lets none expire.
func TestHistoryB20(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 5)
	p = p.restart()
	var ids []string
	for tenant, id := range p.Producers() {
		ids = append(ids, tenant+"/"+id)
	}
	check(t, "producers", ids, []string{"/a"})
}

// TestHistoryB21: the log is full, and what makes room must not wait for room.
func TestHistoryB21(t *testing.T) {
	config := testConfig(t.TempDir())
	p := start(t, config)
	p.begin("a", 1, 0)
	r := p.request("a", 1, 1, 1)
	q := p.Request(r, func() {})
	if err := q.Reserve(t.Context(), 200<<20, nil); err != nil {
		t.Fatal(err)
	}
	lsn, err := q.Append("routing")
	if err != nil {
		t.Fatal(err)
	}
	waiting, done := make(chan struct{}), make(chan error)
	go func() {
		next := p.Request(p.request("a", 1, 2, 1), func() {})
		err := next.Reserve(t.Context(), 100<<20, func() { close(waiting) })
		next.Unreserve()
		done <- err
	}()
	<-waiting
	f := p.seal("b", "logs", part(r, lsn, places(0, 1)))
	p.Placed(lsn, &schema.Outcome{})
	if err := <-done; err != nil {
		t.Error(err)
	}
	f.Settled(1, 0)
}

// TestHistoryB24: the disk has damaged a file so much that nobody knows which requests it had.
func TestHistoryB24(t *testing.T) {
	config := testConfig(t.TempDir())
	p := start(t, config)
	p.begin("a", 1, 0)
	first, second := p.request("a", 1, 1, 4), p.request("a", 1, 2, 4)
	lsn1, lsn2 := p.accept(first), p.accept(second)
	p.seal("lost", "logs", part(first, lsn1, places(0, 4)))
	p.seal("kept", "logs", part(second, lsn2, places(0, 1)))
	p.kill()
	file := filepath.Join(config.Dir, "batches", "lost")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0x55
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for round := range 3 { // neither a second start nor a checkpoint makes it forget
		p = start(t, config)
		check(t, "damaged", p.Recovered().Damaged, []string{"lost"})
		check(t, "held", p.Recovered().Held, 2)
		check(t, "what is routed again", len(p.unplaced("logs")), round) // what came after the damage goes on
		check(t, "unsettled", p.unsettled("a")[:2], []uint64{1, 2})
		p.accept(p.request("a", 1, uint64(3+round), 1))
		p.checkpoint()
		p.kill()
	}
	p = start(t, config)
	if len(p.Degraded()) != 1 {
		t.Errorf("degraded: %q", p.Degraded())
	}
	p.kill()
	if err := os.Remove(filepath.Join(config.Dir, "damaged", "lost")); err != nil {
		t.Fatal(err)
	}
	p = start(t, config)
	p = p.restart()
	check(t, "damaged", p.Recovered().Damaged, []string(nil))
	got := p.unplaced("logs")
	check(t, "what is routed again of the first", got[lsn1], []string{"logs:0", "logs:1", "logs:2", "logs:3"})
	check(t, "what is routed again of the second", got[lsn2], []string{"logs:1", "logs:2", "logs:3"})
}

// TestHistoryB24OneHead: the first copy of a file's head is damaged; the second says what was in it.
func TestHistoryB24OneHead(t *testing.T) {
	config := testConfig(t.TempDir())
	p := start(t, config)
	p.begin("a", 1, 0)
	r := p.request("a", 1, 1, 4)
	lsn := p.accept(r)
	p.seal("b", "logs", part(r, lsn, places(0, 3)))
	p.kill()
	file := filepath.Join(config.Dir, "batches", "b")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[:64])
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, config)
	check(t, "damaged", p.Recovered().Damaged, []string(nil))
	check(t, "what is routed again", p.unplaced("logs"), map[uint64][]string{lsn: {"logs:3"}})
	check(t, "head", string(p.Files()[0].Head()), "head of b")
}

// TestHistoryB26: a checkpoint has what the segments that it deletes have said, also when the newest one can't be read.
func TestHistoryB26(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		config := testConfig(t.TempDir())
		p := start(t, config)
		p.begin("a", 1, 0)
		sequence := uint64(0)
		for round := range 6 {
			for range 6 {
				sequence++
				r := p.request("a", 1, sequence, 1)
				r.Data = make([]byte, 200<<10)
				lsn := p.accept(r)
				f := p.seal("b"+show(sequence), "logs", part(r, lsn, places(0, 1)))
				p.Placed(lsn, &schema.Outcome{})
				p.Settled(lsn, &schema.Outcome{}, func() {})
				f.Settled(1, 0)
			}
			r := p.request("b", 1, uint64(round), 1) // of an anonymous producer
			p.accept(r)
			if err := p.checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		p.kill()
		if damaged {
			name := filepath.Join(config.Dir, "checkpoint")
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-1] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p = start(t, config)
		known, _ := p.Producer("", "a")
		check(t, "accepted", known.Accepted, sequence)
		check(t, "sums", len(known.Sums), 36)
		check(t, "missing", p.Recovered().Missing, 0)
		lacking := 0
		for _, lacks := range p.unplaced("logs") {
			lacking += len(lacks)
		}
		check(t, "entries to be routed again", lacking, 6)
		check(t, "rows", p.Rows()["db.logs"], schema.RowLedger{Routed: sequence, Committed: sequence})
		balance(t, p)
	}
}

func segments(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := (wal.OS{}).List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if filepath.Ext(name) == ".log" {
			names = append(names, name)
		}
	}
	return names
}

// TestSettledFileThatIsStillThere: the record that a file is settled is durable, but the file is not removed when the process is killed, or comes
// back.
func TestSettledFileThatIsStillThere(t *testing.T) {
	for _, checkpoints := range []int{0, 1, 2} {
		config := testConfig(t.TempDir())
		p := start(t, config)
		p.begin("a", 1, 0)
		r := p.request("a", 1, 1, 4)
		lsn := p.accept(r)
		f := p.seal("b", "logs", part(r, lsn, places(0, 3)))
		name := filepath.Join(config.Dir, "batches", "b")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Settled(3, 0)
		p.sync()
		p.kill()
		for range checkpoints { // a checkpoint does not forget it before the folder is synced, which this file was not for
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			p = start(t, config)
			p.kill()
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p = start(t, config)
		check(t, "files", len(p.Files()), 0)
		check(t, "what is routed again", p.unplaced("logs"), map[uint64][]string{lsn: {"logs:3"}})
		check(t, "rows", p.Rows()["db.logs"], schema.RowLedger{Routed: 3, Committed: 3})
		p.Placed(lsn, &schema.Outcome{})
		p.Settled(lsn, &schema.Outcome{}, nil)
		check(t, "unsettled", p.unsettled("a"), []uint64(nil))
		balance(t, p)
	}
}

// stuck is a disk that removes nothing.
type stuck struct{ wal.OS }

func (stuck) Remove(string) error { return syscall.EIO }

// TestSettledFileThatStays: a start can't remove a settled file. It goes on, and what it checkpoints does not forget that the file is settled.
func TestSettledFileThatStays(t *testing.T) {
	config := testConfig(t.TempDir())
	p := start(t, config)
	p.begin("a", 1, 0)
	r := p.request("a", 1, 1, 3)
	lsn := p.accept(r)
	f := p.seal("b", "logs", part(r, lsn, places(0, 3)))
	name := filepath.Join(config.Dir, "batches", "b")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f.Settled(3, 0)
	p.Placed(lsn, &schema.Outcome{})
	p.Settled(lsn, &schema.Outcome{}, nil)
	p.sync()
	p.kill()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	config.FS = stuck{}
	for range 2 {
		p = start(t, config)
		check(t, "files", len(p.Files()), 0)
		if err := p.checkpoint(); err != nil {
			t.Error(err)
		}
		p.kill()
	}
	config.FS = nil
	p = start(t, config)
	check(t, "files", len(p.Files()), 0)
	check(t, "rows", p.Rows()["db.logs"], schema.RowLedger{Routed: 3, Committed: 3})
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestLostRouting: the disk has lost a routing, or damaged it. What needs it is held, and goes on once the file is back; the rest goes on at once.
func TestLostRouting(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"missing": os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte("something else"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			config := testConfig(t.TempDir())
			p := start(t, config)
			p.begin("a", 1, 0)
			var lsns []uint64
			for i, hash := range []string{"routing", "routing", "good"} {
				if err := p.PutRouting(hash, []byte("data of "+hash)); err != nil {
					t.Fatal(err)
				}
				lsn, err := p.Request(p.request("a", 1, uint64(i+1), 2), func() {}).Append(hash)
				if err != nil {
					t.Fatal(err)
				}
				lsns = append(lsns, lsn)
			}
			p.seal("f", "logs", part(p.request("a", 1, 1, 2), lsns[0], places(0, 1)))
			p.sync()
			p.kill()
			path := filepath.Join(config.Dir, "config", "routing")
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := lose(path); err != nil {
				t.Fatal(err)
			}
			for range 2 { // neither a second start nor a checkpoint makes it forget
				p = start(t, config)
				check(t, "routings", p.Routings(), map[string][]byte{"good": []byte("data of good")})
				check(t, "files to deliver", len(p.Files()), 0)
				check(t, "what is routed again", p.unplaced("logs"), map[uint64][]string{lsns[2]: {"logs:0", "logs:1"}})
				check(t, "unsettled", p.unsettled("a"), []uint64{1, 2, 3})
				if d := p.Degraded(); len(d) != 1 || !strings.Contains(d[0], "config/routing") || !strings.Contains(d[0], "1 batches and 2 requests") {
					t.Errorf("degraded: %q", d)
				}
				if err := p.checkpoint(); err != nil {
					t.Fatal(err)
				}
				p.kill()
			}
			if err := os.WriteFile(path, kept, 0o600); err != nil {
				t.Fatal(err)
			}
			p = start(t, config)
			check(t, "routings", len(p.Routings()), 2)
			check(t, "files to deliver", len(p.Files()), 1)
			check(t, "what is routed again", p.unplaced("logs"), map[uint64][]string{lsns[0]: {"logs:1"}, lsns[1]: {"logs:0", "logs:1"}, lsns[2]: {"logs:0", "logs:1"}})
			check(t, "degraded", len(p.Degraded()), 0)
		})
	}
}

// TestFileOfCutRequests: the records of a file's requests are gone; the file alone says whose they were.
func TestFileOfCutRequests(t *testing.T) {
	config := testConfig(t.TempDir())
	told := make(chan uint64, 10)
	config.Settled = func(_, _ string, _, sequence uint64, _ *schema.Outcome) { told <- sequence }
	p := start(t, config)
	p.begin("a", 1, 0)
	var parts []schema.Part
	for sequence := uint64(1); sequence <= 3; sequence++ {
		r := p.request("a", 1, sequence, 2)
		lsn := p.accept(r)
		parts = append(parts, part(r, lsn, places(0, 2)))
	}
	p.seal("b", "logs", parts...)
	for i := range parts {
		p.Placed(parts[i].LSN, &schema.Outcome{})
	}
	p.checkpoint()
	p.checkpoint()
	p = p.restart()
	check(t, "what is routed again", p.unplaced("logs"), map[uint64][]string{})
	check(t, "unsettled", p.unsettled("a"), []uint64{1, 2, 3})
	check(t, "entries", p.Entries()[schema.ProducerName{Producer: "a"}], schema.EntryLedger{Received: 6, InFlight: 6})
	f := p.Files()[0]
	check(t, "contents", f.Contents(), &schema.Contents{Routing: "routing", Route: "logs", Table: "db.logs", Parts: parts})
	f.Settle(make([]schema.Outcome, 3))
	f.Settled(6, 0)
	for want := range uint64(3) {
		check(t, "told", <-told, want+1)
	}
	check(t, "unsettled", p.unsettled("a"), []uint64(nil))
	balance(t, p)
}

// TestNothingLeftToWaitFor: what was refused of a request is in the log, its files are settled, and the process is killed before its outcome is.
func TestNothingLeftToWaitFor(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 0)
	r := p.request("a", 1, 1, 2)
	lsn := p.accept(r)
	f := p.seal("b", "logs", part(r, lsn, places(0, 1)))
	refused := schema.Outcome{Refusals: []schema.Refusal{{Index: 1, Reason: schema.TooLarge}}}
	p.Placed(lsn, &refused)
	f.Settled(1, 0)
	p.sync()
	p = p.restart()
	known, _ := p.Producer("", "a")
	check(t, "unsettled", known.Unsettled, []uint64(nil))
	check(t, "outcomes", known.Outcomes, []schema.LoggedOutcome{{Sequence: 1, Outcome: refused}})
	balance(t, p)
}

// TestLostRecords: the disk has lost records in the middle of the log. The service starts, and says how many requests are lost.
func TestLostRecords(t *testing.T) {
	config := testConfig(t.TempDir())
	p := start(t, config)
	p.begin("a", 1, 0)
	for sequence := uint64(1); sequence <= 5; sequence++ {
		r := p.request("a", 1, sequence, 2)
		r.Opening = nil
		r.Data = []byte("data of request " + show(sequence))
		p.accept(r)
	}
	p.kill()
	name := filepath.Join(config.Dir, segments(t, config.Dir)[0])
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(b, 0) // anything
	for i := range b {
		if len(b)-i > 17 && string(b[i:i+17]) == "data of request 3" {
			at = i
		}
	}
	b[at] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, config)
	check(t, "missing", p.Recovered().Missing, 1)
	check(t, "lost records", p.Recovered().Lost, 1)
	check(t, "unsettled", p.unsettled("a"), []uint64{1, 2, 4, 5})
	check(t, "requests to be routed again", len(p.unplaced("logs")), 4)
	balance(t, p)
}

// TestCallbacksComeInOrder: logged is called in the order of the records, and never while the journal is locked.
func TestCallbacksComeInOrder(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 1, 0)
	const n = 2000
	order := make(chan uint64, n)
	for sequence := uint64(1); sequence <= n; sequence++ {
		q := p.Request(p.request("a", 1, sequence, 1), func() {
			p.Producer("", "a")
			order <- sequence
		})
		if _, err := q.Append("routing"); err != nil {
			t.Fatal(err)
		}
	}
	for want := uint64(1); want <= n; want++ {
		if got := <-order; got != want {
			t.Fatalf("request %d was told after %d", got, want-1)
		}
	}
}

// TestCloseOnFailingDisk: a disk that takes nothing any more does not keep the process from ending.
func TestCloseOnFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		config := modelConfig(fs)
		j, err := Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := j.Begin(t.Context(), "", "a", 1, 0); err != nil {
			t.Fatal(err)
		}
		fs.Fail(func(crashfs.Op) error { return syscall.EIO })
		if _, err := j.Request(&schema.LoggedRequest{Producer: "a", Epoch: 1, Sequence: 1}, func() { t.Error("logged") }).Append("routing"); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err == nil {
			t.Error("what could not be written is not reported")
		}
		synctest.Wait()
	})
}

// TestStartOnFailingDisk: a start waits for the disk until it is stopped, and puts a routing meanwhile no longer than the log is open.
func TestStartOnFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		j, err := Open(t.Context(), modelConfig(fs))
		if err != nil {
			t.Fatal(err)
		}
		fs.Fail(func(crashfs.Op) error { return syscall.EIO })
		put := make(chan error, 1)
		go func() { put <- j.PutRouting("routing", nil) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := j.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the start: %v", err)
		}
		if len(put) > 0 || len(j.Degraded()) == 0 {
			t.Errorf("put: %v, degraded: %q", len(put) > 0, j.Degraded())
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		if err := <-put; !errors.Is(err, wal.ErrClosed) {
			t.Errorf("the routing: %v", err)
		}
	})
}

// TestHousekeeping: segments are removed by themselves.
func TestHousekeeping(t *testing.T) {
	config := testConfig(t.TempDir())
	config.CheckpointInterval = time.Millisecond
	p := start(t, config)
	p.begin("a", 1, 0)
	for sequence := uint64(1); segments(t, config.Dir)[0] == "0000000000000001.log"; sequence++ {
		r := p.request("a", 1, sequence, 1)
		r.Data = make([]byte, 200<<10)
		lsn := p.accept(r)
		f := p.seal("b"+show(sequence), "logs", part(r, lsn, places(0, 1)))
		p.Placed(lsn, &schema.Outcome{})
		p.Settled(lsn, &schema.Outcome{}, func() {})
		f.Settled(1, 0)
	}
	p.Close()
	var batches int
	if err := SettledBatches(wal.OS{}, config.Dir, func(b SettledBatch) error {
		batches++
		if b.Table != "db.logs" || b.Committed != 1 || b.DeadLettered != 0 {
			t.Errorf("batch %+v", b)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if rows := p.Rows()["db.logs"]; int(rows.Committed) != batches {
		t.Errorf("%d batches in the list, %+v", batches, rows)
	}
}

// TestBooksOfALogInUse reads the books of a log that another process writes.
func TestBooksOfALogInUse(t *testing.T) {
	config := testConfig(t.TempDir())
	p := start(t, config)
	p.begin("a", 1, 0)
	r := p.request("a", 1, 1, 4)
	lsn := p.accept(r)
	f := p.seal("b", "logs", part(r, lsn, places(0, 3)))
	f.Settled(2, 1)
	p.seal("c", "logs", part(r, lsn, places(3, 4)))
	p.sync()
	config.ReadOnly = true
	for range 2 {
		books := open(t, config)
		check(t, "entries", books.Entries()[schema.ProducerName{Producer: "a"}], schema.EntryLedger{Received: 4, InFlight: 4})
		check(t, "rows", books.Rows()["db.logs"], schema.RowLedger{Routed: 4, Committed: 2, DeadLettered: 1, InFlight: 1})
		books.Close()
		p.checkpoint()
	}
	settled := 0
	if err := SettledBatches(wal.OS{}, config.Dir, func(SettledBatch) error { settled++; return nil }); err != nil || settled != 1 {
		t.Errorf("%d batches are settled, %v", settled, err)
	}
}

// TestTornLineOfTheBooks: a crash has cut off the last line of the list in the middle of a number, which must not count as another number.
func TestTornLineOfTheBooks(t *testing.T) {
	config := testConfig(t.TempDir())
	settle := func(id string, sequence uint64) {
		p := start(t, config)
		if sequence == 1 {
			p.begin("a", 1, 0)
		}
		r := p.request("a", 1, sequence, 1234)
		lsn := p.accept(r)
		f := p.seal(id, "logs", part(r, lsn, places(0, 1234)))
		p.Placed(lsn, &schema.Outcome{})
		p.Settled(lsn, &schema.Outcome{}, func() {})
		f.Settled(0, 1234)
		p.Close()
	}
	listed := func() (ids string) {
		if err := SettledBatches(wal.OS{}, config.Dir, func(b SettledBatch) error { ids += fmt.Sprint(b.ID, b.DeadLettered, " "); return nil }); err != nil {
			t.Error(err)
		}
		return ids
	}
	settle("b", 1)
	check(t, "list", listed(), "b1234 ")
	names, err := filepath.Glob(filepath.Join(config.Dir, ledgerDir, "*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%q, %v", names, err)
	}
	info, err := os.Stat(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(names[0], info.Size()-3); err != nil {
		t.Fatal(err)
	}
	check(t, "list", listed(), "")
	settle("c", 2)
	check(t, "list", listed(), "c1234 ")
}

// balance checks that the books add up.
func balance(t *testing.T, p *process) {
	t.Helper()
	for name, ledger := range p.Entries() {
		if ledger.Balance() != 0 {
			t.Errorf("entries of %+v: %+v", name, ledger)
		}
	}
	for name, ledger := range p.Rows() {
		if ledger.Balance() != 0 {
			t.Errorf("rows of %s: %+v", name, ledger)
		}
	}
}
