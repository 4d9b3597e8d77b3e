package schema

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The names of the tables that migrations and retention runs are written down in.
const (
	DefaultSchemaHistory    = "_logbatcher_schema"
	DefaultRetentionHistory = "_logbatcher_retention"
)

// The outcomes that the history and the metrics have.
const (
	outcomeApplied = "applied"
	outcomeFailed  = "failed"
)

// HistoryConfig says where migrations and retention runs are written down. Its zero value works:
// two MergeTree tables in the database of each table that they are about.
type HistoryConfig struct {
	// Database is where the tables are. Empty: the database of the table that was changed.
	Database string
	// SchemaTable and RetentionTable are their names. Empty: DefaultSchemaHistory and DefaultRetentionHistory.
	SchemaTable, RetentionTable string
	// Cluster creates them ON CLUSTER. Empty: on the one server.
	Cluster string
	// Engine is their engine. Empty: MergeTree.
	Engine string
}

// migration is one statement of a migration, as the history has it.
type migration struct {
	// hash is the hash of the schema that was to be reached.
	hash, statement  string
	duration         time.Duration
	outcome, message string
}

// history writes to the history's tables, which it creates when the first row is written.
type history struct {
	config         HistoryConfig
	conn           Conn
	instance, host string
}

func (h *history) schemaTable(database string) *Table {
	word := Type{Kind: KindString, LowCardinality: true}
	text := Type{Kind: KindString}
	return h.table(database, h.config.SchemaTable, DefaultSchemaHistory, []Column{
		{Name: "time", Type: Type{Kind: KindDateTime64, Precision: 3, Zone: "UTC"}},
		{Name: "database", Type: word},
		{Name: "table", Type: word},
		{Name: "hash", Type: text},
		{Name: "statement", Type: text},
		{Name: "instance", Type: word},
		{Name: "host", Type: word},
		{Name: "user", Type: word},
		{Name: "duration_ms", Type: Type{Kind: KindUInt64}},
		{Name: "outcome", Type: word},
		{Name: "message", Type: text},
	})
}

func (h *history) retentionTable(database string) *Table {
	word := Type{Kind: KindString, LowCardinality: true}
	text := Type{Kind: KindString}
	number := Type{Kind: KindUInt64}
	moment := Type{Kind: KindDateTime64, Precision: 3, Zone: "UTC"}
	t := h.table(database, h.config.RetentionTable, DefaultRetentionHistory, []Column{
		{Name: "time", Type: moment},
		{Name: "database", Type: word},
		{Name: "table", Type: word},
		{Name: "route", Type: word},
		{Name: "cutoff", Type: moment},
		{Name: "dropped", Type: Type{Kind: KindArray, Element: &text}},
		{Name: "dropped_rows", Type: number},
		{Name: "dropped_bytes", Type: number},
		{Name: "deleted_rows", Type: number},
		{Name: "instance", Type: word},
		{Name: "host", Type: word},
		{Name: "user", Type: word},
		{Name: "duration_ms", Type: number},
		{Name: "outcome", Type: word},
		{Name: "message", Type: text},
	})
	t.TTL = "toDateTime(time) + INTERVAL 2 YEAR"
	return t
}

func (h *history) table(database, name, fallback string, columns []Column) *Table {
	if name == "" {
		name = fallback
	}
	if h.config.Database != "" {
		database = h.config.Database
	}
	return &Table{
		Database: database, Name: name, Cluster: h.config.Cluster, Engine: historyEngine(h.config.Engine),
		Columns: columns, OrderBy: "time",
		// Two runs that did the same are two rows.
		Settings: map[string]string{"non_replicated_deduplication_window": "0"},
	}
}

// historyEngine returns the engine of the history where the tables have this one: each row of it stays.
func historyEngine(engine string) string {
	if name := engineName(engine); engineKind(name) == "ReplacingMergeTree" {
		return strings.Replace(name, "Replacing", "", 1)
	}
	return engine
}

// write inserts one row of SQL expressions, in the order of the table's columns, and creates the table if it is
// not there.
func (h *history) write(ctx context.Context, t *Table, values []string) error {
	statement := "INSERT INTO " + quotedName(t.Database, t.Name) + " SELECT " + strings.Join(values, ", ")
	err := h.conn.Exec(ctx, statement)
	if code := errorCode(err); code != codeUnknownTable && code != codeUnknownDatabase {
		return err
	}
	for _, create := range []string{CreateDatabase(t), CreateTable(t)} {
		if err := h.conn.Exec(ctx, create); err != nil {
			return fmt.Errorf("create history: %w", err)
		}
	}
	return h.conn.Exec(ctx, statement)
}

func (h *history) writeMigration(ctx context.Context, t *Table, m migration) error {
	return h.write(ctx, h.schemaTable(t.Database), []string{
		"now64(3, 'UTC')", QuoteString(t.Database), QuoteString(t.Name), QuoteString(m.hash), QuoteString(m.statement),
		QuoteString(h.instance), QuoteString(h.host), "currentUser()", strconv.FormatInt(m.duration.Milliseconds(), 10),
		QuoteString(m.outcome), QuoteString(m.message),
	})
}

// lastMigration returns when the table was last migrated, to which hash, and with which outcome. Zero: never.
func (h *history) lastMigration(ctx context.Context, table *Table) (at time.Time, hash, outcome string, err error) {
	t := h.schemaTable(table.Database)
	rows, err := h.conn.Query(ctx, "SELECT toUnixTimestamp64Milli(time), hash, outcome FROM "+quotedName(t.Database, t.Name)+
		" WHERE database = "+QuoteString(table.Database)+" AND table = "+QuoteString(table.Name)+" ORDER BY time DESC LIMIT 1")
	if code := errorCode(err); code == codeUnknownTable || code == codeUnknownDatabase {
		return time.Time{}, "", "", nil
	}
	if err != nil || len(rows) == 0 {
		return time.Time{}, "", "", err
	}
	numbers, err := integers(rows[0][:1])
	if err != nil {
		return time.Time{}, "", "", err
	}
	return time.UnixMilli(numbers[0]).UTC(), rows[0][1], rows[0][2], nil
}

// firstDateTime64 is the earliest second that a DateTime64 holds, 1900-01-01.
const firstDateTime64 = -2208988800

func (h *history) writeRetention(ctx context.Context, route *Route, r *RetentionResult, failure error) error {
	message := ""
	if failure != nil {
		message = failure.Error()
	}
	partitions := make([]string, len(r.Dropped))
	for i, id := range r.Dropped {
		partitions[i] = QuoteString(id)
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return h.write(ctx, h.retentionTable(route.Table.Database), []string{
		"now64(3, 'UTC')", QuoteString(route.Table.Database), QuoteString(route.Table.Name), QuoteString(route.Name),
		"fromUnixTimestamp64Milli(" + strconv.FormatInt(max(r.Cutoff.UnixMilli(), 1000*firstDateTime64), 10) + ", 'UTC')",
		"[" + strings.Join(partitions, ", ") + "]::Array(String)", number(r.DroppedRows), number(r.DroppedBytes), number(r.DeletedRows),
		QuoteString(h.instance), QuoteString(h.host), "currentUser()", strconv.FormatInt(r.Duration.Milliseconds(), 10),
		QuoteString(retentionOutcome(failure)), QuoteString(message),
	})
}

// lastRetention returns when a run of the route last did all that it had to. Zero: never.
func (h *history) lastRetention(ctx context.Context, route *Route) (time.Time, error) {
	t := h.retentionTable(route.Table.Database)
	rows, err := h.conn.Query(ctx, "SELECT toUnixTimestamp64Milli(max(time)) FROM "+quotedName(t.Database, t.Name)+
		" WHERE database = "+QuoteString(route.Table.Database)+" AND table = "+QuoteString(route.Table.Name)+" AND outcome = "+QuoteString(outcomeApplied))
	if code := errorCode(err); code == codeUnknownTable || code == codeUnknownDatabase {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read history: %w", err)
	}
	numbers, err := integers(rows[0])
	if err != nil {
		return time.Time{}, fmt.Errorf("read history: %w", err)
	}
	return time.UnixMilli(numbers[0]), nil
}
