package table

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// outcomeApplied is the outcome of a statement that was run.
const outcomeApplied = "applied"

// historyName returns the name of the history table, which is in the database of the table that it is about.
func historyName(t *schema.Table) string {
	return schema.QuotedName(t.Database, "_logbatcher_schema")
}

// createHistory returns the statement that creates the history table.
func (m *Migrator) createHistory(t *schema.Table) string {
	created := schema.Table{Cluster: m.config.HistoryCluster}
	return "CREATE TABLE IF NOT EXISTS " + historyName(t) + created.OnCluster() + `
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
ENGINE = ` + schema.HistoryEngine(m.config.HistoryEngine) + `
ORDER BY time`
}

// record adds a statement of a migration to the history, and creates the history table if it does not exist.
func (m *Migrator) record(ctx context.Context, t *schema.Table, statement string, duration time.Duration, failure error) error {
	outcome, message := outcomeApplied, ""
	if failure != nil {
		outcome, message = "failed", failure.Error()
	}
	host, _ := os.Hostname() // the column stays empty without a name
	insert := fmt.Sprintf("INSERT INTO %s SELECT now64(3, 'UTC'), %s, %s, %s, %s, %s, %s, currentUser(), %d, %s, %s", historyName(t),
		schema.QuoteString(t.Database), schema.QuoteString(t.Name), schema.QuoteString(t.Hash()), schema.QuoteString(statement),
		schema.QuoteString(m.config.Instance), schema.QuoteString(host), duration.Milliseconds(), schema.QuoteString(outcome), schema.QuoteString(message))
	err := m.config.Conn.Exec(ctx, insert)
	if schema.ErrorCode(err) != schema.CodeUnknownTable {
		return err
	}
	if err := m.config.Conn.Exec(ctx, m.createHistory(t)); err != nil {
		return fmt.Errorf("create history: %w", err)
	}
	return m.config.Conn.Exec(ctx, insert)
}

// reportForeignChange logs that a table which fitted was changed by somebody else.
func (m *Migrator) reportForeignChange(ctx context.Context, t *schema.Table) {
	rows, err := m.config.Conn.Query(ctx, "SELECT toUnixTimestamp64Milli(time), hash, outcome FROM "+historyName(t)+
		" WHERE database = "+schema.QuoteString(t.Database)+" AND table = "+schema.QuoteString(t.Name)+" ORDER BY time DESC LIMIT 1")
	switch code := schema.ErrorCode(err); {
	case code == schema.CodeUnknownTable || code == schema.CodeUnknownDatabase:
	case err != nil:
		m.log.WarnContext(ctx, "schema history unreadable", "table", t.FullName(), "error", err)
	case len(rows) > 0 && rows[0][1] == t.Hash() && rows[0][2] == outcomeApplied:
		milliseconds, _ := strconv.ParseInt(rows[0][0], 10, 64)
		m.log.WarnContext(ctx, "table was changed from outside", "table", t.FullName(), "migrated", time.UnixMilli(milliseconds).UTC())
	}
}
