//go:build unix

package wal_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/wal"
)

// BenchmarkAppend has writers that wait for each of their records, as large as a request of 500 rows or a small one. The folder is a
// temporary one: set TMPDIR to the disk that is meant.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []struct{ writers, bytes int }{{1, 170 << 10}, {4, 170 << 10}, {64, 2 << 10}} {
		b.Run(fmt.Sprintf("%dx%dKiB", size.writers, size.bytes>>10), func(b *testing.B) { benchmarkAppend(b, size.writers, size.bytes) })
	}
}

func benchmarkAppend(b *testing.B, writers, bytes int) {
	c := wal.DefaultConfig()
	c.Dir, c.MaxBytes = b.TempDir(), 64*settings.GiB
	var groups atomic.Int64
	c.Durable = func(wal.LSN) { groups.Add(1) }
	l, err := wal.Open(c)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Scan(func(wal.Record) error { return nil }); err != nil {
		b.Fatal(err)
	}
	if err := l.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, bytes)
	for i := range payload {
		payload[i] = byte(i * i)
	}
	took := make([][]time.Duration, writers)
	left := atomic.Int64{}
	left.Store(int64(b.N))
	b.SetBytes(int64(bytes))
	before := cpu()
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				began := time.Now()
				lsn, err := l.Append(1, payload)
				if err == nil {
					err = l.Sync(b.Context(), lsn)
				}
				if err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(began))
				if n%2000 == 0 && w == 0 {
					if err := l.SaveCheckpoint(nil, lsn, lsn); err != nil { // as much as 8 GiB would be left behind
						b.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(groups.Load())/b.Elapsed().Seconds(), "fsync/s")
	b.ReportMetric(float64((cpu()-before).Microseconds())/1000/(float64(b.N)*float64(bytes)/1e6), "cpu-ms/MB")
}

// BenchmarkScan reads a log of requests as a start does.
func BenchmarkScan(b *testing.B) {
	c := wal.DefaultConfig()
	c.Dir = b.TempDir()
	const requests = 1500
	payload := make([]byte, 170<<10)
	for range b.N {
		b.StopTimer()
		l, err := wal.Open(c)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		report, err := l.Scan(func(wal.Record) error { return nil })
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		if report.Records == 0 {
			if err := l.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			var lsn wal.LSN
			for range requests {
				if lsn, err = l.Append(1, payload); err != nil {
					b.Fatal(err)
				}
			}
			if err := l.Sync(b.Context(), lsn); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.SetBytes(requests * 170 << 10)
}

// cpu returns the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
