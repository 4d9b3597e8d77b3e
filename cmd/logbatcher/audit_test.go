package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// auditor runs audits of the bench's gateway.
type auditor struct {
	*bench
	admin logbatcherv1.AdminServiceClient
}

func (a *auditor) run(t *testing.T) (string, error) {
	t.Helper()
	tools, err := openTools(t.Context(), a.load, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer tools.close()
	var out bytes.Buffer
	tools.out = &out
	err = (&audit{tools: tools, admin: a.admin, now: time.Now()}).run(t.Context(), a.address)
	if err != nil && !errors.Is(err, errBooks) {
		t.Fatal(err)
	}
	return out.String(), err
}

// adds checks that everything adds up, once the books have that many rows.
func (a *auditor) adds(t *testing.T, rows string) {
	t.Helper()
	var out string
	embeddedtest.Eventually(t, "the books have "+rows+" rows, and add up", func() bool {
		var err error
		out, err = a.run(t)
		return err == nil && strings.Contains(out, "with "+rows+" rows in tables and dead letters")
	})
	if !strings.Contains(out, "everything adds up") {
		t.Errorf("printed %s", out)
	}
}

// finds checks what does not add up.
func (a *auditor) finds(t *testing.T, texts ...string) {
	t.Helper()
	out, err := a.run(t)
	if err == nil {
		t.Errorf("everything adds up: %s", out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("%q is not in:\n%s", text, out)
		}
	}
}

// TestAudit doubles and deletes rows, and drops a dead letter, by hand. The audit names each.
func TestAudit(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.OwnRedis(t))
	b.change = func(c *config.Config) { c.WAL.CheckpointInterval = time.Second }
	i := b.start(t)
	b.clickhouse.Exec(t, "ALTER TABLE numbered ADD CONSTRAINT only_good CHECK bad = 0")
	tr := b.traffic(t)
	conn := tr.connect(t)
	a := &auditor{b, logbatcherv1.NewAdminServiceClient(conn)}
	a.adds(t, "0")
	tr.isBad = func(n int) bool { return n%5 == 0 }
	tr.bury(t, 4, 10)
	a.adds(t, "40")

	i.stop(t)
	b.start(t)
	tr.bury(t, 1, 10)
	a.adds(t, "50")
	letters := b.stored(t)
	if len(letters) < 3 {
		t.Fatalf("%d dead letters", len(letters))
	}
	work := func(id string) {
		t.Helper()
		replay, err := a.admin.ReplayDeadLetters(t.Context(), &logbatcherv1.ReplayDeadLettersRequest{
			Selection: &logbatcherv1.DeadLetterSelection{Ids: []string{id}}, Execute: true, Edits: []*logbatcherv1.DeadLetterEdit{{Column: "bad", Text: "0"}},
		})
		for err == nil {
			_, err = replay.Recv()
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	work(letters[0].Letter.ID)
	a.adds(t, "50")

	// The numbers of the last request, which have a batch of their own.
	b.clickhouse.Exec(t, "INSERT INTO numbered SELECT * FROM numbered WHERE n IN (41, 42)")
	a.finds(t, "2 too many", "table "+b.clickhouse.Database+".numbered")
	b.clickhouse.Exec(t, "DELETE FROM numbered WHERE n IN (41, 42)")
	a.finds(t, "2 are missing")
	b.clickhouse.Exec(t, "DELETE FROM numbered WHERE n IN (1, 2, 3)")
	a.finds(t, "2 are missing", "3 are missing")

	drop, err := a.admin.DropDeadLetters(t.Context(), &logbatcherv1.DropDeadLettersRequest{
		Selection: &logbatcherv1.DeadLetterSelection{Ids: []string{letters[2].Letter.ID}}, Execute: true,
	})
	for err == nil {
		_, err = drop.Recv()
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	a.finds(t, "8 in the table, 0 in the queue: 2 are missing")

	b.clickhouse.Exec(t, "DROP TABLE numbered")
	a.finds(t, "0 in the table")
}

// TestAuditOfBooks checks books without a server: what is counted, and what is not.
func TestAuditOfBooks(t *testing.T) {
	batch := func(id string, committed, dead uint64) *logbatcherv1.SettledBatch {
		return &logbatcherv1.SettledBatch{BatchId: id, Table: "a.b", RowsCommitted: committed, RowsDeadLettered: dead}
	}
	for name, test := range map[string]struct {
		books books
		want  string // empty: it adds up
	}{
		"nothing":         {books{}, ""},
		"a table":         {books{tables: []*logbatcherv1.TableBooks{{Table: "a.b", RowsRouted: 10, RowsCommitted: 4, RowsDeadLettered: 3, RowsInFlight: 3}}}, ""},
		"a table lacks":   {books{tables: []*logbatcherv1.TableBooks{{Table: "a.b", RowsRouted: 10, RowsCommitted: 4, RowsDeadLettered: 3, RowsInFlight: 1}}}, "2 are missing"},
		"a producer":      {books{producers: []*logbatcherv1.ProducerBooks{{Producer: "p", EntriesReceived: 6, EntriesRefused: 1, EntriesUnmatched: 1, EntriesSettled: 1, EntriesDropped: 1, EntriesInFlight: 2}}}, ""},
		"a producer more": {books{producers: []*logbatcherv1.ProducerBooks{{Producer: "p", EntriesReceived: 6, EntriesSettled: 7}}}, "-1 are missing"},
		"a batch":         {books{batches: map[string]*settled{"i-1": {SettledBatch: batch("i-1", 5, 2), found: 5, queued: 2, counted: true}}}, ""},
		"replayed":        {books{batches: map[string]*settled{"i-1": {SettledBatch: batch("i-1", 5, 2), found: 6, queued: 1, counted: true}}}, ""},
		"not counted":     {books{batches: map[string]*settled{"i-1": {SettledBatch: batch("i-1", 5, 2), found: 0}}}, ""},
		"expired":         {books{batches: map[string]*settled{"i-1": {SettledBatch: batch("i-1", 5, 2), found: 1, counted: true, old: true}}}, ""},
		"expired, doubled": {books{batches: map[string]*settled{"i-1": {SettledBatch: batch("i-1", 5, 0), found: 6, counted: true, old: true}}},
			"1 too many"},
		"in both": {books{batches: map[string]*settled{"i-1": {SettledBatch: batch("i-1", 5, 2), found: 7, queued: 2, counted: true}}}, "2 too many"},
		"lost":    {books{batches: map[string]*settled{"i-1": {SettledBatch: batch("i-1", 5, 2), found: 4, queued: 2, counted: true}}}, "1 are missing"},
		"no letter": {books{batches: map[string]*settled{"i-1": {SettledBatch: batch("i-1", 5, 2), found: 6, queued: 0, counted: true}}},
			"1 are missing"},
		"moved": {books{batches: map[string]*settled{"i-1": {SettledBatch: batch("i-1", 0, 2), counted: true, moved: true}}}, ""},
	} {
		found := test.books.findings()
		if (len(found) == 0) != (test.want == "") || len(found) > 1 || len(found) == 1 && !strings.HasSuffix(found[0], test.want) {
			t.Errorf("%s: %q, want %q", name, found, test.want)
		}
	}
	b := books{batches: map[string]*settled{"gw.1-2": {}, "gw.1-20": {}}}
	for id, want := range map[string]string{
		"gw.1-2": "gw.1-2", "gw.1-2.5-6": "gw.1-2", "gw.1-20.0-9.00000000000000ff": "gw.1-20", "gw.1-2.0-9.3-4@all": "gw.1-2", "gw.1-3": "", "gw.1-3.1-2": "",
	} {
		if at, moved := b.of(id); at != b.batches[want] || moved != strings.Contains(id, "@") {
			t.Errorf("%s: %v, moved %v", id, at, moved)
		}
	}
}

// TestAuditWithoutALog says that there are no books.
func TestAuditWithoutALog(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.OwnRedis(t))
	b.change = func(c *config.Config) { c.WAL.Enabled = false }
	b.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := logbatcherv1.NewAdminServiceClient(b.traffic(t).connect(t)).GetBooks(ctx, &logbatcherv1.GetBooksRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if err == nil || !strings.Contains(err.Error(), "wal.enabled") {
		t.Errorf("error %v", err)
	}
}
