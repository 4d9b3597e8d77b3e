package logline

import "strings"

// OpenTelemetry's severity numbers for the words and numbers of other systems.
const (
	Trace    uint32 = 1
	Debug    uint32 = 5
	Info     uint32 = 9
	Notice   uint32 = 10
	Warn     uint32 = 13
	Error    uint32 = 17
	Critical uint32 = 18
	Alert    uint32 = 19
	Fatal    uint32 = 21
)

var severities = func() map[string]uint32 {
	all := map[string]uint32{}
	for number, words := range map[uint32]string{
		Trace:    "TRACE TRCE TRC VERBOSE FINEST FINER",
		Debug:    "DEBUG DBUG DBG FINE",
		Info:     "INFO INF INFORMATION INFORMATIONAL LOG",
		Notice:   "NOTICE",
		Warn:     "WARN WARNING WRN",
		Error:    "ERROR ERR EROR FAIL SEVERE",
		Critical: "CRIT CRITICAL",
		Alert:    "ALERT",
		Fatal:    "FATAL FTL PANIC DPANIC EMERG EMERGENCY",
	} {
		for _, word := range strings.Fields(words) {
			all[word] = number
		}
	}
	return all
}()

// SeverityOf returns the number of a word in any case, or 0.
func SeverityOf(word string) uint32 {
	var upper [len("INFORMATIONAL")]byte
	if len(word) < len("LOG") || len(word) > len(upper) {
		return 0
	}
	for i := range len(word) {
		upper[i] = word[i] &^ 0x20
	}
	return severities[string(upper[:len(word)])]
}

// SeverityName returns the usual word for a number.
func SeverityName(number uint32) string {
	if number == 0 {
		return ""
	}
	return [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}[(number-1)/4]
}

// SyslogSeverities are the numbers of syslog's severities.
var SyslogSeverities = [8]uint32{Fatal, Alert, Critical, Error, Warn, Notice, Info, Debug}

// NumericSeverity returns what n means in the scale of the format that uses key, a normalized name; 0 is nothing.
func NumericSeverity(key string, n int64) uint32 {
	switch {
	case key == "severitynumber": // OpenTelemetry
		if n >= 1 && n <= 24 {
			return uint32(n)
		}
	case n < 0:
	case key == "levelno" || key == "levelnumber": // Python
		if n >= 10 && n < 60 {
			return [...]uint32{Debug, Info, Warn, Error, Critical}[n/10-1]
		}
	case n < 8: // syslog, journald, GELF
		return SyslogSeverities[n]
	case n >= 10 && n < 70: // bunyan, pino
		return [...]uint32{Trace, Debug, Info, Warn, Error, Fatal}[n/10-1]
	}
	return 0
}
