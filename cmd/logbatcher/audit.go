package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// errBooks makes the exit status 3.
var errBooks = errors.New("the books do not add up")

// mostFindings bounds the findings that audit prints.
const mostFindings = 100

func newAuditCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "audit",
		Short: "Check the books of a running LogBatcher against ClickHouse and the dead-letter queue",
		Long: `Audit asks an instance for the books that its write-ahead log keeps over restarts, and checks them:
  - each table's rows: those routed are committed, dead-lettered or in flight;
  - each producer's entries: those received are refused, unmatched, settled, dropped or in flight;
  - each batch that was settled within wal.audit_for: its rows are in the table, by the column _batch_id, and in the dead-letter queue, each once.
What does not add up is named, after a second look. Each instance has its own books: ask all of them, with --address.

A batch is checked against its table only as long as retention can't have removed rows of it, and only where the table's engine keeps rows as they
are. Rows that somebody has deleted and dead letters that somebody has dropped do not add up; audit can't know who it was.

Exit status: 0 when everything adds up, 3 when something does not, 1 when it could not be checked.`,
		Example: "  logbatcher audit --config logbatcher.yaml\n  logbatcher audit --config logbatcher.yaml --address gw-2:4320 --since 1h",
	}
	var to target
	to.addFlags(command.Flags())
	since := command.Flags().String("since", "", "only batches settled at this time or later: 2026-11-25T10:00:00Z, 2026-11-25 (UTC), or 2h for two hours ago")
	return withTools(command, func(ctx context.Context, t *tools) error {
		a := &audit{tools: t, now: time.Now()}
		if *since != "" {
			at, err := parseMoment(*since, a.now)
			if err != nil {
				return fmt.Errorf("--since: %w", err)
			}
			a.since = at
		}
		conn, err := to.dial(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		a.admin = logbatcherv1.NewAdminServiceClient(conn)
		return a.run(ctx, to.address)
	})
}

// audit checks an instance's books.
type audit struct {
	*tools
	admin      logbatcherv1.AdminServiceClient
	now, since time.Time
}

// books are what an instance says, and what ClickHouse and the queue have of it.
type books struct {
	instance, log string
	tables        []*logbatcherv1.TableBooks
	producers     []*logbatcherv1.ProducerBooks
	batches       map[string]*settled
	notes         []string // what was not checked
}

// settled is a settled batch.
type settled struct {
	*logbatcherv1.SettledBatch
	found   int  // its rows in the table
	queued  int  // its rows in the dead-letter queue
	counted bool // the table tells how many there are
	old     bool // retention may have removed some
	moved   bool // its dead letters were replayed into tables of other routes
}

func (a *audit) run(ctx context.Context, address string) error {
	b, findings, err := a.look(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	if len(findings) > 0 { // a row may have been on its way from the queue to the table
		again, second, err := a.look(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		b = again
		findings = slices.DeleteFunc(second, func(f string) bool { return !slices.Contains(findings, f) })
	}
	rows := 0
	for _, s := range b.batches {
		rows += s.found + s.queued
	}
	fmt.Fprintf(a.out, "instance %s, log %s: %d tables, %d producers, %d settled batches with %d rows in tables and dead letters\n",
		b.instance, b.log, len(b.tables), len(b.producers), len(b.batches), rows)
	for _, note := range b.notes {
		fmt.Fprintln(a.out, "not checked:", note)
	}
	for _, finding := range findings[:min(len(findings), mostFindings)] {
		fmt.Fprintln(a.out, finding)
	}
	if more := len(findings) - mostFindings; more > 0 {
		fmt.Fprintf(a.out, "and %d more\n", more)
	}
	if len(findings) > 0 {
		return errBooks
	}
	fmt.Fprintln(a.out, "everything adds up")
	return nil
}

// look reads everything once, and returns what does not add up.
func (a *audit) look(ctx context.Context) (*books, []string, error) {
	b, err := a.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := a.readLetters(ctx, b); err != nil {
		return nil, nil, fmt.Errorf("list the dead letters: %w", err)
	}
	if err := a.readTables(ctx, b); err != nil {
		return nil, nil, err
	}
	return b, b.findings(), nil
}

// read asks the instance for its books.
func (a *audit) read(ctx context.Context) (*books, error) {
	request := &logbatcherv1.GetBooksRequest{}
	if !a.since.IsZero() {
		request.SinceUnixNano = uint64(a.since.UnixNano())
	}
	stream, err := a.admin.GetBooks(ctx, request, grpc.MaxCallRecvMsgSize(64<<20))
	if err != nil {
		return nil, err
	}
	b := &books{batches: map[string]*settled{}}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		b.instance, b.log = cmp.Or(b.instance, part.Instance), cmp.Or(b.log, part.Log)
		b.tables, b.producers = append(b.tables, part.Tables...), append(b.producers, part.Producers...)
		for _, batch := range part.Batches {
			b.batches[batch.BatchId] = &settled{SettledBatch: batch}
		}
	}
}

// of returns the batch that an id of rows or of a dead letter comes from, or nil: ids of parts, of letters, and of their parts begin with the
// batch's. moved reports that the rows are those of a letter's entries in a route of its own.
func (b *books) of(id string) (batch *settled, moved bool) {
	for {
		if batch = b.batches[id]; batch != nil {
			return batch, moved
		}
		at := strings.LastIndexAny(id, ".@")
		if at < 0 {
			return nil, false
		}
		moved = moved || id[at] == '@'
		id = id[:at]
	}
}

// readLetters counts the rows of batches in the dead-letter queue.
func (a *audit) readLetters(ctx context.Context, b *books) error {
	for request := (&logbatcherv1.ListDeadLettersRequest{PageSize: 1000}); ; {
		page, err := a.admin.ListDeadLetters(ctx, request)
		if err != nil {
			return err
		}
		for _, letter := range page.Letters {
			if batch, moved := b.of(letter.Id); moved {
				batch.moved = true
			} else if batch != nil {
				batch.queued += int(letter.Rows)
			}
		}
		if request.PageToken = page.NextPageToken; request.PageToken == "" {
			return nil
		}
	}
}

// readTables counts the rows of batches in their tables.
func (a *audit) readTables(ctx context.Context, b *books) error {
	byTable := map[string][]string{}
	for id, batch := range b.batches {
		if batch.Table != "" {
			byTable[batch.Table] = append(byTable[batch.Table], id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byTable)) {
		at := slices.IndexFunc(a.routes, func(r *schema.Route) bool { return r.Table.FullName() == name })
		if at < 0 {
			b.notes = append(b.notes, fmt.Sprintf("%d batches of %s, which has no route in this configuration", len(byTable[name]), name))
			continue
		}
		if err := a.readTable(ctx, b, a.routes[at], byTable[name]); err != nil {
			return fmt.Errorf("count the rows of %s: %w", name, err)
		}
	}
	return nil
}

// idsAtOnce is how many batches one statement counts.
var idsAtOnce = 20_000

func (a *audit) readTable(ctx context.Context, b *books, route *schema.Route, ids []string) error {
	table := route.Table
	engines, err := a.clickhouse.Conn().Query(ctx, "SELECT engine FROM system.tables WHERE database = "+schema.QuoteString(table.Database)+" AND name = "+schema.QuoteString(table.Name))
	if err != nil {
		return err
	}
	// A missing table has none of its rows. Engines that merge rows, such as ReplacingMergeTree, do not tell how many there were.
	if len(engines) > 0 && !slices.Contains([]string{"MergeTree", "ReplicatedMergeTree", "SharedMergeTree"}, engines[0][0]) {
		b.notes = append(b.notes, fmt.Sprintf("%d batches of %s, a %s, which merges rows", len(ids), table.FullName(), engines[0][0]))
		return nil
	}
	for _, id := range ids {
		batch := b.batches[id]
		batch.counted = true
		batch.old = route.Retention.MaxAge > 0 && a.now.Sub(time.Unix(0, int64(batch.SettledUnixNano))) > route.Retention.MaxAge-route.MaxAge-time.Hour
	}
	if len(engines) == 0 {
		return nil
	}
	// Ids of parts begin with the batch's, and so come behind it.
	slices.Sort(ids)
	column := schema.QuoteIdentifier(schema.BatchIDColumn)
	for len(ids) > 0 {
		condition := column + " >= " + schema.QuoteString(ids[0])
		if n := idsAtOnce; len(ids) > n {
			condition += " AND " + column + " < " + schema.QuoteString(ids[n])
			ids = ids[n:]
		} else {
			condition += " AND " + column + " <= " + schema.QuoteString(ids[len(ids)-1]+"~")
			ids = nil
		}
		rows, err := a.clickhouse.Conn().Query(ctx, "SELECT "+column+", count() FROM "+schema.QuoteIdentifier(table.Database)+"."+schema.QuoteIdentifier(table.Name)+
			" WHERE "+condition+" GROUP BY "+column)
		if err != nil {
			return err
		}
		for _, row := range rows {
			n, err := strconv.Atoi(row[1])
			if err != nil {
				return err
			}
			if batch, moved := b.of(row[0]); batch != nil && !moved && batch.Table == table.FullName() {
				batch.found += n
			}
		}
	}
	return nil
}

// findings returns what does not add up.
func (b *books) findings() []string {
	var findings []string
	add := func(format string, values ...any) { findings = append(findings, fmt.Sprintf(format, values...)) }
	for _, t := range b.tables {
		if off := int64(t.RowsRouted - t.RowsCommitted - t.RowsDeadLettered - t.RowsInFlight); off != 0 {
			add("table %s: %d rows routed, %d committed, %d dead-lettered, %d in flight: %d are missing", orNone(t.Table), t.RowsRouted, t.RowsCommitted,
				t.RowsDeadLettered, t.RowsInFlight, off)
		}
	}
	for _, p := range b.producers {
		if off := int64(p.EntriesReceived - p.EntriesRefused - p.EntriesUnmatched - p.EntriesSettled - p.EntriesDropped - p.EntriesInFlight); off != 0 {
			add("producer %s of tenant %s: %d entries received, %d refused, %d unmatched, %d settled, %d dropped, %d in flight: %d are missing",
				orNone(oneLine(p.Producer, 1<<10)), orNone(p.Tenant), p.EntriesReceived, p.EntriesRefused, p.EntriesUnmatched, p.EntriesSettled, p.EntriesDropped, p.EntriesInFlight, off)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.batches)) {
		s := b.batches[id]
		// Dead letters that were replayed are in the table.
		off := s.found + s.queued - int(s.RowsCommitted) - int(s.RowsDeadLettered)
		if !s.counted || s.moved || off == 0 || off < 0 && s.old {
			continue
		}
		what := fmt.Sprintf("%d too many", off)
		if off < 0 {
			what = fmt.Sprintf("%d are missing", -off)
		}
		add("batch %s of table %s, settled %s with %d rows committed and %d dead-lettered: %d in the table, %d in the queue: %s", id, s.Table,
			time.Unix(0, int64(s.SettledUnixNano)).UTC().Format(time.RFC3339), s.RowsCommitted, s.RowsDeadLettered, s.found, s.queued, what)
	}
	return findings
}
