// Package logline knows what lines of logs have in common, whoever brings them: how loggers write time stamps and levels, and which
// members of their JSON objects are an entry's time, level, message, service and ids.
//
// Text goes in. Times, severities and the fields of a schema.Entry come out; their strings are those of the text where that is possible.
// What is not understood is never guessed: a time stamp whose zone is unknown has no time, a member that fits no field is an attribute.
//
// # Time stamps
//
// The layout of a stamp is one of those listed in stamp.go, or seconds, milliseconds, microseconds or nanoseconds since 1970. AM and PM
// count. A zone is an offset (+03, +0300, +03:00), Z, UTC, GMT, or a name such as Europe/Berlin. An abbreviation such as CET counts if
// the reader's location uses it at that time. Without a zone a stamp is in that location.
//
// # JSON objects
//
// Time, level, message, service and ids have the names that common loggers use, see object.go; other members become attributes. Integers
// that fit int64 are INT, numbers with a fraction or an exponent DOUBLE, other numbers the STRING of their digits; objects and arrays
// are JSON; null is left out.
package logline
