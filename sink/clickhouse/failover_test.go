package clickhouse_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
)

// inserts returns the number of inserts received.
func inserts(s *fakeServer) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Parameters.Has("query") {
			n++
		}
	}
	return n
}

func replicas(c *clickhouse.Config) { c.Failover = clickhouse.FailoverReplicas }

func TestBatchesSpreadAndRetriesStay(t *testing.T) {
	one, two := newFakeServer(t, false), newFakeServer(t, false)
	s := sinkOf(t, []string{one.Address(), two.Address()}, replicas)
	servers := []*fakeServer{one, two}
	for i := range 20 {
		b := numbered(t, fmt.Sprintf("batch-%d", i), 1)
		before := []int{inserts(one), inserts(two)}
		for _, server := range servers {
			server.Inserts(fakeAnswer{Code: 319})
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
	one, two := newFakeServer(t, false), newFakeServer(t, false)
	s := sinkOf(t, []string{one.Address(), two.Address()}, replicas)
	firstServer(t, s, "retried", one, two).Close()
	again := numbered(t, "retried", 1)
	a := attempt(again)
	a.Number = 2
	_ = s.Insert(t.Context(), again, a) // notices that it is away
	a.Number = 3
	if err := s.Insert(t.Context(), again, a); err != nil {
		t.Errorf("retry: %v", err)
	}
	for i := range 10 {
		b := numbered(t, fmt.Sprintf("new-%d", i), 1)
		if err := s.Insert(t.Context(), b, attempt(b)); err != nil {
			t.Errorf("new batch %d: %v", i, err)
		}
	}
}

func TestSeveralAddressesAreReplicas(t *testing.T) {
	config := clickhouse.DefaultConfig()
	config.Addresses = []string{"a:8123", "b:8123"}
	if _, err := clickhouse.New(config); err == nil || !strings.Contains(err.Error(), "several addresses") {
		t.Errorf("servers that share no tables: %v", err)
	}
}

// firstServer sends a batch whose outcome stays unknown, and returns the server that received it.
func firstServer(t *testing.T, s sink.Sink, id string, servers ...*fakeServer) *fakeServer {
	t.Helper()
	for _, server := range servers {
		server.Inserts(fakeAnswer{Code: 319})
	}
	b := numbered(t, id, 1)
	if err := s.Insert(t.Context(), b, attempt(b)); err == nil {
		t.Fatal("no error")
	}
	var home *fakeServer
	for _, server := range servers {
		server.AcknowledgeInserts()
		if inserts(server) > 0 {
			home = server
		}
	}
	return home
}

func TestBatchesAreLookedUpAtAllAddresses(t *testing.T) {
	one, two := newFakeServer(t, false), newFakeServer(t, false)
	two.Query("FROM `logs`.`numbered`", "7\n")
	s := sinkOf(t, []string{one.Address(), two.Address()}, replicas)
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

// statements returns the statements received, without those that are sent only once.
func statements(s *fakeServer) []string {
	var asked []string
	for _, r := range s.Requests() {
		if !strings.Contains(r.Statement, "system.settings") {
			asked = append(asked, r.Statement)
		}
	}
	return asked
}

// A4. Behind a balancer each query may reach another replica. The table's engine shows it, the configuration does not. Rows are absent if no
// server of the cluster runs an attempt, a replica is in sync with Keeper, and none has them.
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
				server := newFakeServer(t, false)
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
		answer            fakeAnswer
		rows              int
		running, fails    bool
	}{
		"another replica has it":          {contains: "SELECT max(rows)", returns: "7\n", rows: 7},
		"another replica runs it":         {contains: "clusterAllReplicas('default', system.processes)", returns: "1\n", running: true},
		"the replica can't catch up":      {contains: "SYSTEM SYNC REPLICA", answer: fakeAnswer{Code: 159}, fails: true},
		"others can't be asked":           {contains: "clusterAllReplicas('default', system.processes)", answer: fakeAnswer{Code: 497}, fails: true},
		"others have no such table":       {contains: "SELECT max(rows)", answer: fakeAnswer{Code: 60}, fails: true},
		"the engine can't be asked":       {contains: "SELECT engine", answer: fakeAnswer{Code: 497}, fails: true},
		"nobody has it":                   {contains: "nothing"},
		"the catching up is of no effect": {contains: "SYSTEM SYNC REPLICA", answer: fakeAnswer{Code: 999}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t, false)
			server.Query("SELECT engine", "ReplicatedMergeTree\n")
			server.Query("system.clusters", "1\n")
			if test.returns != "" {
				server.Query(test.contains, test.returns)
			} else if test.contains != "SELECT max(rows)" {
				server.Query("SELECT max(rows)", "0\n")
			}
			if test.answer != (fakeAnswer{}) {
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

// One replica that is in sync answers for those that are away, but not for a table that is not replicated.
func TestReplicaAnswersForThoseThatAreAway(t *testing.T) {
	for engine, answers := range map[string]bool{"ReplicatedMergeTree": true, "MergeTree": false} {
		away, there := newFakeServer(t, false), newFakeServer(t, false)
		away.Close()
		there.Query("SELECT engine", engine+"\n")
		there.Query("system.clusters", "0\n")
		s := sinkOf(t, []string{away.Address(), there.Address()}, replicas)
		if found, err := s.Present(t.Context(), numbered(t, "batch", 7)); (err == nil) != answers || found.Rows != 0 {
			t.Errorf("%s: found %+v, %v; want an answer %v", engine, found, err, answers)
		}
	}
}
