package table_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/schematest"
	"github.com/logbatcher/logbatcher/schema/table"
)

func newMigrator(conn schema.Conn, change ...func(*table.MigratorConfig)) *table.Migrator {
	config := table.MigratorConfig{Conn: conn, Instance: "test", VisibleWithin: time.Minute}
	for _, c := range change {
		c(&config)
	}
	return table.NewMigrator(config)
}

// expectFits plans again and fails where there is anything left to do.
func expectFits(t *testing.T, m *table.Migrator, target *schema.Table) {
	t.Helper()
	plans, err := m.Plan(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if !plans[0].Empty() {
		t.Fatalf("not empty after the migration:\n%s", plans[0])
	}
}

// migrationsOf returns what the history has of a table, oldest first.
func migrationsOf(t *testing.T, conn *schematest.Conn, target *schema.Table, columns string) [][]string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT "+columns+" FROM "+schema.QuoteIdentifier(target.Database)+"._logbatcher_schema WHERE table = "+
		schema.QuoteString(target.Name)+" ORDER BY time")
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// engineTables are tables that exercise what ClickHouse spells differently.
func engineTables(t *testing.T, database string) map[string]*schema.Table {
	firehose := schema.DefaultRoute(database).Table
	text, err := schema.IndexSet("text")
	if err != nil {
		t.Fatal(err)
	}
	full := schema.DefaultRoute(database).Table
	full.Name, full.Indexes = "full_text", text
	every := []string{
		"i8 Int8", "i16 Int16 | Delta, LZ4", "i32 Int32 | DoubleDelta", "i64 Int64 | delta(8),zstd", "u8 UInt8 | T64", "u16 UInt16 | LZ4HC",
		"u32 UInt32 | T64('bit'), ZSTD(9)", "u64 UInt64 | GCD, LZ4", "f32 Float32 | Gorilla, ZSTD", "f64 Float64 | FPC", "b Bool",
		"s String | ZSTD(3) | it's a `comment` with \\ and \n a line", "fs FixedString(4)", "d Date", "dt DateTime('Europe/Vienna')", "dt6 DateTime64(6, 'UTC') | Delta, ZSTD(1)",
		"id UUID", "ip4 IPv4", "ip6 IPv6", "e8 Enum8('it''s' = -1, 'b' = 2)", "e16 Enum16('x' = 1000)", "a Array(String)",
		"m Map(String, String)", "ml Map(LowCardinality(String), String)", "n Nullable(String)", "ln LowCardinality(Nullable(String))", "we`ird\"name String | NONE",
	}
	return map[string]*schema.Table{
		"firehose":  firehose,
		"full_text": full,
		"every type": {
			Database: database, Name: "every_type", Columns: schematest.Columns(t, every...), OrderBy: "i8, (i16)",
			TTL: "dt + INTERVAL 30 DAY DELETE WHERE u8 = 3, dt + interval '1 year'", PartitionBy: "(toDate(dt), u8)",
			Indexes: []schema.Index{
				{Name: "two", Expression: "i8,  ( i16+1 ) * 2", Type: "minmax", Granularity: 3},
				{Name: "set", Expression: "lower(s)", Type: "set( 100 )"},
			},
		},
		"spelled": {
			Database: database, Name: "spelled", Columns: schematest.Columns(t, "a UInt8", "s String", "dt DateTime"),
			OrderBy: "(if(a = 1 and not (a in (2, 3)), 1, 0), `s` like 'x%', case when a between 1 and 2 then 1 else 2 end)", PartitionBy: "tuple(toDate(dt))",
			TTL: "dt + interval 30 days delete where a = 3 or s is null, dt + INTERVAL '1 week' recompress codec(ZSTD(5)), dt + toIntervalDay(400)",
		},
		"no keys":      {Database: database, Name: "no_keys", Columns: schematest.Columns(t, "a String")},
		"odd name":     {Database: database, Name: "od'd` \\na\nme", Columns: schematest.Columns(t, "a String"), OrderBy: "tuple()"},
		"quoted names": {Database: database, Name: "order", Columns: schematest.Columns(t, "select String", "from DateTime"), OrderBy: "(`select`, \"from\")", PartitionBy: "toYYYYMM(`from`)"},
		"no fsync":     {Database: database, Name: "no_fsync", Columns: schematest.Columns(t, "a String"), OrderBy: "a", Settings: map[string]string{"min_bytes_for_wide_part": "0"}},
		"fsync":        {Database: database, Name: "fsync", Columns: schematest.Columns(t, "a String"), OrderBy: "a", Fsync: true},
	}
}

func TestMigrateCreatesAndThenFits(t *testing.T) {
	conn := schematest.Open(t)
	m := newMigrator(conn)
	for name, target := range engineTables(t, conn.Server.Database) {
		t.Run(name, func(t *testing.T) {
			if err := m.Migrate(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			expectFits(t, m, target)
			done := len(conn.Statements(""))
			if err := m.Migrate(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if n := len(conn.Statements("")); n != done {
				t.Errorf("a second migration ran %q", conn.Statements("")[done:])
			}
		})
	}
}

func TestMigrateCreatesDatabase(t *testing.T) {
	conn := schematest.Open(t)
	database := conn.Server.Database + "_other's"
	t.Cleanup(func() {
		_ = conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+schema.QuoteIdentifier(database))
	})
	m := newMigrator(conn)
	target := schema.DefaultRoute(database).Table
	if err := m.Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	expectFits(t, m, target)
	history := migrationsOf(t, conn, target, "statement, hash, outcome, instance, host != '', user != '', abs(dateDiff('second', time, now())) < 60")
	for i, statement := range []string{table.CreateDatabase(target), table.CreateTable(target)} {
		if want := []string{statement, target.Hash(), "applied", "test", "1", "1", "1"}; i >= len(history) || !slices.Equal(history[i], want) {
			t.Errorf("history: %q, want %q", history, want)
		}
	}
}

// TestMigrateVersions takes a table with rows through five versions of its route's schema.
func TestMigrateVersions(t *testing.T) {
	conn := schematest.Open(t)
	m := newMigrator(conn)
	base := func(lines ...string) *schema.Table {
		return &schema.Table{Database: conn.Server.Database, Name: "events", Columns: schematest.Columns(t, lines...), OrderBy: "(service, time)", PartitionBy: "toDate(time)"}
	}
	name := schema.QuoteIdentifier(conn.Server.Database) + ".events"
	versions := []*schema.Table{
		base("time DateTime", "service String", "code UInt8", "kind Enum8('a' = 1)", "body String"),
		base("time DateTime", "service LowCardinality(String)", "colo LowCardinality(String) | ZSTD(1) | where it comes from", "code UInt16", "kind Enum8('a' = 1, 'b' = 2)", "body String | ZSTD(3)"),
		base("time DateTime", "service LowCardinality(String)", "colo LowCardinality(String) | ZSTD(1) | where it is from", "code Nullable(UInt32)", "kind Enum16('a' = 1, 'b' = 2, 'c' = 300)", "body LowCardinality(String) | ZSTD(3)", "attributes Map(String, String)"),
		base("time DateTime", "service LowCardinality(String)", "code Nullable(UInt32)", "kind Enum16('a' = 1, 'b' = 2, 'c' = 300)", "body String | ZSTD(3)", "attributes Map(LowCardinality(String), String)"),
		base("first String", "time DateTime", "service LowCardinality(String)", "code Nullable(UInt64)", "kind Enum16('a' = 1, 'b' = 2, 'c' = 300)", "body String | ZSTD(3)", "attributes Map(LowCardinality(String), String)"),
	}
	versions[2].Indexes = []schema.Index{{Name: "body", Expression: "body", Type: "bloom_filter(0.01)"}}
	versions[2].Fsync = true
	versions[2].TTL = "time + INTERVAL 30 DAY"
	versions[3].TTL = "time + INTERVAL 40 DAY"
	versions[4].TTL = versions[3].TTL
	for i, target := range versions {
		plans, err := m.Plan(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if len(plans[0].Steps) != 1 {
			t.Fatalf("version %d: not one statement:\n%s", i+1, plans[0])
		}
		if err := m.Migrate(t.Context(), target); err != nil {
			t.Fatalf("version %d: %v", i+1, err)
		}
		expectFits(t, m, target)
		conn.Run(t, fmt.Sprintf("INSERT INTO %s (time, service, code, kind, body) SELECT now(), 'service %d', %d, 'a', 'body %d' FROM numbers(10)", name, i+1, i+1, i+1))
		for v := range i + 1 {
			got := conn.Ask(t, fmt.Sprintf("SELECT count(), groupUniqArray(toString(code)), groupUniqArray(toString(body)), groupUniqArray(toString(kind)) FROM %s WHERE service = 'service %d'", name, v+1))
			if want := fmt.Sprintf("10\t['%d']\t['body %d']\t['a']", v+1, v+1); got != want {
				t.Errorf("at version %d the rows of version %d are %s, not %s", i+1, v+1, got, want)
			}
		}
	}
	if history := migrationsOf(t, conn, versions[4], "hash"); len(history) != 5 {
		t.Errorf("history has the migrations %q", history)
	}
}

func TestMigrateRefuses(t *testing.T) {
	conn := schematest.Open(t)
	database := conn.Server.Database
	m := newMigrator(conn)
	conn.Run(t,
		"CREATE TABLE "+schema.QuoteIdentifier(database)+".t (a UInt64, k UInt8, s String, n Nullable(String), al String ALIAS s, own UInt8) ENGINE = MergeTree PARTITION BY k ORDER BY k TTL toDate(a) + INTERVAL 100 YEAR",
		"INSERT INTO "+schema.QuoteIdentifier(database)+".t (a, k, s) VALUES (300, 1, 'x')",
	)
	target := &schema.Table{
		Database: database, Name: "t", OrderBy: "(k, a)", PartitionBy: "k",
		Columns: schematest.Columns(t, "a UInt8", "k UInt16", "s UInt32", "n String", "al String", "new String"),
	}
	before := conn.Ask(t, "SHOW CREATE TABLE "+schema.QuoteIdentifier(database)+".t")
	err := m.Migrate(t.Context(), target)
	refused, ok := errors.AsType[*table.RefusedError](err)
	if !ok {
		t.Fatalf("error %v", err)
	}
	var names []string
	for _, step := range refused.Steps {
		names = append(names, step.Name)
		if step.Statement == "" || step.Change == "" {
			t.Errorf("step %+v", step)
		}
	}
	if got, want := strings.Join(names, ","), "column a,column s,column n,column al,"; got != want {
		t.Errorf("refused %s, want %s", got, want)
	}
	if after := conn.Ask(t, "SHOW CREATE TABLE "+schema.QuoteIdentifier(database)+".t"); after != before {
		t.Errorf("changed to %s", after)
	}

	// What a person asks for by name is done.
	target.OrderBy = "k"
	target.Columns = schematest.Columns(t, "a UInt64", "k UInt8", "s String", "n String", "new String")
	if err := m.Migrate(t.Context(), target); err == nil {
		t.Fatal("Nullable was taken off")
	}
	if _, err := m.Apply(t.Context(), target, "column n", "t:column nn", "s:column n"); err == nil {
		t.Fatal("Nullable was taken off by another name")
	}
	plan, err := m.Apply(t.Context(), target, "t:column n")
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Notes) != 3 {
		t.Errorf("notes %q", plan.Notes)
	}
	expectFits(t, m, target)
	if got := conn.Ask(t, "SELECT a, k, s, n, new FROM "+schema.QuoteIdentifier(database)+".t"); got != "300\t1\tx\t\t" {
		t.Errorf("the row is %s", got)
	}
}

func TestMigrateOnceOfTwo(t *testing.T) {
	conn := schematest.Open(t)
	locker := &schematest.Locker{}
	target := schema.DefaultRoute(conn.Server.Database).Table
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			m := newMigrator(conn, func(c *table.MigratorConfig) { c.Locker, c.Instance = locker, fmt.Sprint(i) })
			if err := m.Migrate(context.Background(), target); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	want := table.CreateTable(target)
	n := 0
	for _, s := range conn.Statements("CREATE TABLE") {
		if s == want {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the table was created %d times", n)
	}
	if n := locker.Held(); n != 0 {
		t.Errorf("%d leases are still held", n)
	}
}

func TestMigrateWithoutLease(t *testing.T) {
	conn := schematest.Open(t)
	target := schema.DefaultRoute(conn.Server.Database).Table
	m := newMigrator(conn, func(c *table.MigratorConfig) { c.Locker = &schematest.Locker{Err: errors.New("redis is away")} })
	if err := m.Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	expectFits(t, m, target)
}

func TestMigrateRetriesReplicaBehind(t *testing.T) {
	conn := schematest.Open(t)
	target := schema.DefaultRoute(conn.Server.Database).Table
	left := 2
	conn.Refuse = func(statement string) error {
		if strings.HasPrefix(statement, "CREATE TABLE") && left > 0 {
			left--
			return errors.New("Code: 517. DB::Exception: Metadata on replica is not up to date. (CANNOT_ASSIGN_ALTER)")
		}
		return nil
	}
	if err := newMigrator(conn).Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
}

func TestMigrateFailureIsWrittenDown(t *testing.T) {
	conn := schematest.Open(t)
	target := schema.DefaultRoute(conn.Server.Database).Table
	m := newMigrator(conn)
	if err := m.Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	target.Indexes = append(target.Indexes, schema.Index{Name: "bad", Expression: "noSuchFunction(Body)", Type: "minmax"})
	err := m.Migrate(t.Context(), target)
	if err == nil || !strings.Contains(err.Error(), "noSuchFunction") {
		t.Fatalf("error %v", err)
	}
	history := migrationsOf(t, conn, target, "outcome, message")
	if last := history[len(history)-1]; last[0] != "failed" || !strings.Contains(last[1], "noSuchFunction") {
		t.Errorf("history %q", history)
	}
}

func TestMigrateSeesWhatDoesNotShow(t *testing.T) {
	conn := schematest.Open(t)
	target := schema.DefaultRoute(conn.Server.Database).Table
	m := newMigrator(conn)
	if err := m.Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	target.Columns = append(target.Columns, schema.Column{Name: "more", Type: schematest.Type(t, "String")})
	lost := lostStatements{conn}
	m = newMigrator(lost, func(c *table.MigratorConfig) { c.VisibleWithin = time.Second })
	if err := m.Migrate(t.Context(), target); err == nil || !strings.Contains(err.Error(), "is not visible") || !strings.Contains(err.Error(), "ADD COLUMN IF NOT EXISTS `more`") {
		t.Fatalf("error %v", err)
	}
}

// lostStatements only pretends to execute an ALTER.
type lostStatements struct{ *schematest.Conn }

func (l lostStatements) Exec(ctx context.Context, statement string) error {
	if strings.HasPrefix(statement, "ALTER") {
		return nil
	}
	return l.Conn.Exec(ctx, statement)
}

// TestPlanWithoutFormatter plans a table while ClickHouse stops answering in between.
func TestPlanWithoutFormatter(t *testing.T) {
	conn := schematest.Open(t)
	target := schema.DefaultRoute(conn.Server.Database).Table
	if err := newMigrator(conn).Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	lost := unanswered{conn, "SELECT formatQuery"}
	if _, err := newMigrator(lost).Plan(t.Context(), target); !errors.Is(err, errUnanswered) || !strings.Contains(err.Error(), target.FullName()) {
		t.Fatalf("error %v", err)
	}
}

var errUnanswered = errors.New("no answer")

// unanswered answers no query that begins with a prefix.
type unanswered struct {
	*schematest.Conn
	prefix string
}

func (u unanswered) Query(ctx context.Context, query string) ([][]string, error) {
	if strings.HasPrefix(query, u.prefix) {
		return nil, errUnanswered
	}
	return u.Conn.Query(ctx, query)
}

// TestClusterStatementsParse: the embedded engine has no cluster, but it reads the statements.
func TestClusterStatementsParse(t *testing.T) {
	conn := schematest.Open(t)
	for _, engine := range []string{"ReplicatedMergeTree", "ReplicatedMergeTree('/clickhouse/tables/{shard}/logs', '{replica}')"} {
		target := schema.DefaultRoute("logs").Table
		target.Cluster, target.Engine, target.TTL = "{cluster}", engine, "TimestampTime + INTERVAL 90 DAY"
		narrow := table.Existing{Database: true, Table: true, Engine: "ReplicatedMergeTree"}
		narrow.Definition, _ = schema.ParseDefinition("CREATE TABLE t (`a` UInt8) ENGINE = ReplicatedMergeTree PARTITION BY toDate(TimestampTime) PRIMARY KEY " + target.PrimaryKey + " ORDER BY " + target.OrderBy)
		for _, existing := range []*table.Existing{{}, &narrow, {Database: true, Table: true, Engine: "Distributed"}, {Database: true, Table: true, Engine: "Log"}} {
			plan := table.NewPlan(target, existing)
			var statements []string
			for _, step := range plan.Steps {
				statements = append(statements, step.Statement)
			}
			for _, refused := range plan.Refused {
				statements = append(statements, strings.Split(refused.Statement, ";\n")...)
			}
			for _, statement := range statements {
				if statement == "" {
					continue
				}
				if !strings.Contains(statement, "ON CLUSTER `{cluster}`") && !strings.HasPrefix(statement, "INSERT") {
					t.Errorf("not on the cluster: %s", statement)
				}
				conn.Ask(t, "EXPLAIN AST "+statement)
			}
		}
	}
}

func TestDefaultsOfOldRows(t *testing.T) {
	conn := schematest.Open(t)
	m := newMigrator(conn)
	target := &schema.Table{Database: conn.Server.Database, Name: "defaults", OrderBy: "a", Columns: schematest.Columns(t, "a UInt64")}
	if err := m.Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	name := schema.QuoteIdentifier(target.Database) + ".defaults"
	conn.Run(t, "INSERT INTO "+name+" (a) VALUES (1)")
	for _, c := range []struct{ name, columnType, value string }{
		{"s", "String", "it's \\ `x`"}, {"l", "LowCardinality(Nullable(String))", "l"}, {"i", "Int32", "-3"}, {"f", "Float64", "1.5"}, {"b", "Bool", "true"},
		{"d", "DateTime64(3, 'UTC')", "2020-01-02 03:04:05.006"}, {"e", "Enum8('x' = 1, 'y' = 2)", "y"}, {"u", "UUID", "61f0c404-5cb3-11e7-907b-a6006ad3dba0"},
		{"ar", "Array(String)", "['1','2']"}, {"ip", "IPv4", "1.2.3.4"}, {"m", "Map(String, String)", "{}"},
	} {
		target.Columns = append(target.Columns, schema.Column{Name: c.name, Type: schematest.Type(t, c.columnType), Default: c.value, HasDefault: true})
	}
	if err := m.Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	expectFits(t, m, target)
	got := conn.Ask(t, "SELECT s, l, i, f, b, d, e, u, ar, ip, m FROM "+name)
	want := "it\\'s \\\\ `x`\tl\t-3\t1.5\ttrue\t2020-01-02 03:04:05.006\ty\t61f0c404-5cb3-11e7-907b-a6006ad3dba0\t['1','2']\t1.2.3.4\t{}"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
