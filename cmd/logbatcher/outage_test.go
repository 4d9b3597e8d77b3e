package main

import (
	"math/rand/v2"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/shard"
)

// TestClickHouseKilled kills ClickHouse under load, in the middle of inserts, and between an insert and its answer.
func TestClickHouseKilled(t *testing.T) {
	times := 2
	if !testing.Short() {
		times = 10
	}
	server := embeddedtest.OwnClickHouse(t)
	proxy := server.InjectFaults(t)
	b := numbered(t, server, embeddedtest.Redis(t))
	b.start(t)
	tr := b.traffic(t)
	tr.flow(t, 4)
	for round := range times {
		tr.progress(t, 40)
		if round%2 == 1 {
			// The rows are there; their answer is not.
			proxy.Set(embeddedtest.Faults{DelayAnswer: time.Hour, Match: "numbered"})
			eventually(t, "an answer is held", func() bool { return proxy.Counts().Holding > 0 })
		}
		if err := b.clickhouse.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		proxy.Set(embeddedtest.Faults{DropAnswer: proxy.Counts().Holding})
		if err := b.clickhouse.Process.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tr.progress(t, 40)
	tr.finish(t)
	if tr.verify(t) != 0 {
		t.Error("there are dead letters")
	}
}

// TestAnswersLost executes inserts and lets their answers be lost, or be errors.
func TestAnswersLost(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	proxy := server.InjectFaults(t)
	for name, faults := range map[string]embeddedtest.Faults{
		"dropped":         {DropAnswer: 10},
		"corrupted":       {CorruptAnswer: 10},
		"timed out":       {DelayAnswer: time.Hour},
		"refused":         {Refuse: 10},
		"refused as rows": {CorruptAnswer: 3, Code: 469},
	} {
		t.Run(name, func(t *testing.T) {
			server.Exec(t, "DROP TABLE IF EXISTS numbered SYNC")
			b := numbered(t, server, embeddedtest.Redis(t))
			b.change = func(c *config.Config) { c.ClickHouse.DeliveryConfig.AttemptTimeout = time.Second }
			b.start(t)
			tr := b.traffic(t)
			tr.flow(t, 2)
			tr.progress(t, 5)
			proxy.Set(faults)
			eventually(t, "the fault has struck", func() bool {
				counts := proxy.Counts()
				return counts.Dropped >= faults.DropAnswer && counts.Corrupted >= faults.CorruptAnswer && counts.Refused >= faults.Refuse &&
					(faults.DelayAnswer == 0 || counts.Held > counts.Holding || counts.Held > 4)
			})
			proxy.Set(embeddedtest.Faults{})
			tr.progress(t, 5)
			tr.finish(t)
			if tr.verify(t) != 0 {
				t.Error("there are dead letters")
			}
		})
	}
}

// TestClickHouseStopped stops ClickHouse for longer than an attempt may take.
func TestClickHouseStopped(t *testing.T) {
	b := numbered(t, embeddedtest.OwnClickHouse(t), embeddedtest.Redis(t))
	b.change = func(c *config.Config) { c.ClickHouse.DeliveryConfig.AttemptTimeout = time.Second }
	i := b.start(t)
	tr := b.traffic(t)
	tr.flow(t, 2)
	tr.progress(t, 10)
	if err := b.clickhouse.Process.Pause(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an attempt has timed out", func() bool { return i.metric(t, "logbatcher_sink_inserts_total", "ambiguous") > 0 })
	eventually(t, "a question for it has timed out", func() bool { return i.metric(t, "logbatcher_sink_present_asks_total", "error") > 0 })
	if err := b.clickhouse.Process.Resume(); err != nil {
		t.Fatal(err)
	}
	tr.progress(t, 10)
	tr.finish(t)
	if tr.verify(t) != 0 {
		t.Error("there are dead letters")
	}
}

// TestMemoryDuringOutage has ClickHouse away under full load: producers wait, and the bytes in flight stay within the budget.
func TestMemoryDuringOutage(t *testing.T) {
	const budget = 4 * settings.MiB
	b := numbered(t, embeddedtest.OwnClickHouse(t), embeddedtest.Redis(t))
	b.change = func(c *config.Config) {
		c.Memory.Budget = budget
		c.Shards.MaxBatchBytes = settings.MiB
	}
	i := b.start(t)
	tr := b.traffic(t)
	tr.body, tr.request, tr.window = strings.Repeat("x", 1000), 100, 16 // four windows are more than the budget
	tr.flow(t, 4)
	tr.progress(t, 20)
	if err := b.clickhouse.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	before, most, highest := heap(), 0, uint64(0)
	measured := func(condition func() bool) func() bool {
		return func() bool {
			most, highest = max(most, i.budget.Used()), max(highest, heap())
			return condition()
		}
	}
	// The only table may hold all that is for tables, but for less than a request.
	least := i.config.Budget().Tables - 2*100*(1000+shard.RowBytes)
	eventually(t, "a stream waits, and the table holds what it may", measured(func() bool {
		return i.metric(t, "logbatcher_throttled_streams") > 0 && i.budget.Used() > least
	}))
	tried := i.metric(t, "logbatcher_sink_inserts_total")
	eventually(t, "more inserts are tried", measured(func() bool { return i.metric(t, "logbatcher_sink_inserts_total") > tried+5 }))
	if !testing.Short() {
		eventually(t, "the instance says that it is degraded", measured(func() bool { return len(i.status.Degraded()) > 0 }))
	}
	// A request becomes rows, which may take more than it did; all that was let in may do so at once.
	if slack := int(budget) / 4; most > int(budget)+slack {
		t.Errorf("%d bytes in flight, the budget is %d", most, budget)
	}
	if highest > before+64<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, highest)
	}
	t.Logf("budget %d, at most %d in flight; heap %d MiB at first, at most %d MiB", int(budget), most, before>>20, highest>>20)
	if ready, reasons := i.status.Ready(); !ready {
		t.Errorf("not ready, %q: an outage takes no instance out of the balancer", reasons)
	}
	if err := b.clickhouse.Process.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr.progress(t, 20)
	tr.finish(t)
	if tr.verify(t) != 0 {
		t.Error("there are dead letters")
	}
	eventually(t, "all bytes are given back", func() bool { return i.budget.Used() == 0 })
}

// heap is what objects on the heap take, garbage included.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// TestEverythingAtOnce has bad rows, lost answers, ClickHouse and Redis killed, gateways ended and configurations loaded, by chance.
func TestEverythingAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	server := embeddedtest.OwnClickHouse(t)
	proxy := server.InjectFaults(t)
	b := numbered(t, server, embeddedtest.OwnRedis(t))
	b.change = func(c *config.Config) { c.ClickHouse.DeliveryConfig.AttemptTimeout = 2 * time.Second }
	i := b.start(t)
	b.clickhouse.Exec(t, "ALTER TABLE numbered ADD CONSTRAINT only_good CHECK bad = 0")
	tr := b.traffic(t)
	tr.isBad = func(n int) bool { return n%97 == 3 }
	tr.flow(t, 4)
	for range 20 {
		appendAlways(t, b)
		tr.progress(t, 1+random.IntN(20))
		var err error
		switch what := random.IntN(6); what {
		case 0:
			if err = b.clickhouse.Process.Kill(); err == nil {
				err = b.clickhouse.Process.Restart(t.Context())
			}
		case 1:
			if err = b.redis.Kill(); err == nil {
				err = b.redis.Restart(t.Context())
			}
		case 2:
			proxy.Set(embeddedtest.Faults{DropAnswer: random.IntN(5), CorruptAnswer: random.IntN(5), Refuse: random.IntN(5)})
		case 3:
			proxy.Set(embeddedtest.Faults{CorruptAnswer: 1 + random.IntN(4), Code: 469})
		case 4:
			i.stop(t)
			i = b.start(t)
		case 5:
			i.hangUp(t, "configuration reloaded")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tr.progress(t, 20)
	tr.finish(t)
	if tr.verify(t) == 0 {
		t.Error("there are no dead letters")
	}
}
