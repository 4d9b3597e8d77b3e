package retention

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// history writes to _logbatcher_retention in the database of the route's table. The table is created when the first row
// is written.
type history struct {
	conn                     schema.Conn
	cluster, engine          string
	instance, host, database string
}

// historyOf returns the history of the route's database.
func (r *Retainer) historyOf(route *schema.Route) *history {
	host, _ := os.Hostname() // without a name the column stays empty
	return &history{
		conn: r.config.Conn, cluster: r.config.HistoryCluster, engine: r.config.HistoryEngine,
		instance: r.config.Instance, host: host, database: route.Table.Database,
	}
}

func (h *history) name() string { return schema.QuotedName(h.database, "_logbatcher_retention") }

func (h *history) create() string {
	return "CREATE TABLE IF NOT EXISTS " + h.name() + schema.OnCluster(&schema.Table{Cluster: h.cluster}) + `
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
ENGINE = ` + schema.HistoryEngine(h.engine) + `
ORDER BY time
TTL toDateTime(time) + INTERVAL 2 YEAR
SETTINGS ttl_only_drop_parts = 1`
}

// firstDateTime64 is the earliest second that a DateTime64 holds, 1900-01-01.
const firstDateTime64 = -2208988800

func (h *history) write(ctx context.Context, route *schema.Route, r *Result, failure error) error {
	message := ""
	if failure != nil {
		message = failure.Error()
	}
	partitions := make([]string, len(r.Dropped))
	for i, id := range r.Dropped {
		partitions[i] = schema.QuoteString(id)
	}
	statement := fmt.Sprintf("INSERT INTO %s SELECT now64(3, 'UTC'), %s, %s, %s, fromUnixTimestamp64Milli(%d, 'UTC'), [%s]::Array(String), %d, %d, %d, "+
		"%s, %s, currentUser(), %d, %s, %s", h.name(),
		schema.QuoteString(route.Table.Database), schema.QuoteString(route.Table.Name), schema.QuoteString(route.Name),
		max(r.Cutoff.UnixMilli(), 1000*firstDateTime64), strings.Join(partitions, ", "), r.DroppedRows, r.DroppedBytes, r.DeletedRows,
		schema.QuoteString(h.instance), schema.QuoteString(h.host), r.Duration.Milliseconds(),
		schema.QuoteString(outcome(failure)), schema.QuoteString(message))
	err := h.conn.Exec(ctx, statement)
	if schema.ErrorCode(err) != schema.CodeUnknownTable {
		return err
	}
	if err := h.conn.Exec(ctx, h.create()); err != nil {
		return fmt.Errorf("create history: %w", err)
	}
	return h.conn.Exec(ctx, statement)
}

// last returns when a run of the route last did all that it had to. Zero: never.
func (h *history) last(ctx context.Context, route *schema.Route) (time.Time, error) {
	rows, err := h.conn.Query(ctx, "SELECT toUnixTimestamp64Milli(max(time)) FROM "+h.name()+
		" WHERE database = "+schema.QuoteString(route.Table.Database)+" AND table = "+schema.QuoteString(route.Table.Name)+" AND outcome = "+schema.QuoteString(outcomeApplied))
	if code := schema.ErrorCode(err); code == schema.CodeUnknownTable || code == schema.CodeUnknownDatabase {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read history: %w", err)
	}
	milliseconds, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read history: %w", err)
	}
	return time.UnixMilli(milliseconds), nil
}
