package logfile

import "fmt"

// Stats counts what was read.
type Stats struct {
	Lines           int64 // lines of the input
	BlankLines      int64 // of these, empty ones and those of white space only
	JSONLines       int64 // of these, the ones read as JSON objects
	FoldedLines     int64 // of these, the ones that continue another
	Records         int64 // records returned
	InheritedTimes  int64 // records that took the time of the one before
	Untimed         int64 // records without a time
	InvalidUTF8     int64 // runs of invalid bytes that U+FFFD replaces
	SkippedNULBytes int64 // NUL bytes at the start of lines, skipped
	TruncatedLines  int64 // lines that were cut
	TruncatedBytes  int64 // bytes that were cut from them
}

// Add adds the counts of another input.
func (s *Stats) Add(o Stats) {
	s.Lines += o.Lines
	s.BlankLines += o.BlankLines
	s.JSONLines += o.JSONLines
	s.FoldedLines += o.FoldedLines
	s.Records += o.Records
	s.InheritedTimes += o.InheritedTimes
	s.Untimed += o.Untimed
	s.InvalidUTF8 += o.InvalidUTF8
	s.SkippedNULBytes += o.SkippedNULBytes
	s.TruncatedLines += o.TruncatedLines
	s.TruncatedBytes += o.TruncatedBytes
}

// Notes returns a line for each way in which records differ from what the input has.
func (s *Stats) Notes() []string {
	var notes []string
	note := func(count int64, format string, more ...any) {
		if count > 0 {
			notes = append(notes, fmt.Sprintf(format, append([]any{count}, more...)...))
		}
	}
	note(s.TruncatedLines, "cut        %d long lines, by %d bytes", s.TruncatedBytes)
	note(s.InvalidUTF8, "replaced   %d runs of bytes that are not UTF-8, by U+FFFD")
	note(s.SkippedNULBytes, "skipped    %d NUL bytes at the start of lines")
	return notes
}
