package logfile

import (
	"cmp"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema/logline"
)

// line is a line of the input and, once it was taken out of its envelope, what the envelope provides.
type line struct {
	text string
	cut  int64           // bytes of the input's line that text lacks
	json *logline.Object // that text is; nil if it is none, only valid until the next one

	stream     string // lines of one stream may continue each other
	partial    bool   // the next line of the stream continues text
	at         time.Time
	severity   uint32
	priority   string // severity as the envelope spells it
	service    string
	attributes []*logbatcherv1.Attribute
}

// unwrap takes l out of its envelope, if it has one.
func (r *Reader) unwrap(l *line) {
	object := r.object(l.text)
	switch {
	case object == nil:
		l.cri()
	case !l.docker(object) && !l.journald(object):
		l.json = object
	}
}

// docker recognizes the lines of Docker's json-file driver. Text that lacks its line feed is partial, unless a tag that
// Fluent Bit adds marks it as whole.
func (l *line) docker(object *logline.Object) bool {
	text, tag := object.Get("log"), cmp.Or(object.Get("logtag").Str, object.Get("_p").Str)
	if text.Type != gjson.String || !l.container(object.Get("stream").Str, object.Get("time").Str) {
		return false
	}
	l.text = strings.TrimSuffix(text.Str, "\n")
	l.partial = l.text == text.Str && tag != "F"
	l.text = strings.TrimSuffix(l.text, "\r")
	for _, m := range object.Members {
		if m.Key != "log" && m.Key != "time" {
			l.attributes = appendMember(l.attributes, m.Key, m.Value)
		}
	}
	return true
}

// cri recognizes the lines of containerd and CRI-O: 2006-01-02T15:04:05.999999999Z stdout F text.
func (l *line) cri() bool {
	fields := strings.SplitN(l.text, " ", 4)
	if len(fields) < 3 {
		return false
	}
	tag, _, _ := strings.Cut(fields[2], ":")
	if (tag != "F" && tag != "P") || !l.container(fields[1], fields[0]) {
		return false
	}
	l.text, l.partial = strings.Join(fields[3:], ""), tag == "P"
	l.attributes = []*logbatcherv1.Attribute{{Key: "stream", StringValue: l.stream}}
	return true
}

// container sets what both container formats have. It reports whether the values are valid.
func (l *line) container(stream, at string) bool {
	when, err := time.Parse(time.RFC3339Nano, at)
	if (stream != "stdout" && stream != "stderr") || err != nil || !logline.Plausible(when) {
		return false
	}
	l.stream, l.at = stream, when
	return true
}

// journald recognizes the lines of journalctl -o json.
func (l *line) journald(object *logline.Object) bool {
	text := journalText(object.Get("MESSAGE"))
	at, ok := logline.Epoch(object.Get("__REALTIME_TIMESTAMP").String())
	if !ok || isBlank(logline.Plain(text)) {
		return false
	}
	l.text, l.at = text, at
	pid := ""
	for _, m := range object.Members {
		value := journalText(m.Value)
		switch m.Key {
		case "__REALTIME_TIMESTAMP", "MESSAGE":
			continue
		case "PRIORITY":
			if len(value) == 1 && value[0] >= '0' && value[0] <= '7' {
				l.severity, l.priority = logline.SyslogSeverities[value[0]-'0'], value
				continue
			}
		case "SYSLOG_IDENTIFIER":
			l.service = value
			continue
		case "_HOSTNAME":
			m.Key = "host.name"
		case "_PID":
			pid = value
			m.Key, m.Value = "process.pid", gjson.Result{Type: gjson.Number, Raw: value}
		}
		if m.Value.IsArray() && !strings.HasPrefix(m.Value.Raw, `["`) {
			m.Value = gjson.Result{Type: gjson.String, Str: value}
		}
		l.attributes = appendMember(l.attributes, m.Key, m.Value)
	}
	l.stream = "journal/" + l.service + "/" + pid
	return true
}

// journalText returns the text of a field: a string, an array of bytes where it is not plain text, or an array of values,
// which become lines.
func journalText(value gjson.Result) string {
	if !value.IsArray() {
		return value.String()
	}
	var text []byte
	for i, element := range value.Array() {
		if element.Type == gjson.Number && element.Num >= 0 && element.Num < 256 {
			text = append(text, byte(element.Num))
			continue
		}
		if i > 0 {
			text = append(text, '\n')
		}
		text = append(text, journalText(element)...)
	}
	return string(text)
}
