package schema

// Constraint is a check that ClickHouse makes of every row that is inserted.
type Constraint struct {
	// Name is the constraint's.
	Name string
	// Check is the expression that has to be true, as the statement has it.
	Check string
}

// Constraints returns the constraints that a CREATE TABLE statement has, as system.tables returns it. What is only assumed (ASSUME) is
// not checked, and not among them.
func Constraints(create string) []Constraint {
	var found []Constraint
	list := tokens(create)
	depth := 0
	for i, t := range list {
		switch {
		case t.opens():
			depth++
		case t.closes():
			if depth--; depth == 0 {
				return found // of the list of columns
			}
		}
		begins := t.is("(") || t.is(",")
		if depth != 1 || !begins || i+4 >= len(list) || !list[i+1].is("CONSTRAINT") || !list[i+3].is("CHECK") {
			continue
		}
		end := expressionEnd(list[i+4:])
		if end > 0 {
			found = append(found, Constraint{Name: list[i+2].text, Check: create[list[i+4].start:list[i+3+end].end]})
		}
	}
	return found
}

// expressionEnd returns how many tokens there are before the comma or bracket that ends the expression.
func expressionEnd(list []token) int {
	depth := 0
	for i, t := range list {
		switch {
		case depth == 0 && (t.is(",") || t.closes()):
			return i
		case t.opens():
			depth++
		case t.closes():
			depth--
		}
	}
	return 0
}

func (t token) opens() bool { return t.is("(") || t.is("[") || t.is("{") }

func (t token) closes() bool { return t.is(")") || t.is("]") || t.is("}") }

// Names reports whether an expression of SQL has the identifier.
func Names(expression, identifier string) bool {
	for _, t := range tokens(expression) {
		if (t.kind == wordToken || t.kind == nameToken) && t.text == identifier {
			return true
		}
	}
	return false
}
