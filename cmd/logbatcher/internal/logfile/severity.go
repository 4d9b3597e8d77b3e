package logfile

import "strings"

// OpenTelemetry's severity numbers, as far as words and codes of other systems mean them.
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
	"trace": sevTrace, "trce": sevTrace, "trc": sevTrace, "verbose": sevTrace, "finest": sevTrace, "finer": sevTrace,
	"debug": sevDebug, "dbug": sevDebug, "dbg": sevDebug, "fine": sevDebug,
	"info": sevInfo, "inf": sevInfo, "information": sevInfo, "informational": sevInfo, "log": sevInfo,
	"notice": sevNotice,
	"warn":   sevWarn, "warning": sevWarn, "wrn": sevWarn,
	"error": sevError, "err": sevError, "fail": sevError, "severe": sevError,
	"crit": sevCrit, "critical": sevCrit,
	"alert": sevAlert,
	"fatal": sevFatal, "ftl": sevFatal, "panic": sevFatal, "dpanic": sevFatal, "emerg": sevFatal, "emergency": sevFatal,
}

const longestSeverityWord = 13

// severityInitials has a bit for the first letter of each word, in either case.
var severityInitials = func() (bits uint32) {
	for word := range severityWords {
		bits |= 1 << (word[0] & 0x1f)
	}
	return bits
}()

// severityOf returns the severity that word spells, in any case; 0 is none.
func severityOf(word string) int32 {
	if len(word) < 3 || len(word) > longestSeverityWord || severityInitials&(1<<(word[0]&0x1f)) == 0 {
		return 0
	}
	var lower [longestSeverityWord]byte
	for i := 0; i < len(word); i++ {
		lower[i] = word[i] | 0x20
	}
	return severityWords[string(lower[:len(word)])]
}

// severityLetter returns the severity that one letter stands for, as MongoDB writes it.
func severityLetter(s string) int32 {
	switch {
	case len(s) == 1 && s[0] == 'D', len(s) == 2 && s[0] == 'D' && isDigit(s[1]):
		return sevDebug
	case len(s) == 1:
		return klogSeverity(s[0])
	}
	return 0
}

func klogSeverity(letter byte) int32 {
	switch letter {
	case 'I':
		return sevInfo
	case 'W':
		return sevWarn
	case 'E':
		return sevError
	case 'F':
		return sevFatal
	}
	return 0
}

// severityName is the usual word for a severity that a line gives as a number or a letter.
func severityName(severity int32) string {
	switch {
	case severity == 0:
		return ""
	case severity < sevDebug:
		return "TRACE"
	case severity < sevInfo:
		return "DEBUG"
	case severity < sevWarn:
		return "INFO"
	case severity < sevError:
		return "WARN"
	case severity < sevFatal:
		return "ERROR"
	}
	return "FATAL"
}

var syslogSeverities = [8]int32{
	sevFatal, sevAlert, sevCrit, sevError, sevWarn, sevNotice, sevInfo, sevDebug,
}

// severityLevel returns the severity that a JSON logger's number means: bunyan's and pino's tens,
// logback's ten thousands, or syslog's 0 to 7.
func severityLevel(n int64) int32 {
	if n >= 1000 {
		switch { // logback: TRACE is 5000, DEBUG 10000, ERROR 40000
		case n < 10_000:
			return sevTrace
		case n < 20_000:
			return sevDebug
		case n < 30_000:
			return sevInfo
		case n < 40_000:
			return sevWarn
		}
		return sevError
	}
	switch {
	case n < 0:
		return 0
	case n < 8:
		return syslogSeverities[n]
	case n < 10:
		return 0
	case n < 20:
		return sevTrace
	case n < 30:
		return sevDebug
	case n < 40:
		return sevInfo
	case n < 50:
		return sevWarn
	case n < 60:
		return sevError
	}
	return sevFatal
}

// statusSeverity returns the severity of an HTTP status.
func statusSeverity(status int64) int32 {
	switch {
	case status >= 500:
		return sevError
	case status >= 400:
		return sevWarn
	}
	return sevInfo
}

// The part of a line behind its time stamp in which a severity word is looked for.
const (
	severityFields = 7
	severityBytes  = 192
)

// textSeverity finds the severity word in s, the text behind the time stamp. Among the first
// few fields it takes a word in capitals that stands alone (INFO, WARN:), one in brackets
// ([error], [core:error]), between tabs, or first and before a colon (warning: ...), and
// the value of level= and the like.
func textSeverity(s string) (severity int32, word string) {
	limit := min(len(s), severityBytes)
	fields := 0
	first := true
	for i := 0; i < limit; {
		c := s[i]
		if !isLetter(c) {
			if (c == ' ' || c == '\t') && i > 0 && s[i-1] != ' ' {
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
		if i-start <= longestSeverityWord {
			if severity := standing(s, start, i, first); severity != 0 {
				return severity, s[start:i]
			}
		}
		first = false
	}
	return levelPair(s)
}

// standing returns the severity of the word s[start:end] if it stands where severities do.
func standing(s string, start, end int, first bool) int32 {
	var before, after byte = ' ', ' '
	if start > 0 {
		before = s[start-1]
	}
	if end < len(s) {
		after = s[end]
	}
	if strings.IndexByte(" \t\r[(<|:=\"", before) < 0 || strings.IndexByte(" \t])>|:,\"+-/", after) < 0 {
		return 0
	}
	word := s[start:end]
	capitals := true
	for i := 0; i < len(word) && capitals; i++ {
		capitals = word[i] <= 'Z'
	}
	closed := after == ']' || after == ')' || after == '>' || after == '|'
	switch {
	case (before == '[' || before == '(' || before == '<' || before == '|' || before == ':') && closed:
	case before == '\t' && after == '\t':
	case first && after == ':':
	case capitals && (after == ':' || !ambiguous(word)):
	case before == '=' || before == '"':
		key := strings.TrimRight(s[:start], `=":`)
		if !strings.HasSuffix(key, "level") && !strings.HasSuffix(key, "lvl") && !strings.HasSuffix(key, "severity") {
			return 0
		}
	default:
		return 0
	}
	return severityOf(word)
}

// ambiguous says whether a severity word is often another one, so that capitals are not enough.
func ambiguous(word string) bool {
	switch word {
	case "LOG", "FINE", "FAIL", "ALERT", "PANIC":
		return true
	}
	return false
}

// levelPair finds level=warn and lvl=warn further behind.
func levelPair(s string) (severity int32, word string) {
	s = s[:min(len(s), 1024)]
	at := strings.Index(s, "l=")
	if at < 0 {
		return 0, ""
	}
	for _, key := range []string{"level=", "lvl="} {
		at := strings.Index(s, key)
		if at < 0 || (at > 0 && s[at-1] != ' ' && s[at-1] != '"') {
			continue
		}
		word = strings.TrimPrefix(s[at+len(key):], `"`)
		n := 0
		for n < len(word) && isLetter(word[n]) {
			n++
		}
		if severity = severityOf(word[:n]); severity != 0 {
			return severity, word[:n]
		}
	}
	return 0, ""
}
