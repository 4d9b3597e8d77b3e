package schema_test

import (
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
)

func TestDefaultRoute(t *testing.T) {
	route := schema.DefaultRoute("logs")
	if _, err := schema.ParsePartitionBy(route.Table.PartitionBy, route.Table.Columns); err != nil {
		t.Error(err)
	}
	if route.MaxAge >= route.Retention.MaxAge {
		t.Errorf("entries of %s are accepted and kept for %s", route.MaxAge, route.Retention.MaxAge)
	}
	if last := route.Table.Columns[len(route.Table.Columns)-1]; last.Name != schema.BatchIDColumn {
		t.Errorf("the last column is %s", last.Name)
	}
	// Nobody changes the defaults through what they were given.
	route.Table.Indexes[0].Name, route.Table.Columns[0].Name = "x", "x"
	if again := schema.DefaultRoute("logs").Table; again.Indexes[0].Name == "x" || again.Columns[0].Name == "x" {
		t.Error("two routes share their lists")
	}
}

func TestIndexSet(t *testing.T) {
	for name, want := range map[string]int{"none": 0, "bloom": 8, "text": 8} {
		if set, err := schema.IndexSet(name); err != nil || len(set) != want {
			t.Errorf("%s has %d indexes: %v", name, len(set), err)
		}
	}
	if _, err := schema.IndexSet("blooms"); err == nil || !strings.Contains(err.Error(), "bloom, none, text") {
		t.Errorf("error %v", err)
	}
}

func TestHash(t *testing.T) {
	base := schema.DefaultRoute("logs").Table.Hash()
	for name, change := range map[string]func(*schema.Table){
		"database":          func(t *schema.Table) { t.Database, t.Name = "other", "other" },
		"spelling of codec": func(t *schema.Table) { t.Columns[0].Codec = "delta(8),ZSTD" },
		"spelling of key":   func(t *schema.Table) { t.PartitionBy = "( toDate(`TimestampTime`) )" },
		"source":            func(t *schema.Table) { t.Columns[0].Source.Field = schema.FieldObservedTime },
	} {
		table := schema.DefaultRoute("logs").Table
		if change(table); table.Hash() != base {
			t.Errorf("%s changes the hash", name)
		}
	}
	for name, change := range map[string]func(*schema.Table){
		"name":    func(t *schema.Table) { t.Columns[0].Name = "x" },
		"type":    func(t *schema.Table) { t.Columns[0].Type.Precision = 3 },
		"codec":   func(t *schema.Table) { t.Columns[0].Codec = "ZSTD(3)" },
		"comment": func(t *schema.Table) { t.Columns[0].Comment = "x" },
		"column":  func(t *schema.Table) { t.Columns = t.Columns[1:] },
		"index":   func(t *schema.Table) { t.Indexes = t.Indexes[1:] },
		"order":   func(t *schema.Table) { t.OrderBy = "Timestamp" },
		"TTL":     func(t *schema.Table) { t.TTL = "TimestampTime + INTERVAL 1 DAY" },
		"engine":  func(t *schema.Table) { t.Engine = "ReplicatedMergeTree" },
		"fsync":   func(t *schema.Table) { t.Fsync = false },
		"setting": func(t *schema.Table) { t.Settings = map[string]string{"x": "1"} },
	} {
		table := schema.DefaultRoute("logs").Table
		if change(table); table.Hash() == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
}
