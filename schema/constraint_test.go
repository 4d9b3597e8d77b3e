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
