package main

import "testing"

func TestSplitInsert(t *testing.T) {
	for _, test := range []struct{ text, statement, format, data string }{
		{"INSERT INTO t VALUES (1)", "INSERT INTO t ", "Values", " (1)"},
		{"insert into t(a, b) values (1, 'FORMAT CSV')", "insert into t(a, b) ", "Values", " (1, 'FORMAT CSV')"},
		{"INSERT INTO t FORMAT Native", "INSERT INTO t ", "Native", ""},
		{"INSERT INTO t FORMAT Native\n\x00\x01", "INSERT INTO t ", "Native", "\x00\x01"},
		{"INSERT INTO t FORMAT JSONEachRow {\"a\":1}", "INSERT INTO t ", "JSONEachRow", "{\"a\":1}"},
		{"INSERT INTO t FORMAT CSV \t\r\n1,2\n", "INSERT INTO t ", "CSV", "1,2\n"},
		{"INSERT INTO t FORMAT CSV\n\n1", "INSERT INTO t ", "CSV", "\n1"},
		{"-- INSERT INTO x VALUES\n/* FORMAT */ INSERT INTO t FORMAT TSV 1", "-- INSERT INTO x VALUES\n/* FORMAT */ INSERT INTO t ", "TSV", "1"},
		{"INSERT INTO t SETTINGS async_insert=0, a='FORMAT x' FORMAT Native", "INSERT INTO t SETTINGS async_insert=0, a='FORMAT x' ", "Native", ""},
		{"INSERT INTO db.format (values, `FORMAT`) VALUES (1, 2)", "INSERT INTO db.format (values, `FORMAT`) ", "Values", " (1, 2)"},
		{"INSERT INTO TABLE values FORMAT TSV", "INSERT INTO TABLE values ", "TSV", ""},
		{"INSERT INTO t (a)", "INSERT INTO t (a)", "Values", ""},
		{"INSERT INTO t; ", "INSERT INTO t", "Values", " "},
		{"INSERT INTO t (* EXCEPT(a)) VALUES (1)", "INSERT INTO t (* EXCEPT(a)) ", "Values", " (1)"},
	} {
		got, ok := splitInsert(test.text)
		if !ok || got.statement != test.statement || got.format != test.format || test.text[got.data:] != test.data {
			t.Errorf("%q\n got %v %+v", test.text, ok, got)
		}
	}
	for _, text := range []string{
		"", "SELECT 1", "INSERT INTO t SELECT 1", "INSERT INTO t (a) SELECT a FROM u FORMAT Native", "INSERT INTO t (SELECT 1)",
		"INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x", "WITH 1 AS x INSERT INTO t SELECT x",
		"INSERT INTO t FROM INFILE 'f' FORMAT CSV", "EXPLAIN INSERT INTO t VALUES (1)", "'INSERT' INTO",
	} {
		if got, ok := splitInsert(text); ok {
			t.Errorf("%q is taken for an insert with data: %+v", text, got)
		}
	}
}

func TestOutputFormat(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1":                              "",
		"SELECT 1 FORMAT JSON":                  "JSON",
		"SELECT 1 format  Native ;":             "Native",
		"SELECT 'FORMAT x'":                     "",
		"SELECT * FROM (SELECT 1 FORMAT x)":     "",
		"SELECT 1 -- FORMAT x":                  "",
		"SELECT 1 SETTINGS a=1 FORMAT TSV":      "TSV",
		"SELECT 'it''s \\' FORMAT x' FORMAT yy": "yy",
	} {
		if got := outputFormat(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestWithQueryIDs(t *testing.T) {
	label := "Settings['" + queryIDSetting + "']"
	for text, want := range map[string]string{
		"SELECT 1":                                                  "SELECT 1",
		"SELECT count() FROM processes":                             "SELECT count() FROM processes",
		"SELECT 'system.processes'":                                 "SELECT 'system.processes'",
		"DESCRIBE system.processes":                                 "DESCRIBE system.processes",
		"SELECT system.processes.x FROM":                            "SELECT system.processes.x FROM",
		"SELECT system, system . y":                                 "SELECT system, system . y",
		"SELECT a FROM system.processes":                            "SELECT a FROM " + processesWithIDs,
		"select a from System.Processes;":                           "select a from " + processesWithIDs + ";",
		"SELECT system FROM system.processes p, system.processes q": "SELECT system FROM " + processesWithIDs + " p, " + processesWithIDs + " q",
		"KILL QUERY WHERE query_id = 'query_id' SYNC":               "KILL QUERY WHERE " + label + " = 'query_id' SYNC",
		"KILL MUTATION WHERE query_id = 1":                          "KILL MUTATION WHERE query_id = 1",
	} {
		if got := withQueryIDs(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func FuzzLexer(f *testing.F) {
	for _, text := range []string{"", "INSERT INTO t FORMAT", "$a$", "'\\", "/*", "SELECT system.", "KILL QUERY", "--", "((("} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if insert, ok := splitInsert(text); ok && (insert.data < len(insert.statement) || insert.data > len(text)) {
			t.Fatalf("%q: %+v", text, insert)
		}
		outputFormat(text)
		withQueryIDs(text)
	})
}
