package logfile

import "testing"

func TestTextSeverity(t *testing.T) {
	const stamp = "2026-03-01 10:15:00 "
	for _, test := range []struct {
		line string
		want uint32
		text string
	}{
		{stamp + "INFO up", 9, "INFO"},
		{stamp + "WARN  [main] slow", 13, "WARN"},
		{stamp + "[main] ERROR a.B - failed", 17, "ERROR"},
		{stamp + "- my.logger - CRITICAL - failed", 18, "CRITICAL"},
		{stamp + "[error] 7#7: failed", 17, "error"},
		{stamp + "[core:error] [pid 7] failed", 17, "error"},
		{stamp + "UTC [7] FATAL:  no database", 21, "FATAL"},
		{stamp + "UTC [7] LOG:  ready", 9, "LOG"},
		{stamp + "UTC [7] PANIC:  no log", 21, "PANIC"},
		{stamp + "LOG file opened", 0, ""},
		{stamp + "warning: slow", 13, "warning"},
		{stamp + "Error: failed", 17, "Error"},
		{stamp + "| DEBUG    | module:function:7 - text", 5, "DEBUG"},
		{stamp + "\tinfo\tserver/a.go:7\tup", 9, "info"},
		{stamp + "level=warn msg=slow", 13, "warn"},
		{stamp + `level="error" msg=x`, 17, "error"},
		{stamp + `caller=a.go:7 msg="a long message with very many words in it" level=error`, 17, "error"},
		{stamp + "mod_jk child workerEnv in error state 6", 0, ""},
		{stamp + "an error occurred", 0, ""},
		{stamp + "com.example.ERROR is a name", 0, ""},
		{stamp + "production.ERROR: failed", 17, "ERROR"},
		{stamp + "ERROR_CODE 7", 0, ""},
		{stamp + "/ERROR/7", 0, ""},
		{stamp + "the words go on and on until at last an ERROR", 0, ""},
		{stamp + "TRACE x", 1, "TRACE"},
		{stamp + "SEVERE x", 17, "SEVERE"},
		{stamp + "NOTICE x", 10, "NOTICE"},
		{stamp + "ERR x", 17, "ERR"},
		{"[2026-03-01 10:15:00,123: INFO/MainProcess] up", 9, "INFO"},
		{"INFO  [2026-03-01 10:15:00,123] a.B: up", 9, "INFO"},
		{"[WARN] 2026/03/01 10:15:00 slow", 13, "WARN"},
		{"time=2026-03-01T10:15:00Z level=ERROR msg=x", 17, "ERROR"},
		{"<3>disk failed", 17, "ERROR"},
		{"<14>Mar  1 10:15:00 web1 app: up", 9, "INFO"},
		{"<0>Mar  1 10:15:00 web1 kernel: over", 21, "FATAL"},
		{"<192>Mar  1 10:15:00 web1 kernel: no priority", 0, ""},
		{"Mar  1 10:15:00 web1 sshd[7]: error: no key", 17, "error"},
		{"WARNING:root:slow", 13, "WARNING"},
		{"fail: Microsoft.Hosting[7]", 17, "fail"},
		{"plain text", 0, ""},
	} {
		records, _ := readAll(t, test.line, Options{})
		if r := records[0]; r.SeverityNumber != test.want || r.SeverityText != test.text {
			t.Errorf("%q: %d %q, want %d %q", test.line, r.SeverityNumber, r.SeverityText, test.want, test.text)
		}
	}
}
