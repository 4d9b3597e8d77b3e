package logfile

import (
	"strconv"
	"strings"
)

// OpenTelemetry's severity numbers that words and numbers of other systems stand for.
const (
	sevTrace  int32 = 1
	sevDebug  int32 = 5
	sevInfo   int32 = 9
	sevNotice int32 = 10
	sevWarn   int32 = 13
	sevError  int32 = 17
	sevCrit   int32 = 18
	sevAlert  int32 = 19
	sevFatal  int32 = 21
)

var severityWords = map[string]int32{
	"TRACE": sevTrace, "TRCE": sevTrace, "TRC": sevTrace, "VERBOSE": sevTrace, "FINEST": sevTrace, "FINER": sevTrace,
	"DEBUG": sevDebug, "DBUG": sevDebug, "DBG": sevDebug, "FINE": sevDebug,
	"INFO": sevInfo, "INF": sevInfo, "INFORMATION": sevInfo, "INFORMATIONAL": sevInfo, "LOG": sevInfo,
	"NOTICE": sevNotice,
	"WARN":   sevWarn, "WARNING": sevWarn, "WRN": sevWarn,
	"ERROR": sevError, "ERR": sevError, "EROR": sevError, "FAIL": sevError, "SEVERE": sevError,
	"CRIT": sevCrit, "CRITICAL": sevCrit,
	"ALERT": sevAlert,
	"FATAL": sevFatal, "FTL": sevFatal, "PANIC": sevFatal, "DPANIC": sevFatal, "EMERG": sevFatal, "EMERGENCY": sevFatal,
}

const longestSeverity = len("INFORMATIONAL")

// severityOf returns the severity that word spells, in any case; 0 is none.
func severityOf(word string) int32 {
	if len(word) < 3 || len(word) > longestSeverity {
		return 0
	}
	var upper [longestSeverity]byte
	for i := range len(word) {
		upper[i] = word[i] &^ 0x20
	}
	return severityWords[string(upper[:len(word)])]
}

// severityName returns the usual word for a severity that is given as a number.
func severityName(severity int32) string {
	if severity == 0 {
		return ""
	}
	return [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}[(severity-1)/4]
}

var syslogSeverities = [8]int32{sevFatal, sevAlert, sevCrit, sevError, sevWarn, sevNotice, sevInfo, sevDebug}

// numericSeverity returns what n means in the scale of the format that has key, a member's normalized name; 0 is nothing.
func numericSeverity(key string, n int64) int32 {
	switch {
	case key == "severitynumber": // OpenTelemetry
		if n >= 1 && n <= 24 {
			return int32(n)
		}
	case n < 0:
	case key == "levelno" || key == "levelnumber": // Python
		if n >= 10 && n < 60 {
			return [...]int32{sevDebug, sevInfo, sevWarn, sevError, sevCrit}[n/10-1]
		}
	case n < 8: // syslog, journald, GELF
		return syslogSeverities[n]
	case n >= 10 && n < 70: // bunyan, pino
		return [...]int32{sevTrace, sevDebug, sevInfo, sevWarn, sevError, sevFatal}[n/10-1]
	}
	return 0
}

// priority returns the severity of a syslog priority, as <34>, at the start of s, and the length of it.
func priority(s string) (severity int32, width int) {
	end := strings.IndexByte(s[:min(len(s), 5)], '>')
	if end < 2 || s[0] != '<' {
		return 0, 0
	}
	n, err := strconv.ParseUint(s[1:end], 10, 8)
	if err != nil || n > 191 {
		return 0, 0
	}
	return syslogSeverities[n&7], end + 1
}

// leadingSeverity returns the length of a severity at the start of s, and of what separates it from a time stamp: 0 if
// there is none.
func leadingSeverity(s string) int {
	start, end := firstWord(s)
	if severityOf(s[start:end]) == 0 {
		return 0
	}
	n := end
	for n < len(s) && strings.IndexByte(" \t])>|:,-", s[n]) >= 0 {
		n++
	}
	if n == end {
		return 0
	}
	return n
}

// firstWord returns where the first word of s lies, behind an opening bracket.
func firstWord(s string) (start, end int) {
	for start < len(s) && strings.IndexByte("[(<| ", s[start]) >= 0 {
		start++
	}
	for end = start; end < len(s) && isLetter(s[end]); {
		end++
	}
	return start, end
}

// hasLevel reports whether s, a line without a time stamp, begins with a severity: a syslog priority, a word in capitals or in
// square brackets; or has one as level=warn.
func hasLevel(s string) bool {
	if _, n := priority(s); n > 0 {
		return true
	}
	start, end := firstWord(s)
	if word := s[start:end]; severityOf(word) != 0 {
		after := byte(' ')
		if end < len(s) {
			after = s[end]
		}
		bracket := start > 0 && s[0] == '[' && strings.HasPrefix(strings.TrimLeft(s[end:], " "), "]")
		if bracket || start == 0 && word == strings.ToUpper(word) && !ambiguousWord(word) && strings.IndexByte(" \t:|", after) >= 0 {
			return true
		}
	}
	severity, _ := levelPair(s)
	return severity != 0
}

// The part of a line behind its time stamp in which a severity is looked for.
const (
	severityFields = 7
	severityBytes  = 192
)

// textSeverity returns the severity of s, the text behind a time stamp. Among the first fields it takes a word in
// capitals that stands alone (INFO, WARN:), one in brackets ([error], [core:error]) or between tabs, or the first word
// before a colon (warning: ...); and the value of level= and the like.
func textSeverity(s string) (severity int32, word string) {
	fields, first := 0, true
	for i, limit := 0, min(len(s), severityBytes); i < limit; {
		if !isLetter(s[i]) {
			if (s[i] == ' ' || s[i] == '\t') && i > 0 && s[i-1] != ' ' {
				if fields++; fields > severityFields {
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
		if severity := standing(s, start, i, first); severity != 0 {
			return severity, s[start:i]
		}
		first = false
	}
	return levelPair(s)
}

// standing returns the severity of the word s[start:end] if it stands where severities do.
func standing(s string, start, end int, first bool) int32 {
	word := s[start:end]
	severity := severityOf(word)
	if severity == 0 {
		return 0
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
	case before == '.' && after == ':' && capitals: // Monolog's channel.LEVEL
		return severity
	case strings.IndexByte(" \t\r[(<|:=\"", before) < 0 || strings.IndexByte(" \t])>|:,\"+-/", after) < 0:
		return 0
	case strings.IndexByte("[(<|:", before) >= 0 && strings.IndexByte("])>|", after) >= 0,
		before == '\t' && after == '\t',
		first && after == ':',
		capitals && (after == ':' || !ambiguousWord(word)):
		return severity
	case before == '=' || before == '"':
		key := strings.TrimRight(s[:start], `=":`)
		if strings.HasSuffix(key, "level") || strings.HasSuffix(key, "lvl") || strings.HasSuffix(key, "severity") {
			return severity
		}
	}
	return 0
}

// ambiguousWord reports whether a severity is often another word, so that capitals are not enough.
func ambiguousWord(word string) bool {
	return strings.Contains(" LOG FINE FAIL ALERT PANIC ", " "+word+" ")
}

// levelPair finds level=warn, lvl=warn and severity=warn, also far behind.
func levelPair(s string) (severity int32, word string) {
	s = s[:min(len(s), 1024)]
	for at := 0; ; {
		n := strings.IndexByte(s[at:], '=')
		if n < 0 {
			return 0, ""
		}
		key := s[at : at+n]
		at += n + 1
		switch strings.ToLower(key[strings.LastIndexAny(key, " \t,\"")+1:]) {
		case "level", "lvl", "severity", "log.level":
			word := strings.TrimPrefix(s[at:], `"`)
			_, end := firstWord(word)
			if severity := severityOf(word[:end]); severity != 0 {
				return severity, word[:end]
			}
		}
	}
}
