package clickhouse_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
	"github.com/logbatcher/logbatcher/sink/clickhouse/fakeserver"
)

// inserts counts the inserts that came.
func inserts(s *fakeserver.Server) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Parameters.Has("query") {
			n++
		}
	}
	return n
}

func TestBatchesSpreadAndRetriesStay(t *testing.T) {
	one, two := fakeserver.New(t, false), fakeserver.New(t, false)
	s := sinkOf(t, []string{one.Address(), two.Address()})
	servers := []*fakeserver.Server{one, two}
	for i := range 20 {
		b := batch(t, fmt.Sprintf("batch-%d", i), 1)
		before := []int{inserts(one), inserts(two)}
		for _, server := range servers {
			server.Inserts(fakeserver.Answer{Code: 319})
		}
		for number := 1; number <= 3; number++ {
			a := attempt(b)
			a.Number = number
			_ = s.Insert(t.Context(), b, a)
		}
		if moved := inserts(one) != before[0] && inserts(two) != before[1]; moved {
			t.Errorf("batch %d went to both addresses", i)
		}
	}
	if inserts(one) == 0 || inserts(two) == 0 {
		t.Errorf("%d and %d inserts, want some at each", inserts(one), inserts(two))
	}
}

func TestAddressAway(t *testing.T) {
	for _, failover := range []clickhouse.Failover{clickhouse.FailoverNone, clickhouse.FailoverReplicas} {
		t.Run(string(failover), func(t *testing.T) {
			one, two := fakeserver.New(t, false), fakeserver.New(t, false)
			s := sinkOf(t, []string{one.Address(), two.Address()}, func(c *clickhouse.Config) { c.Failover = failover })
			home := firstHome(t, s, "retried", one, two)
			home.Close()
			again := batch(t, "retried", 1)
			a := attempt(again)
			a.Number = 2
			_ = s.Insert(t.Context(), again, a) // finds out that it is away
			a.Number = 3
			err := s.Insert(t.Context(), again, a)
			if moved := err == nil; moved != (failover == clickhouse.FailoverReplicas) {
				t.Errorf("retry: %v", err)
			}
			for i := range 10 {
				b := batch(t, fmt.Sprintf("new-%d", i), 1)
				if err := s.Insert(t.Context(), b, attempt(b)); err != nil {
					t.Errorf("new batch %d: %v", i, err)
				}
			}
		})
	}
}

// firstHome sends a batch whose fate stays open, and returns the server that it went to.
func firstHome(t *testing.T, s sink.Sink, id string, servers ...*fakeserver.Server) *fakeserver.Server {
	t.Helper()
	for _, server := range servers {
		server.Inserts(fakeserver.Answer{Code: 319})
	}
	b := batch(t, id, 1)
	if err := s.Insert(t.Context(), b, attempt(b)); err == nil {
		t.Fatal("no error")
	}
	var home *fakeserver.Server
	for _, server := range servers {
		server.AcknowledgeInserts()
		if inserts(server) > 0 {
			home = server
		}
	}
	return home
}

func TestBatchOfUnknownAddressIsAskedForAtAll(t *testing.T) {
	one, two := fakeserver.New(t, false), fakeserver.New(t, false)
	two.Query("FROM `logs`.`numbered`", "7\n")
	s := sinkOf(t, []string{one.Address(), two.Address()})
	found, err := s.Present(t.Context(), batch(t, "earlier", 7))
	if err != nil || found.Rows != 7 {
		t.Errorf("found %+v, %v; want 7 rows", found, err)
	}
	other := batch(t, "another", 7)
	one.Close()
	if _, err := s.Present(t.Context(), other); err == nil {
		t.Error("no error, though the address that may have the batch is away")
	}
}

func TestAbsenceOnReplicasWaitsForTheQueue(t *testing.T) {
	server := fakeserver.New(t, false)
	s := sinkOf(t, []string{server.Address()}, func(c *clickhouse.Config) { c.Failover = clickhouse.FailoverReplicas })
	if _, err := s.Present(t.Context(), batch(t, "batch", 7)); err != nil {
		t.Fatal(err)
	}
	var statements []string
	for _, r := range server.Requests() {
		if strings.Contains(r.Statement, "system.settings") {
			continue
		}
		statements = append(statements, r.Statement)
	}
	want := "SYSTEM SYNC REPLICA `logs`.`numbered` LIGHTWEIGHT"
	if len(statements) != 4 || statements[2] != want {
		t.Errorf("statements %q, want count, processes, %s, count", statements, want)
	}
}
