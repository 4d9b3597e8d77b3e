//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/logbatcher/logbatcher/bench/internal/rig"
	"github.com/logbatcher/logbatcher/embedded"
)

// collectorStop bounds the stop of a Collector, which inserts what it has.
const collectorStop = 40 * time.Second

// A collector is a process of the OpenTelemetry Collector.
type collector struct {
	process *embedded.Server
	address string // of OTLP over gRPC, host:port
	id      int
}

// collectorReady announces the OTLP receiver, which starts when the exporter has made its table.
var collectorReady = regexp.MustCompile(`Starting GRPC server.*"endpoint": ?"([0-9.:]+)"`)

// collectorConfiguration follows the exporter's README: batches are made in the sending queue, which waits when it is full instead of
// dropping. Like LogBatcher it inserts without compression and does not ask ClickHouse to batch again.
const collectorConfiguration = `receivers:
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}
exporters:
  clickhouse:
    endpoint: http://%s
    database: %s
    create_schema: %t
    compress: none
    async_insert: false
    timeout: 1m
    sending_queue:
      num_consumers: %d
      block_on_overflow: true
      queue_size: %d
      batch: {min_size: %d, max_size: %d, flush_timeout: %s}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], exporters: [clickhouse]}
`

// collectorOptions are what differs between Collectors.
type collectorOptions struct {
	database       string
	createSchema   bool
	inserts, batch int
	queue          int // requests
	linger         time.Duration
}

// startCollector starts a Collector. Its table exists when it returns.
func startCollector(ctx context.Context, s *rig.Rig, binary string, o collectorOptions) (*collector, error) {
	file := filepath.Join(s.Folder, o.database+"-collector.yaml")
	text := fmt.Sprintf(collectorConfiguration, s.Address, o.database, o.createSchema, o.inserts, o.queue, o.batch, o.batch, o.linger)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	c := &collector{}
	c.process = embedded.NewServer(embedded.ServerConfig{
		Name: "collector", Directory: s.Folder, Ready: collectorReady,
		Command: func(context.Context, string) (string, []string, error) {
			return binary, []string{"--config", file}, nil
		},
	})
	if err := c.process.Start(ctx); err != nil {
		return nil, err
	}
	c.address = c.process.Address()
	var err error
	if c.id, err = c.process.PID(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// PID returns the id of the process.
func (c *collector) PID() int { return c.id }

// Close stops the Collector, which inserts what it has first.
func (c *collector) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), collectorStop)
	defer cancel()
	return c.process.Stop(ctx)
}
