package clickhouse_test

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/schema/table"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

// open returns a sink for a server, closed when the test ends.
func open(t testing.TB, server *embeddedtest.Server, change ...func(*clickhouse.Config)) *clickhouse.Sink {
	t.Helper()
	address, err := url.Parse(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	config := clickhouse.DefaultConfig()
	config.Addresses = []string{address.Host}
	config.Database, config.User, config.Password = server.Database, server.Username, settings.Secret(server.Password)
	for _, c := range change {
		c(&config)
	}
	s, err := clickhouse.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

var tables atomic.Int64

// createTable creates a table of sinktest.Table's shape, with the suite's constraint.
func createTable(t testing.TB, server *embeddedtest.Server) *schema.Table {
	t.Helper()
	created := sinktest.Table(server.Database, fmt.Sprintf("numbered_%d", tables.Add(1)))
	server.Exec(t, table.CreateTable(created), "ALTER TABLE "+created.Name+" ADD "+sinktest.Constraint)
	return created
}

func numbers(t testing.TB, server *embeddedtest.Server, table *schema.Table) []uint64 {
	t.Helper()
	var found []uint64
	for line := range strings.Lines(server.Query(t, "SELECT "+sinktest.NumberColumn+" FROM "+table.Name)) {
		n, err := strconv.ParseUint(strings.TrimSuffix(line, "\n"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, n)
	}
	return found
}

func TestClickHouseKeepsTheContract(t *testing.T) {
	for _, compression := range batch.Compressions() {
		t.Run(string(compression), func(t *testing.T) {
			server := embeddedtest.ClickHouse(t)
			sinktest.Run(t, func(t *testing.T) sinktest.Harness {
				return sinktest.Harness{
					Sink:        open(t, server),
					Table:       func(t *testing.T) *schema.Table { return createTable(t, server) },
					Compression: compression,
					Numbers:     func(t *testing.T, table *schema.Table) []uint64 { return numbers(t, server, table) },
				}
			})
		})
	}
}
