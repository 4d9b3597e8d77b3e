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
		b := numbered(t, fmt.Sprintf("batch-%d", i), 1)
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
			again := numbered(t, "retried", 1)
			a := attempt(again)
			a.Number = 2
			_ = s.Insert(t.Context(), again, a) // finds out that it is away
			a.Number = 3
			err := s.Insert(t.Context(), again, a)
			if moved := err == nil; moved != (failover == clickhouse.FailoverReplicas) {
				t.Errorf("retry: %v", err)
			}
			for i := range 10 {
				b := numbered(t, fmt.Sprintf("new-%d", i), 1)
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
	b := numbered(t, id, 1)
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
	found, err := s.Present(t.Context(), numbered(t, "earlier", 7))
	if err != nil || found.Rows != 7 {
		t.Errorf("found %+v, %v; want 7 rows", found, err)
	}
	other := numbered(t, "another", 7)
	two.Query("FROM `logs`.`numbered`", "0\n")
	one.Close()
	if _, err := s.Present(t.Context(), other); err == nil {
		t.Error("no error, though the address that may have the batch is away")
	}
}

// statements returns what was asked, without what is asked once.
func statements(s *fakeserver.Server) []string {
	var asked []string
	for _, r := range s.Requests() {
		if !strings.Contains(r.Statement, "system.settings") {
			asked = append(asked, r.Statement)
		}
	}
	return asked
}

// Behind a balancer each question may reach another replica, and nothing in the configuration says so: the engine does. Rows are
// absent when no server of the cluster runs an attempt, a replica has fetched what Keeper knows of, and none has them.
func TestAbsenceIsDecidedByTheEngine(t *testing.T) {
	const count, running, sync = "FROM `logs`.`numbered` WHERE", "FROM system.processes", "SYSTEM SYNC REPLICA `logs`.`numbered` LIGHTWEIGHT"
	const everywhere, runningEverywhere = "FROM clusterAllReplicas('%s', `logs`.`numbered`)", "FROM clusterAllReplicas('%s', system.processes)"
	const engine, cluster = "SELECT engine", "system.clusters"
	for _, test := range []struct {
		name, engine, cluster, clusters string
		want                            []string
	}{
		{"plain", "MergeTree", "", "1", []string{count, engine, running, count}},
		{"plain, with a cluster", "MergeTree", "events", "1", []string{count, engine, running, count}},
		{"no table", "", "", "1", []string{count, engine, running, count}},
		{"replicated", "ReplicatedMergeTree", "", "1", []string{count, engine, cluster, fmt.Sprintf(runningEverywhere, "default"), sync, count, fmt.Sprintf(everywhere, "default")}},
		{"replacing", "ReplicatedReplacingMergeTree", "", "1", []string{count, engine, cluster, fmt.Sprintf(runningEverywhere, "default"), sync, count, fmt.Sprintf(everywhere, "default")}},
		{"shared", "SharedMergeTree", "", "1", []string{count, engine, cluster, fmt.Sprintf(runningEverywhere, "default"), sync, count, fmt.Sprintf(everywhere, "default")}},
		{"named cluster", "ReplicatedMergeTree", "events", "0", []string{count, engine, fmt.Sprintf(runningEverywhere, "events"), sync, count, fmt.Sprintf(everywhere, "events")}},
		{"no cluster", "ReplicatedMergeTree", "", "0", []string{count, engine, cluster, running, sync, count}},
	} {
		for _, failover := range []clickhouse.Failover{clickhouse.FailoverNone, clickhouse.FailoverReplicas} {
			t.Run(test.name+", failover "+string(failover), func(t *testing.T) {
				server := fakeserver.New(t, false)
				server.Query("SELECT engine", test.engine+strings.Repeat("\n", min(1, len(test.engine))))
				server.Query("system.clusters", test.clusters+"\n")
				server.Query("SELECT max(rows)", "0\n")
				s := sinkOf(t, []string{server.Address()}, func(c *clickhouse.Config) { c.Failover, c.Cluster = failover, test.cluster })
				if found, err := s.Present(t.Context(), numbered(t, "batch", 7)); err != nil || found.Rows != 0 || found.Running {
					t.Fatalf("found %+v, %v; want nothing", found, err)
				}
				asked := statements(server)
				if len(asked) != len(test.want) {
					t.Fatalf("asked %q, want %q", asked, test.want)
				}
				for i, want := range test.want {
					if !strings.Contains(asked[i], want) {
						t.Errorf("question %d is %q, want %q", i, asked[i], want)
					}
				}
			})
		}
	}
}

func TestReplicasThatHaveTheBatchOrRunIt(t *testing.T) {
	for name, test := range map[string]struct {
		contains, returns string
		answer            fakeserver.Answer
		rows              int
		running, fails    bool
	}{
		"another replica has it":          {contains: "SELECT max(rows)", returns: "7\n", rows: 7},
		"another replica runs it":         {contains: "clusterAllReplicas('default', system.processes)", returns: "1\n", running: true},
		"the replica can't catch up":      {contains: "SYSTEM SYNC REPLICA", answer: fakeserver.Answer{Code: 159}, fails: true},
		"others can't be asked":           {contains: "clusterAllReplicas('default', system.processes)", answer: fakeserver.Answer{Code: 497}, fails: true},
		"others have no such table":       {contains: "SELECT max(rows)", answer: fakeserver.Answer{Code: 60}, fails: true},
		"the engine can't be asked":       {contains: "SELECT engine", answer: fakeserver.Answer{Code: 497}, fails: true},
		"nobody has it":                   {contains: "nothing"},
		"the catching up is of no effect": {contains: "SYSTEM SYNC REPLICA", answer: fakeserver.Answer{Code: 999}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := fakeserver.New(t, false)
			server.Query("SELECT engine", "ReplicatedMergeTree\n")
			server.Query("system.clusters", "1\n")
			if test.returns != "" {
				server.Query(test.contains, test.returns)
			} else if test.contains != "SELECT max(rows)" {
				server.Query("SELECT max(rows)", "0\n")
			}
			if test.answer != (fakeserver.Answer{}) {
				server.Statements(test.contains, test.answer)
			}
			if test.running {
				server.Query("SELECT max(rows)", "0\n")
			}
			s := sinkOf(t, []string{server.Address()})
			found, err := s.Present(t.Context(), numbered(t, "batch", 7))
			if (err != nil) != test.fails || found.Rows != test.rows || found.Running != test.running {
				t.Errorf("found %+v, %v; want %d rows, running %v, an error %v", found, err, test.rows, test.running, test.fails)
			}
		})
	}
}

// One replica that has caught up answers for those that are away; servers that know nothing of each other do not.
func TestReplicaAnswersForThoseThatAreAway(t *testing.T) {
	for engine, answers := range map[string]bool{"ReplicatedMergeTree": true, "MergeTree": false} {
		away, there := fakeserver.New(t, false), fakeserver.New(t, false)
		away.Close()
		there.Query("SELECT engine", engine+"\n")
		there.Query("system.clusters", "0\n")
		s := sinkOf(t, []string{away.Address(), there.Address()}, func(c *clickhouse.Config) { c.Failover = clickhouse.FailoverReplicas })
		if found, err := s.Present(t.Context(), numbered(t, "batch", 7)); (err == nil) != answers || found.Rows != 0 {
			t.Errorf("%s: found %+v, %v; want an answer %v", engine, found, err, answers)
		}
	}
}
