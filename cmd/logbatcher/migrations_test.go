package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/table"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// scripted is a migrator whose results a test sets.
type scripted struct {
	mu     sync.Mutex
	err    error
	tables []*schema.Table
}

func (s *scripted) Migrate(ctx context.Context, table *schema.Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables = append(s.tables, table)
	return errors.Join(s.err, ctx.Err())
}

func (s *scripted) answers(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

var (
	errRefused = &table.RefusedError{Table: "logs.numbered", Steps: []table.RefusedStep{{Change: "column Body is UInt8"}}}
	errAway    = errors.New("connection refused")
)

// migrating is a delivery that migrations bind.
type migrating struct {
	*migrations
	migrator *scripted
	memory   *sinktest.Memory
	letters  *sinktest.Letters
	delivery *sink.Delivery
	maker    *sinktest.Maker
	route    *schema.Route
	log      *logBuffer
}

func newMigrating(t *testing.T) *migrating {
	t.Helper()
	m := &migrating{migrator: &scripted{}, memory: sinktest.NewMemory(), letters: sinktest.NewLetters(), log: newLogBuffer(t)}
	log := slog.New(slog.NewTextHandler(m.log, nil))
	m.migrations = newMigrations(m.migrator, log)
	config := sink.DefaultDeliveryConfig()
	config.Sink, config.DeadLetters, config.Migrator, config.Log = m.memory, m.letters, m.migrations, log
	var err error
	if m.delivery, err = sink.NewDelivery(config); err != nil {
		t.Fatal(err)
	}
	m.gate = m.delivery
	table := sinktest.Table("logs", "numbered")
	m.route, m.maker = &schema.Route{Table: table}, sinktest.NewMaker(t, table)
	return m
}

// deliver delivers a batch and returns the channel of its outcome.
func (m *migrating) deliver(t *testing.T, limits sink.Limits) <-chan sink.Outcome {
	t.Helper()
	outcomes := make(chan sink.Outcome, 1)
	b := m.maker.Batch(t, "batch", sinktest.Numbers(0, 10)...)
	go func() {
		outcome, err := m.delivery.Deliver(t.Context(), b, nil, limits, nil)
		if err != nil {
			t.Error(err)
		}
		outcomes <- outcome
	}()
	synctest.Wait()
	return outcomes
}

// rerun retries failed migrations for a time.
func (m *migrating) rerun(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	_ = m.run(ctx)
	synctest.Wait()
}

// A table that the plan refuses receives no rows until a later plan fits.
func TestRefusedTableTakesNoRows(t *testing.T) {
	for name, mend := range map[string]func(t *testing.T, m *migrating){
		"tried again": func(t *testing.T, m *migrating) { m.rerun(t, time.Minute) },
		"reload":      func(t *testing.T, m *migrating) { _ = m.migrateAll(t.Context(), []*schema.Route{m.route}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMigrating(t)
				m.migrator.answers(errRefused)
				_ = m.migrateAll(t.Context(), []*schema.Route{m.route})
				outcomes := m.deliver(t, sink.Limits{})
				m.rerun(t, time.Hour)
				if n := len(m.memory.Attempts()); n > 0 {
					t.Errorf("%d inserts into a table that was refused", n)
				}
				state := m.delivery.TableState("logs.numbered")
				if !state.Held || !strings.Contains(state.HeldReason, "column Body is UInt8") {
					t.Errorf("state %+v, want held with the plan's reason", state)
				}
				degraded := append(m.delivery.Degraded(), m.degraded()...)
				if len(degraded) != 1 || !strings.Contains(degraded[0], "column Body is UInt8") {
					t.Errorf("degraded %q, want the plan's reason once", degraded)
				}
				if n := m.log.count("does not fit"); n != 1 {
					t.Errorf("%d lines that it does not fit, want 1", n)
				}
				m.migrator.answers(nil)
				mend(t, m)
				synctest.Wait()
				select {
				case outcome := <-outcomes:
					if outcome.Committed != 10 {
						t.Errorf("outcome %+v, want committed", outcome)
					}
				default:
					t.Error("not settled at once when the table fitted")
				}
				if degraded := append(m.delivery.Degraded(), m.degraded()...); len(degraded) > 0 {
					t.Errorf("degraded %q", degraded)
				}
			})
		})
	}
}

func TestRefusedTableEndsInTheDeadLetterQueueAfterHoldFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMigrating(t)
		m.migrator.answers(errRefused)
		_ = m.migrateAll(t.Context(), []*schema.Route{m.route})
		start := time.Now()
		outcome := <-m.deliver(t, sink.Limits{HoldFor: time.Hour})
		if took := time.Since(start); took < time.Hour || took > time.Hour+2*time.Minute {
			t.Errorf("held for %s, want an hour", took)
		}
		letters := m.letters.All()
		if len(outcome.DeadLettered) != 1 || letters[0].Reason != "held_too_long" || !strings.Contains(letters[0].Message, "column Body is UInt8") {
			t.Errorf("letters %+v, want one with the plan's reason", letters)
		}
		if n := len(m.memory.Attempts()); n > 0 {
			t.Errorf("%d inserts", n)
		}
	})
}

// A migration that could not run proves nothing about the table. One that was never seen to fit receives no rows, and its batches
// are not dead-lettered for it; one that fitted goes on.
func TestFailedMigrationIsNotARefusal(t *testing.T) {
	for _, fitted := range []bool{false, true} {
		t.Run(fmt.Sprintf("fitted before %v", fitted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMigrating(t)
				if fitted {
					_ = m.migrateAll(t.Context(), []*schema.Route{m.route})
				}
				m.migrator.answers(errAway)
				_ = m.migrateAll(t.Context(), []*schema.Route{m.route})
				outcomes := m.deliver(t, sink.Limits{HoldFor: time.Minute})
				m.rerun(t, time.Hour)
				if n := len(m.memory.Attempts()); (n > 0) != fitted {
					t.Errorf("%d inserts", n)
				}
				if letters := m.letters.All(); len(letters) > 0 {
					t.Errorf("letters %+v", letters)
				}
				if degraded := append(m.delivery.Degraded(), m.degraded()...); len(degraded) != 1 || !strings.Contains(degraded[0], "connection refused") {
					t.Errorf("degraded %q, want one reason", degraded)
				}
				m.migrator.answers(nil)
				m.rerun(t, time.Minute)
				if outcome := <-outcomes; outcome.Committed != 10 {
					t.Errorf("outcome %+v, want committed", outcome)
				}
			})
		})
	}
}

// A batch that is older than a reload has the table made to fit its route, and not itself.
func TestBatchOfAnEarlierRouteMigratesThePresentTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMigrating(t)
		_ = m.migrateAll(t.Context(), []*schema.Route{m.route})
		if err := m.Migrate(t.Context(), sinktest.Table("logs", "numbered")); err != nil {
			t.Fatal(err)
		}
		if last := m.migrator.tables[len(m.migrator.tables)-1]; last != m.route.Table {
			t.Error("another table than the present one was migrated")
		}
	})
}

// The end of the service is no failure of a migration.
func TestEndDuringAMigration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMigrating(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		routes := []*schema.Route{m.route, {Table: sinktest.Table("logs", "second")}}
		if err := m.migrateAll(ctx, routes); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
		if n := m.log.count("level=ERROR") + m.log.count("level=WARN"); n > 0 || len(m.migrator.tables) > 1 {
			t.Errorf("%d lines, %d migrations begun", n, len(m.migrator.tables))
		}
	})
}

// End to end: a table whose engine keeps nothing receives no rows, and all of them once it was replaced.
func TestTableThatDoesNotFitIsHeld(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	b.clickhouse.Exec(t, "CREATE TABLE numbered (n UInt64, bad UInt8, time DateTime64(9), body String, _batch_id LowCardinality(String)) ENGINE = Null")
	i := b.start(t)
	tr := b.traffic(t)
	tr.flow(t, 2)
	eventually(t, "batches are held", func() bool { return i.delivery.TableState(b.clickhouse.Database+".numbered").KeptBack > 0 })
	if n := i.metric(t, "logbatcher_sink_inserts_total"); n > 0 {
		t.Errorf("%v inserts into a table that does not fit", n)
	}
	if !slices.ContainsFunc(i.status.Degraded(), func(reason string) bool { return strings.Contains(reason, "does not fit its route") }) {
		t.Errorf("degraded %q", i.status.Degraded())
	}
	b.clickhouse.Exec(t, "DROP TABLE numbered SYNC")
	i.hangUp(t, "configuration reloaded")
	tr.progress(t, 5)
	tr.finish(t)
	tr.verify(t)
	if degraded := i.status.Degraded(); len(degraded) > 0 {
		t.Errorf("degraded %q", degraded)
	}
}
