package table

import (
	"maps"
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// rebuiltSuffix names the table to which a rebuild copies the rows.
const rebuiltSuffix = "_rebuilt"

// rebuild returns the statements that put the rows into a table of the wanted form, for a person to run while nothing is
// inserted. The new table is the old one's definition with the differences replaced, so that whatever else is in the table is
// kept; the plan's additions follow as an ALTER of the new table. The old table is not dropped: the copy is not atomic, and
// rows that arrive meanwhile are only in the old table. Empty: the definition can't be read.
func (p *Plan) rebuild(a *alteration) string {
	if len(p.existing.Definition.Elements) == 0 {
		return ""
	}
	t := *p.Table
	t.Name += rebuiltSuffix
	statements := []string{"CREATE TABLE " + definition(&t, p.rebuiltElements(), p.rebuiltClauses())}
	if change := a.statement(&t); change != "" {
		statements = append(statements, change)
	}
	old, rebuilt := schema.QuotedName(t.Database, p.Table.Name), schema.QuotedName(t.Database, t.Name)
	return strings.Join(append(statements, p.copyRows(old, rebuilt), "EXCHANGE TABLES "+old+" AND "+rebuilt+t.OnCluster()), ";\n")
}

// rebuiltElements returns the elements of the table with the route's types, except changes of types that are refused separately, and
// with the columns that are missing in the table and read by the route's keys.
func (p *Plan) rebuiltElements() []string {
	var columns, others []string
	for i := range p.existing.Definition.Elements {
		e := &p.existing.Definition.Elements[i]
		if e.Kind != "" {
			others = append(others, e.Text)
			continue
		}
		text := e.Text
		if c, have := p.Table.Column(e.Name), p.existing.column(e.Name); c != nil && have != nil {
			switch {
			case have.DefaultKind == "EPHEMERAL":
				text = without(e, "EPHEMERAL")
			case changesType(c, have):
				text = withType(e, c.Type.String())
			}
		}
		columns = append(columns, text)
	}
	for _, c := range p.missingInKeys() {
		columns = append(columns, columnDefinition(c))
	}
	return append(columns, others...)
}

// missingInKeys returns the columns that the route's keys read and the table lacks.
func (p *Plan) missingInKeys() (missing []*schema.Column) {
	keys := strings.Join([]string{p.Table.PartitionBy, p.Table.OrderBy, p.Table.PrimaryKey}, ",")
	for i := range p.Table.Columns {
		c := &p.Table.Columns[i]
		if p.existing.column(c.Name) == nil && schema.Names(keys, c.Name) {
			missing = append(missing, c)
		}
	}
	return missing
}

// changesType reports whether the rebuilt table has the column in the route's type: the type of a key's column can't be
// changed later, and widening any other is free while the table is empty.
func changesType(c *schema.Column, have *ExistingColumn) bool {
	if have.InKey {
		return true
	}
	t, err := schema.ParseType(have.Type)
	return err == nil && t.String() != c.Type.String() && schema.Widens(t, c.Type)
}

// rebuiltClauses returns the clauses of the table, except those that the route defines.
func (p *Plan) rebuiltClauses() map[string]string {
	t, clauses := p.Table, maps.Clone(p.existing.Definition.Clauses)
	if !engineFits(t.FullEngine(), p.existing.Engine) {
		clauses["ENGINE"] = t.FullEngine()
	}
	clauses["ENGINE"] = rebuiltEngine(clauses["ENGINE"])
	clauses["PARTITION BY"] = t.PartitionBy
	if t.OrderBy != "" {
		if t.PrimaryKey != "" || !sameExpression(t.OrderBy, clauses["ORDER BY"]) {
			clauses["PRIMARY KEY"] = t.PrimaryKey
		}
		clauses["ORDER BY"] = t.OrderBy
	}
	return clauses
}

// copyRows returns the INSERT that copies all that the table stores. It deduplicates no blocks, has as many partitions as the
// table, and fails on values that don't fit a type.
func (p *Plan) copyRows(old, rebuilt string) string {
	var names, values []string
	settings := "insert_deduplicate = 0, max_partitions_per_insert_block = 0"
	for i := range p.existing.Columns {
		have := &p.existing.Columns[i]
		if have.DefaultKind == "ALIAS" || have.DefaultKind == "EPHEMERAL" {
			continue
		}
		name := schema.QuoteIdentifier(have.Name)
		value := name
		if c := p.Table.Column(have.Name); c != nil && have.InKey && have.Type != c.Type.String() {
			value = "accurateCast(" + name + ", " + schema.QuoteString(c.Type.String()) + ")"
		}
		names, values = append(names, name), append(values, value)
	}
	if slices.ContainsFunc(p.existing.Columns, func(c ExistingColumn) bool { return c.DefaultKind == "MATERIALIZED" }) {
		settings += ", insert_allow_materialized_columns = 1"
	}
	return "INSERT INTO " + rebuilt + " (" + strings.Join(names, ", ") + ") SETTINGS " + settings + " SELECT " + strings.Join(values, ", ") + " FROM " + old
}

// rebuiltEngine changes the explicit Keeper path of a replicated engine, which the old table occupies.
func rebuiltEngine(engine string) string {
	if !strings.HasPrefix(engine, "Replicated") || strings.Contains(engine, "{uuid}") || strings.Contains(engine, "{table}") {
		return engine
	}
	for _, t := range schema.Tokens(engine) {
		if t.Kind == schema.StringToken {
			return engine[:t.Start] + schema.QuoteString(t.Text+rebuiltSuffix) + engine[t.End:]
		}
	}
	return engine
}
