//go:build linux

package rig

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// A Way is how rows are appended to a batch of clickhouse-go.
type Way string

// The ways.
const (
	ByRow    Way = "row by row"
	ByColumn Way = "columnar"
)

// insertStatement names the columns of the firehose; _batch_id is the gateway's own. The layout without TimestampTime has it
// as an empty list of names.
const insertStatement = `INSERT INTO otel_logs (Timestamp, %sTraceId, SpanId, TraceFlags, SeverityText, SeverityNumber,
	ServiceName, Body, ResourceSchemaUrl, ResourceAttributes, ScopeSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes,
	LogAttributes, EventName)`

// A DirectLoad is what is inserted without a gateway.
type DirectLoad struct {
	// Way is how.
	Way Way
	// Rows, Batch and Writers are how many rows, rows of a batch, and batches at a time.
	Rows, Batch, Writers int
	// Templates are the rows of a batch.
	Templates [][]*logbatcherv1.Entry
	// TimestampTime reports whether the table has that column.
	TimestampTime bool
}

// Direct inserts batches with clickhouse-go, in this process. The rows are the same in each batch, except for their numbers.
type Direct struct {
	load      DirectLoad
	statement string
	conn      driver.Conn
	writers   []*columns
}

// columns are a batch's rows as the driver takes them.
type columns struct {
	times                                           []time.Time
	traceIDs, spanIDs, severities, services, bodies []string
	flags, severityNumbers                          []uint8
	resources, attributes, none                     []map[string]string
	scopes, versions, empty                         []string
}

// OpenDirect connects to a database whose table exists.
func (s *Rig) OpenDirect(ctx context.Context, database string, load DirectLoad) (*Direct, error) {
	conn, err := openDriver(s.Address, database, load.Writers)
	if err != nil {
		return nil, err
	}
	d := &Direct{load: load, conn: conn, statement: fmt.Sprintf(insertStatement, "")}
	if load.TimestampTime {
		d.statement = fmt.Sprintf(insertStatement, "TimestampTime, ")
	}
	for range load.Writers {
		d.writers = append(d.writers, makeColumns(load.Templates))
	}
	return d, conn.Ping(ctx)
}

func makeColumns(requests [][]*logbatcherv1.Entry) *columns {
	c := &columns{}
	none := map[string]string{}
	for i, entries := range requests {
		resource := Resource(i % Resources)
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

// PID returns the id of this process.
func (d *Direct) PID() int { return os.Getpid() }

// Close closes the connections.
func (d *Direct) Close() error { return d.conn.Close() }

// Report adds how many batches were inserted.
func (d *Direct) Report(_ context.Context, r *Result) error {
	r.Batches = float64((d.load.Rows + d.load.Batch - 1) / d.load.Batch)
	return nil
}

// Write inserts all rows in batches.
func (d *Direct) Write(ctx context.Context) error {
	rows, size := d.load.Rows, d.load.Batch
	batches := make(chan int, rows/size+1) // each batch's first row
	for first := 0; first < rows; first += size {
		batches <- first
	}
	close(batches)
	tasks, ctx := errgroup.WithContext(ctx)
	for _, columns := range d.writers {
		tasks.Go(func() error {
			for first := range batches {
				if err := d.insert(ctx, columns, first, min(size, rows-first)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return tasks.Wait()
}

// insert inserts n rows, numbered from first on.
func (d *Direct) insert(ctx context.Context, c *columns, first, n int) error {
	batch, err := d.conn.PrepareBatch(ctx, d.statement)
	if err != nil {
		return err
	}
	defer batch.Close() // does nothing after Send
	for i := range n {
		c.attributes[i][NumberKey] = strconv.Itoa(first + i)
	}
	if d.load.Way == ByColumn {
		err = c.appendColumns(batch, n, d.load.TimestampTime)
	} else {
		err = c.appendRows(batch, n, d.load.TimestampTime)
	}
	if err != nil {
		return err
	}
	return batch.Send()
}

func (c *columns) appendRows(batch driver.Batch, n int, timestampTime bool) error {
	for i := range n {
		values := make([]any, 0, 17)
		values = append(values, c.times[i])
		if timestampTime {
			values = append(values, c.times[i])
		}
		values = append(values, c.traceIDs[i], c.spanIDs[i], c.flags[i], c.severities[i], c.severityNumbers[i],
			c.services[i], c.bodies[i], c.empty[i], c.resources[i], c.empty[i], c.scopes[i], c.versions[i], c.none[i],
			c.attributes[i], c.empty[i])
		if err := batch.Append(values...); err != nil {
			return err
		}
	}
	return nil
}

func (c *columns) appendColumns(batch driver.Batch, n int, timestampTime bool) error {
	columns := []any{
		c.times[:n], c.times[:n], c.traceIDs[:n], c.spanIDs[:n], c.flags[:n], c.severities[:n], c.severityNumbers[:n],
		c.services[:n], c.bodies[:n], c.empty[:n], c.resources[:n], c.empty[:n], c.scopes[:n], c.versions[:n], c.none[:n],
		c.attributes[:n], c.empty[:n],
	}
	if !timestampTime {
		columns = columns[1:]
	}
	for i, values := range columns {
		if err := batch.Column(i).Append(values); err != nil {
			return err
		}
	}
	return nil
}
