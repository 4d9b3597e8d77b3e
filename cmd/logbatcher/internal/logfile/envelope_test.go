package logfile

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

func dockerLine(log, stream, more string) string {
	b, _ := json.Marshal(log)
	return fmt.Sprintf(`{"log":%s,"stream":%q%s,"time":"2026-03-01T10:15:00Z"}`, b, stream, more)
}

func journalLine(more string) string {
	return `{"__REALTIME_TIMESTAMP":"1772360100000000",` + more + `}`
}

// show writes what matters of a record.
func show(r *logbatcherv1.Entry) string {
	return fmt.Sprintf("%s %d %q %s", timeOf(r).Format("15:04:05.999"), r.SeverityNumber, r.Body, attributesText(r))
}

func TestEnvelopes(t *testing.T) {
	for _, test := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"Docker", []string{
			dockerLine("first half, ", "stdout", ""), dockerLine("\tother stream\n", "stderr", ""), dockerLine("second half\n", "stdout", ""),
			dockerLine("failed\n", "stdout", ""), dockerLine("\tat a.B\n", "stdout", ""), dockerLine("\n", "stdout", ""), dockerLine("\tat a.C\n", "stdout", ""),
			dockerLine("\x1b[31mERROR\x1b[0m next\r\n", "stdout", ""),
		}, []string{
			`10:15:00 0 "first half, second half" stream="stdout"`,
			`10:15:00 0 "\tother stream" stream="stderr"`,
			`10:15:00 0 "failed\n\tat a.B\n\n\tat a.C" stream="stdout"`,
			`10:15:00 17 "\x1b[31mERROR\x1b[0m next" stream="stdout"`,
		}},
		{"Docker with other members", []string{
			dockerLine("a {\n", "stderr", `,"attrs":{"tag":"web"}`), dockerLine("}\n", "stderr", `,"attrs":{"tag":"web"}`),
			dockerLine("whole", "stderr", `,"logtag":"F"`), dockerLine("next\n", "stderr", ""),
		}, []string{
			`10:15:00 0 "a {\n}" stream="stderr" attrs=json:{"tag":"web"}`,
			`10:15:00 0 "whole" stream="stderr" logtag="F"`,
			`10:15:00 0 "next" stream="stderr"`,
		}},
		{"Docker around JSON", []string{
			dockerLine(`{"level":"warn","msg":"a","n":1,"time":"2026-03-01T10:14:59.5Z"}`+"\n", "stdout", ""),
			dockerLine(`{"level":"warn","msg":"b","time":"2026-03-01 09:00:00"}`+"\n", "stdout", ""), // a zone would be a guess
			dockerLine(`{"level":"error",`, "stdout", ""), dockerLine(`"msg":"in two"}`+"\n", "stdout", ""),
		}, []string{
			`10:14:59.5 13 "a" stream="stdout" n=1`, `10:15:00 13 "b" stream="stdout" time="2026-03-01 09:00:00"`, `10:15:00 17 "in two" stream="stdout"`,
		}},
		{"not quite Docker", []string{
			`{"log":"a\n","stream":"stdlog","time":"2026-03-01T10:15:00Z"}`, `{"log":"b\n","stream":"stdout","time":"soon"}`, `{"log":{"a":1},"stream":"stdout","time":"2026-03-01T10:15:00Z"}`,
		}, []string{
			`10:15:00 0 "a\n" stream="stdlog"`, `10:15:00 0 "b\n" stream="stdout" time="soon"`,
			`10:15:00 0 "{\"log\":{\"a\":1},\"stream\":\"stdout\",\"time\":\"2026-03-01T10:15:00Z\"}" log=json:{"a":1} stream="stdout"`,
		}},
		{"CRI", []string{
			"2026-03-01T10:15:00.1Z stdout P first ", "2026-03-01T10:15:00.2Z stderr F ERROR: x", "2026-03-01T11:15:00.3+01:00 stdout F half",
			"2026-03-01T10:15:00.4Z stderr F \tat a.B", "2026-03-01T10:15:00.5Z stdout F ", "2026-03-01T10:15:00.6Z stdout F",
			`2026-03-01T10:15:00.7Z stdout F:tag {"msg":"y","n":1}`, "2026-03-01T10:15:00.8Z stdout P never ended",
		}, []string{
			`10:15:00.1 0 "first half" stream="stdout"`, `10:15:00.2 17 "ERROR: x\n\tat a.B" stream="stderr"`,
			`10:15:00.7 0 "y" stream="stdout" n=1`, `10:15:00.8 0 "never ended" stream="stdout"`,
		}},
		{"not quite CRI", []string{"2026-03-01T10:15:00Z stdout is full", "2026-03-01T10:15:00Z stdin F x", "soon stdout F x"}, []string{
			`10:15:00 0 "2026-03-01T10:15:00Z stdout is full" `, `10:15:00 0 "2026-03-01T10:15:00Z stdin F x\nsoon stdout F x" `,
		}},
		{"journald", []string{
			journalLine(`"MESSAGE":"x","PRIORITY":"4","_PID":"7","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"app"`),
			journalLine(`"MESSAGE":"\tat a.B","PRIORITY":"6","_PID":"8","SYSLOG_IDENTIFIER":"app"`), // of another process
			journalLine(`"MESSAGE":"\tat a.C","PRIORITY":"6","_PID":"7","SYSLOG_IDENTIFIER":"app"`),
			journalLine(`"MESSAGE":[27,91,51,49,109,69,82,82,27,91,109,32,255],"PRIORITY":"6","_PID":"7","SYSLOG_IDENTIFIER":"app"`),
			journalLine(`"MESSAGE":["one","two"],"CODE":["a","b"],"RAW":[104,105],"NESTED":[[104,105],"x"],"NONE":null`),
			journalLine(`"MESSAGE":"{\"level\":\"debug\",\"msg\":\"inner\"}"`),
			journalLine(`"MESSAGE":"{\"level\":\"loud\",\"msg\":\"inner\"}","PRIORITY":"5"`),
			journalLine(`"MESSAGE":null,"PRIORITY":"3"`), journalLine(`"MESSAGE":"","A":"b"`),
		}, []string{
			`10:15:00 13 "x\n\tat a.C" process.pid=7 host.name="web1"`,
			`10:15:00 9 "\tat a.B" process.pid=8`,
			`10:15:00 17 "\x1b[31mERR\x1b[m \xff" process.pid=7 PRIORITY="6"`,
			`10:15:00 0 "one\ntwo" CODE=json:["a","b"] RAW="hi" NESTED="hi\nx"`,
			`10:15:00 5 "inner" `, `10:15:00 0 "inner" PRIORITY="5"`,
			`10:15:00 17 "{\"__REALTIME_TIMESTAMP\":\"1772360100000000\",\"MESSAGE\":null,\"PRIORITY\":\"3\"}" `,
			`10:15:00 0 "" A="b"`,
		}},
		{"envelopes among lines", []string{"2026-03-01 10:14:00 plain", dockerLine("\tdocker\n", "stdout", ""), "\tat plain"}, []string{
			`10:14:00 0 "2026-03-01 10:14:00 plain\n\tat plain" `, `10:15:00 0 "\tdocker" stream="stdout"`,
		}},
	} {
		records, stats := readAll(t, strings.Join(test.lines, "\n"), Options{})
		var got []string
		for _, r := range records {
			got = append(got, show(r))
		}
		if !sameLines(got, test.want) {
			t.Errorf("%s:\n got %s\nwant %s", test.name, strings.Join(got, "\n     "), strings.Join(test.want, "\n     "))
		}
		if stats.Lines != int64(len(records))+stats.FoldedLines+stats.BlankLines {
			t.Errorf("%s: %+v", test.name, stats)
		}
	}
}

// sameLines compares regardless of order: streams end one after the other.
func sameLines(got, want []string) bool {
	count := map[string]int{}
	for _, s := range got {
		count[s]++
	}
	for _, s := range want {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return len(got) == len(want)
}

// An entry that lines of other streams leave behind is returned, however many streams there are.
func TestManyStreams(t *testing.T) {
	var input strings.Builder
	for i := range 10_000 {
		input.WriteString(journalLine(fmt.Sprintf(`"MESSAGE":"m%d","_PID":"%d"`, i, i)) + "\n")
	}
	reader := NewReader(t.Context(), strings.NewReader(input.String()), Options{})
	for i := range 10_000 {
		record, err := reader.Next()
		if err != nil || record.Body != fmt.Sprintf("m%d", i) {
			t.Fatalf("%d: %q, %v", i, record.Body, err)
		}
		if len(reader.streams) > maxStreams {
			t.Fatal(len(reader.streams))
		}
	}
	in := strings.NewReader(dockerLine("left behind\n", "stderr", "") + "\n" + strings.Repeat(dockerLine("x\n", "stdout", "")+"\n", 4*maxAway))
	reader = NewReader(t.Context(), in, Options{})
	for i := range 3 * maxAway {
		if record, err := reader.Next(); err != nil {
			t.Fatal(err)
		} else if record.Body == "left behind" {
			return
		} else if i == 3*maxAway-1 {
			t.Error("still pending")
		}
	}
}

// The parts of a line are cut at the bound, and the cut is counted.
func TestLongParts(t *testing.T) {
	input := dockerLine(strings.Repeat("é", 5), "stdout", "") + "\n" + strings.Repeat(dockerLine("é", "stdout", "")+"\n", 1000) + dockerLine("\n", "stdout", "")
	records, stats := readAll(t, input, Options{MaxEntryBytes: 300})
	if len(records) != 1 || len(records[0].Body) != 300 || stats.TruncatedBytes != 2010-300 || stats.TruncatedLines != 1 {
		t.Errorf("%d records, %+v", len(records), stats)
	}
	if cut := truncated(records[0]); cut != 2010-300 {
		t.Errorf("%d bytes cut", cut)
	}
}

// A partial line waits for its other half even when its pipe is quiet.
func TestPartsOnSilentPipe(t *testing.T) {
	r := NewReader(t.Context(), strings.NewReader(""), Options{Location: time.UTC})
	r.take(line{text: "2026-03-01T10:15:00Z stdout P a"})
	r.flush(false)
	r.take(line{text: "2026-03-01T10:15:00Z stdout F b"})
	r.flush(false)
	if got := bodies(r.ready); !reflect.DeepEqual(got, []string{"ab"}) {
		t.Errorf("%q", got)
	}
}
