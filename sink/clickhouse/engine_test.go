package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// The errors of the real engine for inserts that it refuses.
func TestEngineErrors(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	s := open(t, server)
	for _, test := range []struct {
		name    string
		prepare []string // with %s for the table
		class   sink.Class
		codes   []int
	}{
		{"no such table", []string{"DROP TABLE %s SYNC"}, sink.Schema, []int{60}},
		{"no such column", []string{"ALTER TABLE %s DROP COLUMN Body"}, sink.Schema, []int{16}},
		{"column of another type", []string{"ALTER TABLE %s DROP CONSTRAINT small", "ALTER TABLE %s DROP COLUMN Number", "ALTER TABLE %s ADD COLUMN Number Array(UInt8)"}, sink.Schema, []int{53}},
		{"computed column", []string{"ALTER TABLE %s DROP COLUMN Body", "ALTER TABLE %s ADD COLUMN Body String MATERIALIZED 'x'"}, sink.Schema, []int{44}},
		{"constraint", []string{"ALTER TABLE %s ADD CONSTRAINT c CHECK Number < 5"}, sink.Row, []int{469}},
		{"too many parts", []string{"ALTER TABLE %s MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1",
			"INSERT INTO %s (Timestamp) VALUES ('2026-03-14 00:00:00')"}, sink.Transient, []int{252}},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := createTable(t, server)
			for _, statement := range test.prepare {
				server.Exec(t, fmt.Sprintf(statement, table.Name))
			}
			b := sinktest.NewMaker(t, table).Batch(t, table.Name, sinktest.Numbers(0, 10)...)
			err := s.Insert(t.Context(), b, attempt(b))
			var failure *sink.Error
			if !errors.As(err, &failure) {
				t.Fatalf("error %v, want *sink.Error", err)
			}
			known := false
			for _, code := range test.codes {
				known = known || code == failure.Code
			}
			if failure.Class != test.class || !known {
				t.Errorf("error %v: class %s, code %d; want %s, %v", err, failure.Class, failure.Code, test.class, test.codes)
			}
			t.Logf("%v", err)
		})
	}
}

func TestEngineUnknownDatabaseIsHeld(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	s := open(t, server)
	b := sinktest.NewMaker(t, sinktest.Table("nowhere", "numbered")).Batch(t, "nowhere", 1)
	var failure *sink.Error
	if err := s.Insert(t.Context(), b, attempt(b)); !errors.As(err, &failure) || failure.Class != sink.Hold || failure.Code != 81 {
		t.Errorf("error %v, want class hold and code 81", err)
	}
	if found, err := s.Present(t.Context(), b); err != nil || found.Rows != 0 {
		t.Errorf("found %+v, %v; want nothing", found, err)
	}
}

// End to end with the real engine: bad rows are found by the row that its error names, and the others are committed.
func TestEngineIsolation(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	table := createTable(t, server)
	letters := sinktest.NewLetters()
	config := sink.DefaultDeliveryConfig()
	config.Sink, config.DeadLetters = open(t, server), letters
	delivery, err := sink.NewDelivery(config)
	if err != nil {
		t.Fatal(err)
	}
	rows := sinktest.Numbers(0, 2000)
	for _, i := range []int{0, 700, 701, 1999} {
		rows[i] += sinktest.Limit
	}
	b := sinktest.NewMaker(t, table).Batch(t, table.Name, rows...)
	outcome, err := delivery.Deliver(t.Context(), b, nil, sink.Limits{}, nil)
	if err != nil || outcome.Committed != 1996 || len(outcome.DeadLettered) != 1 || outcome.DeadLettered[0].Rows != 4 {
		t.Fatalf("outcome %+v, %v; want 1996 rows committed and one dead letter of 4", outcome, err)
	}
	if n := len(numbers(t, server, table)); n != 1996 {
		t.Errorf("table has %d rows, want 1996", n)
	}
	for _, letter := range letters.All() {
		if letter.Code != 469 || letter.Column != sinktest.NumberColumn {
			t.Errorf("letter %s has code %d and column %q", letter.ID, letter.Code, letter.Column)
		}
		// Mended rows can be inserted as they are.
		server.Exec(t, "ALTER TABLE "+table.Name+" DROP CONSTRAINT IF EXISTS small")
		query := map[string]string{"query": "INSERT INTO " + table.Name + " FORMAT Native"}
		if _, err := server.Try(t.Context(), string(letter.Payload), query); err != nil {
			t.Errorf("insert letter %s: %v", letter.ID, err)
		}
	}
	if n := len(numbers(t, server, table)); n != 2000 {
		t.Errorf("table has %d rows after the letters were inserted, want 2000", n)
	}
}

// A profile may make the server split blocks. An insert is still one part.
func TestEngineMakesOnePart(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	table := createTable(t, server)
	s := open(t, server)
	b := sinktest.NewMaker(t, table).Batch(t, table.Name, sinktest.Numbers(0, 70_000)...)
	if err := s.Insert(t.Context(), b, attempt(b)); err != nil {
		t.Fatal(err)
	}
	if parts := server.Query(t, "SELECT count(), sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND table = '"+table.Name+"'"); parts != "1\t70000" {
		t.Errorf("parts and rows: %q, want 1 part", parts)
	}
}

// Rows count as stored even if a person or retention has deleted some or all of them since.
func TestEngineDeletedRowsProveThatTheBatchWasStored(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	table := createTable(t, server)
	s := open(t, server)
	b := sinktest.NewMaker(t, table).Batch(t, table.Name, sinktest.Numbers(0, 10)...)
	if err := s.Insert(t.Context(), b, attempt(b)); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"ALTER TABLE %s DELETE WHERE Number < 4 SETTINGS mutations_sync = 2", "DELETE FROM %s WHERE Number < 100"} {
		server.Exec(t, fmt.Sprintf(statement, table.Name))
		if found, err := s.Present(t.Context(), b); err != nil || found.Rows != 6 {
			t.Errorf("after %s: found %+v, %v; want 6 rows", statement, found, err)
		}
	}
}

func TestEngineRunningAttemptIsSeen(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	table := createTable(t, server)
	s := open(t, server)
	b := sinktest.NewMaker(t, table).Batch(t, table.Name, 1, 2, 3)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = server.Try(ctx, "SELECT sleepEachRow(1) FROM numbers(600)", map[string]string{"query_id": b.ID() + "-1", "max_block_size": "1"})
	}()
	defer func() {
		cancel()
		if err := server.Process.Kill(); err != nil { // the statement goes on without its client
			t.Error(err)
		}
		<-done
	}()
	embeddedtest.Eventually(t, "the running attempt is seen", func() bool {
		found, err := s.Present(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return found.Running
	})
	other := sinktest.NewMaker(t, table).Batch(t, table.Name+"0", 1)
	if found, err := s.Present(t.Context(), other); err != nil || found.Running {
		t.Errorf("another batch: %+v, %v", found, err)
	}
}

// A batch with an unknown outcome is stored once, although the server dies.
func TestEngineKilled(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	table := createTable(t, server)
	config := sink.DefaultDeliveryConfig()
	config.Sink, config.DeadLetters = open(t, server), sinktest.NewLetters()
	config.AttemptTimeout, config.LateAfter = 10*time.Second, 0 // gives up a burned token soon
	delivery, err := sink.NewDelivery(config)
	if err != nil {
		t.Fatal(err)
	}
	maker := sinktest.NewMaker(t, table)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	done := make(chan error)
	const batches, rows = 30, 1000
	go func() {
		for i := range uint64(batches) {
			b := maker.Batch(t, fmt.Sprintf("%s-%d", table.Name, i), sinktest.Numbers(i*rows, (i+1)*rows)...)
			if _, err := delivery.Deliver(ctx, b, nil, sink.Limits{}, nil); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	embeddedtest.Eventually(t, "some batches are stored", func() bool { return server.Query(t, "SELECT count() FROM "+table.Name) != "0" })
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Process.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatalf("deliver: %v", err)
	}
	if got := server.Query(t, "SELECT count(), uniqExact(Number) FROM "+table.Name); got != "30000\t30000" {
		t.Errorf("rows and different numbers: %q, want 30000 of each", got)
	}
}

func TestEngineCheck(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	s := open(t, server)
	found, err := s.Check(t.Context())
	if err != nil || found.Zone == nil || !strings.Contains(found.Version, ".") {
		t.Fatalf("found %+v, %v", found, err)
	}
}

func TestEngineConn(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	conn := open(t, server).Conn()
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatalf("ping: %v", err)
	}
	if err := conn.Exec(t.Context(), "CREATE TABLE odd (Text String, Nothing Nullable(String)) ENGINE = Memory"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(t.Context(), `INSERT INTO odd VALUES ('tab\tline\nslash\\quote\'', NULL), ('', 'N'), ('\\N', 'x')`); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), "SELECT Text, Nothing FROM odd")
	want := [][]string{{"tab\tline\nslash\\quote'", ""}, {"", "N"}, {`\N`, "x"}}
	if err != nil || fmt.Sprintf("%q", rows) != fmt.Sprintf("%q", want) {
		t.Errorf("rows %q, %v; want %q", rows, err, want)
	}
	var failure *sink.Error
	if _, err := conn.Query(t.Context(), "SELEC"); !errors.As(err, &failure) || failure.Code != 62 || failure.Class != sink.Hold {
		t.Errorf("error %v, want code 62", err)
	}
	address, _ := url.Parse(server.Address)
	away := sinkOf(t, []string{"127.0.0.1:1", address.Host}, replicas)
	if err := away.Conn().Ping(t.Context()); err != nil {
		t.Errorf("ping with one address away: %v", err)
	}
}
