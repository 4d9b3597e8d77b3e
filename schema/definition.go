package schema

import (
	"slices"
	"strconv"
	"strings"
)

// Definition is a CREATE TABLE statement in its parts, as system.tables has it in create_table_query.
type Definition struct {
	// Elements are the columns, indexes, projections and constraints in the statement's list.
	Elements []Element
	// Clauses are what follows the list, by the keywords of DefinitionClauses.
	Clauses map[string]string
}

// DefinitionClauses are the keywords of a definition's clauses, in their order.
var DefinitionClauses = []string{"ENGINE", "PARTITION BY", "PRIMARY KEY", "ORDER BY", "SAMPLE BY", "TTL", "SETTINGS", "COMMENT"}

// Element is one element of a definition's list.
type Element struct {
	// Kind is INDEX, PROJECTION, CONSTRAINT or another keyword. Empty: the element is a column.
	Kind, Name string
	// Text is the element as it is spelled, Tokens are its tokens.
	Text   string
	Tokens []Token
}

// ParseDefinition splits a CREATE TABLE statement. It reports false if the statement has no list of columns or no engine.
func ParseDefinition(statement string) (Definition, bool) {
	d := Definition{Clauses: make(map[string]string)}
	list := Tokens(statement)
	open := slices.IndexFunc(list, Token.Opens)
	if open < 0 || Closing(list[open:]) < 0 {
		return d, false
	}
	end := open + Closing(list[open:])
	for _, part := range TopLevelParts(list[open+1 : end]) {
		if len(part) > 0 {
			d.Elements = append(d.Elements, newElement(statement[part[0].Start:part[len(part)-1].End]))
		}
	}
	keyword, start, depth := "", 0, 0
	ends := func(at int) {
		if keyword != "" {
			d.Clauses[keyword] = strings.TrimSpace(statement[start:at])
		}
	}
	for i := end + 1; i < len(list); i++ {
		switch {
		case list[i].Opens():
			depth++
		case list[i].Closes():
			depth--
		}
		if next := clauseAt(list[i:]); depth == 0 && next != "" {
			ends(list[i].Start)
			i += strings.Count(next, " ")
			keyword, start = next, list[i].End
		}
	}
	ends(len(statement))
	d.Clauses["ENGINE"] = strings.TrimPrefix(d.Clauses["ENGINE"], "= ")
	return d, d.Clauses["ENGINE"] != ""
}

// clauseAt returns the keyword of the clause that begins with the list, or nothing.
func clauseAt(list []Token) string {
	for _, keyword := range DefinitionClauses {
		first, second, two := strings.Cut(keyword, " ")
		if list[0].Kind == WordToken && list[0].Is(first) && (!two || len(list) > 1 && list[1].Is(second)) {
			return keyword
		}
	}
	return ""
}

func newElement(text string) Element {
	e := Element{Text: text, Tokens: Tokens(text)}
	if e.Tokens[0].Kind != WordToken {
		e.Name = e.Tokens[0].Text // ClickHouse quotes the names of columns, and only those
		return e
	}
	e.Kind = strings.ToUpper(e.Tokens[0].Text)
	if len(e.Tokens) > 1 {
		e.Name = e.Tokens[1].Text
	}
	return e
}

// Find returns the place of the first token from a place on that is one of the keywords and in no brackets, or the number of tokens.
func (e *Element) Find(from int, keywords ...string) int {
	depth := 0
	for i := from; i < len(e.Tokens); i++ {
		t := e.Tokens[i]
		switch {
		case t.Opens():
			depth++
		case t.Closes():
			depth--
		case depth == 0 && t.Kind == WordToken && slices.ContainsFunc(keywords, t.Is):
			return i
		}
	}
	return len(e.Tokens)
}

// Slice returns the text of tokens [from, to).
func (e *Element) Slice(from, to int) string {
	if from >= to {
		return ""
	}
	return e.Text[e.Tokens[from].Start:e.Tokens[to-1].End]
}

// Indexes returns the definition's data skipping indexes.
func (d *Definition) Indexes() []Index {
	var indexes []Index
	for i := range d.Elements {
		e := &d.Elements[i]
		if e.Kind != "INDEX" {
			continue
		}
		typeAt, granularityAt := e.Find(2, "TYPE"), e.Find(2, "GRANULARITY")
		index := Index{Name: e.Name, Expression: e.Slice(2, typeAt), Type: e.Slice(typeAt+1, granularityAt)}
		index.Granularity, _ = strconv.Atoi(e.Slice(granularityAt+1, len(e.Tokens))) // 0, which means 1, if there is none
		indexes = append(indexes, index)
	}
	return indexes
}

// Constraint is a check that ClickHouse makes of every inserted row.
type Constraint struct {
	// Name is the constraint's.
	Name string
	// Check is the expression that has to be true, as the statement spells it.
	Check string
}

// Constraints returns the constraints in a CREATE TABLE statement, as system.tables has it. Constraints that ClickHouse only
// assumes (ASSUME) are left out: it does not check them.
func Constraints(create string) []Constraint {
	var found []Constraint
	d, _ := ParseDefinition(create)
	for i := range d.Elements {
		if e := &d.Elements[i]; e.Kind == "CONSTRAINT" && len(e.Tokens) > 3 && e.Tokens[2].Is("CHECK") {
			found = append(found, Constraint{Name: e.Name, Check: e.Slice(3, len(e.Tokens))})
		}
	}
	return found
}

// Names reports whether an expression of SQL has the identifier.
func Names(expression, identifier string) bool {
	return slices.ContainsFunc(Tokens(expression), func(t Token) bool { return t.IsName() && t.Text == identifier })
}
