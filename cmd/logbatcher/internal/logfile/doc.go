// Package logfile turns log files into records: lines flow in from an
// [io.Reader], records flow out of [Reader.Next], one for each log entry.
//
// A line of text is a record whose Body is that line, unchanged; its time stamp,
// severity and, for access logs and syslog, its fields are read from it. A line
// that is a JSON object is a record whose Body is the object's message and whose
// other members are attributes. A line that only continues the entry before it,
// as those of a stack trace do, is folded into that entry's Body.
//
// What must always hold: no line is lost in silence. Each line that is not blank
// is in the Body of a record or, when JSON, in its fields; what is cut, replaced
// or skipped is counted in [Stats]. Memory is bounded by [Options.MaxEntryBytes],
// whatever the input. Every string of a record is valid UTF-8.
//
// # Time stamps
//
// Recognised at the start of a line, also inside square brackets, after a syslog
// priority, after a severity word and after "time=" or "ts=":
//
//	2006-01-02T15:04:05.999Z    RFC 3339; with T or space, dot or comma, with or without
//	2006-01-02 15:04:05,999     fraction and zone (log4j, Zookeeper, PostgreSQL, RFC 5424)
//	2006/01/02 15:04:05         Go's log, nginx's error log
//	06/01/02 15:04:05           Spark
//	Jan  2 15:04:05             RFC 3164
//	Mon Jan  2 15:04:05 2006    Apache's error log, date
//	02/Jan/2006:15:04:05 -0700  access logs, in brackets behind client and user
//	02-Jan-2006 15:04:05.999    Tomcat
//	I0102 15:04:05.999999       klog
//	1136214245[.999]            epoch seconds; or 13, 16, 19 digits: milli-, micro-, nanoseconds
//
// The format that the lines before had is tried first. A stamp without a zone is
// taken in [Options.Location]; one without a year lies in the latest year that
// does not put it more than a day after [Options.Now]. What lies before 1970 or after
// 2261 is no time stamp.
//
// # JSON lines
//
// A line is read as JSON when it is one object and nothing else; one that begins so
// and does not parse is text. The time, severity, message, service and ids are found
// under the names that common loggers give them; what is not used so, because of its name or
// because it does not fit, is an attribute. Integers that int64 holds are Int, numbers with a
// fraction or exponent Double, numbers that neither holds the String of their digits; objects and
// arrays are their JSON text; null is left out. Docker's json-file lines are the lines that
// the container wrote; journald's JSON is understood.
//
// # Continuation lines
//
// These lines fold into the entry before them: those that begin with white space,
// "at ", "Caused by:", "Traceback", "... N more", "}" and a few more of the kind;
// and, once time stamps are established, any text line without one. Stamps are
// established when more entries had one than had none. Behind an entry that
// was JSON only the first kind folds, as JSON lines are whole by themselves.
// Blank lines inside an entry are kept. A line that begins with "panic:", "fatal
// error:" or "Exception in thread" begins an entry and takes all lines without a
// stamp that follow. A fold ends at [Options.MaxFoldLines] lines and at
// [Options.MaxEntryBytes]; the next line then begins a record that repeats the
// first one's time, severity and service.
//
// A record without a stamp of its own takes the time of the record before it, if
// there was one: it is nearer to the truth than the time of reading.
package logfile
