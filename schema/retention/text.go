package retention

import (
	"fmt"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// String returns the plan as a person reads it, with the statements that a run would execute.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- %s (route %s)", p.Table, p.Route)
	if p.Column != "" {
		fmt.Fprintf(&b, ": rows whose %s lies before %s have expired", p.Column, p.Cutoff.Format(time.RFC3339))
	}
	b.WriteString("\n")
	if p.Empty() {
		schema.WriteComment(&b, "nothing has expired")
	}
	for _, d := range p.Drops {
		schema.WriteComment(&b, fmt.Sprintf("drop partition %s: %d rows in %d parts, %s, from %s to %s",
			d.Value, d.Rows, d.Parts, byteCount(d.Bytes), d.Min.Format(time.RFC3339), d.Max.Format(time.RFC3339)))
		b.WriteString(d.Statement + ";\n")
	}
	if d := p.Delete; d != nil {
		schema.WriteComment(&b, fmt.Sprintf("delete %d rows from %d partitions that stay", d.Rows, len(d.Partitions)))
		b.WriteString(d.Statement + ";\n")
	}
	for _, m := range p.Unfinished {
		schema.WriteComment(&b, "unfinished mutation "+m.ID+" "+m.Command+": rows are deleted only when it is done "+m.FailReason)
	}
	for _, note := range p.Notes {
		schema.WriteComment(&b, "note: "+note)
	}
	return b.String()
}

// String returns what a run did, in one line, with a line more for each note.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (route %s): dropped %d partitions with %d rows in %d parts (%s), deleted %d rows, in %s",
		r.Table, r.Route, len(r.Dropped), r.DroppedRows, r.DroppedParts, byteCount(r.DroppedBytes), r.DeletedRows,
		r.Duration.Round(time.Millisecond))
	switch {
	case !r.checked:
	case r.Oldest.IsZero():
		b.WriteString("; the table is empty")
	default:
		b.WriteString("; the oldest row is of " + r.Oldest.Format(time.RFC3339))
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

// byteCount writes a size in the units of ClickHouse's formatReadableSize.
func byteCount(n uint64) string {
	value, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for value >= 1024 && i < len(units)-1 {
		value /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[i])
}
