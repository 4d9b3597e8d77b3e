package wal_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/wal"
	"github.com/logbatcher/logbatcher/wal/crashfs"
)

func config(fs wal.FS) wal.Config {
	c := wal.DefaultConfig()
	c.FS, c.Dir, c.SegmentBytes, c.ReserveBytes, c.MaxBytes = fs, "/log", 4*settings.KiB, 8*settings.KiB, settings.MiB
	return c
}

// body is the body of a batch file.
type body string

func (b body) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(b))
	return int64(n), err
}

// history is what a process did with a log, and after how many operations of the disk it was told that a thing is durable.
type history struct {
	fs          *crashfs.FS
	records     []fact // by LSN, from 1
	files       []*fileFact
	checkpoints []checkpointFact
	configs     []fact
	faulty      bool // what does not try again may fail
}

type fact struct {
	text  string
	known int // durable from this operation on
}

type fileFact struct {
	id, head, body string
	known, removed int // removed: the operation before which nobody wanted to remove it yet
	notes          []fact
	file           *wal.File
}

type checkpointFact struct {
	fact
	at, keep wal.LSN
}

const never = 1 << 30

// open opens the log and returns its records.
func open(t *testing.T, fs wal.FS) (*wal.Log, map[wal.LSN]string, wal.Report) {
	t.Helper()
	l, err := wal.Open(config(fs))
	if err != nil {
		t.Fatal(err)
	}
	records := map[wal.LSN]string{}
	report, err := l.Scan(func(r wal.Record) error {
		records[r.LSN] = fmt.Sprintf("%d %s", r.Kind, r.Payload)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, records, report
}

// live goes through a history of records, files, notes, checkpoints and configurations.
func (h *history) live(t *testing.T, l *wal.Log, seed uint64, steps int) {
	t.Helper()
	ctx := t.Context()
	random := rand.New(rand.NewPCG(seed, 0))
	synced := len(h.records)
	for step := range steps {
		switch kind := random.IntN(20); {
		case kind < 10: // some records, and a sync
			for range 1 + random.IntN(4) {
				text := strings.Repeat(fmt.Sprintf("step %d ", step), 1+random.IntN(60)*random.IntN(2))
				lsn, err := l.Append(uint8(step), []byte(text))
				if err != nil || int(lsn) != len(h.records)+1 {
					t.Fatalf("record %d is %d: %v", len(h.records)+1, lsn, err)
				}
				h.records = append(h.records, fact{fmt.Sprintf("%d %s", uint8(step), text), never})
			}
			if err := l.Sync(ctx, wal.LSN(len(h.records))); err != nil {
				t.Error(err)
			}
			for ; synced < len(h.records); synced++ {
				h.records[synced].known = h.fs.Ops()
			}
		case kind < 13: // a file
			f := &fileFact{id: fmt.Sprintf("file/%d", step), head: strings.Repeat("h", random.IntN(900)), body: strings.Repeat(fmt.Sprint(step), random.IntN(1500)), known: never, removed: never}
			if random.IntN(6) == 0 {
				f.body = strings.Repeat(f.body, 30)
			}
			h.files = append(h.files, f)
			var err error
			if f.file, err = l.Create(ctx, f.id, []byte(f.head), body(f.body)); err != nil {
				t.Error(err)
			}
			f.known = h.fs.Ops()
		case kind < 16: // a note
			if f := h.anyFile(random); f != nil {
				f.notes = append(f.notes, fact{fmt.Sprintf("note %d %s", step, strings.Repeat("n", random.IntN(700))), never})
				note := &f.notes[len(f.notes)-1]
				if err := f.file.Note(ctx, []byte(note.text)); err != nil {
					t.Error(err)
				}
				note.known = h.fs.Ops()
			}
		case kind < 18:
			if f := h.anyFile(random); f != nil {
				f.removed = h.fs.Ops()
				if err := f.file.Remove(); err != nil && !h.faulty {
					t.Error(err)
				}
			}
		case kind < 19:
			h.checkpoint(t, l, random)
		default:
			h.configs = append(h.configs, fact{fmt.Sprintf("configuration %d", step), never})
			c := &h.configs[len(h.configs)-1]
			if err := l.PutConfig(fmt.Sprint("hash/", len(h.configs)), []byte(c.text)); err != nil {
				t.Error(err)
			}
			c.known = h.fs.Ops()
		}
	}
}

func (h *history) checkpoint(t *testing.T, l *wal.Log, random *rand.Rand) {
	t.Helper()
	at := wal.LSN(len(h.records) + 1)
	keep := at - wal.LSN(random.IntN(min(int(at), 30)))
	if n := len(h.checkpoints); n > 0 {
		keep = max(keep, h.checkpoints[n-1].keep)
	}
	c := checkpointFact{fact{fmt.Sprintf("checkpoint of %d, %s", at, strings.Repeat("c", random.IntN(2000))), never}, at, keep}
	h.checkpoints = append(h.checkpoints, c)
	if err := l.SaveCheckpoint([]byte(c.text), at, keep); err != nil {
		if !h.faulty {
			t.Error(err)
		}
		return
	}
	h.checkpoints[len(h.checkpoints)-1].known = h.fs.Ops()
}

func (h *history) anyFile(random *rand.Rand) *fileFact {
	for _, i := range random.Perm(len(h.files)) {
		if h.files[i].removed == never {
			return h.files[i]
		}
	}
	return nil
}

// check opens the log after a crash, and compares what is there with what may be and what must be. It returns the log, the
// last LSN, and the files with the numbers of their notes.
func (h *history) check(t *testing.T, fs *crashfs.FS, crash crashfs.Crash) (_ *wal.Log, last wal.LSN, notes map[string]int) {
	t.Helper()
	l, records, report := open(t, fs)
	if report.Lost != 0 || len(report.Damage) != 0 {
		t.Fatalf("a crash is taken for damage: %+v", report)
	}
	payload, at := l.Checkpoint()
	keep := wal.LSN(1)
	known := slices.IndexFunc(h.checkpoints, func(c checkpointFact) bool { return c.at == at && c.text == string(payload) })
	if at > 0 && known < 0 {
		t.Fatalf("checkpoint of %d, %q: nobody wrote that", at, payload)
	}
	for i, c := range h.checkpoints {
		if c.known <= crash.At && i > known {
			t.Fatalf("checkpoint of %d is gone; there is one of %d", c.at, at)
		}
	}
	if known >= 0 {
		keep = h.checkpoints[known].keep
	}
	for lsn := keep; lsn < report.Next; lsn++ {
		if records[lsn] != h.records[lsn-1].text {
			t.Fatalf("record %d of %d is %q, not %q", lsn, report.Next-1, records[lsn], h.records[lsn-1].text)
		}
	}
	for i := range h.records {
		if lsn := wal.LSN(i + 1); h.records[i].known <= crash.At && lsn >= report.Next {
			t.Fatalf("record %d is gone; the last one is %d", lsn, report.Next-1)
		}
	}
	seen := h.checkFiles(t, l, crash)
	for i, c := range h.configs {
		data, err := l.Config(fmt.Sprint("hash/", i+1))
		if err == nil && string(data) != c.text || err != nil && c.known <= crash.At {
			t.Fatalf("configuration %d: %q, %v", i, data, err)
		}
	}
	return l, report.Next - 1, seen
}

func (h *history) checkFiles(t *testing.T, l *wal.Log, crash crashfs.Crash) (notes map[string]int) {
	t.Helper()
	files, err := l.Files()
	if err != nil || len(l.Damage()) != 0 {
		t.Fatalf("files: %v, damage %v", err, l.Damage())
	}
	found := map[string]*wal.File{}
	notes = map[string]int{}
	for _, f := range files {
		found[f.ID()] = f
		notes[f.ID()] = len(f.Notes())
	}
	for _, want := range h.files {
		f := found[want.id]
		delete(found, want.id)
		if f == nil {
			if want.known <= crash.At && crash.At <= want.removed && (crash.Sectors == 0 || crash.At < want.removed) {
				t.Fatalf("file %s is gone", want.id)
			}
			continue
		}
		content, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		if err != nil || string(content) != want.body || string(f.Head()) != want.head {
			t.Fatalf("file %s: head of %d bytes, %d bytes, %v", want.id, len(f.Head()), len(content), err)
		}
		for i, note := range want.notes {
			if i >= len(f.Notes()) {
				if note.known <= crash.At {
					t.Fatalf("note %d of file %s is gone", i, want.id)
				}
			} else if string(f.Notes()[i]) != note.text {
				t.Fatalf("note %d of file %s is %q", i, want.id, f.Notes()[i])
			}
		}
	}
	if len(found) > 0 {
		t.Fatalf("files that nobody wrote: %v", found)
	}
	return notes
}

// TestCrashPoints runs one history, stops the machine at each of its operations in each way, and recovers. After each recovery the log goes
// on, stops once more, and still has everything.
func TestCrashPoints(t *testing.T) {
	seeds, orders := 3, uint64(6)
	if testing.Short() {
		seeds, orders = 1, 2
	}
	for seed := range uint64(seeds) {
		h := &history{fs: crashfs.New()}
		l, _, _ := open(t, h.fs)
		if _, err := l.Files(); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.live(t, l, seed, 110)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if h.fs.Ops() < 200 {
			t.Fatalf("the history has only %d operations", h.fs.Ops())
		}
		points := 0
		for at := range h.fs.Ops() + 1 {
			crashes := []crashfs.Crash{{At: at}, {At: at, Unsynced: crashfs.Dropped}, {At: at, Unsynced: crashfs.Killed}}
			for n := range orders {
				crashes = append(crashes, crashfs.Crash{At: at, Unsynced: crashfs.Reordered, Seed: n})
			}
			if at < h.fs.Ops() {
				if op := h.fs.Op(at); op.Kind == crashfs.Write {
					for n := 1; n <= len(op.Data)/512+1; n += 1 + n/4*4 {
						crashes = append(crashes, crashfs.Crash{At: at, Sectors: n})
					}
				}
			}
			for _, crash := range crashes {
				points++
				h.crash(t, crash)
				if t.Failed() {
					t.Fatalf("seed %d, %+v of %d", seed, crash, h.fs.Ops())
				}
			}
		}
		t.Logf("seed %d: %d operations, %d crashes", seed, h.fs.Ops(), points)
	}
}

func (h *history) crash(t *testing.T, crash crashfs.Crash) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("at %+v", crash)
		}
	}()
	fs := h.fs.Crash(crash)
	l, last, notes := h.check(t, fs, crash)
	if testing.Short() && crash.Unsynced == crashfs.Kept {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The machine stops again while it recovers.
	random := rand.New(rand.NewPCG(uint64(crash.At), crash.Seed))
	within := crashfs.Crash{At: random.IntN(fs.Ops() + 1), Unsynced: crashfs.Unsynced(random.IntN(3)), Seed: crash.Seed}
	if within.At < fs.Ops() && fs.Op(within.At).Kind == crashfs.Write {
		within.Sectors = random.IntN(3)
	}
	lw, _, _ := h.check(t, fs.Crash(within), crash)
	if err := lw.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if lsn, err := l.Append(7, []byte("after the crash")); err != nil || lsn <= last {
			t.Fatalf("record %d behind %d: %v", lsn, last, err)
		}
	}
	if err := l.Sync(context.Background(), last+3); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := fs.Crash(crashfs.Crash{At: fs.Ops(), Unsynced: crashfs.Dropped})
	later := *h
	later.records = slices.Clone(h.records[:last])
	for range 3 {
		later.records = append(later.records, fact{"7 after the crash", 0})
	}
	l, next, notesLater := later.check(t, again, crash)
	// What a recovery has seen it has acted upon, so it must not be gone after it.
	for id, n := range notes {
		if m, found := notesLater[id]; !found || m < n {
			t.Errorf("file %s had %d notes after the crash; after another it has %d (%v)", id, n, m, found)
		}
	}
	if next != last+3 {
		t.Errorf("after the second crash the last record is %d, not %d", next, last+3)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
