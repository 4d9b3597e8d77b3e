package table

import (
	"testing"
)

func TestEngineClauses(t *testing.T) {
	c := engineClauses("ReplicatedMergeTree('/t/{uuid}', 'ORDER BY') PARTITION BY (toDate(t), a) PRIMARY KEY s ORDER BY (s, t) " +
		"TTL t + toIntervalDay(30) WHERE a = 3, t + toIntervalYear(1) SETTINGS index_granularity = 8192, storage_policy = 'hot, SETTINGS', x = -1")
	if c.partitionBy != "(toDate(t), a)" || c.primaryKey != "s" || c.orderBy != "(s, t)" || c.ttl != "t + toIntervalDay(30) WHERE a = 3, t + toIntervalYear(1)" {
		t.Errorf("%+v", c)
	}
	if s := parseSettings(c.settings); len(s) != 3 || s["index_granularity"] != "8192" || s["storage_policy"] != "hot, SETTINGS" || s["x"] != "-1" {
		t.Errorf("%v", s)
	}
	if c := engineClauses("Memory"); c.orderBy != "" || len(c.settings) != 0 {
		t.Errorf("%+v", c)
	}
}

func FuzzEngineClauses(f *testing.F) {
	for _, s := range []string{"", "MergeTree ORDER BY a", "A('x') PARTITION BY (a", "TTL", "ORDER", "SETTINGS a = 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parseSettings(engineClauses(s).settings)
		parseDefinition(s)
	})
}
