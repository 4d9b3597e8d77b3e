package wal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/wal"
	"github.com/logbatcher/logbatcher/wal/crashfs"
)

// logged appends records of some 200 bytes, each in a group of its own, and closes the log.
func logged(t *testing.T, fs *crashfs.FS, n int) {
	t.Helper()
	l, _, _ := open(t, fs)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range n {
		lsn, err := l.Append(1, []byte(strings.Repeat("payload ", 25)))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Sync(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// recordSize is what one of these takes: header and payload.
const recordSize = 32 + 200

// TestB23DamageInTheMiddle flips bits in records that were durable. What is behind them is read, what is lost is counted, and the segment is
// kept. The same at the end, where nothing says that the record was durable, is the torn tail.
func TestB23DamageInTheMiddle(t *testing.T) {
	tests := []struct {
		name   string
		at     int64
		record int // that is damaged
		lost   int // records, from it on
		damage string
	}{
		{"payload", 64 + 3*recordSize + 100, 4, 1, "0000000000000001.log, bytes 760 to 992: the checksum of the record is wrong; kept as damaged/0000000000000001.log"},
		{"header", 64 + 3*recordSize + 10, 4, 1, "0000000000000001.log, bytes 760 to 992: no record begins here; kept as damaged/0000000000000001.log"},
		{"length", 64 + 4, 1, 1, "0000000000000001.log, bytes 64 to 296: no record begins here; kept as damaged/0000000000000001.log"},
		{"the segment's header", 5, 0, 0, "0000000000000001.log, bytes 0 to 64: the header is damaged; kept as damaged/0000000000000001.log"},
		{"last but one", 64 + 8*recordSize + 100, 9, 1, "0000000000000001.log, bytes 1920 to 2152: the checksum of the record is wrong; kept as damaged/0000000000000001.log"},
		{"torn tail", 64 + 9*recordSize + 100, 10, 1, ""},
	}
	for _, test := range tests {
		for _, restarts := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, %d restarts", test.name, restarts), func(t *testing.T) {
				fs := crashfs.New()
				logged(t, fs, 10)
				torn := test.damage == ""
				if torn && restarts > 0 {
					return // the next segment says that it was durable
				}
				for range restarts {
					logged(t, fs, 10)
				}
				if err := fs.Flip("/log/0000000000000001.log", test.at, 0x10); err != nil {
					t.Fatal(err)
				}
				for again := range 2 {
					l, records, report := open(t, fs)
					want, lost := 10*(restarts+1)-test.lost, test.lost
					if torn {
						lost = 0
					} else if len(report.Damage) != 1 || report.Damage[0].String() != test.damage {
						t.Errorf("damage %v, want %s", report.Damage, test.damage)
					}
					if len(records) != want+again || report.Lost != uint64(lost) || torn != (report.Torn > 0) && again == 0 {
						t.Errorf("%d records, %+v", len(records), report)
					}
					if _, found := records[wal.LSN(test.record)]; found && again == 0 {
						t.Errorf("record %d is there", test.record)
					}
					if names, err := fs.List("/log/damaged"); err != nil || torn != (len(names) == 0) {
						t.Errorf("set aside: %v, %v", names, err)
					}
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					if again == 0 {
						logged(t, fs, 1)
					}
				}
			})
		}
	}
}

// TestDamagedMiddleOfAGroup damages a record of a group of several: those behind it in the group are durable, too, if a later one says so.
func TestDamagedMiddleOfAGroup(t *testing.T) {
	fs := crashfs.New()
	logged(t, fs, 1)
	l, _, _ := open(t, fs)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		var lsn wal.LSN
		for range 5 {
			lsn, _ = l.Append(1, []byte(strings.Repeat("payload ", 25)))
		}
		if err := l.Sync(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{2, 3, 9, 15} {
		if err := fs.Flip("/log/0000000000000002.log", 64+at*recordSize+50, 1); err != nil {
			t.Fatal(err)
		}
	}
	l, records, report := open(t, fs)
	defer l.Close()
	if len(records) != 22 || report.Lost != 4 || len(report.Damage) != 4 || report.Next != 27 {
		t.Errorf("%d records, %+v", len(records), report)
	}
}

// TestMissingSegment removes a segment from the middle.
func TestMissingSegment(t *testing.T) {
	fs := crashfs.New()
	for range 3 {
		logged(t, fs, 10)
	}
	if err := fs.Remove("/log/0000000000000002.log"); err != nil {
		t.Fatal(err)
	}
	l, records, report := open(t, fs)
	defer l.Close()
	if len(records) != 20 || report.Lost != 10 || report.Next != 31 {
		t.Errorf("%d records, %+v", len(records), report)
	}
}

// TestB26CheckpointAndPredecessor damages the checkpoint: the one before is there, with all records that it needs.
func TestB26CheckpointAndPredecessor(t *testing.T) {
	fs := crashfs.New()
	logged(t, fs, 30)
	for i, c := range []struct{ at, keep wal.LSN }{{31, 25}, {61, 60}, {91, 91}} {
		l, _, _ := open(t, fs)
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.SaveCheckpoint(fmt.Appendf(nil, "checkpoint %d", i), c.at, c.keep); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		logged(t, fs, 30)
	}
	l, records, report := open(t, fs)
	if payload, at := l.Checkpoint(); string(payload) != "checkpoint 2" || at != 91 || len(records) != 30 || report.Lost != 0 || records[90] != "" {
		t.Errorf("checkpoint %q of %d, %d records, %+v", payload, at, len(records), report)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if names, err := fs.List("/log"); err != nil || names[3] == "0000000000000001.log" {
		t.Errorf("not removed: %v, %v", names, err)
	}
	if err := fs.Flip("/log/checkpoint", 70, 1); err != nil {
		t.Fatal(err)
	}
	l, records, report = open(t, fs)
	if payload, at := l.Checkpoint(); string(payload) != "checkpoint 1" || at != 61 || len(records) != 61 || report.Lost != 0 || len(report.Damage) != 1 {
		t.Errorf("checkpoint %q of %d, %d records, %+v", payload, at, len(records), report)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNoCheckpointIsLeft loses both checkpoints. The records are read, and what is missing is said.
func TestNoCheckpointIsLeft(t *testing.T) {
	fs := crashfs.New()
	logged(t, fs, 30)
	l, _, _ := open(t, fs)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.SaveCheckpoint(nil, 31, 25); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/log/checkpoint", "/log/checkpoint.previous"} {
		if err := fs.Flip(name, 20, 1); err != nil {
			t.Fatal(err)
		}
	}
	for turn := range 2 {
		l, records, report := open(t, fs)
		want := []string{
			"checkpoint: the header is damaged; kept as damaged/checkpoint", "checkpoint.previous: the header is damaged; kept as damaged/checkpoint.previous",
			"checkpoint: there is none, though segments before record 19 were removed: what it said of the records before is lost",
		}[2*turn:]
		if fmt.Sprint(report.Damage) != fmt.Sprint(want) || len(records) != 12 || report.Lost != 0 || report.Next != 31 {
			t.Errorf("%d records, %+v\nwant %s", len(records), report, want)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamagedFiles damages batch files: one copy of the head loses nothing; both set the file aside; the body and notes are reported.
func TestDamagedFiles(t *testing.T) {
	const length = 100_000
	front := int64(64 + 1 + 7) // id and head
	second := (front + length + 2*4 + 7) &^ 7
	notes := second + front
	tests := []struct {
		name    string
		flips   []int64
		aside   bool
		damaged bool
		notes   string
		what    string
	}{
		{"first head", []int64{70}, false, false, "[one two three]", "the first copy of the head is damaged"},
		{"first front", []int64{1}, false, false, "[one two three]", "the first copy of the head is damaged"},
		{"second head", []int64{second + 40}, false, false, "[one two three]", "the second copy of the head is damaged"},
		{"both", []int64{70, second + 70}, true, false, "", "both copies of the head are damaged on the disk"},
		{"body", []int64{front + 70_000}, false, true, "[one two three]", "the body is damaged: piece 1: damaged on the disk"},
		{"checksum", []int64{front + 65_536}, false, true, "[one two three]", "the body is damaged: piece 0: damaged on the disk"},
		{"first note", []int64{notes + 17}, false, false, "[two three]", "1 notes are damaged"},
		{"last note", []int64{notes + 24 + 24 + 17}, false, false, "[one two]", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fs := crashfs.New()
			l, _, _ := open(t, fs)
			f, err := l.Create(t.Context(), "f", []byte("headers"), body(strings.Repeat("0123456789", length/10)))
			if err != nil {
				t.Fatal(err)
			}
			for _, note := range []string{"one", "two", "three"} {
				if err := f.Note(t.Context(), []byte(note)); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			for _, at := range test.flips {
				if err := fs.Flip("/log/batches/f", at, 4); err != nil {
					t.Fatal(err)
				}
			}
			l, _, _ = open(t, fs)
			defer l.Close()
			files, err := l.Files()
			if err != nil || len(files) == 1 == test.aside {
				t.Fatalf("%d files, %v", len(files), err)
			}
			if damage := l.Damage(); test.what == "" && len(damage) > 0 || test.what != "" && (len(damage) != 1 || damage[0].What != test.what || (damage[0].Copy != "") != test.aside) {
				t.Errorf("damage %+v", damage)
			}
			if test.aside {
				return
			}
			f = files[0]
			if got := fmt.Sprintf("%s", f.Notes()); got != test.notes || string(f.Head()) != "headers" || f.Size() != length || (f.Damaged() != nil) != test.damaged {
				t.Errorf("notes %s, head %s, size %d, damaged %v", got, f.Head(), f.Size(), f.Damaged())
			}
			if err := f.Note(t.Context(), []byte("four")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestTwoProcesses opens one folder twice, in memory and on the disk.
func TestTwoProcesses(t *testing.T) {
	for name, c := range map[string]wal.Config{"crashfs": config(crashfs.New()), "disk": config(nil)} {
		if name == "disk" {
			c.Dir = t.TempDir()
		}
		first, err := wal.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wal.Open(c); err == nil || !strings.Contains(err.Error(), "another process uses this log") {
			t.Errorf("%s: %v", name, err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := wal.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIDIsKept loses the file with the id, and then puts segments of another log into the folder.
func TestIDIsKept(t *testing.T) {
	fs := crashfs.New()
	logged(t, fs, 1)
	l, _, _ := open(t, fs)
	id := l.ID()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fs.Remove("/log/ID"); err != nil {
		t.Fatal(err)
	}
	l, _, _ = open(t, fs)
	if l.ID() != id {
		t.Errorf("id %s, was %s", l.ID(), id)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/log/ID", "/log/0000000000000001.log"} {
		if err := fs.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	logged(t, fs, 1)
	other := crashfs.New()
	logged(t, other, 1)
	copySegment(t, other, fs)
	if _, err := wal.Open(config(fs)); err == nil || !strings.Contains(err.Error(), "put back the one that belongs here") {
		t.Errorf("opened: %v", err)
	}
}

func copySegment(t *testing.T, from, to *crashfs.FS) {
	t.Helper()
	source, err := from.Open("/log/0000000000000001.log")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	size, _ := source.Size()
	b := make([]byte, size)
	if _, err := source.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	target, err := to.Create("/log/0000000000000001.log")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if _, err := target.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}
