package logfile

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestJSONLines(t *testing.T) {
	const at = "2026-03-01T10:15:00.5Z"
	for _, test := range []struct {
		name, line string
		time       string
		severity   uint32
		text       string
		body       string
		service    string
		attributes string
	}{
		{"slog", `{"time":"2026-03-01T11:15:00.5+01:00","level":"WARN","msg":"slow","took":1.5,"n":3}`,
			at, 13, "WARN", "slow", "", `took=1.5 n=3`},
		{"slog with an offset", `{"level":"ERROR+2","msg":"x"}`, "", 17, "ERROR+2", "x", "", ``},
		{"zap", `{"level":"error","ts":1772360100.5,"logger":"shop","caller":"a.go:7","msg":"x","stacktrace":"a\n\tb"}`,
			at, 17, "error", "x", "shop", `caller="a.go:7" stacktrace="a\n\tb"`},
		{"pino", `{"level":30,"time":1772360100500,"pid":7,"hostname":"web1","name":"shop","msg":"x"}`,
			at, 9, "INFO", "x", "shop", `pid=7 hostname="web1"`},
		{"a name that is none", `{"level":"info","name":"Ann","msg":"x"}`, "", 9, "info", "x", "", `name="Ann"`},
		{"zerolog", `{"level":"debug","time":1772360100,"message":"x","ok":true,"none":null}`,
			"2026-03-01T10:15:00Z", 5, "debug", "x", "", `ok=true`},
		{"slog with a source", `{"time":"2026-03-01T10:15:00.5Z","level":"INFO","source":{"file":"a.go","line":7},"msg":"x"}`,
			at, 9, "INFO", "x", "", `source=json:{"file":"a.go","line":7}`},
		{"logrus", `{"level":"warning","msg":"x","time":"2026-03-01T10:15:00.5Z"}`, at, 13, "warning", "x", "", ``},
		{"log4j2", `{"instant":{"epochSecond":1772360100,"nanoOfSecond":500000000},"thread":"main","level":"WARN","loggerName":"a.B","message":"x"}`,
			at, 13, "WARN", "x", "a.B", `thread="main"`},
		{"OpenTelemetry", `{"timeUnixNano":"1772360100500000000","severityNumber":17,"severityText":"Oops","body":{"stringValue":"x"}}`,
			at, 17, "Oops", "x", "", ``},
		{"OpenTelemetry, other spelling", `{"Timestamp":1772360100500000000,"SeverityNumber":10,"Body":"x"}`, at, 10, "INFO", "x", "", ``},
		{"OpenTelemetry without a number", `{"severity_text":"WARN","severity_number":0,"body":"x"}`, "", 13, "WARN", "x", "", `severity_number=0`},
		{"Python", `{"asctime":"2026-03-01 10:15:00,500","levelname":"WARNING","levelno":30,"message":"x","name":"a.b"}`,
			at, 13, "WARNING", "x", "", `levelno=30 name="a.b"`},
		{"Python's number", `{"levelno":40,"message":"x"}`, "", 17, "ERROR", "x", "", ``},
		{"Monolog", `{"message":"x","level":200,"level_name":"INFO","channel":"app"}`, "", 9, "INFO", "x", "", `level=200 channel="app"`},
		{"a level of no known scale", `{"level":200,"msg":"x"}`, "", 0, "", "x", "", `level=200`},
		{"bunyan", `{"v":0,"level":60,"name":"shop","time":"2026-03-01T10:15:00.5Z","msg":"x"}`, at, 21, "FATAL", "x", "shop", `v=0`},
		{"a level with colours", `{"level":"\u001b[31merror\u001b[39m","message":"x"}`, "", 17, "error", "x", "", ``},
		{"a padded level", `{"level":"INFO ","message":"x"}`, "", 9, "INFO", "x", "", ``},
		{"milliseconds with a fraction", `{"ts":1772360100500.0,"msg":"x"}`, at, 0, "", "x", "", ``},
		{"nested ECS", `{"@timestamp":"2026-03-01T10:15:00.5Z","log":{"level":"error","logger":"a"},"service":{"name":"shop"},"message":"x"}`,
			at, 17, "error", "x", "shop", `log=json:{"level":"error","logger":"a"} service=json:{"name":"shop"}`},
		{"white space before", ` {"level":"info","msg":"x"}`, "", 9, "info", "x", "", ``},
		{"colour around", "\x1b[32m" + `{"level":"info","msg":"x"}` + "\x1b[0m", "", 9, "info", "x", "", ``},
		{"logback", `{"@timestamp":"2026-03-01T10:15:00.500Z","@version":"1","message":"x","logger_name":"a.B","level":"TRACE","level_value":5000}`,
			at, 1, "TRACE", "x", "a.B", `@version="1" level_value=5000`},
		{"ECS", `{"@timestamp":"2026-03-01T10:15:00.5Z","log.level":"fatal","message":"x","service.name":"shop","log.logger":"a.B"}`,
			at, 21, "fatal", "x", "shop", `log.logger="a.B"`},
		{"structlog", `{"event":"x","timestamp":"2026-03-01T10:15:00.5Z","level":"critical"}`, at, 18, "critical", "x", "", ``},
		{"event beside a message", `{"event":"login","message":"x"}`, "", 0, "", "x", "", `event="login"`},
		{"Serilog", `{"@t":"2026-03-01T10:15:00.5Z","@mt":"x {n}","@l":"Warning","n":7}`, at, 13, "Warning", "x {n}", "", `n=7`},
		{"MongoDB", `{"t":{"$date":"2026-03-01T11:15:00.500+01:00"},"s":"E","c":"NETWORK","id":22943,"msg":"x","attr":{"a":1}}`,
			at, 0, "", "x", "", `s="E" c="NETWORK" id=22943 attr=json:{"a":1}`},
		{"journald", `{"__REALTIME_TIMESTAMP":"1772360100500000","PRIORITY":"3","MESSAGE":"x","SYSLOG_IDENTIFIER":"sshd","_HOSTNAME":"web1","_PID":"7"}`,
			at, 17, "ERROR", "x", "sshd", `host.name="web1" process.pid=7`},
		{"GELF", `{"version":"1.1","host":"web1","short_message":"x","timestamp":1772360100.5,"level":5}`,
			at, 10, "INFO", "x", "", `version="1.1" host="web1"`},
		{"GCP", `{"severity":"NOTICE","timestamp":"2026-03-01T10:15:00.5Z","message":"x"}`, at, 10, "NOTICE", "x", "", ``},
		{"Docker", `{"log":"WARN: x\r\n","stream":"stderr","time":"2026-03-01T10:15:00.5Z"}`, at, 13, "WARN", "WARN: x", "", `stream="stderr"`},
		{"no message", `{"level":"info","n":1}`, "", 9, "info", `{"level":"info","n":1}`, "", `n=1`},
		{"empty message", `{"msg":"","n":1}`, "", 0, "", "", "", `n=1`},
		{"message of another kind", `{"msg":{"a":1},"message":"x"}`, "", 0, "", "x", "", `msg=json:{"a":1}`},
		{"time of no format", `{"time":"yesterday","msg":"x"}`, "", 0, "", "x", "", `time="yesterday"`},
		{"a time that is none by its size", `{"time":4102444800,"ts":1772360100.5,"msg":"x"}`, at, 0, "", "x", "", `time=4102444800`},
		{"two times", `{"ts":1772360100,"time":"2026-03-01T10:15:00.5Z","msg":"x"}`, at, 0, "", "x", "", `ts=1772360100`},
		{"unknown level", `{"level":"loud","msg":"x"}`, "", 0, "loud", "x", "", ``},
		{"a level that is none", `{"severity":"ERROR","level":9,"priority":"high","msg":"x"}`, "", 17, "ERROR", "x", "", `level=9 priority="high"`},
		{"upper-case keys", `{"Timestamp":"2026-03-01T10:15:00.5Z","Level":"Information","Message":"x"}`, at, 9, "Information", "x", "", ``},
		{"integers", `{"msg":"x","a":9223372036854775807,"b":-9223372036854775808,"c":9223372036854775808,"d":-0}`,
			"", 0, "", "x", "", `a=9223372036854775807 b=-9223372036854775808 c="9223372036854775808" d=0`},
		{"numbers", `{"msg":"x","a":1.0,"b":1e3,"c":-2.5E-1,"d":1e400}`, "", 0, "", "x", "", `a=1 b=1000 c=-0.25 d="1e400"`},
		{"nested", `{"msg":"x","a":[1, {"b":null}],"c":{},"e":[]}`, "", 0, "", "x", "", `a=json:[1, {"b":null}] c=json:{} e=json:[]`},
		{"escapes", `{"msg":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83dx\u0000","k\u0061":"v"}`,
			"", 0, "", "\"\\/\b\f\n\r\té\U0001F600\ufffdx\x00", "", `ka="v"`},
		{"repeated keys", `{"msg":"x","a":1,"a":2}`, "", 0, "", "x", "", `a=1 a=2`},
		{"white space", "{ \"msg\" : \"x\" , \"a\" : 1 } ", "", 0, "", "x", "", `a=1`},
		{"empty object", `{}`, "", 0, "", `{}`, "", ``},
		{"broken", `{"msg":"x"`, "", 0, "", `{"msg":"x"`, "", ``},
		{"something behind it", `{"msg":"x"} y`, "", 0, "", `{"msg":"x"} y`, "", ``},
		{"broken, with a level", `{"level":"error","msg":"x`, "", 17, "error", `{"level":"error","msg":"x`, "", ``},
	} {
		records, _ := readAll(t, test.line+"\n", Options{})
		if len(records) != 1 {
			t.Errorf("%s: %d records", test.name, len(records))
			continue
		}
		r := records[0]
		stamp := ""
		if !timeOf(r).IsZero() {
			stamp = timeOf(r).Format(time.RFC3339Nano)
		}
		if stamp != test.time || r.SeverityNumber != test.severity || r.SeverityText != test.text || r.Body != test.body ||
			r.Service != test.service || attributesText(r) != test.attributes {
			t.Errorf("%s: %s %d %q %q %q\n%s, want\n%s", test.name, stamp, r.SeverityNumber, r.SeverityText, r.Body, r.Service,
				attributesText(r), test.attributes)
		}
	}
}

func TestJSONTraceContext(t *testing.T) {
	for _, test := range []struct{ line, trace, span, attributes string }{
		{`{"trace_id":"4BF92F3577B34DA6A3CE929D0E0E4736","span_id":"00f067aa0ba902b7"}`,
			"4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", ``},
		{`{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7"}`,
			"4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", ``},
		{`{"trace_id":"4bf92f3577b34da6","span_id":"x"}`, "", "", `trace_id="4bf92f3577b34da6" span_id="x"`},
		{`{"trace_id":"4bf92f3577b34da6a3ce929d0e0e473g","span_id":7}`, "", "", `trace_id="4bf92f3577b34da6a3ce929d0e0e473g" span_id=7`},
		{`{"trace_id":"00000000000000000000000000000000"}`, "", "", `trace_id="00000000000000000000000000000000"`},
	} {
		records, _ := readAll(t, test.line, Options{})
		if r := records[0]; r.TraceId != test.trace || r.SpanId != test.span || attributesText(r) != test.attributes {
			t.Errorf("%s: %q %q %s", test.line, r.TraceId, r.SpanId, attributesText(r))
		}
	}
}

// Docker cuts long lines, and a container's stack trace comes as a line each.
func TestDockerFold(t *testing.T) {
	line := func(log, stream string) string {
		b, _ := json.Marshal(log)
		return `{"log":` + string(b) + `,"stream":"` + stream + `","time":"2026-03-01T10:15:00Z"}` + "\n"
	}
	input := line("first half, ", "stdout") + line("second half\n", "stdout") +
		line("failed\n", "stdout") + line("\tat a.B\n", "stdout") + line("\n", "stdout") + line("\tat a.C\n", "stdout") +
		line("\tother stream\n", "stderr") + line("next\n", "stdout")
	records, stats := readAll(t, input, Options{})
	want := []string{"first half, second half", "failed\n\tat a.B\n\n\tat a.C", "\tother stream", "next"}
	if got := bodies(records); !reflect.DeepEqual(got, want) || stats.BlankLines != 1 || stats.FoldedLines != 3 {
		t.Errorf("%q %+v", got, stats)
	}
}
