// Package logfile turns log files into entries. It serves a newcomer's first minute and a cron job's import and is no log
// shipper: it has few rules, and what they do not cover stays text.
//
// The bytes of an input go in, and protocol entries come out. No line is lost silently: each line that is not blank is in
// the Body of one entry or, if it is JSON, in its fields. The bytes of a Body are those of the input. What is cut, skipped or
// not understood is counted in [Stats]. [Options.MaxEntryBytes] bounds memory, whatever the input.
//
// # Input
//
// Input is decompressed if it is gzip or zstd, and converted if it is UTF-16. Input whose first bytes show that it is not text
// is refused. NUL bytes at the start of a line are skipped.
//
// # Envelopes
//
// Three formats wrap lines: Docker's json-file, with any other members; Kubernetes' CRI; and journald's JSON, whose values may
// be arrays of bytes. The line inside is read as if it stood alone. Its envelope provides attributes, and what the line
// lacks: a time with a zone, a severity, a service. Lines that come in parts are joined. Lines continue each other within
// one output of a container or one process of a journal.
//
// # Entries
//
// A line begins an entry if it has a time stamp or a level, or is a JSON object with a time, a level or a message, whatever white space
// or colour precedes it. Escape sequences are ignored everywhere, and stay in the Body.
//
// Other lines continue the entry before them if they begin like the lines of stack traces (with white space, "at ", "Caused
// by:" and a few more), if that entry is a crash ("panic:", "fatal error:", "Exception in thread"), or if most entries so far
// had time stamps. An entry ends at [Options.MaxFoldLines] and at [Options.MaxEntryBytes]; the next one then repeats its
// time, severity and service. Blank lines within an entry are kept.
//
// # Time stamps
//
// A stamp stands at the start of a line, in square brackets or not, possibly after a syslog priority, a level or a thread; in the
// brackets of an access log; or after "time=", "ts=", "timestamp=" or "t=". Package logline knows the layouts. A stamp that it does
// not understand is counted. Without a zone a stamp is in [Options.Location]; without a year it gets the latest year that does not put
// it more than a day after [Options.Now].
//
// An entry without a time takes that of the entry before it in its stream: it is closer to the truth than the time of reading.
//
// # Levels
//
// A level is a word that stands where levels do: in capitals, in brackets, before a colon at the start, or after "level=". A
// number is read in the scale of its format: 10 to 60 of pino and bunyan, 0 to 7 of syslog, journald and GELF, Python's levelno,
// OpenTelemetry's severityNumber.
//
// # JSON lines
//
// Package logline knows which members are the fields of an entry. The others become attributes.
package logfile
