package embeddedtest_test

import (
	"errors"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

func TestClickHouseIsShared(t *testing.T) {
	first, second := embeddedtest.ClickHouse(t), embeddedtest.ClickHouse(t)
	if first.Address != second.Address || first.Database == second.Database {
		t.Errorf("%+v and %+v", first, second)
	}
	first.Exec(t, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a", "INSERT INTO t VALUES (1)")
	if got := first.Query(t, "SELECT a, currentDatabase() = '"+first.Database+"' FROM t"); got != "1\t1" {
		t.Error(got)
	}
	var exception *embeddedtest.Exception
	if _, err := second.Try(t.Context(), "SELECT * FROM t", nil); !errors.As(err, &exception) || exception.Code != "60" {
		t.Errorf("the table of another test: %v", err)
	}
	if err := goleak.Find(embeddedtest.IgnoreShared()...); err != nil {
		t.Error(err)
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	var database string
	t.Run("test", func(t *testing.T) { database = embeddedtest.ClickHouse(t).Database })
	if got := embeddedtest.ClickHouse(t).Query(t, "SELECT count() FROM system.databases WHERE name = '"+database+"'"); got != "0" {
		t.Errorf("database %s is there still", database)
	}
}

func TestRedisOfEachTest(t *testing.T) {
	if a, b := embeddedtest.Redis(t), embeddedtest.Redis(t); a.Address() == b.Address() {
		t.Error("shared")
	}
}
