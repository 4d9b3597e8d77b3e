package schema

import "strings"

// String returns the plan as a person reads it: what would change, with the statements that would be run, what is
// refused, with the statements that would have to be run by hand, and what is left alone. The whole text is SQL: all but
// the statements of the steps is in comments.
func (p *Plan) String() string {
	var b strings.Builder
	b.WriteString("-- " + p.Table.FullName())
	if p.Empty() {
		b.WriteString(": fits\n")
	} else {
		b.WriteString("\n")
	}
	for _, step := range p.Steps {
		for _, change := range step.Changes {
			writeComment(&b, change)
		}
		b.WriteString(step.Statement + ";\n")
	}
	for _, refused := range p.Refused {
		change := "REFUSED: " + refused.Change
		if refused.Name != "" {
			change += " (allowed by the name " + QuoteString(allowName(p.Table, refused.Name)) + ")"
		}
		writeComment(&b, change)
		if refused.Statement != "" {
			writeComment(&b, "    "+strings.ReplaceAll(refused.Statement, "\n", "\n    ")+";")
		}
	}
	if len(p.Refused) > 0 {
		writeComment(&b, "Nothing is run while anything is refused.")
	}
	for _, note := range p.Notes {
		writeComment(&b, "note: "+note)
	}
	return b.String()
}

// writeComment keeps every line of the text inside the comment: names may hold anything.
func writeComment(b *strings.Builder, text string) {
	b.WriteString("-- " + strings.ReplaceAll(strings.ReplaceAll(text, "\r", `\r`), "\n", "\n-- ") + "\n")
}
