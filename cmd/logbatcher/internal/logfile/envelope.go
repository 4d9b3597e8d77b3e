package logfile

import (
	"cmp"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// line is a line of the input and, once it was taken out of its envelope, what the envelope provides.
type line struct {
	text string
	cut  int64    // bytes of the input's line that text lacks
	json []member // of the JSON object that text is; nil if it is none

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
	members := r.object(l.text)
	switch {
	case members == nil:
		l.cri()
	case !l.docker(members) && !l.journald(members):
		l.json = members
	}
}

// get returns the value of the first member with a key.
func get(members []member, key string) gjson.Result {
	for i := range members {
		if members[i].key == key {
			return members[i].value
		}
	}
	return gjson.Result{}
}

// docker recognizes the lines of Docker's json-file driver. Text that lacks its line feed is partial, unless a tag that
// Fluent Bit adds marks it as whole.
func (l *line) docker(members []member) bool {
	text, tag := get(members, "log"), cmp.Or(get(members, "logtag").Str, get(members, "_p").Str)
	if text.Type != gjson.String || !l.container(get(members, "stream").Str, get(members, "time").Str) {
		return false
	}
	l.text = strings.TrimSuffix(text.Str, "\n")
	l.partial = l.text == text.Str && tag != "F"
	l.text = strings.TrimSuffix(l.text, "\r")
	for _, m := range members {
		if m.key != "log" && m.key != "time" {
			l.attributes = appendMember(l.attributes, m.key, m.value)
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
	if (stream != "stdout" && stream != "stderr") || err != nil || !plausible(when) {
		return false
	}
	l.stream, l.at = stream, when
	return true
}

// journald recognizes the lines of journalctl -o json.
func (l *line) journald(members []member) bool {
	text := journalText(get(members, "MESSAGE"))
	at, ok := epoch(get(members, "__REALTIME_TIMESTAMP").String())
	if !ok || isBlank(plain(text)) {
		return false
	}
	l.text, l.at = text, at
	pid := ""
	for _, m := range members {
		value := journalText(m.value)
		switch m.key {
		case "__REALTIME_TIMESTAMP", "MESSAGE":
			continue
		case "PRIORITY":
			if len(value) == 1 && value[0] >= '0' && value[0] <= '7' {
				l.severity, l.priority = syslogSeverities[value[0]-'0'], value
				continue
			}
		case "SYSLOG_IDENTIFIER":
			l.service = value
			continue
		case "_HOSTNAME":
			m.key = "host.name"
		case "_PID":
			pid = value
			m.key, m.value = "process.pid", gjson.Result{Type: gjson.Number, Raw: value}
		}
		if m.value.IsArray() && !strings.HasPrefix(m.value.Raw, `["`) {
			m.value = gjson.Result{Type: gjson.String, Str: value}
		}
		l.attributes = appendMember(l.attributes, m.key, m.value)
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
