package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/shard"
)

// TestShutdownUnderLoad ends the gateway while producers send, and starts another in its place.
func TestShutdownUnderLoad(t *testing.T) {
	times := 2
	if !testing.Short() {
		times = 6
	}
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	i := b.start(t)
	tr := b.traffic(t)
	tr.flow(t, 4)
	for range times {
		tr.progress(t, 40)
		i.stop(t)
		if i.log.count("everything that was received is settled") != 1 || i.budget.Used() != 0 {
			t.Errorf("something is left: %d bytes", i.budget.Used())
		}
		i = b.start(t)
	}
	tr.progress(t, 40)
	tr.finish(t) // nothing is doubtful: the draining gateway had told its producers of everything
	tr.verify(t)
}

// TestHangUpUnderLoad changes columns and routes while producers send, and tries configurations that are wrong.
func TestHangUpUnderLoad(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	i := b.start(t)
	tr := b.traffic(t)
	tr.flow(t, 4)
	tr.progress(t, 20)

	const loaded, refused = "configuration reloaded", "configuration refused"
	more := strings.Replace(numberedRoute, "[n, ", "[n, extra, ", 1)
	columns := "columns:" + numberedColumns + "  - {name: extra, type: LowCardinality(String), source: service, default: none}\n"
	b.write(t, columns+"routes:"+more)
	i.hangUp(t, loaded)
	withExtra := tr.next()
	tr.progress(t, 20)

	second := "  - {name: second, table: second, order_by: n, partition_by: \"\", columns: [n, time], retention: {max_age: 0}, " +
		"filter: {service: {equals: test}}}\n"
	b.write(t, columns+"routes:"+more+second)
	i.hangUp(t, loaded)
	withSecond := tr.next()
	tr.progress(t, 20)

	for _, wrong := range []string{
		columns + "routes:" + more + second + "  - {name: second, table: third, order_by: n, columns: [n]}\n",
		columns + "routes:" + strings.Replace(more, "order_by: n", "order_by: n, colour: red", 1),
		"columns: [\n",
		columns + "routes:" + more + strings.Replace(second, "equals: test", "greaterThan: 5", 1),
	} {
		b.write(t, wrong)
		i.hangUp(t, refused)
		tr.progress(t, 10)
	}

	// Without the second route again: what it had stays.
	whileSecond := tr.settle(t)
	b.write(t, columns+"routes:"+more)
	i.hangUp(t, loaded)
	withoutSecond := tr.next()
	tr.progress(t, 20)
	tr.finish(t)
	tr.verify(t)

	if got := b.clickhouse.Query(t, "SELECT count() FROM numbered WHERE extra = '' OR extra = 'none' AND n >= "+itoa(withExtra)); got != "0" {
		t.Errorf("%s rows have no value of the new column", got)
	}
	rows := b.numbers(t, "second")
	var lost, doubled, late []int
	for n := range tr.numbered {
		switch count := rows[n]; {
		case count > 1:
			doubled = append(doubled, n)
		case count == 0 && n >= withSecond && n < whileSecond:
			lost = append(lost, n)
		case count == 1 && n >= withoutSecond:
			late = append(late, n)
		}
	}
	if len(lost)+len(doubled)+len(late) > 0 {
		t.Errorf("the second route lost %s, doubled %s, and took after its end %s", ranges(lost), ranges(doubled), ranges(late))
	}
}

// TestRedisKilled kills Redis while bad rows arrive. Rows with bad ones among them wait for it.
func TestRedisKilled(t *testing.T) {
	times := 1
	if !testing.Short() {
		times = 6
	}
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.OwnRedis(t))
	i := b.start(t)
	b.clickhouse.Exec(t, "ALTER TABLE numbered ADD CONSTRAINT only_good CHECK bad = 0")
	tr := b.traffic(t)
	tr.isBad = func(n int) bool { return n%61 == 3 }
	tr.flow(t, 2)
	for range times {
		appendAlways(t, b)
		tr.progress(t, 10)
		before := i.metric(t, "logbatcher_sink_dead_letter_write_failures_total")
		if err := b.redis.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a dead letter could not be written", func() bool {
			return i.metric(t, "logbatcher_sink_dead_letter_write_failures_total") > before
		})
		if !testing.Short() {
			eventually(t, "the gateway says that dead letters wait", func() bool { return len(i.delivery.Degraded()) > 0 })
		}
		if err := b.redis.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tr.progress(t, 10)
	tr.finish(t)
	if tr.verify(t) == 0 {
		t.Error("there are no dead letters")
	}
	eventually(t, "nothing is degraded", func() bool { return len(i.status.Degraded()) == 0 })
}

// appendAlways makes Redis keep what it has acknowledged when it is killed.
func appendAlways(t *testing.T, b *bench) {
	t.Helper()
	store := redis.NewClient(&redis.Options{Addr: b.redis.Address()})
	defer store.Close()
	if err := store.ConfigSet(t.Context(), "appendfsync", "always").Err(); err != nil {
		t.Fatal(err)
	}
}

// TestFailingView has a materialized view that throws: the insert fails, and the table has its rows all the same.
func TestFailingView(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	i := b.start(t)
	tr := b.traffic(t)
	tr.flow(t, 2)
	tr.progress(t, 10)
	b.clickhouse.Exec(t,
		"CREATE TABLE seen (n UInt64, x UInt8) ENGINE = MergeTree ORDER BY n",
		"CREATE MATERIALIZED VIEW view TO seen AS SELECT n, throwIf(n % 100 = 7) AS x FROM numbered")
	eventually(t, "the view has thrown", func() bool { return i.metric(t, "logbatcher_sink_view_failures_total") > 2 })
	eventually(t, "the gateway names the view", func() bool {
		return slices.ContainsFunc(i.status.Degraded(), func(reason string) bool {
			return strings.HasPrefix(reason, "view "+b.clickhouse.Database+".view fails on inserts into ")
		})
	})
	b.clickhouse.Exec(t, "DROP VIEW view")
	tr.progress(t, 20)
	tr.finish(t)
	if letters := tr.verify(t); letters > 0 {
		t.Errorf("%d rows are dead letters, though nothing is wrong with them", letters)
	}
}

// TestSchemaVersions takes a table with data through five versions of its route's columns, under load.
func TestSchemaVersions(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	const base = `columns:
  - {name: n, type: UInt64, source: 'attributes["n"]', required: true}
  - {name: time, type: DateTime64(9), source: time}
`
	const route = "routes:\n  - {name: numbered, table: numbered, order_by: n, partition_by: \"\", retention: {max_age: 0}"
	versions := []string{
		"  - {name: v, type: UInt8, source: severity_number}\n" + route + "}\n",
		"  - {name: v, type: UInt8, source: severity_number}\n  - {name: service, type: LowCardinality(String), source: service, default: nobody}\n" + route + "}\n",
		"  - {name: v, type: UInt32, source: severity_number}\n  - {name: service, type: LowCardinality(String), source: service, default: nobody}\n" + route + "}\n",
		"  - {name: v, type: Nullable(UInt32), source: severity_number}\n  - {name: service, type: LowCardinality(String), source: service, default: nobody}\n" +
			"  - {name: level, type: \"Enum8('low' = 0, 'high' = 1)\", source: 'attributes[\"bad\"]'}\n" + route + "}\n",
		"  - {name: v, type: Nullable(UInt64), source: severity_number, comment: the number}\n  - {name: service, type: String, source: service, default: nobody, codec: ZSTD(3)}\n" +
			"  - {name: level, type: \"Enum16('low' = 0, 'high' = 1, 'higher' = 1000)\", source: 'attributes[\"bad\"]'}\n" +
			"  - {name: rest, type: \"Map(LowCardinality(String), String)\", source: attributes}\n" + route + ", indexes: [{name: by_service, expression: service, type: bloom_filter(0.01)}]}\n",
	}
	b.write(t, base+versions[0])
	i := b.start(t)
	tr := b.traffic(t)
	tr.flow(t, 2)
	for k, version := range versions[1:] {
		tr.progress(t, 10)
		b.write(t, base+version)
		i.hangUp(t, "configuration reloaded")
		if degraded := i.status.Degraded(); len(degraded) > 0 {
			t.Fatalf("version %d: %q", k+2, degraded)
		}
	}
	last := tr.next()
	tr.progress(t, 10)
	tr.finish(t)
	tr.verify(t)
	if got := b.clickhouse.Query(t, "SELECT count() > 0, countIf(v IS NOT NULL OR service != 'test' OR level != 'low') FROM numbered WHERE n >= "+itoa(last)); got != "1\t0" {
		t.Errorf("rows of the last version, those that are wrong: %q", got)
	}
	if got := b.clickhouse.Query(t, "SELECT groupArray(type) FROM (SELECT type FROM system.columns WHERE database = currentDatabase() AND table = 'numbered' "+
		"AND name IN ('v', 'service', 'level', 'rest') ORDER BY name)"); got != `['Enum16(\'low\' = 0, \'high\' = 1, \'higher\' = 1000)','Map(LowCardinality(String), String)','String','Nullable(UInt64)']` {
		t.Errorf("the columns are %s", got)
	}
}

// TestShutdownWithoutClickHouse ends a gateway without a log while ClickHouse is away: it says what is left and its producers keep it.
func TestShutdownWithoutClickHouse(t *testing.T) {
	b := numbered(t, embeddedtest.OwnClickHouse(t), embeddedtest.Redis(t))
	b.change = func(c *config.Config) { c.Shutdown.Timeout, c.WAL.Enabled = time.Second, false }
	i := b.start(t)
	tr := b.traffic(t)
	tr.flow(t, 2)
	tr.progress(t, 10)
	if err := b.clickhouse.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an insert has failed", func() bool { return i.log.count("ClickHouse takes no inserts") > 0 })
	i.cancel()
	select {
	case <-i.ended:
	case <-time.After(patience):
		t.Fatal("the gateway does not stop")
	}
	var left *shard.LeftoverError
	if !errors.As(i.err, &left) {
		t.Errorf("the gateway ended with %v, want what is left", i.err)
	}
	i.err = nil
	if err := b.clickhouse.Process.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.start(t)
	tr.progress(t, 10)
	tr.mayDouble = true // the second gateway can't know what the first one's last inserts have done
	tr.finish(t)
	tr.verify(t)
}

// TestTableChangedByHand takes a column and then the whole table away under load. The migrator makes them again.
func TestTableChangedByHand(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	i := b.start(t)
	tr := b.traffic(t)
	tr.flow(t, 2)
	tr.progress(t, 10)
	b.clickhouse.Exec(t, "ALTER TABLE numbered DROP COLUMN body")
	tr.progress(t, 10)
	b.clickhouse.Exec(t, "RENAME TABLE numbered TO away")
	tr.progress(t, 10)
	tr.finish(t)
	if letters := tr.verifyTable(t, "numbered", "away"); letters > 0 {
		t.Errorf("%d rows are dead letters, though nothing is wrong with them", letters)
	}
	if degraded := i.status.Degraded(); len(degraded) > 0 {
		t.Errorf("degraded: %q", degraded)
	}
}

// TestRoutesApart has entries in two tables of which one refuses some, and compares the service's books with what is there.
func TestRoutesApart(t *testing.T) {
	const second = "  - {name: second, table: second, order_by: n, partition_by: \"\", columns: [n, bad], retention: {max_age: 0}, filter: {service: {equals: test}}}\n"
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "columns:"+numberedColumns+"routes:"+numberedRoute+second)
	i := b.start(t)
	b.clickhouse.Exec(t, "ALTER TABLE second ADD CONSTRAINT only_good CHECK bad = 0")
	tr := b.traffic(t)
	tr.isBad = func(n int) bool { return n%50 == 1 }
	tr.flow(t, 2)
	tr.progress(t, 20)
	tr.finish(t)
	tr.verifyTable(t, "second")
	rows := b.numbers(t, "numbered")
	bad, accepted := 0, 0
	for n, sent := range tr.accepted {
		if !sent {
			continue
		}
		accepted++
		if rows[n] != 1 {
			t.Errorf("entry %d is in the first table %d times", n, rows[n])
		}
		if tr.isBad(n) {
			bad++
		}
	}
	conn := tr.connect(t)
	books, err := logbatcherv1.NewAdminServiceClient(conn).ListRoutes(t.Context(), &logbatcherv1.ListRoutesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range books.GetRoutes() {
		letters := 0
		if r.GetName() == "second" {
			letters = bad
			if f := r.GetLastFailedBatch(); f.GetCode() != 469 || f.GetClass() != "row" {
				t.Errorf("the last failed batch is %v", f)
			}
		}
		if r.GetRowsRouted() != uint64(accepted) || r.GetRowsCommitted() != uint64(accepted-letters) || r.GetRowsDeadLettered() != uint64(letters) ||
			r.GetRowsInFlight() != 0 || r.GetBytesInFlight() != 0 || r.GetHeld() {
			t.Errorf("%d entries, %d dead letters; the books say %v", accepted, letters, r)
		}
	}
	if len(books.GetRoutes()) != 2 || i.budget.Used() != 0 {
		t.Errorf("%d routes, %d bytes in flight", len(books.GetRoutes()), i.budget.Used())
	}
}
