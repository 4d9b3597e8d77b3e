package main

import (
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// TestClickHouseKilled kills ClickHouse under load, in the middle of inserts, and between an insert and its answer.
func TestClickHouseKilled(t *testing.T) {
	times := 2
	if !testing.Short() {
		times = 10
	}
	b := numbered(t, embeddedtest.OwnClickHouse(t), embeddedtest.Redis(t))
	b.start(t)
	tr := b.traffic()
	tr.flow(t, 4)
	for round := range times {
		tr.progress(t, 40)
		if round%2 == 1 {
			// The rows are there; their answer is not.
			if err := b.clickhouse.Process.SetFaults(t.Context(), embedded.Faults{DelayAnswer: time.Hour, Match: "numbered"}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "an answer is held", func() bool {
				counts, err := b.clickhouse.Process.FaultCounts(t.Context())
				return err == nil && counts.Holding > 0
			})
		}
		if err := b.clickhouse.Process.Kill(); err != nil {
			t.Fatal(err)
		}
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
	for name, faults := range map[string]embedded.Faults{
		"dropped":         {DropAnswer: 10},
		"corrupted":       {CorruptAnswer: 10},
		"timed out":       {DelayAnswer: time.Hour},
		"refused":         {Refuse: 10},
		"refused as rows": {CorruptAnswer: 3, Code: 469},
	} {
		t.Run(name, func(t *testing.T) {
			b := numbered(t, embeddedtest.OwnClickHouse(t), embeddedtest.Redis(t))
			b.change = func(c *config.Config) { c.ClickHouse.AttemptTimeout = time.Second }
			b.start(t)
			tr := b.traffic()
			tr.flow(t, 2)
			tr.progress(t, 5)
			if err := b.clickhouse.Process.SetFaults(t.Context(), faults); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the fault has struck", func() bool {
				counts, err := b.clickhouse.Process.FaultCounts(t.Context())
				return err == nil && counts.Dropped >= faults.DropAnswer && counts.Corrupted >= faults.CorruptAnswer && counts.Refused >= faults.Refuse &&
					(faults.DelayAnswer == 0 || counts.Held > counts.Holding || counts.Held > 4)
			})
			if err := b.clickhouse.Process.SetFaults(t.Context(), embedded.Faults{}); err != nil {
				t.Fatal(err)
			}
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
	b.change = func(c *config.Config) { c.ClickHouse.AttemptTimeout = time.Second }
	i := b.start(t)
	tr := b.traffic()
	tr.flow(t, 2)
	tr.progress(t, 10)
	if err := b.clickhouse.Process.Pause(); err != nil {
		t.Fatal(err)
	}
	// An attempt has timed out, and another one after it.
	for range 2 {
		before := i.log.count("level=WARN")
		eventually(t, "an attempt has timed out", func() bool { return i.log.count("level=WARN") > before })
	}
	if err := b.clickhouse.Process.Resume(); err != nil {
		t.Fatal(err)
	}
	tr.progress(t, 10)
	tr.finish(t)
	if tr.verify(t) != 0 {
		t.Error("there are dead letters")
	}
}
