package table

import (
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// String returns the plan for people: the statements of the steps, and in comments what they change, what is refused, with the
// statements that would do it, and what is left alone.
func (p *Plan) String() string {
	var b strings.Builder
	heading := p.Table.FullName()
	if p.Empty() {
		heading += ": fits"
	}
	b.WriteString(schema.SQLComment(heading))
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
