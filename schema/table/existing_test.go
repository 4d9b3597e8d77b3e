package table

import (
	"testing"

	"github.com/logbatcher/logbatcher/schema"
)

func TestExistingSettings(t *testing.T) {
	e := Existing{Definition: schema.Definition{Clauses: map[string]string{"SETTINGS": "index_granularity = 8192, storage_policy = 'hot, SETTINGS', x = -1"}}}
	if s := e.settings(); len(s) != 3 || s["index_granularity"] != "8192" || s["storage_policy"] != "hot, SETTINGS" || s["x"] != "-1" {
		t.Errorf("%v", s)
	}
	if s := new(Existing).settings(); len(s) != 0 {
		t.Errorf("%v", s)
	}
}

func FuzzColumn(f *testing.F) {
	for _, s := range []string{"`a` UInt8", "`a` String TTL d + toIntervalDay(1) SETTINGS (x = 1)", "`a` String EPHEMERAL 'x' COMMENT 'y'", "`a`", "`a` ((", "TTL"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, _ := schema.ParseDefinition("CREATE TABLE t (" + s + ") ENGINE = MergeTree ORDER BY a")
		for i := range d.Elements {
			e := &d.Elements[i]
			columnTTL(e)
			withType(e, "UInt8")
			without(e, "EPHEMERAL")
		}
		d.Indexes()
	})
}
