package logfile

import (
	"strings"
	"time"
)

// stream is the state of the lines that may continue each other: those of one output of a container, of one process in
// a journal, or all of an input without envelopes.
type stream struct {
	key     string
	touched int64    // number of its last line
	partial *wrapped // a line that goes on; its text is in held
	held    []byte

	pending bool // entry waits for lines that continue it
	entry   entry
	body    []byte    // its Body, once lines were added
	blanks  int       // blank lines since
	last    time.Time // of the last entry that has one
	habit   habit
}

// entry is a record and what decides whether a line continues it.
type entry struct {
	Record
	number    int64 // of its line
	folded    int   // lines added
	cut       int64 // bytes
	begins    bool  // it has a stamp, a level or a message
	stamped   bool  // it is text with a stamp
	zoned     bool  // its time is certain
	numbered  bool  // its severity is a number of OpenTelemetry's
	json      bool
	crash     bool // every line that does not begin an entry continues it
	traceback bool // the next line that is not indented does
}

// continuations are what lines begin and end with that belong to the entry before, as those of stack traces do.
var continuations = []struct{ prefix, suffix string }{
	{" ", ""}, {"\t", ""}, {"}", ""}, {"at ", ""}, {"Caused by:", ""}, {"Suppressed:", ""}, {"... ", " more"}, {"... ", "omitted"},
	{traceback, ""}, {"During handling of the above exception", ""}, {"The above exception was the direct cause", ""},
	{"goroutine ", ":"}, {"created by ", ""}, {"stack backtrace:", ""}, {"note: run with `RUST_BACKTRACE", ""}, {"--- End of ", ""},
}

// traceback opens Python's stack trace, which ends with a line that is not indented.
const traceback = "Traceback (most recent"

// continues reports whether line continues the entry before it, by how it begins.
func continues(line string) bool {
	for _, c := range continuations {
		if line[0] == c.prefix[0] && strings.HasPrefix(line, c.prefix) && strings.HasSuffix(line, c.suffix) {
			return true
		}
	}
	return false
}

// crashSeverity returns the severity of a line that a runtime prints when the program dies, before a dump of many
// lines; 0 is any other line.
func crashSeverity(line string) int32 {
	switch {
	case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "):
		return sevFatal
	case strings.HasPrefix(line, "Exception in thread "):
		return sevError
	}
	return 0
}

// continuedBy reports whether a line of text without a stamp or a level continues the pending entry.
func (s *stream) continuedBy(line string) bool {
	switch e := &s.entry; {
	case continues(line):
		return true
	case crashSeverity(line) != 0:
		return false
	case e.crash:
		return true
	case e.traceback:
		e.traceback = false
		return true
	default:
		return s.habit.established() && !e.json
	}
}

// habit is what the text entries so far show about time stamps.
type habit struct {
	stamped   int // entries with a stamp of their own
	unstamped int // entries with neither a stamp nor a level, counted up to a bound
	fullFolds int // folds in a row that were ended by their bound and not by a stamp
}

// established reports whether entries have time stamps, so that a line without one is none.
func (h *habit) established() bool { return h.stamped > h.unstamped }

func (h *habit) entry(e *entry) {
	switch {
	case e.json:
	case e.stamped:
		h.stamped++
		h.fullFolds = 0
	case !e.begins && h.unstamped < 32:
		h.unstamped++
	}
}

// full notes that a fold reached its bound. After the second in a row, stamps have to be established again: this is no
// long dump but a file whose lines have none.
func (h *habit) full() {
	if h.fullFolds++; h.fullFolds == 2 {
		*h = habit{}
	}
}
