package logfile

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// wrapped is a line that a program wrote, and what its envelope says about it. Without an envelope only text, cut and
// members are set.
type wrapped struct {
	text       string
	cut        int64 // bytes of the line that text does not hold
	object     bool  // text is a JSON object
	members    []member
	stream     string // what lines must have in common to continue each other
	partial    bool   // the line goes on in the next one of the stream
	time       time.Time
	severity   int32
	priority   string // severity as the envelope spells it
	service    string
	attributes []Attribute
}

// unwrap takes a line out of its envelope.
func (r *Reader) unwrap(l line) wrapped {
	w := wrapped{text: l.text, cut: l.cut}
	if members, ok := r.object(l.text); ok {
		if w.docker(members) || w.journald(members) {
			r.stats.JSONLines++
		} else {
			w.members, w.object = members, true
		}
		return w
	}
	w.cri()
	return w
}

// docker reads what Docker's json-file driver writes. A line without its line feed goes on, unless a member of CRI's,
// as Fluent Bit adds it, denies that.
func (w *wrapped) docker(members []member) bool {
	var text, stream, at gjson.Result
	tag := ""
	for _, m := range members {
		switch m.key {
		case "log":
			text = m.value
		case "stream":
			stream = m.value
		case "time":
			at = m.value
		case "logtag", "_p":
			tag = m.value.Str
		}
	}
	when, err := time.Parse(time.RFC3339Nano, at.Str)
	if text.Type != gjson.String || (stream.Str != "stdout" && stream.Str != "stderr") || err != nil || !plausible(when) {
		return false
	}
	w.stream, w.time = stream.Str, when.UTC()
	w.text = strings.TrimSuffix(text.Str, "\n")
	w.partial = w.text == text.Str && tag != "F"
	w.text = strings.TrimSuffix(w.text, "\r")
	for _, m := range members {
		if m.key != "log" && m.key != "time" {
			w.attributes = appendMember(w.attributes, m.key, m.value)
		}
	}
	return true
}

// cri reads what containerd and CRI-O write: 2006-01-02T15:04:05.999999999Z stdout F text.
func (w *wrapped) cri() bool {
	stamp, rest, _ := strings.Cut(w.text, " ")
	stream, rest, _ := strings.Cut(rest, " ")
	tags, text, _ := strings.Cut(rest, " ")
	tag, _, _ := strings.Cut(tags, ":")
	if (stream != "stdout" && stream != "stderr") || (tag != "F" && tag != "P") {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || !plausible(at) {
		return false
	}
	w.text, w.stream, w.partial, w.time = text, stream, tag == "P", at.UTC()
	w.attributes = []Attribute{{Key: "stream", Str: stream}}
	return true
}

// journald reads what journalctl -o json writes. Values are strings, arrays of bytes where they are not plain text, and
// arrays of values where a field is repeated.
func (w *wrapped) journald(members []member) bool {
	text, unit, pid := "", "", ""
	var at time.Time
	for _, m := range members {
		switch m.key {
		case "__REALTIME_TIMESTAMP":
			at, _ = epoch(m.value.String())
		case "MESSAGE":
			text = journalText(m.value)
		}
	}
	if at.IsZero() || isBlank(plain(text)) {
		return false
	}
	w.text, w.time = text, at
	for _, m := range members {
		value := journalText(m.value)
		switch m.key {
		case "__REALTIME_TIMESTAMP", "MESSAGE":
			continue
		case "PRIORITY":
			if len(value) == 1 && value[0] >= '0' && value[0] <= '7' {
				w.severity, w.priority = syslogSeverities[value[0]-'0'], value
				continue
			}
		case "SYSLOG_IDENTIFIER":
			unit, w.service = value, value
			continue
		case "_HOSTNAME":
			w.attributes = append(w.attributes, Attribute{Key: "host.name", Str: value})
			continue
		case "_PID":
			pid = value
			m.key, m.value = "process.pid", gjson.Result{Type: gjson.Number, Raw: value}
		}
		if m.value.IsArray() && !strings.HasPrefix(m.value.Raw, `["`) {
			m.value = gjson.Result{Type: gjson.String, Str: value}
		}
		w.attributes = appendMember(w.attributes, m.key, m.value)
	}
	w.stream = "journal/" + unit + "/" + pid
	return true
}

// journalText returns the text of a field; the values of a repeated one are lines.
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
