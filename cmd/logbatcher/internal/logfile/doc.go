// Package logfile turns log files into records. It reads what a newcomer or a cron job sends, and is no log shipper: it
// has few rules, and what they do not cover stays text, with nothing lost.
//
// No line is lost in silence. Each line that is not blank is in the Body of one record or, if it is JSON, in its fields. The
// bytes of a Body are those of the input. What is cut, skipped or not understood is counted in [Stats]. Memory is bounded by
// [Options.MaxEntryBytes], whatever the input.
//
// # Input
//
// Input is decompressed if it is gzip or zstd, and converted if it is UTF-16. What is known not to be text, by its first
// bytes, is refused. NUL bytes at the start of a line are skipped.
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
// or colour precedes it. Escape sequences are disregarded everywhere, and stay in the Body.
//
// Other lines continue the entry before them if they begin as the lines of stack traces do (with white space, "at ", "Caused
// by:" and a few more), if that entry is a crash ("panic:", "fatal error:", "Exception in thread"), or if most entries so far
// had time stamps. An entry ends at [Options.MaxFoldLines] and at [Options.MaxEntryBytes]; the next record then repeats its
// time, severity and service. Blank lines within an entry are kept.
//
// # Time stamps
//
// A stamp stands at the start of a line, in square brackets or not, also behind a syslog priority, a level or a thread, in the brackets
// of an access log, or behind "time=", "ts=", "timestamp=" or "t=". Its layout is one of those that are listed in stamp.go, or seconds, milliseconds,
// microseconds or nanoseconds since 1970. AM and PM count.
//
// A zone is an offset (+03, +0300, +03:00), Z, UTC, GMT, or a name such as Europe/Berlin. An abbreviation such as CET
// counts if [Options.Location] uses it at that time. A stamp with any other zone, or with a date that does not exist or may be read in
// two ways, is not used, and counted. Without a zone a stamp is in Options.Location; without a year it lies in the latest
// year that does not put it more than a day after [Options.Now].
//
// A record without a time takes that of the record before it in its stream: it is nearer to the truth than the time of reading.
//
// # Levels
//
// A level is a word that stands where levels do: in capitals, in brackets, before a colon at the start, or behind "level=". A
// number is read in the scale of its format: 10 to 60 of pino and bunyan, 0 to 7 of syslog, journald and GELF, Python's levelno,
// OpenTelemetry's severityNumber.
//
// # JSON lines
//
// Time, level, message, service and ids are found under the names that common loggers give them, which are listed in
// jsonline.go; other members are attributes. Integers that int64 holds are Int, numbers with a fraction or an exponent Double,
// numbers that neither holds the String of their digits; objects and arrays are JSON text; null is left out.
package logfile
