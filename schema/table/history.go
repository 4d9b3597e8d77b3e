package table

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// The outcomes of a migration in the history.
const (
	outcomeApplied = "applied"
	outcomeFailed  = "failed"
)

// migration is one statement of a migration, as the history has it.
type migration struct {
	// hash is the hash of the schema that was to be reached.
	hash, statement  string
	duration         time.Duration
	outcome, message string
}

// history writes to _logbatcher_schema in the database of the table that was migrated. The table is created when the
// first row is written.
type history struct {
	conn                     schema.Conn
	cluster, engine          string
	instance, host, database string
}

// historyOf returns the history of the tables in a database.
func (m *Migrator) historyOf(database string) *history {
	host, _ := os.Hostname() // without a name the column stays empty
	return &history{
		conn: m.config.Conn, cluster: m.config.HistoryCluster, engine: m.config.HistoryEngine,
		instance: m.config.Instance, host: host, database: database,
	}
}

func (h *history) name() string { return schema.QuotedName(h.database, "_logbatcher_schema") }

func (h *history) create() string {
	return "CREATE TABLE IF NOT EXISTS " + h.name() + (&schema.Table{Cluster: h.cluster}).OnCluster() + `
(
    time DateTime64(3, 'UTC'),
    database LowCardinality(String),
    table LowCardinality(String),
    hash String,
    statement String,
    instance LowCardinality(String),
    host LowCardinality(String),
    user LowCardinality(String),
    duration_ms UInt64,
    outcome LowCardinality(String),
    message String
)
ENGINE = ` + schema.HistoryEngine(h.engine) + `
ORDER BY time`
}

func (h *history) write(ctx context.Context, t *schema.Table, m migration) error {
	statement := fmt.Sprintf("INSERT INTO %s SELECT now64(3, 'UTC'), %s, %s, %s, %s, %s, %s, currentUser(), %d, %s, %s", h.name(),
		schema.QuoteString(t.Database), schema.QuoteString(t.Name), schema.QuoteString(m.hash), schema.QuoteString(m.statement),
		schema.QuoteString(h.instance), schema.QuoteString(h.host), m.duration.Milliseconds(),
		schema.QuoteString(m.outcome), schema.QuoteString(m.message))
	err := h.conn.Exec(ctx, statement)
	if schema.ErrorCode(err) != schema.CodeUnknownTable {
		return err
	}
	if err := h.conn.Exec(ctx, h.create()); err != nil {
		return fmt.Errorf("create history: %w", err)
	}
	return h.conn.Exec(ctx, statement)
}

// last returns when the table was last migrated, to which hash, and with which outcome. Zero: never.
func (h *history) last(ctx context.Context, t *schema.Table) (at time.Time, hash, outcome string, err error) {
	rows, err := h.conn.Query(ctx, "SELECT toUnixTimestamp64Milli(time), hash, outcome FROM "+h.name()+
		" WHERE database = "+schema.QuoteString(t.Database)+" AND table = "+schema.QuoteString(t.Name)+" ORDER BY time DESC LIMIT 1")
	if code := schema.ErrorCode(err); code == schema.CodeUnknownTable || code == schema.CodeUnknownDatabase {
		return time.Time{}, "", "", nil
	}
	if err != nil || len(rows) == 0 {
		return time.Time{}, "", "", err
	}
	milliseconds, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return time.Time{}, "", "", err
	}
	return time.UnixMilli(milliseconds).UTC(), rows[0][1], rows[0][2], nil
}
