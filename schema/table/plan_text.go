package table

import (
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

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
			b.WriteString(schema.SQLComment(change))
		}
		b.WriteString(step.Statement + ";\n")
	}
	for _, refused := range p.Refused {
		change := "REFUSED: " + refused.Change
		if refused.Name != "" {
			change += " (allowed by the name " + schema.QuoteString(allowName(p.Table, refused.Name)) + ")"
		}
		b.WriteString(schema.SQLComment(change))
		if refused.Statement != "" {
			b.WriteString(schema.SQLComment("    " + strings.ReplaceAll(refused.Statement, "\n", "\n    ") + ";"))
		}
	}
	if len(p.Refused) > 0 {
		b.WriteString(schema.SQLComment("Nothing is run while anything is refused."))
	}
	for _, note := range p.Notes {
		b.WriteString(schema.SQLComment("note: " + note))
	}
	return b.String()
}
