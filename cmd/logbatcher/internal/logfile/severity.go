package logfile

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema/logline"
)

// ambiguous are words for severities that often mean something else, so that capitals are not enough.
var ambiguous = map[string]bool{"LOG": true, "FINE": true, "FAIL": true, "ALERT": true, "PANIC": true}

// priority reads a syslog priority such as <34> at the start of s. It returns 0 and 0 if there is none.
func priority(s string) (number uint32, width int) {
	end := strings.IndexByte(s[:min(len(s), 5)], '>')
	if end < 2 || s[0] != '<' {
		return 0, 0
	}
	n, err := strconv.ParseUint(s[1:end], 10, 8)
	if err != nil || n > 191 {
		return 0, 0
	}
	return logline.SyslogSeverities[n&7], end + 1
}

var (
	levelBeforeStamp = regexp.MustCompile(`^[\[(<| ]*[A-Za-z]{3,13}[ \t\])>|:,-]+`)
	levelAtStart     = regexp.MustCompile(`^(?:[A-Z]{3,13}(?:[ \t:|]|$)|\[ *[A-Za-z]{3,13} *\])`)
)

// levelWidth returns the length of a level at the start of s and of what separates it from a time stamp, or 0.
func levelWidth(s string) int {
	found := levelBeforeStamp.FindString(s)
	if logline.SeverityOf(strings.Trim(found, "[(<| \t])>:,-")) == 0 {
		return 0
	}
	return len(found)
}

// beginsWithLevel reports whether s, a line without a time stamp, begins an entry: it starts with a syslog priority, or a level in
// capitals or in square brackets, or it has level=warn or the like.
func beginsWithLevel(s string) bool {
	if _, n := priority(s); n > 0 {
		return true
	}
	found := levelAtStart.FindString(s)
	word := strings.Trim(found, "[] \t:|")
	if logline.SeverityOf(word) != 0 && (found[0] == '[' || !ambiguous[word]) {
		return true
	}
	number, _ := levelPair(s)
	return number != 0
}

// The part of the text after a time stamp that is searched for a level.
const (
	levelFields = 7
	levelBytes  = 192
)

// findLevel returns the severity of s, the text after a time stamp: that of the first word among its first fields that stands where
// levels do, else that of a pair.
func findLevel(s string) (number uint32, word string) {
	fields, first := 0, true
	for i, limit := 0, min(len(s), levelBytes); i < limit; {
		if !isLetter(s[i]) {
			if (s[i] == ' ' || s[i] == '\t') && i > 0 && s[i-1] != ' ' {
				if fields++; fields > levelFields {
					break
				}
			}
			i++
			continue
		}
		start := i
		for i < len(s) && isLetter(s[i]) {
			i++
		}
		if isLevel(s, start, i, first) {
			return logline.SeverityOf(s[start:i]), s[start:i]
		}
		first = false
	}
	return levelPair(s)
}

// isLevel reports whether the word s[start:end] is a level by where it stands: in brackets ([error], [core:error]), between tabs,
// before a colon as the first word (warning: ...), or alone in capitals (INFO, WARN:).
func isLevel(s string, start, end int, first bool) bool {
	word := s[start:end]
	if logline.SeverityOf(word) == 0 {
		return false
	}
	before, after := byte(' '), byte(' ')
	if start > 0 {
		before = s[start-1]
	}
	if end < len(s) {
		after = s[end]
	}
	capitals := word == strings.ToUpper(word)
	switch {
	case before == '.' && after == ':': // Monolog's channel.LEVEL
		return capitals
	case strings.IndexByte(" \t\r[(<|:=\"", before) < 0 || strings.IndexByte(" \t])>|:,\"+-/", after) < 0:
		return false
	case strings.IndexByte("[(<|:", before) >= 0 && strings.IndexByte("])>|", after) >= 0,
		before == '\t' && after == '\t',
		first && after == ':',
		capitals && (after == ':' || !ambiguous[word]):
		return true
	case before == '=' || before == '"':
		key := strings.TrimRight(s[:start], `=":`)
		return strings.HasSuffix(key, "level") || strings.HasSuffix(key, "lvl") || strings.HasSuffix(key, "severity")
	}
	return false
}

// levelPair finds level=warn, lvl=warn and severity=warn in the first kilobyte.
func levelPair(s string) (number uint32, word string) {
	before := ""
	for value := range strings.SplitSeq(s[:min(len(s), 1024)], "=") {
		switch strings.ToLower(before[strings.LastIndexAny(before, " \t,\"")+1:]) {
		case "level", "lvl", "severity", "log.level":
			word := strings.TrimLeft(value, `"[(<| `)
			end := strings.IndexFunc(word, func(c rune) bool { return c >= 0x80 || !isLetter(byte(c)) })
			if end >= 0 {
				word = word[:end]
			}
			if number := logline.SeverityOf(word); number != 0 {
				return number, word
			}
		}
		before = value
	}
	return 0, ""
}
