package retention_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/retention"
	"github.com/logbatcher/logbatcher/schema/schematest"
	"github.com/logbatcher/logbatcher/schema/table"
)

// retentionNow is when the runs of these tests happen: noon, so that the cutoff is in the middle of a day.
var retentionNow = time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)

type retentionSuite struct {
	conn  *schematest.Conn
	route *schema.Route
	name  string
}

// newRetentionSuite makes a table with 24 rows a day, one an hour, in the 13 days before retentionNow. The route keeps ten days.
func newRetentionSuite(t *testing.T, change func(*schema.Route)) *retentionSuite {
	t.Helper()
	return newLongSuite(t, 13, change)
}

func newLongSuite(t *testing.T, days int, change func(*schema.Route)) *retentionSuite {
	t.Helper()
	conn := schematest.Open(t)
	conn.Now = func() time.Time { return retentionNow }
	route := &schema.Route{
		Name:      "events",
		Table:     &schema.Table{Database: conn.Server.Database, Name: "events", OrderBy: "time", PartitionBy: "toDate(time)", Columns: schematest.Columns(t, "time DateTime('UTC')", "colo String")},
		MaxAge:    24 * time.Hour,
		Retention: schema.Retention{MaxAge: 10 * 24 * time.Hour, Interval: time.Hour, Precise: true},
	}
	route.Table.Columns[0].Source.Field = schema.FieldTime
	if change != nil {
		change(route)
	}
	conn.Run(t, table.CreateTable(route.Table))
	s := &retentionSuite{conn: conn, route: route, name: schema.QuoteIdentifier(conn.Server.Database) + ".events"}
	conn.Run(t, fmt.Sprintf("INSERT INTO %s (time, colo) SELECT toDateTime(%d) - (number + 1) * 3600, ['EWR', 'VIE'][number %% 2 + 1] FROM numbers(%d) SETTINGS max_partitions_per_insert_block = 0", s.name, retentionNow.Unix(), days*24))
	return s
}

func (s *retentionSuite) retainer(change ...func(*retention.Config)) *retention.Retainer {
	config := retention.Config{Conn: s.conn, Instance: "test", Now: func() time.Time { return retentionNow }, PollInterval: 20 * time.Millisecond, MutationTimeout: 2 * time.Minute}
	for _, c := range change {
		c(&config)
	}
	return retention.New(config)
}

func (s *retentionSuite) rows(t *testing.T) string {
	t.Helper()
	return s.conn.Ask(t, "SELECT count(), min(time) FROM "+s.name)
}

func TestRetentionPrecise(t *testing.T) {
	s := newRetentionSuite(t, nil)
	registry := prometheus.NewRegistry()
	r := s.retainer(func(c *retention.Config) { c.Registerer, c.Locker = registry, &schematest.Locker{} })
	before, executed := s.rows(t), len(s.conn.Statements(""))
	plan, err := r.Plan(t.Context(), s.route)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Drops) != 3 || plan.Delete == nil || plan.Delete.Rows != 12 || plan.Drops[1].Rows != 24 || plan.Drops[1].Bytes == 0 {
		t.Fatalf("plan:\n%s", plan)
	}
	if s.rows(t) != before || len(s.conn.Statements("")) != executed {
		t.Fatal("the rehearsal changed something")
	}
	result, err := r.Run(t.Context(), s.route)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.rows(t); got != "240\t2026-06-20 12:00:00" {
		t.Errorf("left: %s", got)
	}
	if result.DroppedRows != 60 || result.DeletedRows != 12 || !result.Oldest.Equal(retentionNow.AddDate(0, 0, -10)) || result.Unfinished != 0 {
		t.Errorf("result: %s %+v", result, result)
	}
	for name, want := range map[string]float64{
		"logbatcher_retention_runs_total": 1, "logbatcher_retention_deleted_rows_total": 72, "logbatcher_retention_dropped_parts_total": 3,
		"logbatcher_retention_oldest_row_timestamp_seconds": float64(result.Oldest.Unix()), "logbatcher_retention_unfinished_mutations": 0,
		"logbatcher_retention_last_success_timestamp_seconds": float64(retentionNow.Unix()),
	} {
		if got := metricValue(t, registry, name); got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if result, err = r.Run(t.Context(), s.route); err != nil || result.DroppedRows+result.DeletedRows != 0 {
		t.Errorf("second run: %v %v", result, err)
	}
	history := s.conn.Ask(t, "SELECT dropped_rows, deleted_rows, outcome, length(dropped), instance FROM "+schema.QuoteIdentifier(s.conn.Server.Database)+"._logbatcher_retention ORDER BY time")
	if want := "60\t12\tapplied\t3\ttest\n0\t0\tapplied\t0\ttest"; history != want {
		t.Errorf("history:\n%s", history)
	}
}

// metricValue returns the value of the one counter or gauge with that name.
func metricValue(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			metric := family.GetMetric()[0]
			return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestRetentionNotPrecise(t *testing.T) {
	s := newRetentionSuite(t, func(r *schema.Route) { r.Retention.Precise = false })
	result, err := s.retainer().Run(t.Context(), s.route)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.rows(t); got != "252\t2026-06-20 00:00:00" {
		t.Errorf("left: %s", got)
	}
	if len(result.Notes) != 1 || len(s.conn.Statements("ALTER TABLE")) != 3 {
		t.Errorf("notes %q, %d statements", result.Notes, len(s.conn.Statements("ALTER TABLE")))
	}
}

// TestRetentionPartitions goes through keys and columns; 240 rows are the last ten days.
func TestRetentionPartitions(t *testing.T) {
	for name, test := range map[string]struct {
		partitionBy, column string
		precise             bool
		days                int // of rows before now; ten are kept
		drops, deletes      int
		left                string
	}{
		"none":               {"", "time DateTime('UTC')", true, 13, 0, 1, "240"},
		"none, not precise":  {"", "time DateTime('UTC')", false, 13, 0, 1, "240"},
		"colo":               {"colo", "time DateTime('UTC')", true, 13, 0, 1, "240"},
		"day and colo":       {"(toDate(time), colo)", "time DateTime64(3, 'UTC')", true, 12, 4, 1, "240"},
		"hour":               {"toStartOfHour(time)", "time DateTime64(9, 'UTC')", true, 1, 12, 0, "12"},
		"week":               {"toMonday(time)", "time DateTime('UTC')", true, 40, 4, 1, "240"},
		"month":              {"toYYYYMM(time)", "time DateTime('UTC')", true, 40, 1, 1, "240"},
		"month, not precise": {"toYYYYMM(time)", "time DateTime('UTC')", false, 40, 1, 0, "708"},
		"zone":               {"toDate(time)", "time DateTime('Asia/Tokyo')", true, 13, 3, 1, "240"},
		"start of day":       {"toStartOfDay(time)", "time DateTime('America/New_York')", true, 13, 3, 1, "240"},
		"nullable":           {"colo", "time Nullable(DateTime('UTC'))", true, 13, 0, 1, "240"},
		"days":               {"time", "time Date", true, 13, 3, 0, "252"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newLongSuite(t, test.days, func(r *schema.Route) {
				r.Table.PartitionBy, r.Retention.Precise = test.partitionBy, test.precise
				r.Table.Columns[0].Type = schematest.Columns(t, test.column)[0].Type
				r.Table.OrderBy = "colo"
				// The finer the partitions, the fewer days stay, to save time.
				if test.partitionBy == "toStartOfHour(time)" {
					r.Retention.MaxAge = 12 * time.Hour
				}
			})
			plan, err := s.retainer().Plan(t.Context(), s.route)
			if err != nil {
				t.Fatal(err)
			}
			deletes := 0
			if plan.Delete != nil {
				deletes = 1
			}
			if len(plan.Drops) != test.drops || deletes != test.deletes {
				t.Errorf("%d drops, %d deletes:\n%s", len(plan.Drops), deletes, plan)
			}
			result, err := s.retainer().Run(t.Context(), s.route)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.conn.Ask(t, "SELECT count() FROM "+s.name); got != test.left {
				t.Errorf("%s rows left, want %s: %s", got, test.left, result)
			}
			if again, err := s.retainer().Plan(t.Context(), s.route); err != nil || !again.Empty() {
				t.Errorf("not empty after the run: %v\n%s", err, again)
			}
		})
	}
}

// A6. TestRetentionTrustsNoClock: the earlier of two clocks counts, and nothing goes where they are far apart.
func TestRetentionTrustsNoClock(t *testing.T) {
	for name, test := range map[string]struct {
		server time.Duration // ahead of our own clock
		left   string
	}{
		"together": {0, "240"}, "server behind": {-5 * time.Minute, "241"}, "server ahead": {5 * time.Minute, "240"},
		"server far behind": {-5*time.Minute - time.Second, "313"}, "server far ahead": {5*time.Minute + time.Second, "313"},
		"a month ahead": {31 * 24 * time.Hour, "313"}, "a month behind": {-31 * 24 * time.Hour, "313"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRetentionSuite(t, func(r *schema.Route) { r.Table.PartitionBy = "toYYYYMM(time)" })
			s.conn.Run(t, fmt.Sprintf("INSERT INTO %s (time) VALUES (%d)", s.name, retentionNow.AddDate(0, 0, -10).Add(-3*time.Minute).Unix()))
			registry := prometheus.NewRegistry()
			r := s.retainer(func(c *retention.Config) { c.Registerer = registry })
			s.conn.Now = func() time.Time { return retentionNow.Add(test.server) }
			before := len(s.conn.Statements("ALTER"))
			_, err := r.Run(t.Context(), s.route)
			if got := s.conn.Ask(t, "SELECT count() FROM "+s.name); got != test.left {
				t.Errorf("%s rows are left, want %s", got, test.left)
			}
			if got := metricValue(t, registry, "logbatcher_retention_clock_difference_seconds"); got != test.server.Seconds() {
				t.Errorf("the metric says %g", got)
			}
			if test.left != "313" {
				if err != nil || len(r.Degraded()) > 0 {
					t.Errorf("error %v, degraded %q", err, r.Degraded())
				}
				return
			}
			if !errors.Is(err, retention.ErrClocksDiffer) || len(r.Degraded()) != 1 || len(s.conn.Statements("ALTER")) != before {
				t.Errorf("error %v, degraded %q", err, r.Degraded())
			}
			if _, err := r.Plan(t.Context(), s.route); !errors.Is(err, retention.ErrClocksDiffer) {
				t.Errorf("rehearsal: %v", err)
			}
			s.conn.Now = func() time.Time { return retentionNow }
			if _, err := r.Run(t.Context(), s.route); err != nil || len(r.Degraded()) > 0 {
				t.Errorf("when they agree again: error %v, degraded %q", err, r.Degraded())
			}
		})
	}
}

// TestRetentionByAnotherColumn: where the partition key reads another column than rows age by, a young row may come into an old
// partition between the question and the drop.
func TestRetentionByAnotherColumn(t *testing.T) {
	for name, partitionBy := range map[string]string{"another": "toDate(seen)", "both": "(toDate(seen), toYYYYMM(time))", "month of a zone": "toYYYYMM(time)"} {
		t.Run(name, func(t *testing.T) {
			s := newRetentionSuite(t, func(r *schema.Route) {
				r.Table.PartitionBy = "tuple()"
				r.Table.Columns = schematest.Columns(t, "time DateTime('Pacific/Kiritimati')", "seen DateTime('UTC')", "colo String")
				r.Table.Columns[0].Source.Field, r.Table.OrderBy, r.Retention.Column = schema.FieldTime, "colo", "time"
				r.Table.PartitionBy = partitionBy
			})
			s.conn.Run(t, "TRUNCATE TABLE "+s.name, "INSERT INTO "+s.name+" (time, seen, colo) VALUES ('2026-02-02 00:00:00', '2026-02-02 00:00:00', 'old')")
			s.conn.Refuse = func(statement string) error {
				if strings.HasPrefix(statement, "ALTER") {
					// A young row arrives just before the statement is run.
					_, err := s.conn.Server.Try(t.Context(), "INSERT INTO "+s.name+" (time, seen, colo) VALUES (toDateTime("+strconv.FormatInt(retentionNow.Unix(), 10)+"), '2026-02-02 12:00:00', 'young')", nil)
					return err
				}
				return nil
			}
			if _, err := s.retainer().Run(t.Context(), s.route); err != nil {
				t.Fatal(err)
			}
			if got := s.conn.Ask(t, "SELECT groupUniqArray(colo) FROM "+s.name); got != "['young']" {
				t.Errorf("left are %s", got)
			}
		})
	}
}

// TestRetentionOfTheTableAsItIs: the zone and the type that count are the table's own, not those of its route.
func TestRetentionOfTheTableAsItIs(t *testing.T) {
	s := newRetentionSuite(t, func(r *schema.Route) {
		r.Table.PartitionBy = "toYYYYMM(time)"
		r.Table.Columns[0].Type = schematest.Columns(t, "time DateTime('Etc/GMT+12')")[0].Type // twelve hours west of Greenwich
	})
	s.route.Table.Columns[0].Type = schematest.Columns(t, "time DateTime('Pacific/Kiritimati')")[0].Type
	s.conn.Run(t, "TRUNCATE TABLE "+s.name, "INSERT INTO "+s.name+" (time) VALUES (toDateTime('2026-06-01 05:00:00', 'UTC'))") // May in the table's zone
	s.route.Retention.MaxAge = retentionNow.Sub(time.Date(2026, 6, 1, 6, 0, 0, 0, time.UTC))
	plan, err := s.retainer().Plan(t.Context(), s.route)
	if err != nil || len(plan.Drops) != 0 || plan.Delete == nil {
		t.Errorf("May goes on for six hours, and is dropped: %v\n%s", err, plan)
	}
}

// TestRetentionOfDecades: a cutoff before 1970 is no literal that every type can hold.
func TestRetentionOfDecades(t *testing.T) {
	for column, want := range map[string]string{
		"time DateTime('UTC')":      "322", // all of the suite's, and ten of 1970
		"time DateTime64(3, 'UTC')": "332", // ten more of 1969, which are younger than the cutoff
	} {
		t.Run(column, func(t *testing.T) {
			s := newRetentionSuite(t, func(r *schema.Route) {
				r.Table.PartitionBy, r.Table.OrderBy = "", "colo"
				r.Table.Columns[0].Type = schematest.Columns(t, column)[0].Type
				r.Retention.MaxAge = retentionNow.Sub(time.Date(1969, 6, 1, 0, 0, 0, 0, time.UTC))
			})
			s.conn.Run(t, "INSERT INTO "+s.name+" (time, colo) SELECT toDateTime('1970-01-02 00:00:00', 'UTC'), 'a' FROM numbers(10)")
			if strings.Contains(column, "64") {
				s.conn.Run(t, "INSERT INTO "+s.name+" (time, colo) SELECT toDateTime64('1969-06-02 00:00:00', 0, 'UTC'), 'young' FROM numbers(10)",
					"INSERT INTO "+s.name+" (time, colo) SELECT toDateTime64('1969-05-31 00:00:00', 0, 'UTC'), 'old' FROM numbers(10)")
			}
			for range 5 { // ClickHouse compiles an aggregation that it has seen a few times
				if plan, err := s.retainer().Plan(t.Context(), s.route); err != nil || (plan.Delete != nil) != (want == "332") {
					t.Fatalf("%v\n%s", err, plan)
				}
			}
			result, err := s.retainer().Run(t.Context(), s.route)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.conn.Ask(t, "SELECT count() FROM "+s.name); got != want {
				t.Errorf("%s rows are left, want %s: %s", got, want, result)
			}
			s.route.Retention.MaxAge = 200 * 365 * 24 * time.Hour
			if result, err = s.retainer().Run(t.Context(), s.route); err != nil || result.DeletedRows != 0 {
				t.Errorf("older than every time: %v %v", result, err)
			}
		})
	}
}

// TestRetentionOfALateColumn: rows that are older than the column by which rows age have no time in it, and stay.
func TestRetentionOfALateColumn(t *testing.T) {
	for _, partitionBy := range []string{"", "toDate(time)"} {
		s := newRetentionSuite(t, func(r *schema.Route) { r.Table.PartitionBy = partitionBy })
		s.conn.Run(t, "INSERT INTO "+s.name+" (colo) SELECT 'timeless' FROM numbers(10)", "INSERT INTO "+s.name+" (time, colo) VALUES ('1970-01-01 10:00:00', 'old')")
		result, err := s.retainer().Run(t.Context(), s.route)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.conn.Ask(t, "SELECT count(), countIf(colo = 'timeless') FROM "+s.name); got != "250\t10" {
			t.Errorf("left are %s", got)
		}
		if !result.Oldest.Equal(retentionNow.AddDate(0, 0, -10)) {
			t.Errorf("the oldest is of %v", result.Oldest)
		}
	}
}

// TestRetentionKeepsOpenPartition: all rows of this month have expired, but more may come.
func TestRetentionKeepsOpenPartition(t *testing.T) {
	s := newRetentionSuite(t, func(r *schema.Route) { r.Table.PartitionBy = "toYYYYMM(time)" })
	s.conn.Run(t, "TRUNCATE TABLE "+s.name, "INSERT INTO "+s.name+" (time) VALUES ('2026-06-02 00:00:00')")
	plan, err := s.retainer().Plan(t.Context(), s.route)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Drops) != 0 || plan.Delete == nil {
		t.Errorf("plan:\n%s", plan)
	}
}

func TestRetentionKeepsRowsWithoutTime(t *testing.T) {
	s := newRetentionSuite(t, func(r *schema.Route) {
		r.Table.PartitionBy, r.Table.OrderBy = "", "colo"
		r.Table.Columns[0].Type = schematest.Columns(t, "time Nullable(DateTime('UTC'))")[0].Type
	})
	s.conn.Run(t, "TRUNCATE TABLE "+s.name, "INSERT INTO "+s.name+" (time) VALUES (NULL)")
	result, err := s.retainer().Run(t.Context(), s.route)
	if err != nil || result.DeletedRows != 0 {
		t.Fatal(result, err)
	}
	if got := s.conn.Ask(t, "SELECT count() FROM "+s.name); got != "1" {
		t.Errorf("%s rows left", got)
	}
}

func TestRetentionOfNothing(t *testing.T) {
	s := newRetentionSuite(t, nil)
	absent := *s.route
	table := *s.route.Table
	table.Name = "absent"
	absent.Table = &table
	result, err := s.retainer().Run(t.Context(), &absent)
	if err != nil || len(result.Notes) != 1 {
		t.Errorf("%v %v", result, err)
	}
	forever := *s.route
	forever.Retention.MaxAge = 0
	if result, err := s.retainer().Run(t.Context(), &forever); err != nil || len(result.Notes) != 1 {
		t.Errorf("%v %v", result, err)
	}
}

// changedStatements replaces a part of what is executed.
type changedStatements struct {
	*schematest.Conn
	old, new string
}

func (c changedStatements) Exec(ctx context.Context, statement string) error {
	return c.Conn.Exec(ctx, strings.Replace(statement, c.old, c.new, 1))
}

func TestRetentionKillsFailingMutation(t *testing.T) {
	s := newRetentionSuite(t, nil)
	const cutoff = "toDateTime('2026-06-20 12:00:00', 'UTC')"
	r := s.retainer(func(c *retention.Config) {
		c.Conn = changedStatements{s.conn, cutoff, "toDateTime(1781956800 + throwIf(colo != '', 'as planned'), 'UTC')"}
	})
	result, err := r.Run(t.Context(), s.route)
	failed, ok := errors.AsType[*retention.MutationFailedError](err)
	if !ok || !strings.Contains(failed.Mutation.FailReason, "as planned") {
		t.Fatalf("error %v", err)
	}
	if result.DroppedRows != 60 || result.DeletedRows != 0 {
		t.Errorf("result %s", result)
	}
	if n := s.conn.Ask(t, "SELECT count() FROM system.mutations WHERE NOT is_done AND NOT is_killed AND database = "+schema.QuoteString(s.conn.Server.Database)); n != "0" {
		t.Errorf("%s mutations are left", n)
	}
	if got := s.conn.Ask(t, "SELECT outcome FROM "+schema.QuoteIdentifier(s.conn.Server.Database)+"._logbatcher_retention"); got != "mutation_killed" {
		t.Errorf("history says %s", got)
	}
	// The table is not blocked.
	if result, err := s.retainer().Run(t.Context(), s.route); err != nil || result.DeletedRows != 12 {
		t.Errorf("next run: %v %v", result, err)
	}
}

func TestRetentionLeavesForeignMutation(t *testing.T) {
	s := newRetentionSuite(t, nil)
	s.conn.Run(t, "ALTER TABLE "+s.name+" DELETE WHERE throwIf(colo = 'VIE') SETTINGS mutations_sync = 0")
	plan, err := s.retainer().Plan(t.Context(), s.route)
	if err != nil || len(plan.Unfinished) != 1 {
		t.Fatalf("%v\n%s", err, plan)
	}
	result, err := s.retainer().Run(t.Context(), s.route)
	if !errors.Is(err, retention.ErrMutationUnfinished) {
		t.Fatalf("error %v", err)
	}
	if result.DroppedRows != 60 || result.DeletedRows != 0 || result.Unfinished != 1 {
		t.Errorf("result %s", result)
	}
	if got := s.rows(t); got != "252\t2026-06-20 00:00:00" {
		t.Errorf("left: %s", got)
	}
}

// TestRetentionTakesUpMutation: an earlier run was cut off while its mutation was failing.
func TestRetentionTakesUpMutation(t *testing.T) {
	s := newRetentionSuite(t, nil)
	s.conn.Run(t, "ALTER TABLE "+s.name+" DELETE WHERE `time` < toDateTime(1781956800 + throwIf(colo != ''), 'UTC') SETTINGS mutations_sync = 0")
	r := s.retainer(func(c *retention.Config) { c.PollInterval = 200 * time.Millisecond })
	_, err := r.Run(t.Context(), s.route)
	if _, ok := errors.AsType[*retention.MutationFailedError](err); !ok && err != nil {
		t.Fatalf("error %v", err)
	}
	if _, err := r.Run(t.Context(), s.route); err != nil {
		t.Fatalf("next run: %v", err)
	}
	if got := s.rows(t); got != "240\t2026-06-20 12:00:00" {
		t.Errorf("left: %s", got)
	}
}

func TestRetentionTimesOut(t *testing.T) {
	s := newRetentionSuite(t, nil)
	s.conn.Run(t, "SYSTEM STOP MERGES "+s.name)
	r := s.retainer(func(c *retention.Config) { c.MutationTimeout = 300 * time.Millisecond })
	result, err := r.Run(t.Context(), s.route)
	if !errors.Is(err, retention.ErrMutationUnfinished) || result.Unfinished != 1 {
		t.Fatalf("%v, error %v", result, err)
	}
	s.conn.Run(t, "SYSTEM START MERGES "+s.name)
	if _, err := s.retainer().Run(t.Context(), s.route); err != nil {
		t.Fatal(err)
	}
	if got := s.rows(t); got != "240\t2026-06-20 12:00:00" {
		t.Errorf("left: %s", got)
	}
}

func TestRetentionOneAtATime(t *testing.T) {
	s := newRetentionSuite(t, nil)
	locker := &schematest.Locker{}
	s.conn.Now = time.Now
	r := s.retainer(func(c *retention.Config) { c.Locker, c.Now = locker, nil })
	lease, err := locker.TryAcquire(t.Context(), "retention/"+s.route.Table.FullName(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), s.route); !errors.Is(err, schema.ErrLeaseHeld) {
		t.Fatalf("error %v", err)
	}
	_ = lease.Release(t.Context())
	if result, err := r.RunDue(t.Context(), s.route); err != nil || result == nil {
		t.Fatalf("%v %v", result, err)
	}
	if result, err := r.RunDue(t.Context(), s.route); err != nil || result != nil {
		t.Fatalf("ran again within the interval: %v %v", result, err)
	}
	locker.Err = errors.New("redis is away")
	if _, err := r.Run(t.Context(), s.route); !errors.Is(err, locker.Err) {
		t.Fatalf("error %v", err)
	}
}

func TestRetentionClusterStatementsParse(t *testing.T) {
	s := newRetentionSuite(t, nil)
	s.route.Table.Cluster = "c"
	plan, err := s.retainer().Plan(t.Context(), s.route)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{plan.Drops[0].Statement, plan.Delete.Statement} {
		if !strings.Contains(statement, "ON CLUSTER `c`") {
			t.Errorf("not on the cluster: %s", statement)
		}
		s.conn.Ask(t, "EXPLAIN AST "+statement)
	}
}
