package logfile

import (
	"reflect"
	"strings"
	"testing"
)

// Every count of what differs from the input has a note.
func TestNotes(t *testing.T) {
	input := "\x00\x002026-03-01 10:15:00 EST a\n" + strings.Repeat("long", 20) + "\ncaf\xe9\n{\"a\"\n" + `{"msg":"\ud800","a":"\ufffd","b":"` + "\ufffd" + `"}` + "\n2026-03-01 10:15:00 b\n \"c\n{\"d\":1}\n"
	_, stats := readAll(t, input, Options{MaxEntryBytes: 40, MaxFoldLines: -1})
	counts := reflect.ValueOf(stats)
	for i := range counts.NumField() {
		if name := counts.Type().Field(i).Name; counts.Field(i).IsZero() && name != "BlankLines" && name != "FoldedLines" {
			t.Errorf("%s is zero", name)
		}
	}
	notes := stats.Notes()
	for _, want := range []string{
		"cut        1 long lines, by 40 B", "skipped    2 NUL bytes", "not UTF-8  1 lines", "replaced   half characters in 1 JSON strings", "not JSON   1 lines",
		`no time    read from 1 time stamps that are not understood, the first of them: "2026-03-01 10:15:00 EST"`, "same time  as the entry before: ", "send time  given to ",
	} {
		found := false
		for _, note := range notes {
			found = found || strings.HasPrefix(note, want)
		}
		if !found {
			t.Errorf("%q is not among\n%s", want, strings.Join(notes, "\n"))
		}
	}
	if notes := (&Stats{Lines: 1}).Notes(); len(notes) > 0 {
		t.Errorf("%q", notes)
	}
}
