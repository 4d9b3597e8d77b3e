//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"
)

// The ways to insert with clickhouse-go.
const (
	byRow    = "row by row"
	byColumn = "columnar"
)

// insertStatement names the columns of the firehose; _batch_id is the gateway's own.
const insertStatement = `INSERT INTO otel_logs (Timestamp, TimestampTime, TraceId, SpanId, TraceFlags, SeverityText, SeverityNumber,
	ServiceName, Body, ResourceSchemaUrl, ResourceAttributes, ScopeSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes,
	LogAttributes, EventName)`

// measureDirect lets a child process insert the rows with clickhouse-go, into a table that logbatcher has made.
func measureDirect(ctx context.Context, s *stack, o options, way string) (r result, err error) {
	name := "direct, " + way
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	database := s.newDatabase()
	run := o.gatewayRun("none")
	file, err := s.writeConfiguration(&run, database)
	if err != nil {
		return r, err
	}
	if output, err := exec.CommandContext(ctx, s.binary, "schema", "apply", "--config", file).CombinedOutput(); err != nil {
		return r, fmt.Errorf("make the table: %w: %s", err, output)
	}
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	writer, err := startChild(self, directCommand, "-address", s.address, "-database", database, "-way", way,
		"-rows", strconv.Itoa(o.rows), "-batch", strconv.Itoa(o.batch), "-writers", strconv.Itoa(o.writers))
	if err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, writer.stop())
		}
	}()
	if _, err := writer.await(ctx, "ready"); err != nil {
		return r, err
	}
	m, err := beginMeasurement(s.enginePID, writer.pid())
	if err != nil {
		return r, err
	}
	if _, err := io.WriteString(writer.input, "go\n"); err != nil {
		return r, writer.failure(err)
	}
	if _, err := writer.await(ctx, "inserted"); err != nil {
		return r, err
	}
	r = result{name: name, rows: o.rows, tables: 1, batches: float64((o.rows + o.batch - 1) / o.batch)}
	if err := m.end(&r); err != nil {
		return r, err
	}
	if err := s.settle(ctx); err != nil {
		return r, err
	}
	if err := m.settled(&r); err != nil {
		return r, err
	}
	if err := writer.finish(); err != nil {
		return r, err
	}
	if err := s.counted(ctx, database, o.rows); err != nil {
		return r, err
	}
	return r, s.drop(ctx, database)
}

// A directWriter inserts batches of the same rows, whose numbers alone change.
type directWriter struct {
	conn driver.Conn
	way  string
	rows columns
}

// columns are a batch's rows as the driver takes them.
type columns struct {
	times                                           []time.Time
	traceIDs, spanIDs, severities, services, bodies []string
	flags, severityNumbers                          []uint8
	resources, attributes, none                     []map[string]string
	scopes, versions, empty                         []string
}

// runDirectWriter is the child: it prepares, says "ready", awaits a line, inserts, says "inserted", and awaits the end
// of its input.
func runDirectWriter(arguments []string, input io.Reader, output io.Writer) error {
	flags := flag.NewFlagSet(directCommand, flag.ContinueOnError)
	address, database, way := flags.String("address", "", ""), flags.String("database", "", ""), flags.String("way", byRow, "")
	rows, batch, writers := flags.Int("rows", 0, ""), flags.Int("batch", 0, ""), flags.Int("writers", 1, "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	conn, err := openDriver(*address, *database, *writers)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Ping(context.Background()); err != nil {
		return err
	}
	numbers := make([]string, *rows)
	for i := range numbers {
		numbers[i] = strconv.Itoa(firstNumber + i)
	}
	parallel := make([]*directWriter, *writers)
	for i := range parallel {
		parallel[i] = &directWriter{conn: conn, way: *way, rows: makeColumns(*batch)}
	}
	lines := bufio.NewScanner(input)
	fmt.Fprintln(output, "ready")
	if !lines.Scan() {
		return errors.Join(errors.New("nobody said go"), lines.Err())
	}
	batches := make(chan []string, len(numbers) / *batch + 1)
	for first := 0; first < len(numbers); first += *batch {
		batches <- numbers[first:min(first+*batch, len(numbers))]
	}
	close(batches)
	tasks, ctx := errgroup.WithContext(context.Background())
	for _, w := range parallel {
		tasks.Go(func() error {
			for numbers := range batches {
				if err := w.insert(ctx, numbers); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := tasks.Wait(); err != nil {
		return err
	}
	fmt.Fprintln(output, "inserted")
	for lines.Scan() { // the parent reads our accounts first
	}
	return lines.Err()
}

func makeColumns(count int) columns {
	var c columns
	var resources [4]map[string]string
	for i := range resources {
		resources[i] = resource(i)
	}
	none := map[string]string{}
	start := noon()
	for i := range count {
		r := makeRow(start, i)
		c.times = append(c.times, r.time)
		c.traceIDs, c.spanIDs = append(c.traceIDs, r.traceID), append(c.spanIDs, r.spanID)
		c.flags, c.severityNumbers = append(c.flags, traceFlags), append(c.severityNumbers, severityNumber)
		c.severities, c.services, c.bodies = append(c.severities, r.severity), append(c.services, r.service), append(c.bodies, r.body)
		c.resources, c.none = append(c.resources, resources[i/500%4]), append(c.none, none)
		c.scopes, c.versions, c.empty = append(c.scopes, scopeName), append(c.versions, scopeVersion), append(c.empty, "")
		c.attributes = append(c.attributes, r.values())
	}
	return c
}

// insert inserts one batch.
func (w *directWriter) insert(ctx context.Context, numbers []string) error {
	batch, err := w.conn.PrepareBatch(ctx, insertStatement)
	if err != nil {
		return err
	}
	defer batch.Close() // after Send it does nothing
	for i, number := range numbers {
		w.rows.attributes[i][numberKey] = number
	}
	if w.way == byColumn {
		err = w.rows.appendColumns(batch, len(numbers))
	} else {
		err = w.rows.appendRows(batch, len(numbers))
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
