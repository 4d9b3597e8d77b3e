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

// rebuildTable runs the statements of the only refusal of the table's plan, and returns the table's definition afterwards.
func rebuildTable(t *testing.T, conn *schematest.Conn, m *table.Migrator, target *schema.Table) string {
	t.Helper()
	err := m.Migrate(t.Context(), target)
	refused, ok := errors.AsType[*table.RefusedError](err)
	if !ok || len(refused.Steps) != 1 || refused.Steps[0].Statement == "" {
		t.Fatalf("not refused: %v", err)
	}
	conn.Run(t, strings.Split(refused.Steps[0].Statement, ";\n")...)
	expectFits(t, m, target)
	return schematest.UnescapeTSV(conn.Ask(t, fmt.Sprintf("SELECT create_table_query FROM system.tables WHERE database = %s AND name = %s",
		schema.QuoteString(target.Database), schema.QuoteString(target.Name))))
}

func TestRebuildOfOurTable(t *testing.T) {
	conn := schematest.Open(t)
	m := newMigrator(conn)
	target := &schema.Table{Database: conn.Server.Database, Name: "r", OrderBy: "a", Columns: schematest.Columns(t, "a UInt64", "b String")}
	if err := m.Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	// Two blocks that are alike, and more partitions than an insert may have by itself.
	name := schema.QuoteIdentifier(target.Database) + ".r"
	conn.Run(t, "INSERT INTO "+name+" (a, b) SELECT 1, toString(number) FROM numbers(200)", "INSERT INTO "+name+" (a, b) SELECT 1, toString(number) FROM numbers(200)")
	before := conn.Ask(t, "SELECT count(), sum(a) FROM "+name)
	target.OrderBy, target.PartitionBy = "(b, a)", "b"
	rebuildTable(t, conn, m, target)
	if got := conn.Ask(t, "SELECT count(), sum(a) FROM "+name); got != before {
		t.Errorf("rows are %s, want %s", got, before)
	}
	if got := conn.Ask(t, "SELECT count(), sum(a) FROM "+schema.QuoteIdentifier(target.Database)+".r_rebuilt"); got != before {
		t.Errorf("the old table has %s, want %s", got, before)
	}
}

// TestRebuildKeepsEverything rebuilds a table that has one of everything that the route does not know.
func TestRebuildKeepsEverything(t *testing.T) {
	conn := schematest.Open(t)
	m := newMigrator(conn)
	database := schema.QuoteIdentifier(conn.Server.Database)
	elements := []string{
		"`id` Int64", "`T` DateTime64(9) COMMENT 'it\\'s' CODEC(Delta(8), ZSTD(3))",
		"`Extra` String DEFAULT concat('a', 'b') COMMENT 'c, (' CODEC(ZSTD(2)) TTL toDateTime(T) + toIntervalYear(60) SETTINGS (min_compress_block_size = 1000)",
		"`made` String MATERIALIZED concat(Extra, '!')", "`other` String ALIAS Extra", "`st` UInt64 STATISTICS(tdigest)", "`n` Nullable(String)",
		"`DEFAULT` Array(Tuple(x UInt8, COMMENT String))", "`Body` String EPHEMERAL COMMENT 'body'", "`longer` String DEFAULT Body", "`_batch_id` LowCardinality(String)",
		"INDEX ix Extra TYPE minmax GRANULARITY 3", "CONSTRAINT c CHECK id > -5", "CONSTRAINT known ASSUME id < 1000000",
		"PROJECTION p (SELECT Extra, count() GROUP BY Extra)",
	}
	conn.Run(t,
		"CREATE TABLE "+database+".m ("+strings.Join(elements, ", ")+") ENGINE = MergeTree PARTITION BY toYYYYMM(T) ORDER BY (id, n) TTL toDateTime(T) + toIntervalYear(60) WHERE id = 3 "+
			"SETTINGS index_granularity = 1000, allow_nullable_key = 1 COMMENT 'the table'",
		"INSERT INTO "+database+".m (id, T, Extra, made, st, n, `DEFAULT`, Body, _batch_id) SETTINGS insert_allow_materialized_columns = 1 "+
			"SELECT number, toDateTime64('2026-01-01 00:00:00', 9, 'UTC') + number * 86400, toString(number % 3), 'stored', number, if(number % 2 = 0, NULL, 'n'), [(1, 'x')], 'text', 'batch' FROM numbers(20)",
	)
	const rows = "SELECT count(), sum(cityHash64(id, T, Extra, made, other, st, ifNull(n, '-'), `DEFAULT`, longer, _batch_id)) FROM "
	before := conn.Ask(t, rows+database+".m")
	target := &schema.Table{
		Database: conn.Server.Database, Name: "m", OrderBy: "(id, n)", PartitionBy: "toDate(T)", Fsync: true,
		Columns: schematest.Columns(t, "id Int64", "T DateTime64(9)", "Body String", "added UInt8"),
		Indexes: []schema.Index{{Name: "mine", Expression: "Body", Type: "minmax"}},
	}
	now := rebuildTable(t, conn, m, target)
	if got := conn.Ask(t, rows+database+".m"); got != before {
		t.Errorf("rows are %s, want %s", got, before)
	}
	for _, element := range elements {
		element = strings.Replace(element, "String EPHEMERAL COMMENT", "String COMMENT", 1)
		if !strings.Contains(now, element) {
			t.Errorf("%s is gone:\n%s", element, now)
		}
	}
	for _, want := range []string{
		"PARTITION BY toDate(T)", "ORDER BY (id, n)", "TTL toDateTime(T) + toIntervalYear(60) WHERE id = 3", "index_granularity = 1000", "allow_nullable_key = 1",
		"COMMENT 'the table'", "non_replicated_deduplication_window = 10000", "fsync_after_insert = 1", "`added` UInt8", "INDEX mine Body",
	} {
		if !strings.Contains(now, want) {
			t.Errorf("no %s:\n%s", want, now)
		}
	}
	// The column that was EPHEMERAL keeps values now.
	conn.Run(t, "INSERT INTO "+database+".m (id, Body) VALUES (100, 'kept')")
	if got := conn.Ask(t, "SELECT Body, longer FROM "+database+".m WHERE id = 100"); got != "kept\tkept" {
		t.Errorf("the new row has %q", got)
	}
}

// TestRebuildOfKeys changes types of columns in keys, and engines.
func TestRebuildOfKeys(t *testing.T) {
	for name, test := range map[string]struct {
		create, orderBy string
		columns         []string
		fails           string
	}{
		"wider type":    {"(a UInt8, b String) ENGINE = MergeTree ORDER BY a", "a", []string{"a UInt64", "b String"}, ""},
		"narrower type": {"(a UInt64, b String) ENGINE = MergeTree ORDER BY a", "a", []string{"a UInt8", "b String"}, ""},
		"does not fit":  {"(a UInt64, b String) ENGINE = MergeTree ORDER BY a", "a", []string{"a Enum8('x' = 1)", "b String"}, "Code: 36|Code: 48|Code: 53|Code: 70|Code: 691"},
		"into the key":  {"(a UInt64, b FixedString(3)) ENGINE = MergeTree ORDER BY a", "(b, a)", []string{"a UInt64", "b FixedString(5)"}, ""},
		"new in key":    {"(a UInt64, b String) ENGINE = MergeTree ORDER BY a", "(c, a)", []string{"a UInt64", "b String", "c String"}, ""},
		"summing":       {"(a UInt64, b String) ENGINE = SummingMergeTree ORDER BY a", "a", []string{"a UInt64", "b String"}, ""},
		"log":           {"(a UInt64, b String CODEC(ZSTD(3))) ENGINE = Log COMMENT 'x'", "a", []string{"a UInt64", "b String"}, ""},
		"memory":        {"(a UInt64, b String) ENGINE = Memory", "a", []string{"a UInt64", "b String"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn := schematest.Open(t)
			m := newMigrator(conn)
			rows := "SELECT count(), sum(a) FROM " + schema.QuoteIdentifier(conn.Server.Database) + ".k"
			conn.Run(t, "CREATE TABLE "+schema.QuoteIdentifier(conn.Server.Database)+".k "+test.create,
				"INSERT INTO "+schema.QuoteIdentifier(conn.Server.Database)+".k (a, b) SELECT number + 10, 'b' FROM numbers(10)")
			before := conn.Ask(t, rows)
			target := &schema.Table{Database: conn.Server.Database, Name: "k", OrderBy: test.orderBy, Columns: schematest.Columns(t, test.columns...)}
			if test.fails == "" {
				rebuildTable(t, conn, m, target)
			} else {
				refused, _ := errors.AsType[*table.RefusedError](m.Migrate(t.Context(), target))
				var err error
				for _, s := range strings.Split(refused.Steps[0].Statement, ";\n") {
					if err = conn.Exec(t.Context(), s); err != nil {
						break
					}
				}
				if err == nil {
					t.Error("values that don't fit were copied")
				}
			}
			if got := conn.Ask(t, rows); got != before {
				t.Errorf("rows are %s, want %s", got, before)
			}
		})
	}
}

// TestRebuildWithoutTime: rows copied to a key of a time that they lack would be of 1970, and expired.
func TestRebuildWithoutTime(t *testing.T) {
	conn := schematest.Open(t)
	conn.Run(t, "CREATE TABLE "+schema.QuoteIdentifier(conn.Server.Database)+".k (a UInt64) ENGINE = MergeTree ORDER BY a")
	target := &schema.Table{Database: conn.Server.Database, Name: "k", OrderBy: "a", PartitionBy: "toDate(t)", Columns: schematest.Columns(t, "a UInt64", "t DateTime")}
	refused, ok := errors.AsType[*table.RefusedError](newMigrator(conn).Migrate(t.Context(), target))
	if !ok || refused.Steps[0].Statement != "" || !strings.Contains(refused.Error(), "column t, which a key reads, is not in this one") {
		t.Errorf("refused %v", refused)
	}
}
