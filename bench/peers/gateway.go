//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/bench/internal/rig"
)

// gatewayOptions are what differs between gateways.
type gatewayOptions struct {
	database                string
	batch, inserts, streams int
	linger                  time.Duration
}

// gatewayConfiguration is LogBatcher's for a table that the Collector's exporter made.
func gatewayConfiguration(s *rig.Rig, o gatewayOptions) string {
	return fmt.Sprintf(`listen: {grpc: "127.0.0.1:0", http: "127.0.0.1:0"}
server: {limits: {max_streams: %d}}
shards: {max_batch_rows: %d, linger: %s}
clickhouse: {addresses: [%q], database: %s, inserts_per_table: %d}
redis: {addresses: [%q]}
retention: {enabled: false}
wal: {enabled: false}
routes:
  - {name: firehose, table: otel_logs, columns: [otel_logs_v2]}
`, o.streams, o.batch, o.linger, s.Address, o.database, o.inserts, s.RedisAddress())
}

// awaitRows waits until a table holds a number of rows.
func awaitRows(ctx context.Context, s *rig.Rig, database string, want uint64) error {
	const pause, patience = 50 * time.Millisecond, 30 * time.Second
	var count, before uint64
	for last := time.Now(); ; {
		if err := s.Conn.QueryRow(ctx, "SELECT count() FROM "+database+".otel_logs").Scan(&count); err != nil {
			return err
		}
		if count >= want {
			return nil
		}
		if count != before {
			before, last = count, time.Now()
		}
		if time.Since(last) > patience {
			return fmt.Errorf("%s.otel_logs holds %d of %d rows, and no more came for %s", database, count, want, patience)
		}
		if err := rig.Rest(ctx, pause); err != nil {
			return err
		}
	}
}
