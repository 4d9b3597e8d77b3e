package shard

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// The histories of the write-ahead log that would lose or double rows if recovery decided by anything but (route, place), or if a
// request could fail after it is in the log.

var errDies = errors.New("not before the process dies")

func historyConfig() Config {
	config := testConfig()
	config.Shards, config.MaxBatchRows, config.MaxOpenBatches, config.MaxOpenBytes = 1, 100_000, 10_000, 1<<30
	return config
}

// sealOnly lets only the batches and letters that allow reports true for, by the order of sealing from 0, into files.
func (d *disk) sealOnly(allow func(n int) bool) {
	n := -1
	d.sealing = func(string) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if n++; allow(n) {
			return nil
		}
		return errDies
	}
}

// dieHalfway waits until the open batches are sealed, checks that some rows are stored and some are not, and ends the process.
func (p *process) dieHalfway(s *store, table string, rows int) {
	p.disk.t.Helper()
	time.Sleep(2 * p.config.Linger)
	synctest.Wait()
	if stored := len(s.memory.Rows(table)); stored == 0 || stored >= rows {
		p.disk.t.Fatalf("%d of %d rows are stored before the process dies", stored, rows)
	}
	p.die()
	p.disk.sealing = nil
}

// TestB1TwoBatchesOfOnePartition: two workers each have a batch of one route and partition with rows of the same request. One is in a file
// when the process dies. Recovery makes only the other's rows again.
func TestB1TwoBatchesOfOnePartition(t *testing.T) {
	for _, first := range []int{0, 1} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s := newDisk(t), newStore()
				config := historyConfig()
				config.Shards = 4
				d.sealOnly(func(n int) bool { return n == first })
				var entries []schema.Entry
				for i := range 60 { // of many colos, so that several workers have some
					entries = append(entries, number(i, "a", fmt.Sprint("colo", i%20), time.Now()))
				}
				p := d.start(config, s.delivery(t), time.UTC, numbered(t, "a"))
				p.mustSend(entries)
				p.dieHalfway(s, "logs.of_a", len(entries))
				d.start(config, s.delivery(t), time.UTC, numbered(t, "a")).stop()
				s.want(t, "logs.of_a", len(entries))
			})
		})
	}
}

// TestB2PartitionerForgets: a request with rows of more partitions than a Partitioner knows has two open batches of the same partition. Only
// some are in files when the process dies.
func TestB2PartitionerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisk(t), newStore()
		config := historyConfig()
		route := numbered(t, "a")
		route.Table.PartitionBy = "Body"
		d.sealOnly(func(n int) bool { return n%2 == 0 })
		var entries []schema.Entry
		for i := range 4110 {
			e := number(i, "a", "EWR", time.Now())
			e.Body = fmt.Sprint(i % 4097)
			entries = append(entries, e)
		}
		p := d.start(config, s.delivery(t), time.UTC, route)
		p.mustSend(entries)
		time.Sleep(config.Linger / 2)
		synctest.Wait()
		if state, err := p.Shards(t.Context()); err != nil || len(state[0].OpenBatches) <= 4097 {
			t.Fatalf("%d batches are open, want two of some of 4097 partitions; %v", len(state[0].OpenBatches), err)
		}
		p.dieHalfway(s, "logs.of_a", len(entries))
		d.start(config, s.delivery(t), time.UTC, route).stop()
		s.want(t, "logs.of_a", len(entries))
	})
}

// TestB3EverythingIsAnotherAfterwards: the time zone, the partition key, the time bucket and what becomes of unmatched entries are changed
// between the log and the replay. The rows are those of the routing that the request was accepted under.
func TestB3EverythingIsAnotherAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kathmandu, err := time.LoadLocation("Asia/Kathmandu")
		if err != nil {
			t.Fatal(err)
		}
		d, s := newDisk(t), newStore()
		route := func(partitionBy string) *schema.Route {
			r := numbered(t, "a")
			local, err := schema.ParseType("DateTime64(9)") // of the server's zone
			if err != nil {
				t.Fatal(err)
			}
			r.Table.Columns[0].Type, r.Table.PartitionBy = local, partitionBy
			return r
		}
		config := historyConfig()
		config.KeepUnmatched = true
		d.sealOnly(func(n int) bool { return n%2 == 0 })
		var entries []schema.Entry
		for i := range 48 {
			entries = append(entries, number(i, "a", "EWR", time.Now().Add(time.Duration(i)*time.Hour)))
		}
		unmatched := number(100, "b", "EWR", time.Now())
		p := d.start(config, s.delivery(t), time.UTC, route("toDate(Timestamp)"))
		p.mustSend(append(entries, unmatched))
		p.dieHalfway(s, "logs.of_a", len(entries))

		config.Bucket, config.KeepUnmatched = time.Hour, false
		p = d.start(config, s.delivery(t), kathmandu, route("toStartOfHour(Timestamp)"))
		p.stop()
		s.want(t, "logs.of_a", len(entries))
		if letters := s.letters.All(); len(letters) != 1 || letters[0].Rows != 1 || letters[0].Reason != schema.Unmatched.String() {
			t.Errorf("%d letters, want one for the unmatched entry", len(letters))
		}
		if r := d.requests[1]; len(r.outcome.Refusals) != 0 {
			t.Errorf("refused %v", r.outcome.Refusals)
		}
	})
}

// TestB4ReloadBetweenMatchAndAppend: the routing changes while a request that is matched already waits for the log. It is logged with the
// routing that it was matched under, its batches name that one, and so does the replay.
func TestB4ReloadBetweenMatchAndAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisk(t), newStore()
		config := historyConfig()
		d.sealOnly(func(n int) bool { return n == 0 })
		p := d.start(config, s.delivery(t), time.UTC, numbered(t, "a"), numbered(t, "b"))
		before := p.routing.Load().hash
		after := numbered(t, "a")
		after.Table.Name = "elsewhere"
		d.reserving = func() {
			if err := p.Reload([]*schema.Route{after}, time.UTC); err != nil {
				t.Error(err)
			}
		}
		var entries []schema.Entry
		for i := range 20 {
			entries = append(entries, number(i/2, []string{"a", "b"}[i%2], "EWR", time.Now()))
		}
		r := p.mustSend(entries)
		if r.Routing != before || p.routing.Load().hash == before {
			t.Errorf("the request is logged under %s; before the reload it was %s, now it is %s", r.Routing, before, p.routing.Load().hash)
		}
		d.reserving = nil
		time.Sleep(2 * config.Linger)
		synctest.Wait()
		for _, contents := range d.done {
			if contents.Routing != before {
				t.Errorf("a batch is of the routing %s, want %s", contents.Routing, before)
			}
		}
		p.die()
		d.sealing = nil
		d.start(config, s.delivery(t), time.UTC, after).stop()
		s.want(t, "logs.of_a", 10)
		s.want(t, "logs.of_b", 10)
		s.want(t, "logs.elsewhere", 0)
	})
}

// TestB12NothingFailsAfterTheAppend: whatever keeps a request out, it is not in the log and nothing stays reserved for it; and what is in
// the log goes into batches, though the router shuts down meanwhile.
func TestB12NothingFailsAfterTheAppend(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		arrange func(d *disk, p *process, cancel context.CancelFunc)
		want    error // nil: the request is accepted
	}{
		"the log is full": {want: context.Canceled, arrange: func(d *disk, _ *process, cancel context.CancelFunc) {
			d.room = 1
			time.AfterFunc(time.Second, cancel)
		}},
		"the table is full": {want: context.Canceled, arrange: func(_ *disk, p *process, cancel context.CancelFunc) {
			account(p.budget, "logs.of_a").charge(6<<20, 0)
			time.AfterFunc(time.Second, cancel)
		}},
		"there is no memory when it may go on": {want: context.Canceled, arrange: func(d *disk, p *process, cancel context.CancelFunc) {
			d.room = 1
			d.reserving = func() {
				if err := p.budget.Acquire(context.Background(), 9<<20); err != nil {
					d.t.Error(err)
				}
				d.room = 0
				time.AfterFunc(time.Second, cancel)
			}
		}},
		"the append fails": {want: broken, arrange: func(d *disk, _ *process, _ context.CancelFunc) { d.append = broken }},
		"the router is closed": {want: ErrClosed, arrange: func(_ *disk, p *process, _ context.CancelFunc) {
			p.Shutdown(context.Background())
		}},
		"the router closes while it waits": {want: ErrClosed, arrange: func(d *disk, p *process, _ context.CancelFunc) {
			d.reserving = func() { p.Shutdown(context.Background()) }
		}},
		"the router closes while it is appended": {arrange: func(d *disk, p *process, _ context.CancelFunc) {
			d.appending = func() {
				go p.Shutdown(context.Background())
				for p.entrance.TryRLock() { // until it waits for this request
					p.entrance.RUnlock()
					runtime.Gosched()
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s := newDisk(t), newStore()
				p := d.start(historyConfig(), s.delivery(t), time.UTC, numbered(t, "a"))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				c.arrange(d, p, cancel)
				_, err := p.send(ctx, []schema.Entry{number(0, "a", "EWR", time.Now())}, []schema.Entry{number(1, "a", "EWR", time.Now())})
				if !errors.Is(err, c.want) {
					t.Errorf("Route returns %v, want %v", err, c.want)
				}
				if c.want == nil {
					p.stop()
					s.want(t, "logs.of_a", 2)
					return
				}
				if len(d.requests) != 0 || d.reserved != 0 {
					t.Errorf("%d requests in the log, %d bytes reserved", len(d.requests), d.reserved)
				}
				// What the cases have taken themselves is all that is left.
				if held, _ := account(p.budget, "logs.of_a").held(); held != 0 && held != 6<<20 {
					t.Errorf("the table holds %d bytes", held)
				}
				p.die()
			})
		})
	}
}
