package schema

import (
	"reflect"
	"testing"
)

func TestConstraints(t *testing.T) {
	for _, test := range []struct {
		name, create string
		want         []Constraint
	}{
		{"none", "CREATE TABLE d.t (`n` UInt64) ENGINE = MergeTree ORDER BY n", nil},
		{"one", "CREATE TABLE d.t\n(\n    `n` UInt64,\n    CONSTRAINT small CHECK n < 10\n)\nENGINE = MergeTree\nORDER BY n", []Constraint{{"small", "n < 10"}}},
		{"several, with brackets, and an index", "CREATE TABLE d.`t (x, CONSTRAINT`\n(\n `a` Map(String, UInt8) DEFAULT map('CONSTRAINT', 1), INDEX i a TYPE minmax,\n" +
			" CONSTRAINT `od,d` CHECK (a['x, CHECK'] IN (1, 2)) AND has([1, 2], n), CONSTRAINT c2 CHECK s LIKE '%)%',\n CONSTRAINT known ASSUME n > 0,\n PROJECTION p (SELECT n, a ORDER BY n)\n)\nENGINE = MergeTree ORDER BY tuple()",
			[]Constraint{{"od,d", "(a['x, CHECK'] IN (1, 2)) AND has([1, 2], n)"}, {"c2", "s LIKE '%)%'"}}},
		{"a column of that name", "CREATE TABLE d.t (`CONSTRAINT` String, CONSTRAINT String) ENGINE = Memory", nil},
		{"cut off", "CREATE TABLE d.t (n UInt8, CONSTRAINT c CHECK (n < ", nil},
	} {
		if got := Constraints(test.create); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	check := "lower(`Body`) != 'Other' AND n < 10"
	for column, want := range map[string]bool{"Body": true, "n": true, "Other": false, "lower": true, "m": false} {
		if Names(check, column) != want {
			t.Errorf("names %s: %v", column, !want)
		}
	}
}

func TestParseDefinition(t *testing.T) {
	d, ok := ParseDefinition("CREATE TABLE d.t (`a` Map(String, UInt8) DEFAULT map('ENGINE', 1), INDEX i (a, b) TYPE set(100) GRANULARITY 3, INDEX j lower(`type`) TYPE minmax) " +
		"ENGINE = ReplicatedMergeTree('/t/{uuid}', 'ORDER BY') PARTITION BY (toDate(t), a) PRIMARY KEY s ORDER BY (s, t) " +
		"TTL t + toIntervalDay(30) WHERE a = 3, t + toIntervalYear(1) SETTINGS index_granularity = 8192, storage_policy = 'hot, SETTINGS' COMMENT 'x'")
	want := map[string]string{
		"ENGINE": "ReplicatedMergeTree('/t/{uuid}', 'ORDER BY')", "PARTITION BY": "(toDate(t), a)", "PRIMARY KEY": "s", "ORDER BY": "(s, t)",
		"TTL": "t + toIntervalDay(30) WHERE a = 3, t + toIntervalYear(1)", "SETTINGS": "index_granularity = 8192, storage_policy = 'hot, SETTINGS'", "COMMENT": "'x'",
	}
	if !ok || !reflect.DeepEqual(d.Clauses, want) || len(d.Elements) != 3 || d.Elements[0].Name != "a" || d.Elements[0].Kind != "" {
		t.Errorf("%t %q %+v", ok, d.Clauses, d.Elements)
	}
	if got := d.Indexes(); !reflect.DeepEqual(got, []Index{{"i", "(a, b)", "set(100)", 3}, {"j", "lower(`type`)", "minmax", 0}}) {
		t.Errorf("%+v", got)
	}
	for _, text := range []string{"", "CREATE VIEW v AS SELECT 1", "CREATE TABLE t (a", "CREATE TABLE t (a UInt8)"} {
		if d, ok := ParseDefinition(text); ok {
			t.Errorf("%q is %+v", text, d)
		}
	}
}

func FuzzParseDefinition(f *testing.F) {
	for _, s := range []string{"", "MergeTree ORDER BY a", "A('x') PARTITION BY (a", "TTL", "ORDER", "SETTINGS a = 1"} {
		f.Add("CREATE TABLE t (`a` UInt8) ENGINE = " + s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, _ := ParseDefinition(s)
		d.Indexes()
		Constraints(s)
	})
}
