//go:build linux

package main

import (
	"fmt"
	"strings"
	"sync"
)

// A configuration is that of all gateways: what a run changes in it, they load with a SIGHUP or at their next start.
type configuration struct {
	mu      sync.Mutex // guards what follows
	columns int        // added to the table numbered
	routes  []string   // added; the table has the name of its route
	broken  bool
}

// database is where all tables of a run are.
const database = "chaos"

// text returns the YAML for one gateway.
func (c *configuration) text(g *gateway) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, `instance: {id: %s}
listen: {grpc: "127.0.0.1:0", http: "127.0.0.1:0"}
server: {drain_timeout: 2s, finish_timeout: 20s}
memory: {limit: 2GiB}
shards: {count: 2, bucket: 10s, linger: 500ms, max_batch_rows: 20000}
clickhouse:
  addresses: ["%s"]
  database: %s
  compression: lz4
  fsync: false
  attempt_timeout: %s
  late_after: %s
  hold_backoff: 1s
  retry: {min: 50ms, max: 1s}
redis: {addresses: ["%s"]}
dead_letters: {max_bytes: 4GiB}
retention: {enabled: false}
shutdown: {timeout: 1m}
`, g.name, g.clickhouse.address, database, attemptTimeout, lateAfter, g.redis.address)
	if g.walFolder != "" {
		fmt.Fprintf(&b, "wal: {enabled: true, dir: %q, max_bytes: %dMiB, segment_bytes: 1MiB, reserve_bytes: 8MiB, checkpoint_interval: 2s, audit_for: 60d}\n", g.walFolder, g.walMiB)
	}
	if g.walFolder == "" {
		b.WriteString("wal: {enabled: false}\n")
	}
	b.WriteString(`columns:
  - {name: p, type: UInt16, source: 'attributes["p"]', required: true}
  - {name: n, type: UInt64, source: 'attributes["n"]', required: true}
  - {name: bad, type: UInt8, source: 'attributes["bad"]'}
  - {name: colo, type: LowCardinality(String), source: colo}
  - {name: time, type: DateTime64(3), source: time}
  - {name: body, type: String, source: body}
  - {name: zero, type: UInt8, default: 0}
`)
	for i := range c.columns {
		fmt.Fprintf(&b, "  - {name: added%d, type: UInt64, source: 'attributes[\"n\"]'}\n", i)
	}
	columns := "p, n, bad, colo, time, body, zero"
	b.WriteString("routes:\n")
	// All rows are equal under the sorting key, so that a part keeps the order in which they were inserted.
	route := func(name, filter, columns, partition string) {
		fmt.Fprintf(&b, "  - {name: %[1]s, table: %[1]s, filter: {%[2]s}, columns: [%[3]s], order_by: zero, partition_by: %[4]q, max_age: 365d, max_ahead: 30d, retention: {max_age: 0}}\n",
			name, filter, columns, partition)
	}
	numbered := columns
	for i := range c.columns {
		numbered += fmt.Sprintf(", added%d", i)
	}
	const known = `attributes.nowhere: {doesNotExist: true}`
	route("numbered", known, numbered, "")
	route("tenth", known+`, attributes.tenth: {equals: 1}`, columns, "toStartOfHour(time)")
	for _, name := range c.routes {
		route(name, known+`, attributes.tenth: {equals: 1}`, columns, "")
	}
	if c.broken {
		b.WriteString("  - {name: broken, table: broken, columns: [no_such_column]}\n")
	}
	return b.String()
}
