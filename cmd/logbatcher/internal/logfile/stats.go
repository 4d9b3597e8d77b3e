package logfile

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// Stats counts what was read.
type Stats struct {
	Lines           int64 // lines of the input
	BlankLines      int64 // of these, empty ones and those of white space only
	FoldedLines     int64 // of these, the ones that continue another
	InheritedTimes  int64 // entries that took the time of the entry before
	Untimed         int64 // entries without a time
	UnreadTimes     int64 // time stamps that were not understood, and not used
	BrokenObjects   int64 // lines that look like a JSON object and are none, kept as text
	InvalidUTF8     int64 // lines that are not UTF-8, kept byte by byte
	ReplacedValues  int64 // JSON strings with half a surrogate pair, which U+FFFD replaces
	SkippedNULBytes int64 // NUL bytes at the start of lines, skipped
	TruncatedLines  int64 // lines that were cut
	TruncatedBytes  int64 // bytes that were cut from them

	UnreadTime string // the first of the stamps that were not understood
}

// Notes returns a line for each way in which the entries differ from what a reader of the input may expect.
func (s *Stats) Notes() []string {
	var notes []string
	note := func(count int64, format string, more ...any) {
		if count > 0 {
			notes = append(notes, fmt.Sprintf(format, append([]any{humanize.Comma(count)}, more...)...))
		}
	}
	note(s.TruncatedLines, "cut        %s long lines, by %s", humanize.IBytes(uint64(s.TruncatedBytes)))
	note(s.SkippedNULBytes, "skipped    %s NUL bytes at the start of lines")
	note(s.InvalidUTF8, "not UTF-8  %s lines, kept byte by byte")
	note(s.ReplacedValues, "replaced   half characters in %s JSON strings, by U+FFFD")
	note(s.BrokenObjects, "not JSON   %s lines that begin like it, kept as text")
	note(s.UnreadTimes, "no time    read from %s time stamps that are not understood, the first of them: %q", s.UnreadTime)
	note(s.InheritedTimes, "same time  as the entry before: %s entries without a time stamp")
	note(s.Untimed, "send time  given to %s entries that have no time stamp and follow none")
	return notes
}
