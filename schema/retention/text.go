package retention

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/logbatcher/logbatcher/schema"
)

// String returns the plan for people. It is SQL: the statements of a run, and comments.
func (p *Plan) String() string {
	var b strings.Builder
	comment := func(format string, arguments ...any) {
		b.WriteString(schema.SQLComment(fmt.Sprintf(format, arguments...)))
	}
	heading := fmt.Sprintf("%s (route %s)", p.Table, p.Route)
	if p.Column != "" {
		heading += fmt.Sprintf(": rows whose %s is before %s have expired", p.Column, p.Cutoff.Format(time.RFC3339))
	}
	comment("%s", heading)
	if p.Empty() {
		comment("nothing has expired")
	}
	for _, d := range p.Drops {
		comment("drop partition %s: %d rows in %d parts, %s, from %s to %s",
			d.Value, d.Rows, d.Parts, humanize.IBytes(d.Bytes), d.Min.Format(time.RFC3339), d.Max.Format(time.RFC3339))
		b.WriteString(d.Statement + ";\n")
	}
	if d := p.Delete; d != nil {
		comment("delete %d rows from %d partitions that stay", d.Rows, d.Partitions)
		b.WriteString(d.Statement + ";\n")
	}
	for _, m := range p.Unfinished {
		comment("unfinished mutation %s %s: rows are only deleted when it is done %s", m.ID, m.Command, m.FailReason)
	}
	for _, note := range p.Notes {
		comment("note: %s", note)
	}
	return b.String()
}

// String returns what a run did in one line, and a line for each note.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (route %s): dropped %d partitions with %d rows in %d parts (%s), deleted %d rows, in %s",
		r.Table, r.Route, len(r.Dropped), r.DroppedRows, r.DroppedParts, humanize.IBytes(r.DroppedBytes), r.DeletedRows,
		r.Duration.Round(time.Millisecond))
	switch {
	case !r.checked:
	case r.Oldest.IsZero():
		b.WriteString("; the table is empty")
	default:
		b.WriteString("; the oldest row is from " + r.Oldest.Format(time.RFC3339))
	}
	if r.Unfinished > 0 {
		fmt.Fprintf(&b, "; %d mutations are not done", r.Unfinished)
	}
	b.WriteString("\n")
	for _, note := range r.Notes {
		b.WriteString("note: " + note + "\n")
	}
	return b.String()
}
