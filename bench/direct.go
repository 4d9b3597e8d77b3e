//go:build linux

package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// A way is how rows are appended to a batch of clickhouse-go.
type way string

const (
	byRow    way = "row by row"
	byColumn way = "columnar"
)

// insertStatement names the columns of the firehose; _batch_id is the gateway's own.
const insertStatement = `INSERT INTO otel_logs (Timestamp, TimestampTime, TraceId, SpanId, TraceFlags, SeverityText, SeverityNumber,
	ServiceName, Body, ResourceSchemaUrl, ResourceAttributes, ScopeSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes,
	LogAttributes, EventName)`

// A direct inserts batches with clickhouse-go, in this process. The rows are the same in each batch, except for their numbers.
type direct struct {
	variant
	conn    driver.Conn
	writers []*columns
}

// columns are a batch's rows as the driver takes them.
type columns struct {
	times                                           []time.Time
	traceIDs, spanIDs, severities, services, bodies []string
	flags, severityNumbers                          []uint8
	resources, attributes, none                     []map[string]string
	scopes, versions, empty                         []string
}

func openDirect(ctx context.Context, address, database string, v variant) (*direct, error) {
	conn, err := openDriver(address, database, v.inserts)
	if err != nil {
		return nil, err
	}
	d := &direct{variant: v, conn: conn}
	for range v.inserts {
		d.writers = append(d.writers, makeColumns(templates(&v)))
	}
	return d, conn.Ping(ctx)
}

func makeColumns(requests [][]*logbatcherv1.Entry) *columns {
	c := &columns{}
	none := map[string]string{}
	for i, entries := range requests {
		resource := resource(i % resources)
		for _, e := range entries {
			at := time.Unix(0, int64(e.TimeUnixNano)).UTC()
			c.times = append(c.times, at)
			c.traceIDs, c.spanIDs = append(c.traceIDs, e.TraceId), append(c.spanIDs, e.SpanId)
			c.flags, c.severityNumbers = append(c.flags, uint8(e.TraceFlags)), append(c.severityNumbers, uint8(e.SeverityNumber))
			c.severities, c.services, c.bodies = append(c.severities, e.SeverityText), append(c.services, e.Service), append(c.bodies, e.Body)
			c.resources, c.none = append(c.resources, resource), append(c.none, none)
			c.scopes, c.versions, c.empty = append(c.scopes, e.ScopeName), append(c.versions, e.ScopeVersion), append(c.empty, "")
			attributes := make(map[string]string, len(e.Attributes)+1)
			for _, a := range e.Attributes {
				attributes[a.Key] = a.StringValue
				if a.Type == logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT {
					attributes[a.Key] = strconv.FormatInt(a.IntValue, 10)
				}
			}
			c.attributes = append(c.attributes, attributes)
		}
	}
	return c
}

func (d *direct) pid() int { return os.Getpid() }

func (d *direct) close() error { return d.conn.Close() }

func (d *direct) report(_ context.Context, r *result) error {
	r.batches = float64((d.rows + d.batch - 1) / d.batch)
	return nil
}

// write inserts all rows in batches.
func (d *direct) write(ctx context.Context) error {
	batches := make(chan int, d.rows/d.batch+1) // each batch's first row
	for first := 0; first < d.rows; first += d.batch {
		batches <- first
	}
	close(batches)
	tasks, ctx := errgroup.WithContext(ctx)
	for _, rows := range d.writers {
		tasks.Go(func() error {
			for first := range batches {
				if err := d.insert(ctx, rows, first, min(d.batch, d.rows-first)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return tasks.Wait()
}

// insert inserts n rows, numbered from first on.
func (d *direct) insert(ctx context.Context, c *columns, first, n int) error {
	batch, err := d.conn.PrepareBatch(ctx, insertStatement)
	if err != nil {
		return err
	}
	defer batch.Close() // does nothing after Send
	for i := range n {
		c.attributes[i][numberKey] = strconv.Itoa(first + i)
	}
	if d.direct == byColumn {
		err = c.appendColumns(batch, n)
	} else {
		err = c.appendRows(batch, n)
	}
	if err != nil {
		return err
	}
	return batch.Send()
}

func (c *columns) appendRows(batch driver.Batch, n int) error {
	for i := range n {
		err := batch.Append(c.times[i], c.times[i], c.traceIDs[i], c.spanIDs[i], c.flags[i], c.severities[i], c.severityNumbers[i],
			c.services[i], c.bodies[i], c.empty[i], c.resources[i], c.empty[i], c.scopes[i], c.versions[i], c.none[i],
			c.attributes[i], c.empty[i])
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *columns) appendColumns(batch driver.Batch, n int) error {
	for i, values := range []any{
		c.times[:n], c.times[:n], c.traceIDs[:n], c.spanIDs[:n], c.flags[:n], c.severities[:n], c.severityNumbers[:n],
		c.services[:n], c.bodies[:n], c.empty[:n], c.resources[:n], c.empty[:n], c.scopes[:n], c.versions[:n], c.none[:n],
		c.attributes[:n], c.empty[:n],
	} {
		if err := batch.Column(i).Append(values); err != nil {
			return err
		}
	}
	return nil
}
