package table_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/schematest"
	"github.com/logbatcher/logbatcher/schema/table"
)

// TestOnlyTablesThatKeepRows goes through engines that do something else with rows than keep them.
func TestOnlyTablesThatKeepRows(t *testing.T) {
	conn := schematest.Open(t)
	m := newMigrator(conn)
	database := conn.Server.Database
	const list = " (a UInt64, b String, _batch_id LowCardinality(String)) ENGINE = "
	conn.Run(t, "CREATE TABLE "+schema.QuoteIdentifier(database)+".inner_table"+list+"MergeTree ORDER BY a")
	for name, test := range map[string]struct{ create, want string }{
		"null":         {"TABLE t" + list + "Null", "it keeps no rows"},
		"memory":       {"TABLE t" + list + "Memory", "it loses its rows"},
		"log":          {"TABLE t" + list + "Log", "stores a repeated batch twice"},
		"tiny log":     {"TABLE t" + list + "TinyLog", "stores a repeated batch twice"},
		"stripe log":   {"TABLE t" + list + "StripeLog", "stores a repeated batch twice"},
		"buffer":       {"TABLE t" + list + "Buffer('', 'inner_table', 1, 10, 100, 10, 100, 1000, 10000)", "name the table behind it"},
		"replacing":    {"TABLE t" + list + "ReplacingMergeTree ORDER BY a", "setting engine"},
		"summing":      {"TABLE t" + list + "SummingMergeTree ORDER BY a", "merges add up"},
		"aggregating":  {"TABLE t" + list + "AggregatingMergeTree ORDER BY a", "merges combine"},
		"coalescing":   {"TABLE t" + list + "CoalescingMergeTree ORDER BY a", "merges combine"},
		"collapsing":   {"TABLE t (a UInt64, b String, s Int8) ENGINE = CollapsingMergeTree(s) ORDER BY a", "opposite signs"},
		"view":         {"VIEW t AS SELECT * FROM inner_table", "it is a view"},
		"materialized": {"MATERIALIZED VIEW t (a UInt64, b String, _batch_id LowCardinality(String)) ENGINE = MergeTree ORDER BY a AS SELECT * FROM inner_table", "it is a view"},
		"merge":        {"TABLE t" + list + "Merge(currentDatabase(), 'inner_table')", "only reads other tables"},
		"alias":        {"TABLE t ENGINE = Alias('inner_table')", "name that table"},
		"dictionary":   {"DICTIONARY t (a UInt64, b String) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 'inner_table')) LAYOUT(FLAT()) LIFETIME(0)", "rows can't be inserted"},
		"join":         {"TABLE t" + list + "Join(ANY, LEFT, a)", "one row for each key"},
		"set":          {"TABLE t" + list + "Set", "one row for each key"},
		"rocks":        {"TABLE t" + list + "EmbeddedRocksDB PRIMARY KEY a", "one row for each key"},
		"random":       {"TABLE t" + list + "GenerateRandom", "rows can't be inserted"},
		"file":         {"TABLE t" + list + "File(TSV)", "name a MergeTree table"},
		"url":          {"TABLE t" + list + "URL('http://127.0.0.1:1/x', TSV)", "name a MergeTree table"},
	} {
		t.Run(name, func(t *testing.T) {
			kind, rest, _ := strings.Cut(test.create, " t")
			conn.Run(t, "CREATE "+kind+" "+schema.QuoteIdentifier(database)+".t"+strings.ReplaceAll(strings.ReplaceAll(rest, "FROM inner_table", "FROM "+database+".inner_table"), "Alias('", "Alias('"+database+"', '"))
			defer conn.Run(t, "DROP "+strings.Replace(kind, "MATERIALIZED ", "", 1)+" "+schema.QuoteIdentifier(database)+".t")
			target := &schema.Table{Database: database, Name: "t", OrderBy: "a", Columns: schematest.Columns(t, "a UInt64", "b String")}
			err := m.Migrate(t.Context(), target)
			if _, ok := errors.AsType[*table.RefusedError](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want a refusal with %q", err, test.want)
			}
		})
	}
}

func TestEnginesOfRoutes(t *testing.T) {
	target := func(engine string) *schema.Table {
		return &schema.Table{Database: "d", Name: "t", OrderBy: "a", Engine: engine, Columns: schematest.Columns(t, "a UInt64")}
	}
	refused := func(want, have string) bool {
		existing := &table.Existing{Database: true, Table: have != "", Engine: have}
		existing.Definition, _ = schema.ParseDefinition("CREATE TABLE t (`a` UInt64) ENGINE = MergeTree ORDER BY a")
		for _, c := range target(want).Columns {
			existing.Columns = append(existing.Columns, table.ExistingColumn{Name: c.Name, Type: c.Type.String()})
		}
		return len(table.NewPlan(target(want), existing).Refused) > 0
	}
	for _, test := range []struct {
		want, have string
		fits       bool
	}{
		{"", "MergeTree", true}, {"", "ReplicatedMergeTree", true}, {"", "SharedMergeTree", true},
		{"MergeTree", "SharedMergeTree", true}, {"ReplicatedMergeTree('/p', '{replica}')", "SharedMergeTree", true},
		{"ReplicatedMergeTree", "MergeTree", false}, {"", "ReplicatedReplacingMergeTree", false},
		{"ReplacingMergeTree(v)", "ReplacingMergeTree", true}, {"ReplacingMergeTree(v)", "SharedReplacingMergeTree", true},
		{"ReplacingMergeTree(v)", "MergeTree", false}, {"ReplicatedReplacingMergeTree", "ReplacingMergeTree", false},
		{"SummingMergeTree", "SummingMergeTree", false}, {"SummingMergeTree", "", false}, {"Null", "", false}, {"Log", "", false},
		{"ReplacingMergeTree", "", true}, {"", "", true}, {"", "ReplicatedNull", false}, {"", "NoSuchEngine", false}, {"", "Distributed", false},
		{"Distributed(c, d, t)", "Distributed", false},
	} {
		if got := !refused(test.want, test.have); got != test.fits {
			t.Errorf("want %q, have %q: fits is %t", test.want, test.have, got)
		}
	}
	for _, name := range []string{"non_replicated_deduplication_window", "replicated_deduplication_window"} {
		forgets := target("")
		forgets.Settings = map[string]string{name: "0"}
		if plan := table.NewPlan(forgets, &table.Existing{}); len(plan.Refused) == 0 || len(plan.Steps) > 0 {
			t.Errorf("%s = 0 is taken:\n%s", name, plan)
		}
	}
}

// TestOthersChangesAreNamed: the plan names what others have added to a table.
func TestOthersChangesAreNamed(t *testing.T) {
	conn := schematest.Open(t)
	m := newMigrator(conn)
	database := schema.QuoteIdentifier(conn.Server.Database)
	conn.Run(t, "CREATE TABLE "+database+".t (a UInt64, d DateTime, Body String TTL d + INTERVAL 1 DAY, other String TTL d + INTERVAL 1 DAY, _batch_id LowCardinality(String), "+
		"PROJECTION p (SELECT a, count() GROUP BY a), CONSTRAINT c CHECK a != 3) ENGINE = MergeTree ORDER BY a TTL d + INTERVAL 100 DAY")
	target := &schema.Table{Database: conn.Server.Database, Name: "t", OrderBy: "a", Columns: schematest.Columns(t, "a UInt64", "d DateTime", "Body String")}
	plans, err := m.Plan(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	text := plans[0].String()
	for _, want := range []string{"note: projection p ", "note: constraint c CHECK a != 3 ", "note: column Body has the TTL d + toIntervalDay(1)", "note: TTL d + toIntervalDay(100)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if len(plans[0].Refused) > 0 || strings.Contains(text, "column other has the TTL") {
		t.Errorf("plan:\n%s", text)
	}

	conn.Run(t, "ALTER TABLE "+database+".t MODIFY COLUMN _batch_id TTL d + INTERVAL 1 DAY")
	refused, ok := errors.AsType[*table.RefusedError](m.Migrate(t.Context(), target))
	if !ok || !strings.Contains(refused.Error(), "column _batch_id has the TTL") {
		t.Fatalf("error %v", refused)
	}
	if _, err := m.Apply(t.Context(), target, "t:column _batch_id"); err != nil {
		t.Fatal(err)
	}
	expectFits(t, m, target)
}

// TestNamesOfTwoTables: a change is asked for by table and change, and several at once.
func TestNamesOfTwoTables(t *testing.T) {
	conn := schematest.Open(t)
	m := newMigrator(conn)
	var tables []*schema.Table
	for _, name := range []string{"x", "y", "z"} {
		conn.Run(t, fmt.Sprintf("CREATE TABLE %s.%s (a UInt64, Body UInt64, More UInt64) ENGINE = MergeTree ORDER BY a", schema.QuoteIdentifier(conn.Server.Database), name))
		tables = append(tables, &schema.Table{Database: conn.Server.Database, Name: name, OrderBy: "a", Columns: schematest.Columns(t, "a UInt64", "Body String", "More String")})
	}
	plans, err := m.Plan(t.Context(), tables...)
	if err != nil {
		t.Fatal(err)
	}
	if got := table.UnknownNames(plans, []string{"x:column Body", conn.Server.Database + ".y:column More", "column Body", "w:column Body", "x:column body"}); len(got) != 3 {
		t.Errorf("unknown are %q", got)
	}
	allow := []string{"x:column Body", "x:column More", conn.Server.Database + ".y:column Body", "y:column More"}
	for i, target := range tables {
		_, err := m.Apply(t.Context(), target, allow...)
		if refused, ok := errors.AsType[*table.RefusedError](err); i < 2 && err != nil || i == 2 && (!ok || len(refused.Steps) != 2) {
			t.Errorf("%s: %v", target.Name, err)
		}
	}
}

// TestZonesOfKeys: the zone of a column in the sorting key is only how it is shown; in the partition key it decides where a row goes.
func TestZonesOfKeys(t *testing.T) {
	conn := schematest.Open(t)
	m := newMigrator(conn)
	database := schema.QuoteIdentifier(conn.Server.Database)
	conn.Run(t, "CREATE TABLE "+database+".z (t DateTime64(9, 'Asia/Tokyo'), d DateTime('Asia/Tokyo')) ENGINE = MergeTree PARTITION BY toDate(d) ORDER BY t",
		"INSERT INTO "+database+".z VALUES (toDateTime64('2026-01-01 00:00:00', 9, 'UTC'), toDateTime('2026-01-01 00:00:00', 'UTC'))")
	target := func(zone string) *schema.Table {
		return &schema.Table{Database: conn.Server.Database, Name: "z", OrderBy: "t", PartitionBy: "toDate(d)", Columns: schematest.Columns(t, "t DateTime64(9, 'UTC')", "d DateTime('"+zone+"')")}
	}
	if err := m.Migrate(t.Context(), target("Asia/Tokyo")); err != nil {
		t.Fatal(err)
	}
	expectFits(t, m, target("Asia/Tokyo"))
	if got := conn.Ask(t, "SELECT t FROM "+database+".z"); got != "2026-01-01 00:00:00.000000000" {
		t.Errorf("the row is of %s", got)
	}
	if _, ok := errors.AsType[*table.RefusedError](m.Migrate(t.Context(), target("UTC"))); !ok {
		t.Error("another zone in the partition key is taken")
	}
}
