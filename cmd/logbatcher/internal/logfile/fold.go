package logfile

import "strings"

// continues says whether a line continues the entry before it, by what it begins with.
func continues(line string) bool {
	switch line[0] {
	case ' ', '\t', '}':
		return true
	case '.':
		return strings.HasPrefix(line, "... ") && (strings.HasSuffix(line, " more") || strings.HasSuffix(line, "omitted"))
	case 'a':
		return strings.HasPrefix(line, "at ")
	case 'c':
		return strings.HasPrefix(line, "created by ")
	case 'g':
		return strings.HasPrefix(line, "goroutine ") && strings.HasSuffix(line, ":")
	case 'n':
		return strings.HasPrefix(line, "note: run with `RUST_BACKTRACE")
	case 's':
		return line == "stack backtrace:"
	case 'C':
		return strings.HasPrefix(line, "Caused by:")
	case 'D':
		return strings.HasPrefix(line, "During handling of the above exception")
	case 'S':
		return strings.HasPrefix(line, "Suppressed:")
	case 'T':
		return isTraceback(line) || strings.HasPrefix(line, "The above exception was the direct cause")
	case '-':
		return strings.HasPrefix(line, "--- End of ")
	}
	return false
}

// isTraceback says whether a line opens Python's stack trace, which ends with a line
// that is not indented: the exception.
func isTraceback(line string) bool { return strings.HasPrefix(line, "Traceback (most recent") }

// crashes returns the severity of a line that a run time prints when the program dies, with a
// dump of many lines behind it; 0 is any other line.
func crashes(line string) int32 {
	switch line[0] {
	case 'p':
		if strings.HasPrefix(line, "panic: ") {
			return sevFatal
		}
	case 'f':
		if strings.HasPrefix(line, "fatal error: ") {
			return sevFatal
		}
	case 'E':
		if strings.HasPrefix(line, "Exception in thread ") {
			return sevError
		}
	}
	return 0
}

// habit is what the entries so far say about time stamps in this file.
type habit struct {
	stamped   int // entries with a stamp of their own
	unstamped int // entries without one, counted up to a bound
	fullFolds int // folds in a row that were ended by their bound and not by a stamp
}

// established says whether entries have time stamps here, so that a line without one is no entry.
func (h *habit) established() bool { return h.stamped > h.unstamped }

func (h *habit) entry(stamped bool) {
	switch {
	case stamped:
		h.stamped++
		h.fullFolds = 0
	case h.unstamped < 32:
		h.unstamped++
	}
}

// full notes that a fold reached its bound. After the second in a row, stamps have to be
// established again: this is no long dump but a file whose lines have none.
func (h *habit) full() {
	if h.fullFolds++; h.fullFolds == 2 {
		*h = habit{}
	}
}
