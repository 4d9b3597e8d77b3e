package table

import (
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// definition is a CREATE TABLE statement in its parts, as system.tables.create_table_query has it.
type definition struct {
	// elements are what stands in the parentheses: columns, indexes, projections, constraints.
	elements []element
	clauses
}

// element is one element of a definition.
type element struct {
	// kind is INDEX, PROJECTION, CONSTRAINT or another keyword; empty for a column.
	kind, name string
	// text is the element as it is written, tokens the same in pieces.
	text   string
	tokens []schema.Token
}

// columnClauses are the keywords that follow a column's type.
var columnClauses = []string{
	"NULL", "NOT", "DEFAULT", "MATERIALIZED", "EPHEMERAL", "ALIAS", "COMMENT", "CODEC", "STATISTICS", "TTL", "PRIMARY", "COLLATE", "SETTINGS",
}

// parseDefinition splits a CREATE TABLE statement. It reports false for one that has no list of columns.
func parseDefinition(statement string) (definition, bool) {
	list := schema.Tokens(statement)
	first, depth := -1, 0
	for i, t := range list {
		switch {
		case t.Is("("):
			if depth == 0 {
				first = i
			}
			depth++
		case t.Is(")"):
			if depth--; depth > 0 {
				continue
			}
			d := definition{}
			for _, part := range schema.TopLevelParts(list[first+1 : i]) {
				d.elements = append(d.elements, newElement(statement, part))
			}
			rest := strings.TrimSpace(statement[t.End:])
			engine, found := strings.CutPrefix(rest, "ENGINE = ")
			d.clauses = engineClauses(engine)
			return d, found
		}
	}
	return definition{}, false
}

func newElement(statement string, part []schema.Token) element {
	if len(part) == 0 {
		return element{}
	}
	e := element{text: statement[part[0].Start:part[len(part)-1].End], tokens: part}
	if part[0].Kind != schema.WordToken {
		e.name = part[0].Text // ClickHouse quotes the names of columns, and only those
		return e
	}
	e.kind = strings.ToUpper(part[0].Text)
	if len(part) > 1 {
		e.name = part[1].Text
	}
	return e
}

// clause returns the place in the element's text of what follows one of the keywords of a column, and of the keyword
// itself. The type has the keyword "".
func (e *element) clause(keyword string) (start, body, end int, found bool) {
	offset, depth := e.tokens[0].Start, 0
	if keyword == "" && len(e.tokens) > 1 {
		start, found = e.tokens[1].Start-offset, true
		body = start
	}
	for _, t := range e.tokens[1:] {
		switch {
		case t.Is("(") || t.Is("["):
			depth++
		case t.Is(")") || t.Is("]"):
			depth--
		}
		if depth != 0 || t.Kind != schema.WordToken || !isColumnClause(t) {
			continue
		}
		if found {
			return start, body, t.Start - offset, true
		}
		if keyword != "" && t.Is(keyword) {
			start, body, found = t.Start-offset, t.End-offset, true
		}
	}
	return start, body, len(e.text), found
}

func isColumnClause(t schema.Token) bool {
	for _, keyword := range columnClauses {
		if t.Is(keyword) {
			return true
		}
	}
	return false
}

// ttl returns a column's TTL expression. Empty: it has none.
func (e *element) ttl() string {
	if _, body, end, found := e.clause("TTL"); e.kind == "" && found {
		return strings.TrimSpace(e.text[body:end])
	}
	return ""
}

// withType returns a column's text with another type.
func (e *element) withType(t string) string {
	start, _, end, _ := e.clause("")
	return strings.TrimSpace(e.text[:start] + t + " " + e.text[end:])
}

// without returns a column's text without a clause.
func (e *element) without(keyword string) string {
	start, _, end, found := e.clause(keyword)
	if !found {
		return e.text
	}
	return strings.TrimSpace(e.text[:start] + e.text[end:])
}
