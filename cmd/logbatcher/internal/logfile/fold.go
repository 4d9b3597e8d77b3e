package logfile

import (
	"strings"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// entry is an entry and what decides whether a line continues it.
type entry struct {
	*logbatcherv1.Entry
	number    int64 // of its line
	folded    int   // lines that continue it
	cut       int64 // bytes that its Body lacks
	begins    bool  // it has a stamp, a level or a message
	stamped   bool  // it is text with a stamp
	zoned     bool  // its time does not depend on the reader's location
	json      bool
	crash     bool // every line that does not begin an entry continues it
	traceback bool // the next line that is not indented continues it
}

// stream is the state of lines that may continue each other: those of one output of a container, of one process in
// a journal, or all of an input without envelopes.
type stream struct {
	key     string
	touched int64           // number of its last line
	partial *line           // waits for the rest of its text
	parts   strings.Builder // its text so far

	pending bool // entry waits for lines that continue it
	entry   entry
	body    strings.Builder // its Body, once a line has continued it
	blanks  int             // blank lines since
	last    uint64          // time of the last entry that has one
	habit   habit
}

// continuations are the beginnings and ends of lines that belong to the entry before, such as those of stack traces.
var continuations = []struct{ prefix, suffix string }{
	{" ", ""}, {"\t", ""}, {"}", ""}, {"at ", ""}, {"Caused by:", ""}, {"Suppressed:", ""}, {"... ", " more"}, {"... ", "omitted"},
	{traceback, ""}, {"During handling of the above exception", ""}, {"The above exception was the direct cause", ""},
	{"goroutine ", ":"}, {"created by ", ""}, {"stack backtrace:", ""}, {"note: run with `RUST_BACKTRACE", ""}, {"--- End of ", ""},
}

// traceback opens a Python stack trace, which ends with a line that is not indented.
const traceback = "Traceback (most recent"

func isContinuation(text string) bool {
	for _, c := range continuations {
		if strings.HasPrefix(text, c.prefix) && strings.HasSuffix(text, c.suffix) {
			return true
		}
	}
	return false
}

// continuedBy reports whether the pending entry is continued by e, whose line is text.
func (s *stream) continuedBy(e *entry, text string) bool {
	pending := &s.entry
	switch {
	case !s.pending || e.begins:
		return false
	case e.json:
		return s.habit.established() && !pending.json
	case isContinuation(text):
		return true
	case e.crash:
		return false
	case pending.crash:
		return true
	case pending.traceback:
		pending.traceback = false
		return true
	}
	return s.habit.established() && !pending.json
}

// habit is what the text entries so far show about time stamps.
type habit struct {
	stamped   int // entries with a stamp
	unstamped int // entries with neither a stamp nor a level, up to 32
	fullFolds int // folds in a row that ended at their bound and not at a stamp
}

// established reports whether entries have time stamps, so that a line without one belongs to the entry before.
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

// full records that a fold reached its bound. The second one in a row is no long dump but a file without stamps.
func (h *habit) full() {
	if h.fullFolds++; h.fullFolds == 2 {
		*h = habit{}
	}
}
