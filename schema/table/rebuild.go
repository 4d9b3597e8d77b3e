package table

import (
	"maps"
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// rebuiltSuffix names the table that a rebuild copies the rows to.
const rebuiltSuffix = "_rebuilt"

// rebuild returns the statements that put the rows into a table of the wanted form, for a person to run while nothing is
// inserted. The new table is the old one's own definition with what differs put in its place, so all else that
// is in the table goes along; the additions of the plan follow as an ALTER of the new table. The old one is not dropped:
// the copy is not atomic, and rows that came meanwhile are in the old table alone. Empty: the definition can't be read.
func (p *Plan) rebuild(a *alteration) string {
	d := &p.existing.Definition
	if len(d.Elements) == 0 {
		return ""
	}
	t := *p.Table
	t.Name += rebuiltSuffix
	lines := p.rebuiltElements(d)
	create := "CREATE TABLE " + schema.QuotedName(t.Database, t.Name) + t.OnCluster() + "\n(\n    " + strings.Join(lines, ",\n    ") + "\n)\n" + p.rebuiltClauses(d)
	statements := []string{create}
	if change := a.statement(&t); change != "" {
		statements = append(statements, change)
	}
	table, rebuilt := schema.QuotedName(t.Database, p.Table.Name), schema.QuotedName(t.Database, t.Name)
	return strings.Join(append(statements, p.copyRows(table, rebuilt), "EXCHANGE TABLES "+table+" AND "+rebuilt+t.OnCluster()), ";\n")
}

// rebuiltElements returns the columns, indexes, projections and constraints of the table, with the columns of the route
// in the type that it wants, where that is not refused apart, and those that its keys read and the table lacks.
func (p *Plan) rebuiltElements(d *schema.Definition) []string {
	var lines, others []string
	for i := range d.Elements {
		e := &d.Elements[i]
		if e.Kind != "" {
			others = append(others, e.Text)
			continue
		}
		c, have := p.Table.Column(e.Name), p.existing.column(e.Name)
		switch {
		case c == nil || have == nil:
			lines = append(lines, e.Text)
		case have.DefaultKind == "EPHEMERAL":
			lines = append(lines, without(e, "EPHEMERAL"))
		case p.changesType(c, have):
			lines = append(lines, withType(e, c.Type.String()))
		default:
			lines = append(lines, e.Text)
		}
	}
	keys := schema.Tokens(p.Table.PartitionBy + "," + p.Table.OrderBy + "," + p.Table.PrimaryKey)
	for i := range p.Table.Columns {
		c := &p.Table.Columns[i]
		read := slices.ContainsFunc(keys, func(k schema.Token) bool { return k.Kind != schema.StringToken && k.Text == c.Name })
		if read && p.existing.column(c.Name) == nil {
			lines = append(lines, columnDefinition(c))
		}
	}
	return append(lines, others...)
}

// changesType reports whether the rebuilt table has the column in the route's type: in a key of the table a type can't be
// changed later, and elsewhere a wider one costs nothing while the table is empty.
func (p *Plan) changesType(c *schema.Column, have *ExistingColumn) bool {
	t, err := schema.ParseType(have.Type)
	if have.InKey || err != nil {
		return have.InKey
	}
	return t.String() != c.Type.String() && schema.Widens(t, c.Type)
}

// rebuiltClauses returns the clauses of the table's definition, with those that the route names in their place.
func (p *Plan) rebuiltClauses(d *schema.Definition) string {
	t, clauses := p.Table, maps.Clone(d.Clauses)
	if !engineFits(t.FullEngine(), p.existing.Engine) {
		clauses["ENGINE"] = t.FullEngine()
	}
	clauses["ENGINE"] = "= " + rebuiltEngine(clauses["ENGINE"])
	clauses["PARTITION BY"] = t.PartitionBy
	if t.OrderBy != "" {
		if t.PrimaryKey != "" || schema.CanonicalExpression(t.OrderBy) != schema.CanonicalExpression(d.Clauses["ORDER BY"]) {
			clauses["PRIMARY KEY"] = t.PrimaryKey
		}
		clauses["ORDER BY"] = t.OrderBy
	}
	var lines []string
	for _, keyword := range schema.DefinitionClauses {
		body := clauses[keyword]
		if keyword == "ORDER BY" || body != "" && (keyword == "PARTITION BY" || keyword == "PRIMARY KEY") {
			body = keyExpression(body)
		}
		if body != "" {
			lines = append(lines, keyword+" "+body)
		}
	}
	return strings.Join(lines, "\n")
}

// copyRows returns the INSERT that copies all that the table stores. Blocks that are alike are not taken for repeats, a copy
// has as many partitions as the table, and values that a type can't hold fail it.
func (p *Plan) copyRows(table, rebuilt string) string {
	var names, values []string
	settings := "insert_deduplicate = 0, max_partitions_per_insert_block = 0"
	for i := range p.existing.Columns {
		have := &p.existing.Columns[i]
		name := schema.QuoteIdentifier(have.Name)
		switch have.DefaultKind {
		case "ALIAS", "EPHEMERAL":
			continue
		case "MATERIALIZED":
			if !strings.Contains(settings, "materialized") {
				settings += ", insert_allow_materialized_columns = 1"
			}
		}
		value := name
		if c := p.Table.Column(have.Name); c != nil && have.InKey && have.Type != c.Type.String() {
			value = "accurateCast(" + name + ", " + schema.QuoteString(c.Type.String()) + ")"
		}
		names, values = append(names, name), append(values, value)
	}
	return "INSERT INTO " + rebuilt + " (" + strings.Join(names, ", ") + ") SETTINGS " + settings + " SELECT " + strings.Join(values, ", ") + " FROM " + table
}

// rebuiltEngine gives a replicated table of the same form a path of its own in Keeper, where the path does not
// follow from the table already.
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
