package retention

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// historyName returns the name of the history table, which is in the database of the route's table.
func historyName(t *schema.Table) string {
	return schema.QuotedName(t.Database, "_logbatcher_retention")
}

// createHistory returns the statement that creates the history table.
func (r *Retainer) createHistory(t *schema.Table) string {
	created := schema.Table{Cluster: r.config.HistoryCluster}
	return "CREATE TABLE IF NOT EXISTS " + historyName(t) + created.OnCluster() + `
(
    time DateTime64(3, 'UTC'),
    database LowCardinality(String),
    table LowCardinality(String),
    route LowCardinality(String),
    cutoff DateTime64(3, 'UTC'),
    dropped Array(String),
    dropped_rows UInt64,
    dropped_bytes UInt64,
    deleted_rows UInt64,
    instance LowCardinality(String),
    host LowCardinality(String),
    user LowCardinality(String),
    duration_ms UInt64,
    outcome LowCardinality(String),
    message String
)
ENGINE = ` + schema.HistoryEngine(r.config.HistoryEngine) + `
ORDER BY time
TTL toDateTime(time) + INTERVAL 2 YEAR
SETTINGS ttl_only_drop_parts = 1`
}

// firstDateTime64 is the earliest millisecond that a DateTime64 holds, 1900-01-01.
const firstDateTime64 = -2208988800_000

// record adds a run to the history, and creates the history table if it does not exist.
func (r *Retainer) record(ctx context.Context, route *schema.Route, result *Result, failure error) error {
	message := ""
	if failure != nil {
		message = failure.Error()
	}
	dropped := make([]string, len(result.Dropped))
	for i, id := range result.Dropped {
		dropped[i] = schema.QuoteString(id)
	}
	host, _ := os.Hostname() // the column stays empty without a name
	t := route.Table
	statement := fmt.Sprintf("INSERT INTO %s SELECT now64(3, 'UTC'), %s, %s, %s, fromUnixTimestamp64Milli(%d, 'UTC'), [%s]::Array(String), "+
		"%d, %d, %d, %s, %s, currentUser(), %d, %s, %s", historyName(t),
		schema.QuoteString(t.Database), schema.QuoteString(t.Name), schema.QuoteString(route.Name),
		max(result.Cutoff.UnixMilli(), firstDateTime64), strings.Join(dropped, ", "),
		result.DroppedRows, result.DroppedBytes, result.DeletedRows,
		schema.QuoteString(r.config.Instance), schema.QuoteString(host), result.Duration.Milliseconds(),
		schema.QuoteString(outcome(failure)), schema.QuoteString(message))
	err := r.config.Conn.Exec(ctx, statement)
	if schema.ErrorCode(err) != schema.CodeUnknownTable {
		return err
	}
	if err := r.config.Conn.Exec(ctx, r.createHistory(t)); err != nil {
		return fmt.Errorf("create history: %w", err)
	}
	return r.config.Conn.Exec(ctx, statement)
}

// lastRun returns when a run of the route last succeeded, zero if none has.
func (r *Retainer) lastRun(ctx context.Context, route *schema.Route) (time.Time, error) {
	t := route.Table
	rows, err := integers(r.config.Conn.Query(ctx, "SELECT toUnixTimestamp64Milli(max(time)) FROM "+historyName(t)+
		" WHERE database = "+schema.QuoteString(t.Database)+" AND table = "+schema.QuoteString(t.Name)+" AND outcome = "+schema.QuoteString(outcome(nil))))
	if code := schema.ErrorCode(err); code == schema.CodeUnknownTable || code == schema.CodeUnknownDatabase {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read history: %w", err)
	}
	return time.UnixMilli(rows[0][0]), nil
}
