package wal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/wal"
	"github.com/logbatcher/logbatcher/wal/crashfs"
)

// started returns a history with a log that is started, and a function that closes it.
func started(t *testing.T) (*history, *wal.Log) {
	t.Helper()
	h := &history{fs: crashfs.New()}
	l, _, _ := open(t, h.fs)
	if _, err := l.Files(); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h, l
}

// TestEachOperationFailsOnce lets each operation of a history fail once, full disk or broken. Nothing fails for the caller, and nothing is
// missing after a crash, at the end or soon after the failure.
func TestEachOperationFailsOnce(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 9
	}
	for _, failure := range []error{syscall.EIO, syscall.ENOSPC} {
		for after, runs := 0, 1; ; after, runs = after+step, runs+1 {
			var failed crashfs.Op
			synctest.Test(t, func(t *testing.T) {
				h, l := started(t)
				h.faulty = true
				begin := h.fs.Ops()
				at := begin + after
				h.fs.Fail(func(op crashfs.Op) error {
					if op.N == at {
						failed = op
						return failure
					}
					return nil
				})
				h.live(t, l, 1, 60)
				time.Sleep(2 * time.Second) // the reserve is filled again
				if err := l.Ready(); err != nil || len(l.Degraded()) > 0 {
					t.Errorf("not ready: %v, %q", err, l.Degraded())
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				for _, crash := range []crashfs.Crash{
					{At: h.fs.Ops()}, {At: h.fs.Ops(), Unsynced: crashfs.Dropped}, {At: h.fs.Ops(), Unsynced: crashfs.Reordered},
					{At: at + 1, Unsynced: crashfs.Dropped}, {At: at + 2, Unsynced: crashfs.Dropped}, {At: at + 3, Unsynced: crashfs.Dropped}, {At: at + 5, Unsynced: crashfs.Dropped},
					{At: at + 1}, {At: at + 2}, {At: at + 3}, {At: at + 4}, {At: at + 5, Unsynced: crashfs.Reordered}, {At: at + 6}, {At: at + 7},
				} {
					if crash.At < begin || crash.At > h.fs.Ops() {
						continue
					}
					l, _, _ := h.check(t, h.fs.Crash(crash), crash)
					l.Close()
				}
			})
			if t.Failed() {
				t.Fatalf("%v at %v", failure, failed)
			}
			if failed.Kind == "" {
				t.Logf("%v: %d operations", failure, runs)
				break
			}
		}
	}
}

// TestDiskFailsForAWhile lets all operations fail from one on. Everybody waits, and goes on when the disk does.
func TestDiskFailsForAWhile(t *testing.T) {
	step := 7
	if testing.Short() {
		step = 40
	}
	for _, failure := range []error{syscall.EIO, syscall.ENOSPC} {
		for after := 0; after < 160; after += step {
			synctest.Test(t, func(t *testing.T) {
				h, l := started(t)
				h.faulty = true
				at := h.fs.Ops() + after
				h.fs.Fail(func(op crashfs.Op) error {
					if op.N >= at {
						return failure
					}
					return nil
				})
				done := make(chan struct{})
				go func() {
					defer close(done)
					h.live(t, l, 1, 60)
				}()
				time.Sleep(time.Minute)
				select {
				case <-done:
					t.Error("it ended while the disk did not work")
				default:
				}
				if l.Ready() == nil && len(l.Degraded()) == 0 {
					t.Errorf("ready: %v, %q", l.Ready(), l.Degraded())
				}
				h.fs.Fail(nil)
				<-done
				time.Sleep(2 * time.Second)
				if err := l.Ready(); err != nil || len(l.Degraded()) > 0 {
					t.Errorf("not ready: %v, %q", err, l.Degraded())
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				crash := crashfs.Crash{At: h.fs.Ops(), Unsynced: crashfs.Dropped}
				l, _, _ = h.check(t, h.fs.Crash(crash), crash)
				l.Close()
			})
			if t.Failed() {
				t.Fatalf("%v from the %dth operation on", failure, after)
			}
		}
	}
}

// TestB22FailedSync fails an fsync of the log. Nobody is told that the group is durable until it is in another segment, with the same numbers,
// whose header says how far the first one counts; the kernel has forgotten the pages by then.
func TestB22FailedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := started(t)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		fs := crashfs.New()
		durable := make(chan wal.LSN, 10)
		c := config(fs)
		c.Durable = func(lsn wal.LSN) { durable <- lsn }
		l, err := wal.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Scan(func(wal.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var failures atomic.Int64
		failures.Store(1)
		fs.Fail(func(op crashfs.Op) error {
			if op.Kind == crashfs.Sync && strings.HasSuffix(op.Name, ".log") && failures.Load() > 0 {
				if failures.Add(-1) == 0 && len(durable) > 0 {
					t.Error("told before it is durable")
				}
				return syscall.EIO
			}
			return nil
		})
		before := l.Segment()
		lsn, err := l.Append(1, []byte("acknowledged only once it is there"))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Sync(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
		if got := <-durable; got != lsn || l.Segment() != before+1 {
			t.Errorf("durable %d, segment %d", got, l.Segment())
		}
		crash := fs.Crash(crashfs.Crash{At: fs.Ops(), Unsynced: crashfs.Dropped})
		again, records, report := open(t, crash)
		if len(records) != 1 || records[lsn] != "1 acknowledged only once it is there" || len(report.Damage) > 0 {
			t.Errorf("%v, %+v", records, report)
		}
		again.Close()

		// It fails for good: requests are refused, records wait, and Close says what is not durable.
		failures.Store(1 << 30)
		if lsn, err = l.Append(1, []byte("waits")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := l.Reserve(t.Context(), 1, nil); !errors.Is(err, syscall.EIO) {
			t.Errorf("Reserve: %v", err)
		}
		if err := l.Ready(); !errors.Is(err, syscall.EIO) || !strings.HasPrefix(err.Error(), "the disk of the write-ahead log fails: ") {
			t.Errorf("Ready: %v", err)
		}
		failures.Store(0)
		if err := l.Sync(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Ready(), l.Reserve(t.Context(), 1, nil)); err != nil {
			t.Error(err)
		}
		failures.Store(1 << 30)
		if lsn, err = l.Append(1, []byte("lost")); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), fmt.Sprintf("records %d to %d are not durable", lsn, lsn)) {
			t.Errorf("Close: %v", err)
		}
		if err := l.Sync(t.Context(), lsn); !errors.Is(err, wal.ErrClosed) {
			t.Errorf("Sync after Close: %v", err)
		}
	})
}

// TestB22KilledAfterAFailedSync kills a process whose last fsyncs have failed. The next one reads what was written, and acts upon it, so that it must
// be there when the power fails after that, though the kernel takes those pages for clean.
func TestB22KilledAfterAFailedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, l := started(t)
		f, err := l.Create(t.Context(), "f", nil, body("body"))
		if err != nil {
			t.Fatal(err)
		}
		lsn, err := l.Append(1, []byte("one"))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Sync(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
		h.fs.Fail(func(op crashfs.Op) error {
			if op.Kind == crashfs.Sync || op.Kind == crashfs.Create {
				return syscall.EIO
			}
			return nil
		})
		if _, err = l.Append(1, []byte("two")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Note(ctx, []byte("note")); err == nil {
			t.Error("the note is durable")
		}
		l.Close()
		killed := h.fs.Crash(crashfs.Crash{At: h.fs.Ops(), Unsynced: crashfs.Killed})
		l, records, _ := open(t, killed)
		files, err := l.Files()
		if err != nil || len(records) != 2 || len(files) != 1 || len(files[0].Notes()) != 1 {
			t.Fatalf("%v, %v, %v", records, files, err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.Close()
		l, records, _ = open(t, killed.Crash(crashfs.Crash{At: killed.Ops(), Unsynced: crashfs.Dropped}))
		files, err = l.Files()
		if err != nil || len(records) != 2 || len(files) != 1 || len(files[0].Notes()) != 1 {
			t.Errorf("after a power failure: %v, %v, %v", records, files, err)
		}
		l.Close()
	})
}

// TestB21FullDisk fills the disk. Producers wait; batch files, notes, records and checkpoints have the reserve; and when files are done and
// gone, producers go on.
func TestB21FullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		fs.Limit(200 << 10)
		c := config(fs)
		c.ReserveBytes = 64 * settings.KiB
		l, err := wal.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Scan(func(wal.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var files []*wal.File
		for i := 0; l.Ready() == nil; i++ {
			if err := l.Reserve(t.Context(), 10_000, nil); err != nil {
				t.Fatal(err)
			}
			f, err := l.Create(t.Context(), fmt.Sprint(i), nil, body(strings.Repeat("x", 10_000)))
			if err != nil {
				t.Fatal(err)
			}
			l.Release(10_000)
			files = append(files, f)
		}
		if want := []string{"the disk of the write-ahead log (/log) is full: producers wait until there is room"}; fmt.Sprint(l.Degraded()) != fmt.Sprint(want) {
			t.Errorf("degraded: %q", l.Degraded())
		}
		admitted := make(chan error, 1)
		waits := make(chan struct{})
		go func() { admitted <- l.Reserve(t.Context(), 10_000, func() { close(waits) }) }()
		<-waits

		// Batch files take their part of the reserve and no more.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for n := 0; err == nil; n++ {
			_, err = l.Create(ctx, fmt.Sprint("late ", n), nil, body(strings.Repeat("x", 10_000)))
		}
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Create on a full disk: %v", err)
		}

		// What gets out of it goes through.
		lsn, err := l.Append(1, []byte(strings.Repeat("settled ", 100)))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Sync(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
		if err := files[0].Note(t.Context(), []byte("a note")); err != nil {
			t.Fatal(err)
		}
		if err := l.SaveCheckpoint([]byte("checkpoint"), lsn+1, lsn+1); err != nil {
			t.Fatal(err)
		}
		if len(admitted) > 0 {
			t.Error("a producer was let in")
		}
		for _, f := range files {
			if err := f.Remove(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-admitted; err != nil {
			t.Fatal(err)
		}
		if _, err := l.Create(t.Context(), "after", nil, body("x")); err != nil {
			t.Fatal(err)
		}
		if err := l.Ready(); err != nil || len(l.Degraded()) > 0 {
			t.Errorf("not ready: %v, %q", err, l.Degraded())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStartOnAFullDisk starts on a disk that is full but for the reserve of the process before.
func TestStartOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, l := started(t)
		lsn, err := l.Append(1, []byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Sync(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		h.fs.Limit(h.fs.Used())
		l, records, _ := open(t, h.fs)
		if len(records) != 1 {
			t.Errorf("%d records", len(records))
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if l.Ready() == nil {
			t.Error("ready on a full disk")
		}
		if lsn, err = l.Append(1, []byte("after")); err != nil {
			t.Fatal(err)
		}
		if err := l.Sync(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
		h.fs.Limit(0)
		time.Sleep(3 * time.Second)
		if err := l.Ready(); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStartOnAFailingDisk lets each operation of a start fail, for a while: it is tried again until the disk takes it, and ends with its context.
func TestStartOnAFailingDisk(t *testing.T) {
	h, l := started(t)
	h.live(t, l, 1, 40)
	if len(h.files) == 0 || len(h.records) == 0 {
		t.Fatal("the history has no files or no records")
	}
	crash := crashfs.Crash{At: h.fs.Ops(), Unsynced: crashfs.Killed}
	l.Close()
	for _, failure := range []error{syscall.EIO, syscall.ENOSPC} {
		for after, more := 0, true; more; after++ {
			more = false
			synctest.Test(t, func(t *testing.T) {
				fs := h.fs.Crash(crash)
				l, _, _ := h.check(t, fs, crash)
				begin := fs.Ops()
				fs.Fail(func(op crashfs.Op) error {
					if op.N >= begin+after && op.Kind != crashfs.Remove {
						more = true
						return failure
					}
					return nil
				})
				impatient, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				switch err := l.Start(impatient); {
				case err == nil: // what fails is tried again by the running log
				case !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, failure):
					t.Errorf("at operation %d: %v", after, err)
				default:
					done := make(chan error, 1)
					go func() { done <- l.Start(t.Context()) }()
					time.Sleep(time.Minute)
					if len(done) > 0 || len(l.Degraded()) == 0 || l.Ready() == nil {
						t.Errorf("at operation %d: ended: %v, degraded: %q, ready: %v", after, len(done) > 0, l.Degraded(), l.Ready())
					}
					fs.Fail(nil)
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				fs.Fail(nil)
				time.Sleep(3 * time.Second)
				if err := l.Ready(); err != nil || len(l.Degraded()) > 0 {
					t.Errorf("at operation %d: not ready: %v, %q", after, err, l.Degraded())
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				l, _, _ = h.check(t, fs.Crash(crashfs.Crash{At: fs.Ops(), Unsynced: crashfs.Dropped}), crash)
				l.Close()
			})
			if t.Failed() {
				t.Fatalf("%v from operation %d of the start on", failure, after)
			}
			if !more {
				t.Logf("%v: %d operations", failure, after)
			}
		}
	}
}

// TestRoom fills the bound: producers wait in the order in which they came, are let in by what is released, and leave when they lose patience.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := started(t)
		bound := int64(settings.MiB) / 8 * 7
		u := l.Usage()
		if err := l.Reserve(t.Context(), bound-u.Log-u.Files-500_000, nil); err != nil {
			t.Fatal(err)
		}
		if err := l.Reserve(t.Context(), 500_000, func() { t.Error("there was room") }); err != nil {
			t.Fatal(err)
		}
		if err := l.Reserve(t.Context(), bound, nil); !errors.Is(err, wal.ErrTooLarge) {
			t.Errorf("more than there can be: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan string, 4)
		for _, w := range []struct {
			name  string
			bytes int64
			ctx   context.Context
		}{{"impatient", 400_000, ctx}, {"first", 300_000, t.Context()}, {"second", 10, t.Context()}, {"third", 300_000, t.Context()}} {
			waits := make(chan struct{})
			go func() {
				err := l.Reserve(w.ctx, w.bytes, func() { close(waits) })
				if w.ctx == ctx != errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", w.name, err)
				}
				results <- w.name
			}()
			<-waits
		}
		if l.Ready() == nil || l.Usage().Waiting != 4 || len(l.Degraded()) != 1 {
			t.Errorf("ready %v, %+v, %q", l.Ready(), l.Usage(), l.Degraded())
		}
		l.Release(310_000)
		synctest.Wait()
		if len(results) > 0 {
			t.Error("somebody overtook")
		}
		cancel()
		synctest.Wait()
		let := map[string]bool{}
		for range len(results) {
			let[<-results] = true
		}
		if len(let) != 3 || !let["impatient"] || !let["first"] || !let["second"] {
			t.Errorf("one left, and these are in: %v", let)
		}
		l.Release(500_000)
		synctest.Wait()
		if len(results) != 1 || l.Ready() != nil {
			t.Errorf("%d were let in, %v", len(results), l.Ready())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := l.Reserve(t.Context(), bound/2, nil); !errors.Is(err, wal.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// TestShortOfRoomOneCheckpointIsEnough fills the bound with segments, of which the checkpoint makes the producer's room at once: the current
// segment is included, and the checkpoint before is given up.
func TestShortOfRoomOneCheckpointIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := started(t)
		var last wal.LSN
		fill := func(bytes int64) {
			for l.Usage().Log < bytes {
				var err error
				if last, err = l.Append(1, make([]byte, 3000)); err != nil {
					t.Fatal(err)
				}
				if err := l.Sync(t.Context(), last); err != nil {
					t.Fatal(err)
				}
			}
		}
		fill(200_000)
		if err := l.SaveCheckpoint([]byte("one"), last+1, last+1); err != nil {
			t.Fatal(err)
		}
		if used := l.Usage().Log; used > 10_000 {
			t.Errorf("the first checkpoint leaves %d bytes", used)
		}
		fill(900_000)
		saved := make(chan struct{})
		err := l.Reserve(t.Context(), 500_000, func() {
			go func() {
				defer close(saved)
				if err := l.SaveCheckpoint([]byte("two"), last+1, last+1); err != nil {
					t.Error(err)
				}
			}()
		})
		if err != nil {
			t.Fatal(err)
		}
		<-saved
		if used := l.Usage().Log; used > 100 {
			t.Errorf("the second checkpoint leaves %d bytes", used)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestOfferLeavesRoom fills the buffers while the disk takes nothing. What can be refused is; what can't has room of its own, and is there when
// the disk works again.
func TestOfferLeavesRoom(t *testing.T) {
	for _, failure := range []error{syscall.EIO, syscall.ENOSPC} {
		synctest.Test(t, func(t *testing.T) {
			h, l := started(t)
			h.fs.Fail(func(op crashfs.Op) error { return failure })
			request := make([]byte, 1<<20)
			var err error
			accepted := 0
			for err == nil {
				if _, err = l.Offer(1, request); err == nil {
					accepted++
				}
				synctest.Wait()
			}
			if accepted == 0 || accepted > 10 || !errors.Is(err, syscall.EIO) && failure == syscall.EIO {
				t.Errorf("%d requests were taken, then: %v", accepted, err)
			}
			var last wal.LSN
			for range 3 {
				if last, err = l.Append(2, make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			h.fs.Fail(nil)
			if err := l.Sync(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			if _, err := l.Offer(1, request); err != nil {
				t.Error(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestCloseReleasesEverybody closes the log while its disk fails, and everybody waits.
func TestCloseReleasesEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, l := started(t)
		f, err := l.Create(t.Context(), "f", nil, body("x"))
		if err != nil {
			t.Fatal(err)
		}
		h.fs.Fail(func(op crashfs.Op) error { return syscall.EIO })
		lsn, err := l.Append(1, make([]byte, 3<<20))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		waits := map[string]func() error{
			"Append": func() error {
				for {
					if _, err := l.Append(1, make([]byte, 3<<20)); err != nil {
						return err
					}
				}
			},
			"Sync":           func() error { return l.Sync(t.Context(), lsn) },
			"Create":         func() error { _, err := l.Create(t.Context(), "g", nil, body("x")); return err },
			"Note":           func() error { return f.Note(t.Context(), []byte("x")) },
			"PutConfig":      func() error { return l.PutConfig("hash", nil) },
			"SaveCheckpoint": func() error { return l.SaveCheckpoint(nil, lsn, 1) },
		}
		type result struct {
			name string
			err  error
		}
		results := make(chan result, len(waits))
		for name, wait := range waits {
			go func() { results <- result{name, wait()} }()
		}
		time.Sleep(2 * time.Second)
		if len(results) > 0 {
			r := <-results
			t.Errorf("%s did not wait: %v", r.name, r.err)
		}
		if err := l.Close(); !errors.Is(err, syscall.EIO) {
			t.Errorf("Close: %v", err)
		}
		for range waits {
			if r := <-results; !errors.Is(r.err, wal.ErrClosed) && r.name != "SaveCheckpoint" || r.err == nil {
				t.Errorf("%s: %v", r.name, r.err)
			}
		}
		if _, err := l.Append(1); !errors.Is(err, wal.ErrClosed) {
			t.Errorf("Append after Close: %v", err)
		}
	})
}

// TestSyncInterval appends a record each millisecond. The first is synced at once; then an fsync gathers what comes within the interval.
func TestSyncInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		c := config(fs)
		c.SegmentBytes, c.SyncInterval = settings.MiB/8, 5*time.Millisecond
		l, err := wal.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Scan(func(wal.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		before := fs.Ops()
		lsn, err := l.Append(1, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := l.Sync(t.Context(), lsn); err != nil || time.Since(began) > 0 {
			t.Errorf("the first took %v, %v", time.Since(began), err)
		}
		for range 100 {
			time.Sleep(time.Millisecond)
			if lsn, err = l.Append(1, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Sync(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 105*time.Millisecond {
			t.Errorf("the last was durable after %v", took)
		}
		syncs := 0
		for n := before; n < fs.Ops(); n++ {
			if fs.Op(n).Kind == crashfs.Sync {
				syncs++
			}
		}
		if syncs < 15 || syncs > 25 {
			t.Errorf("%d fsyncs in 101 ms", syncs)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
